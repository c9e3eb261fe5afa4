//! Layers that the networks share. Field names are PyTorch's, so that weights files read the same.

mod activation;
mod conv;
mod dropout;
mod norm;
mod stack;
mod up;

pub use activation::{Activation, ActivationLayer};
pub use conv::{
    Layer, PreLayer, Style, convolution, convolve, convolve_joined, convolve_transposed,
    doubling_convolution, normalise, strided_convolution, transposed_convolution,
};
pub use dropout::Dropout;
pub use norm::{BatchNorm, GroupNorm, Norm, NormLayer};
pub use stack::{Stack, follow, follow_joined};
pub use up::{Up, UpLayer, Upsampling};

use super::MOST_CHANNELS;

/// Channels of each of `levels` resolutions: `filters`, then twice as many each level down, up to
/// [`MOST_CHANNELS`].
pub fn channels(filters: usize, levels: usize) -> Vec<usize> {
    (0..levels)
        .map(|level| (filters << level).min(MOST_CHANNELS))
        .collect()
}
