//! A U-Net of residual units.

use burn::module::Module;
use burn::nn::conv::Conv3d;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, Dropout, Norm, Stack, Style, UpLayer, Upsampling, channels, convolve,
    strided_convolution,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// Strided convolutions halve and transposed ones double, each in a unit whose input is added to its
/// output (by a strided convolution where the grids differ, a 1x1x1 one where the channels do). Nothing
/// but the last unit works on the images' own grid, so it is light for its depth.
///
/// Kernels are 3x3x3. As in the peer there is no head: the topmost upsampling has as many channels as
/// there are structures.
///
/// Reference: Kerfoot et al., Left-Ventricle Quantification Using Residual U-Net, STACOM 2018; followed:
/// MONAI 1.6.1, UNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resunet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Levels; each but the deepest halves the resolution.
    #[schemars(range(min = 2, max = 8))]
    pub levels: usize,
    /// Convolutions in a unit of the encoder (one of the decoder has one); 0 for single convolutions
    /// without residual connections.
    #[schemars(range(max = 8))]
    pub units: usize,
    /// Normalisation: batch, instance, group, eight_groups or none.
    pub norm: Norm,
    /// Activation: relu, leaky_relu, prelu, gelu, silu, elu or none.
    pub activation: Activation,
    /// Probability that an activation is dropped, after each of them.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How the decoder doubles the resolution: transposed (here 3x3x3) or trilinear.
    pub upsampling: Upsampling,
}

impl Default for Resunet {
    fn default() -> Self {
        Self {
            filters: 16,
            levels: 5,
            units: 2,
            norm: Norm::Instance,
            activation: Activation::Prelu,
            dropout: 0.0,
            upsampling: Upsampling::Transposed,
        }
    }
}

/// What follows a convolution: a style and the probability of dropout.
type Finish = (Style, f64);

/// Nothing, as for logits.
const BARE: Finish = (
    Style {
        norm: Norm::None,
        activation: Activation::None,
    },
    0.0,
);

impl Resunet {
    fn finish(&self) -> Finish {
        let style = Style {
            norm: self.norm,
            activation: self.activation,
        };
        (style, self.dropout)
    }

    fn down<B: Backend>(&self, channels: [usize; 2], stride: usize, device: &B::Device) -> Unit<B> {
        let (style, dropout) = self.finish();
        let [input, output] = channels;
        let adapts = self.units > 0 && (stride > 1 || input != output);
        let kernel = [if stride > 1 { 3 } else { 1 }; 3];
        Unit {
            stack: style.stack(self.units.max(1), channels, 3, stride, dropout, device),
            residual: self.units > 0,
            shortcut: adapts
                .then(|| strided_convolution(channels, kernel, [stride; 3], true, device)),
        }
    }

    fn decoder_level<B: Backend>(
        &self,
        channels: [usize; 2],
        up: Finish,
        unit: Finish,
        device: &B::Device,
    ) -> DecoderLevel<B> {
        let output = channels[1];
        DecoderLevel {
            up: up.0.up_layer(self.upsampling, channels, 3, device),
            dropout: Dropout::new(up.1),
            unit: (self.units > 0).then(|| Unit {
                stack: unit.0.stack(1, [output, output], 3, 1, unit.1, device),
                residual: true,
                shortcut: None,
            }),
        }
    }
}

impl Architecture for Resunet {
    type Network<B: Backend> = ResunetNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> ResunetNet<B> {
        let channels = channels(self.filters, self.levels);
        let deepest = self.levels - 1;
        let inputs = std::iter::once(ends.input).chain(channels.iter().copied());
        let encoder = inputs.zip(&channels).enumerate();
        let decoder_level = |level: usize| {
            let below = if level + 1 == deepest {
                channels[deepest]
            } else {
                channels[level]
            };
            let input = channels[level] + below;
            let usual = self.finish();
            if level > 0 {
                self.decoder_level([input, channels[level - 1]], usual, usual, device)
            } else {
                let up = if self.units > 0 { usual } else { BARE };
                self.decoder_level([input, ends.output], up, BARE, device)
            }
        };
        ResunetNet {
            encoder: encoder
                .map(|(level, (input, &output))| {
                    let stride = if level < deepest { 2 } else { 1 };
                    self.down([input, output], stride, device)
                })
                .collect(),
            decoder: (0..deepest).rev().map(decoder_level).collect(),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        self.norm.rules(self.filters)
    }
}

/// The network that [`Resunet`] describes.
#[derive(Module, Debug)]
pub struct ResunetNet<B: Backend> {
    encoder: Vec<Unit<B>>,
    decoder: Vec<DecoderLevel<B>>,
}

impl<B: Kernels> Segmentation<B> for ResunetNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << self.decoder.len(); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut x = x;
        let mut skips = Vec::new();
        for unit in &self.encoder {
            x = unit.forward(x);
            skips.push(x.clone());
        }
        // The deepest level is not a skip connection.
        let skips = skips.into_iter().rev().skip(1);
        for (decoder_level, skip) in self.decoder.iter().zip(skips) {
            x = decoder_level.forward(B::concat_channels(skip, x));
        }
        x
    }
}

/// Layers, to whose output their input is added.
#[derive(Module, Debug)]
struct Unit<B: Backend> {
    stack: Stack<B>,
    residual: bool,
    /// Brings the input to the output's channels and grid where these differ.
    shortcut: Option<Conv3d<B>>,
}

impl<B: Kernels> Unit<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        if !self.residual {
            return self.stack.forward(x);
        }
        let added = match &self.shortcut {
            Some(conv) => convolve(conv, x.clone()),
            None => x.clone(),
        };
        self.stack.forward(x) + added
    }
}

/// A level of the decoder.
#[derive(Module, Debug)]
struct DecoderLevel<B: Backend> {
    up: UpLayer<B>,
    dropout: Dropout,
    unit: Option<Unit<B>>,
}

impl<B: Kernels> DecoderLevel<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let x = self.dropout.forward(self.up.forward(x));
        match &self.unit {
            Some(unit) => unit.forward(x),
            None => x,
        }
    }
}
