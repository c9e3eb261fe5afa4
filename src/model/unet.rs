//! A modern 3-D U-Net.

use burn::module::Module;
use burn::nn::conv::Conv3d;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, Dropout, Layer, Norm, Style, Up, Upsampling, channels, convolution, convolve,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::{Kernels, max_pool3d};
use crate::settings::Fault;

/// Today's usual choices: two 3x3x3 convolutions per level, each followed by a normalisation and an
/// activation, max pooling down, skip connections by concatenation, a 1x1x1 head.
///
/// Reference: Çiçek et al., 3D U-Net, MICCAI 2016.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Resolutions, the input's own included.
    #[schemars(range(min = 2, max = 8))]
    pub levels: usize,
    /// Normalisation: batch, instance, group or none.
    pub norm: Norm,
    /// Activation: relu, leaky_relu, prelu, gelu, silu or none.
    pub activation: Activation,
    /// Probability that an activation is dropped, after each pooling and each concatenation.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How the decoder doubles the resolution: transposed or trilinear.
    pub upsampling: Upsampling,
}

impl Default for Unet {
    fn default() -> Self {
        Self {
            filters: 16,
            levels: 5,
            norm: Norm::default(),
            activation: Activation::default(),
            dropout: 0.0,
            upsampling: Upsampling::default(),
        }
    }
}

impl Unet {
    fn block<B: Backend>(&self, input: usize, output: usize, device: &B::Device) -> Block<B> {
        let style = Style {
            norm: self.norm,
            activation: self.activation,
        };
        let layer = |input| style.layer([input, output], [3; 3], [1; 3], device);
        Block {
            first: layer(input),
            second: layer(output),
        }
    }
}

impl Architecture for Unet {
    type Network<B: Backend> = UnetNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> UnetNet<B> {
        let channels = channels(self.filters, self.levels);
        let inputs = std::iter::once(ends.input).chain(channels.iter().copied());
        let encoder = inputs
            .zip(&channels)
            .map(|(input, &output)| self.block(input, output, device))
            .collect();
        // From the deepest level up: each pair is a level and the one above it.
        let steps = channels.windows(2).rev().map(|pair| (pair[1], pair[0]));
        UnetNet {
            encoder,
            up: steps
                .clone()
                .map(|(below, above)| self.upsampling.init([below, above], device))
                .collect(),
            decoder: steps
                .map(|(_, above)| self.block(2 * above, above, device))
                .collect(),
            head: convolution([self.filters, ends.output], 1, true, device),
            dropout: Dropout::new(self.dropout),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        self.norm.rules(self.filters)
    }
}

/// The network that [`Unet`] describes.
#[derive(Module, Debug)]
pub struct UnetNet<B: Backend> {
    encoder: Vec<Block<B>>,
    up: Vec<Up<B>>,
    decoder: Vec<Block<B>>,
    head: Conv3d<B>,
    dropout: Dropout,
}

impl<B: Kernels> Segmentation<B> for UnetNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << self.up.len(); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut levels = self.encoder.iter();
        let mut x = x;
        let mut skips = Vec::new();
        if let Some(first) = levels.next() {
            x = first.forward(x);
        }
        for block in levels {
            skips.push(x.clone());
            x = block.forward(self.dropout.forward(max_pool3d(x)));
        }
        let decoder = self.up.iter().zip(&self.decoder);
        for ((up, block), skip) in decoder.zip(skips.into_iter().rev()) {
            let joined = self.dropout.forward_joined([up.forward(x), skip]);
            x = block.forward_joined(joined);
        }
        convolve(&self.head, x)
    }
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    first: Layer<B>,
    second: Layer<B>,
}

impl<B: Kernels> Block<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        self.second.forward(self.first.forward(x))
    }

    /// As [`Self::forward`], of the channels of two tensors.
    fn forward_joined(&self, x: [Tensor<B, 5>; 2]) -> Tensor<B, 5> {
        self.second.forward(self.first.forward_joined(x))
    }
}
