//! Convolutions, alone and with what goes with them.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv3d, Conv3dConfig, ConvTranspose3d, ConvTranspose3dConfig};
use burn::nn::{Initializer, PaddingConfig3d};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::{Activation, ActivationLayer, Norm, NormLayer};
use crate::kernel::Kernels;

/// A convolution of odd kernel that keeps the grid.
///
/// Its weights, as those of all layers here, are zero until
/// [`initialize`](crate::model::init::initialize) draws them.
pub fn convolution<B: Backend>(
    channels: [usize; 2],
    kernel: usize,
    bias: bool,
    device: &B::Device,
) -> Conv3d<B> {
    strided_convolution(channels, [kernel; 3], [1; 3], bias, device)
}

/// A convolution that keeps every `stride`-th voxel of the grid, from the first; a kernel is odd, or 2
/// where the stride is.
pub fn strided_convolution<B: Backend>(
    channels: [usize; 2],
    kernel: [usize; 3],
    stride: [usize; 3],
    bias: bool,
    device: &B::Device,
) -> Conv3d<B> {
    let [depth, height, width] = kernel.map(|size| (size - 1) / 2);
    Conv3dConfig::new(channels, kernel)
        .with_stride(stride)
        .with_padding(PaddingConfig3d::Explicit(depth, height, width))
        .with_bias(bias)
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// A transposed convolution of stride 2, with bias, without padding: `n` voxels become
/// `2 (n - 1) + kernel` along each axis.
pub fn transposed_convolution<B: Backend>(
    channels: [usize; 2],
    kernel: usize,
    device: &B::Device,
) -> ConvTranspose3d<B> {
    ConvTranspose3dConfig::new(channels, [kernel; 3])
        .with_stride([2; 3])
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// A transposed convolution of stride 2 whose output has exactly twice the grid.
pub fn doubling_convolution<B: Backend>(
    channels: [usize; 2],
    kernel: usize,
    bias: bool,
    device: &B::Device,
) -> ConvTranspose3d<B> {
    ConvTranspose3dConfig::new(channels, [kernel; 3])
        .with_stride([2; 3])
        .with_padding([(kernel - 1) / 2; 3])
        .with_padding_out([kernel % 2; 3])
        .with_bias(bias)
        .with_initializer(Initializer::Zeros)
        .init(device)
}

/// Applies a convolution.
pub fn convolve<B: Kernels>(layer: &Conv3d<B>, x: Tensor<B, 5>) -> Tensor<B, 5> {
    let (weight, bias) = weights(&layer.weight, layer.bias.as_ref(), &x);
    <B as Kernels>::conv3d(x, weight, bias, options(layer))
}

/// Applies a convolution to the channels of two tensors, as if they were joined.
pub fn convolve_joined<B: Kernels>(layer: &Conv3d<B>, x: [Tensor<B, 5>; 2]) -> Tensor<B, 5> {
    let (weight, bias) = weights(&layer.weight, layer.bias.as_ref(), &x[0]);
    B::conv3d_joined(x, weight, bias, options(layer))
}

fn options<B: Backend>(layer: &Conv3d<B>) -> ConvOptions<3> {
    let padding = match &layer.padding {
        PaddingConfig3d::Explicit(depth, height, width) => [*depth, *height, *width],
        _ => [0; 3],
    };
    ConvOptions::new(layer.stride, padding, layer.dilation, layer.groups)
}

/// Applies a transposed convolution.
pub fn convolve_transposed<B: Kernels>(
    layer: &ConvTranspose3d<B>,
    x: Tensor<B, 5>,
) -> Tensor<B, 5> {
    let options = ConvTransposeOptions::new(
        layer.stride,
        layer.padding,
        layer.padding_out,
        layer.dilation,
        layer.groups,
    );
    let (weight, bias) = weights(&layer.weight, layer.bias.as_ref(), &x);
    <B as Kernels>::conv_transpose3d(x, weight, bias, options)
}

type Weights<B> = (Tensor<B, 5>, Option<Tensor<B, 1>>);

/// A convolution's weight and bias in the type of what they are applied to.
fn weights<B: Kernels>(
    weight: &Param<Tensor<B, 5>>,
    bias: Option<&Param<Tensor<B, 1>>>,
    x: &Tensor<B, 5>,
) -> Weights<B> {
    let dtype = x.dtype();
    (
        B::cast(weight.val(), dtype),
        bias.map(|bias| B::cast(bias.val(), dtype)),
    )
}

/// What all layers of a network have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// How they normalise.
    pub norm: Norm,
    /// How they activate.
    pub activation: Activation,
}

impl Style {
    /// Convolution, normalisation, activation.
    pub fn layer<B: Backend>(
        self,
        channels: [usize; 2],
        kernel: [usize; 3],
        stride: [usize; 3],
        device: &B::Device,
    ) -> Layer<B> {
        // A norm takes away what a bias would add.
        let bias = self.norm == Norm::None;
        Layer {
            conv: strided_convolution(channels, kernel, stride, bias, device),
            norm: self.norm.init(channels[1], device),
            activation: self.activation.init(device),
        }
    }

    /// Normalisation, activation, convolution ("pre-activation"; He et al., 2016).
    pub fn pre_layer<B: Backend>(
        self,
        channels: [usize; 2],
        kernel: [usize; 3],
        stride: [usize; 3],
        device: &B::Device,
    ) -> PreLayer<B> {
        PreLayer {
            norm: self.norm.init(channels[0], device),
            activation: self.activation.init(device),
            conv: strided_convolution(channels, kernel, stride, self.norm == Norm::None, device),
        }
    }
}

/// Convolution, normalisation, activation.
#[derive(Module, Debug)]
pub struct Layer<B: Backend> {
    /// The convolution.
    pub conv: Conv3d<B>,
    /// The normalisation.
    pub norm: Option<NormLayer<B>>,
    /// The activation.
    pub activation: ActivationLayer<B>,
}

impl<B: Kernels> Layer<B> {
    /// Applies all three to `x`, `[batch, channels, depth, height, width]`.
    pub fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        normalise(&self.norm, &self.activation, convolve(&self.conv, x))
    }

    /// As [`Self::forward`], of the channels of two tensors.
    pub fn forward_joined(&self, x: [Tensor<B, 5>; 2]) -> Tensor<B, 5> {
        normalise(&self.norm, &self.activation, convolve_joined(&self.conv, x))
    }
}

/// Normalisation, activation, convolution.
#[derive(Module, Debug)]
pub struct PreLayer<B: Backend> {
    /// The normalisation.
    pub norm: Option<NormLayer<B>>,
    /// The activation.
    pub activation: ActivationLayer<B>,
    /// The convolution.
    pub conv: Conv3d<B>,
}

impl<B: Kernels> PreLayer<B> {
    /// Applies all three to `x`, `[batch, channels, depth, height, width]`.
    pub fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        convolve(&self.conv, normalise(&self.norm, &self.activation, x))
    }
}

/// Normalises and activates `x`, in one pass where the activation allows it.
pub fn normalise<B: Kernels>(
    norm: &Option<NormLayer<B>>,
    activation: &ActivationLayer<B>,
    x: Tensor<B, 5>,
) -> Tensor<B, 5> {
    match (norm, activation.slope()) {
        (Some(norm), Some(slope)) => norm.forward(x, slope),
        (Some(norm), None) => activation.forward(norm.forward(x, 1.0)),
        (None, _) => activation.forward(x),
    }
}
