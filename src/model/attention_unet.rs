//! A U-Net with attention gates.

use burn::module::Module;
use burn::nn::conv::Conv3d;
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, ActivationLayer, Layer, Norm, Stack, Style, UpLayer, Upsampling, channels,
    convolution, convolve,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// A U-Net whose decoder decides, voxel by voxel, how much of a skip connection it uses: a gate between 0
/// and 1, `sigmoid(psi(activation(g + x)))` of the decoder's features `g` and the skip connection's `x`
/// (each by a 1x1x1 convolution with half as many channels), by which the skip connection is multiplied.
///
/// On the way down each level has two 3x3x3 convolutions, where the first halves the resolution; on the way up
/// each has one.
///
/// Reference: Oktay et al., Attention U-Net, MIDL 2018; followed: MONAI 1.6.1, AttentionUnet (whose
/// decoder's last convolutions have instance normalisation and PReLU whatever the others have).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AttentionUnet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Resolutions, the input's own included.
    #[schemars(range(min = 2, max = 8))]
    pub levels: usize,
    /// Normalisation: batch, instance, group, eight_groups or none.
    pub norm: Norm,
    /// Activation: relu, leaky_relu, prelu, gelu, silu, elu or none.
    pub activation: Activation,
    /// Probability that an activation is dropped, after each but in upsampling and gates.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How the decoder doubles the resolution: transposed (here 3x3x3) or trilinear.
    pub upsampling: Upsampling,
}

impl Default for AttentionUnet {
    fn default() -> Self {
        Self {
            filters: 16,
            levels: 5,
            norm: Norm::Batch,
            activation: Activation::Relu,
            dropout: 0.0,
            upsampling: Upsampling::Transposed,
        }
    }
}

impl AttentionUnet {
    fn gate<B: Backend>(&self, channels: usize, device: &B::Device) -> Gate<B> {
        let linear = Style {
            norm: self.norm,
            activation: Activation::None,
        };
        let inner = (channels / 2).max(1);
        let layer = |channels| linear.layer(channels, [1; 3], [1; 3], device);
        Gate {
            gating: layer([channels, inner]),
            skip: layer([channels, inner]),
            activation: self.activation.init(device),
            psi: layer([inner, 1]),
        }
    }
}

impl Architecture for AttentionUnet {
    type Network<B: Backend> = AttentionUnetNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> AttentionUnetNet<B> {
        let style = Style {
            norm: self.norm,
            activation: self.activation,
        };
        let channels = channels(self.filters, self.levels);
        let inputs = std::iter::once(ends.input).chain(channels.iter().copied());
        let encoder = inputs.zip(&channels).enumerate();
        let decoder_level = |below: usize, above: usize| DecoderLevel {
            up: style.up_layer(self.upsampling, [below, above], 3, device),
            gate: self.gate(above, device),
            merge: style.stack(1, [2 * above, above], 3, 1, self.dropout, device),
        };
        AttentionUnetNet {
            encoder: encoder
                .map(|(level, (input, &output))| {
                    let stride = if level > 0 { 2 } else { 1 };
                    style.stack(2, [input, output], 3, stride, self.dropout, device)
                })
                .collect(),
            decoder: channels
                .windows(2)
                .rev()
                .map(|pair| decoder_level(pair[1], pair[0]))
                .collect(),
            head: convolution([self.filters, ends.output], 1, true, device),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        self.norm.rules(self.filters)
    }
}

/// The network that [`AttentionUnet`] describes.
#[derive(Module, Debug)]
pub struct AttentionUnetNet<B: Backend> {
    encoder: Vec<Stack<B>>,
    decoder: Vec<DecoderLevel<B>>,
    head: Conv3d<B>,
}

impl<B: Kernels> Segmentation<B> for AttentionUnetNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << self.decoder.len(); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut x = x;
        let mut skips = Vec::new();
        for block in &self.encoder {
            x = block.forward(x);
            skips.push(x.clone());
        }
        // The deepest level is not a skip connection.
        let skips = skips.into_iter().rev().skip(1);
        for (decoder_level, skip) in self.decoder.iter().zip(skips) {
            x = decoder_level.forward(x, skip);
        }
        convolve(&self.head, x)
    }
}

/// A level of the decoder.
#[derive(Module, Debug)]
struct DecoderLevel<B: Backend> {
    up: UpLayer<B>,
    gate: Gate<B>,
    merge: Stack<B>,
}

impl<B: Kernels> DecoderLevel<B> {
    fn forward(&self, x: Tensor<B, 5>, skip: Tensor<B, 5>) -> Tensor<B, 5> {
        let x = self.up.forward(x);
        let gated = self.gate.forward(x.clone(), skip);
        self.merge.forward_joined([gated, x])
    }
}

/// An attention gate.
#[derive(Module, Debug)]
struct Gate<B: Backend> {
    gating: Layer<B>,
    skip: Layer<B>,
    activation: ActivationLayer<B>,
    psi: Layer<B>,
}

impl<B: Kernels> Gate<B> {
    fn forward(&self, gating: Tensor<B, 5>, skip: Tensor<B, 5>) -> Tensor<B, 5> {
        let sum = self.gating.forward(gating) + self.skip.forward(skip.clone());
        skip * sigmoid(self.psi.forward(self.activation.forward(sum)))
    }
}
