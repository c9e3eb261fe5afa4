//! Doubling the resolution.

use burn::module::Module;
use burn::nn::conv::{Conv3d, ConvTranspose3d};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ActivationLayer, Norm, NormLayer, Style, convolution, convolve, convolve_transposed,
    doubling_convolution, normalise,
};
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
        self.with(channels, 2, true, device)
    }

    /// The same with a transposed convolution of any `kernel` from 2 on, with or without a bias.
    pub fn with<B: Backend>(
        self,
        channels: [usize; 2],
        kernel: usize,
        bias: bool,
        device: &B::Device,
    ) -> Up<B> {
        match self {
            Self::Transposed => {
                Up::Transposed(doubling_convolution(channels, kernel, bias, device))
            }
            Self::Trilinear => Up::Trilinear(convolution(channels, 1, bias, device)),
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

/// Upsampling, normalisation, activation.
#[derive(Module, Debug)]
pub struct UpLayer<B: Backend> {
    /// The upsampling.
    pub conv: Up<B>,
    /// The normalisation.
    pub norm: Option<NormLayer<B>>,
    /// The activation.
    pub activation: ActivationLayer<B>,
}

impl Style {
    /// Upsampling (where transposed, by that kernel), normalisation, activation.
    pub fn up_layer<B: Backend>(
        self,
        upsampling: Upsampling,
        channels: [usize; 2],
        kernel: usize,
        device: &B::Device,
    ) -> UpLayer<B> {
        UpLayer {
            conv: upsampling.with(channels, kernel, self.norm == Norm::None, device),
            norm: self.norm.init(channels[1], device),
            activation: self.activation.init(device),
        }
    }
}

impl<B: Kernels> UpLayer<B> {
    /// Applies all three to `x`, `[batch, channels, depth, height, width]`.
    pub fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        normalise(&self.norm, &self.activation, self.conv.forward(x))
    }
}
