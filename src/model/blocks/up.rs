//! Doubling the resolution.

use burn::module::Module;
use burn::nn::conv::{Conv3d, ConvTranspose3d};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{convolution, convolve, convolve_transposed, transposed_convolution};
use crate::kernel::{Kernels, upsample_trilinear};

/// How a decoder doubles the resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// A 2x2x2 transposed convolution of stride 2.
    #[default]
    Transposed,
    /// A 1x1x1 convolution, then trilinear interpolation.
    Trilinear,
}

impl Upsampling {
    /// From `channels[0]` channels to `channels[1]` of twice the resolution.
    pub fn init<B: Backend>(self, channels: [usize; 2], device: &B::Device) -> Up<B> {
        match self {
            Self::Transposed => Up::Transposed(transposed_convolution(channels, 2, device)),
            Self::Trilinear => Up::Trilinear(convolution(channels, 1, true, device)),
        }
    }
}

/// What doubles the resolution.
#[derive(Module, Debug)]
pub enum Up<B: Backend> {
    /// See [`Upsampling::Transposed`].
    Transposed(ConvTranspose3d<B>),
    /// See [`Upsampling::Trilinear`].
    Trilinear(Conv3d<B>),
}

impl<B: Kernels> Up<B> {
    /// `x`, `[batch, channels, depth, height, width]`, at twice the resolution.
    pub fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        match self {
            Self::Transposed(conv) => convolve_transposed(conv, x),
            // Both are linear, so their order is free: the convolution is cheaper before.
            Self::Trilinear(conv) => upsample_trilinear(convolve(conv, x)),
        }
    }
}
