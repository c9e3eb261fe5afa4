//! nnU-Net's plain network.

use burn::module::Module;
use burn::nn::Initializer;
use burn::nn::conv::{Conv3d, ConvTranspose3dConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, Dropout, Layer, Norm, Style, Up, Upsampling, channels, convolution, convolve,
    follow, follow_joined,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// The network that nnU-Net plans for most data: two 3x3x3 convolutions per level, each followed by a
/// normalisation and an activation; the first one halves the resolution. The same going up, after a transposed
/// convolution.
///
/// Reference: Isensee et al., nnU-Net, Nature Methods 2021; followed: dynamic_network_architectures 0.4.4,
/// PlainConvUNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nnunet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Resolutions, the input's own included.
    #[schemars(range(min = 2, max = 8))]
    pub levels: usize,
    /// Whether every level of the decoder has a head of its own, and all heads are trained.
    pub deep_supervision: bool,
    /// Normalisation.
    pub norm: Norm,
    /// Activation.
    pub activation: Activation,
    /// Probability that an activation is dropped, after each of them.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How the decoder doubles the resolution.
    pub upsampling: Upsampling,
}

impl Default for Nnunet {
    fn default() -> Self {
        Self {
            filters: 32,
            levels: 6,
            deep_supervision: true,
            norm: Norm::Instance,
            activation: Activation::LeakyRelu,
            dropout: 0.0,
            upsampling: Upsampling::Transposed,
        }
    }
}

impl Nnunet {
    /// The network along some of the axes: along the others kernels have a size of 1, and the resolution
    /// stays.
    pub(super) fn along<B: Backend>(
        &self,
        axes: [bool; 3],
        ends: Channels,
        device: &B::Device,
    ) -> NnunetNet<B> {
        let style = Style {
            norm: self.norm,
            activation: self.activation,
        };
        let channels = channels(self.filters, self.levels);
        let inputs = std::iter::once(ends.input).chain(channels.iter().copied());
        let encoder = inputs.zip(&channels).enumerate();
        let dropout = Dropout::new(self.dropout);
        NnunetNet {
            encoder: encoder
                .map(|(level, (input, &output))| {
                    let first = if level > 0 { 2 } else { 1 };
                    Stage::new(style, 2, [input, output], axes, first, &dropout, device)
                })
                .collect(),
            decoder: Decoder::new(
                style,
                2,
                &channels,
                ends.output,
                self.deep_supervision,
                &dropout,
                |channels| match self.upsampling {
                    Upsampling::Transposed => up_along(channels, axes, device),
                    Upsampling::Trilinear => self.upsampling.init(channels, device),
                },
                axes,
                device,
            ),
            axes,
        }
    }
}

/// A transposed convolution that doubles the resolution along some of the axes.
fn up_along<B: Backend>(channels: [usize; 2], axes: [bool; 3], device: &B::Device) -> Up<B> {
    let size = axes.map(|along| if along { 2 } else { 1 });
    Up::Transposed(
        ConvTranspose3dConfig::new(channels, size)
            .with_stride(size)
            .with_initializer(Initializer::Zeros)
            .init(device),
    )
}

impl Architecture for Nnunet {
    type Network<B: Backend> = NnunetNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> NnunetNet<B> {
        self.along([true; 3], ends, device)
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        self.norm.rules(self.filters)
    }
}

/// The network that [`Nnunet`] describes.
#[derive(Module, Debug)]
pub struct NnunetNet<B: Backend> {
    encoder: Vec<Stage<B>>,
    decoder: Decoder<B>,
    #[module(skip)]
    axes: [bool; 3],
}

impl<B: Kernels> Segmentation<B> for NnunetNet<B> {
    fn divisors(&self) -> [usize; 3] {
        let divisor = 1 << (self.encoder.len() - 1);
        self.axes.map(|along| if along { divisor } else { 1 })
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        self.decoder.forward(self.encode(x))
    }

    fn forward_deep(&self, x: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
        self.decoder.forward_deep(self.encode(x))
    }
}

impl<B: Kernels> NnunetNet<B> {
    fn encode(&self, x: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
        let mut levels: Vec<Tensor<B, 5>> = Vec::new();
        for stage in &self.encoder {
            let before = levels.last().unwrap_or(&x).clone();
            levels.push(stage.forward(before));
        }
        levels
    }
}

