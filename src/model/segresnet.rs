//! An encoder of residual blocks with a light decoder.

use burn::module::Module;
use burn::nn::conv::Conv3d;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, Dropout, Norm, PreLayer, Style, Up, Upsampling, channels, convolution, convolve,
    strided_convolution,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// Pre-activation residual blocks (normalisation, activation, 3x3x3 convolution, twice), many in the
/// encoder and few in the decoder, which adds the skip connections instead of concatenating them.
/// The winner of the brain tumour segmentation challenge of 2018, without the autoencoder that
/// regularised it.
///
/// Reference: Myronenko, 3D MRI Brain Tumor Segmentation Using Autoencoder Regularization, BrainLes 2018;
/// followed: MONAI 1.6.1, SegResNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Segresnet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Residual blocks of each level of the encoder, from the images' resolution down; as many levels as
    /// numbers, 2 to 8, of 1 to 16 blocks.
    #[schemars(length(min = 2, max = 8), inner(range(min = 1, max = 16)))]
    pub blocks_down: Vec<usize>,
    /// Residual blocks of each level of the decoder, from the deepest up; one number fewer than in
    /// `blocks_down`, of 1 to 16 blocks.
    #[schemars(length(min = 1, max = 7), inner(range(min = 1, max = 16)))]
    pub blocks_up: Vec<usize>,
    /// Normalisation: batch, instance, group, eight_groups or none.
    pub norm: Norm,
    /// Activation: relu, leaky_relu, prelu, gelu, silu, elu or none.
    pub activation: Activation,
    /// Probability that an activation is dropped, after the first convolution.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How the decoder doubles the resolution: transposed or trilinear.
    pub upsampling: Upsampling,
}

impl Default for Segresnet {
    fn default() -> Self {
        Self {
            filters: 8,
            blocks_down: vec![1, 2, 2, 4],
            blocks_up: vec![1, 1, 1],
            norm: Norm::EightGroups,
            activation: Activation::Relu,
            dropout: 0.0,
            upsampling: Upsampling::Trilinear,
        }
    }
}

impl Segresnet {
    fn style(&self) -> Style {
        Style {
            norm: self.norm,
            activation: self.activation,
        }
    }

    fn blocks<B: Backend>(
        &self,
        count: usize,
        channels: usize,
        device: &B::Device,
    ) -> Vec<Block<B>> {
        let layer = || {
            let channels = [channels, channels];
            self.style().pre_layer(channels, [3; 3], [1; 3], device)
        };
        let block = |_| Block {
            first: layer(),
            second: layer(),
        };
        (0..count).map(block).collect()
    }
}

impl Architecture for Segresnet {
    type Network<B: Backend> = SegresnetNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> SegresnetNet<B> {
        let channels = channels(self.filters, self.blocks_down.len());
        let inputs = std::iter::once(ends.input).chain(channels.iter().copied());
        let bias = self.norm == Norm::None;
        let down = |(level, (input, count)): (usize, (usize, &usize))| {
            let (output, stride) = (channels[level], if level > 0 { 2 } else { 1 });
            Down {
                conv: strided_convolution([input, output], [3; 3], [stride; 3], bias, device),
                blocks: self.blocks(*count, output, device),
            }
        };
        let decoder_level = |(pair, count): (&[usize], &usize)| DecoderLevel {
            up: self.upsampling.with([pair[1], pair[0]], 2, bias, device),
            blocks: self.blocks(*count, pair[0], device),
        };
        SegresnetNet {
            encoder: inputs
                .zip(&self.blocks_down)
                .enumerate()
                .map(down)
                .collect(),
            decoder: channels
                .windows(2)
                .rev()
                .zip(&self.blocks_up)
                .map(decoder_level)
                .collect(),
            head: PreLayer {
                norm: self.norm.init(self.filters, device),
                activation: self.activation.init(device),
                conv: convolution([self.filters, ends.output], 1, true, device),
            },
            dropout: Dropout::new(self.dropout),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = self.norm.rules(self.filters);
        if self.blocks_up.len() + 1 != self.blocks_down.len() {
            let message = "blocks_up must have one number fewer than blocks_down";
            faults.push(Fault::new("blocks_up", message));
        }
        faults
    }
}

/// The network that [`Segresnet`] describes.
#[derive(Module, Debug)]
pub struct SegresnetNet<B: Backend> {
    encoder: Vec<Down<B>>,
    decoder: Vec<DecoderLevel<B>>,
    head: PreLayer<B>,
    dropout: Dropout,
}

impl<B: Kernels> Segmentation<B> for SegresnetNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << self.decoder.len(); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut x = x;
        let mut skips = Vec::new();
        for (level, down) in self.encoder.iter().enumerate() {
            x = convolve(&down.conv, x);
            if level == 0 {
                x = self.dropout.forward(x);
            }
            x = apply(&down.blocks, x);
            skips.push(x.clone());
        }
        // The deepest level is not a skip connection.
        let skips = skips.into_iter().rev().skip(1);
        for (decoder_level, skip) in self.decoder.iter().zip(skips) {
            x = apply(&decoder_level.blocks, decoder_level.up.forward(x) + skip);
        }
        self.head.forward(x)
    }
}

/// A level of the encoder.
#[derive(Module, Debug)]
struct Down<B: Backend> {
    conv: Conv3d<B>,
    blocks: Vec<Block<B>>,
}

/// A level of the decoder.
#[derive(Module, Debug)]
struct DecoderLevel<B: Backend> {
    up: Up<B>,
    blocks: Vec<Block<B>>,
}

/// Two layers, to whose output their input is added.
#[derive(Module, Debug)]
struct Block<B: Backend> {
    first: PreLayer<B>,
    second: PreLayer<B>,
}

fn apply<B: Kernels>(blocks: &[Block<B>], x: Tensor<B, 5>) -> Tensor<B, 5> {
    let step = |x: Tensor<B, 5>, block: &Block<B>| {
        block.second.forward(block.first.forward(x.clone())) + x
    };
    blocks.iter().fold(x, step)
}