/// Layers one after the other, each followed by dropout.
#[derive(Module, Debug)]
pub(super) struct Stage<B: Backend> {
    layers: Vec<Layer<B>>,
    dropout: Dropout,
}

impl<B: Backend> Stage<B> {
    /// As many layers as `count`, of kernels of 3 along `axes`; the first takes every `stride`-th voxel.
    fn new(
        style: Style,
        count: usize,
        [input, output]: [usize; 2],
        axes: [bool; 3],
        stride: usize,
        dropout: &Dropout,
        device: &B::Device,
    ) -> Self {
        let along = |size| axes.map(|along| if along { size } else { 1 });
        let layer = |index| {
            let (input, stride) = if index == 0 {
                (input, stride)
            } else {
                (output, 1)
            };
            style.layer([input, output], along(3), along(stride), device)
        };
        Self {
            layers: (0..count).map(layer).collect(),
            dropout: dropout.clone(),
        }
    }
}

impl<B: Kernels> Stage<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        follow(&self.layers, &self.dropout, x)
    }

    fn forward_joined(&self, x: [Tensor<B, 5>; 2]) -> Tensor<B, 5> {
        follow_joined(&self.layers, &self.dropout, x)
    }
}

/// nnU-Net's decoder, from the deepest level up.
#[derive(Module, Debug)]
pub(super) struct Decoder<B: Backend> {
    up: Vec<Up<B>>,
    merge: Vec<Stage<B>>,
    /// One of each level, or only the last one's.
    heads: Vec<Conv3d<B>>,
}

impl<B: Backend> Decoder<B> {
    #[allow(
        clippy::too_many_arguments,
        reason = "what two networks with different settings share"
    )]
    pub(super) fn new(
        style: Style,
        layers: usize,
        channels: &[usize],
        structures: usize,
        deep_supervision: bool,
        dropout: &Dropout,
        up: impl Fn([usize; 2]) -> Up<B>,
        axes: [bool; 3],
        device: &B::Device,
    ) -> Self {
        // Each pair is a level and the one above it.
        let steps = channels.windows(2).rev().map(|pair| (pair[1], pair[0]));
        let merge = |above| Stage::new(style, layers, [2 * above, above], axes, 1, dropout, device);
        let headless = if deep_supervision {
            0
        } else {
            channels.len() - 2
        };
        Self {
            up: steps
                .clone()
                .map(|(below, above)| up([below, above]))
                .collect(),
            merge: steps.clone().map(|(_, above)| merge(above)).collect(),
            heads: steps
                .skip(headless)
                .map(|(_, above)| convolution([above, structures], 1, true, device))
                .collect(),
        }
    }
}

impl<B: Kernels> Decoder<B> {
    /// The features of each level, from the deepest but one up to the images' own.
    fn rise(&self, levels: Vec<Tensor<B, 5>>) -> Vec<Tensor<B, 5>> {
        let mut levels = levels.into_iter().rev();
        let mut risen: Vec<Tensor<B, 5>> = Vec::new();
        let Some(deepest) = levels.next() else {
            return risen;
        };
        for ((up, merge), skip) in self.up.iter().zip(&self.merge).zip(levels) {
            let below = risen.last().unwrap_or(&deepest).clone();
            risen.push(merge.forward_joined([up.forward(below), skip]));
        }
        risen
    }

    /// The logits of the encoder's levels, the images' own resolution's first.
    pub(super) fn forward_deep(&self, levels: Vec<Tensor<B, 5>>) -> Vec<Tensor<B, 5>> {
        let risen = self.rise(levels).into_iter().rev();
        let pairs = risen.zip(self.heads.iter().rev());
        pairs.map(|(x, head)| convolve(head, x)).collect()
    }

    /// The logits of the images' own resolution.
    pub(super) fn forward(&self, levels: Vec<Tensor<B, 5>>) -> Tensor<B, 5> {
        match (self.rise(levels).pop(), self.heads.last()) {
            (Some(x), Some(head)) => convolve(head, x),
            _ => unreachable!("a decoder has a level and a head"),
        }
    }
}
