//! nnU-Net's network with a residual encoder.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, ActivationLayer, Dropout, Layer, Norm, Style, Upsampling, channels,
};
use super::init::Scheme;
use super::nnunet::Decoder;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// nnU-Net's recommended network for larger GPUs: an encoder of residual blocks (two 3x3x3 convolutions each;
/// where the resolution is halved, the shortcut takes means of 2x2x2 voxels), and a light decoder of one
/// convolution per level.
///
/// Reference: Isensee et al., nnU-Net revisited, MICCAI 2024; followed: dynamic_network_architectures
/// 0.4.4, ResidualEncoderUNet. The default is nnU-Net's ResEnc M.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResencUnet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Residual blocks of each level of the encoder, the input's own resolution first.
    pub blocks: Vec<usize>,
    /// Whether every level of the decoder has a head of its own, and all heads are trained.
    pub deep_supervision: bool,
    /// Normalisation.
    pub norm: Norm,
    /// Activation.
    pub activation: Activation,
    /// Probability that an activation is dropped, after the first convolution of each block and each
    /// of the decoder.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How the decoder doubles the resolution.
    pub upsampling: Upsampling,
}

impl Default for ResencUnet {
    fn default() -> Self {
        Self {
            filters: 32,
            blocks: vec![1, 3, 4, 6, 6, 6],
            deep_supervision: true,
            norm: Norm::Instance,
            activation: Activation::LeakyRelu,
            dropout: 0.0,
            upsampling: Upsampling::Transposed,
        }
    }
}

impl ResencUnet {
    fn style(&self, activation: Activation) -> Style {
        Style {
            norm: self.norm,
            activation,
        }
    }

    fn block<B: Backend>(
        &self,
        [input, output]: [usize; 2],
        stride: usize,
        device: &B::Device,
    ) -> Block<B> {
        let linear = self.style(Activation::None);
        let active = self.style(self.activation);
        Block {
            first: active.layer([input, output], [3; 3], [stride; 3], device),
            second: linear.layer([output, output], [3; 3], [1; 3], device),
            halves: stride > 1,
            projection: (input != output)
                .then(|| linear.layer([input, output], [1; 3], [1; 3], device)),
            activation: self.activation.init(device),
            dropout: Dropout::new(self.dropout),
        }
    }
}

impl Architecture for ResencUnet {
    type Network<B: Backend> = ResencUnetNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> ResencUnetNet<B> {
        let channels = channels(self.filters, self.blocks.len());
        let style = self.style(self.activation);
        let stage = |level: usize| -> Vec<Block<B>> {
            let output = channels[level];
            let input = channels[level.saturating_sub(1)];
            let block = |index| match (index, level) {
                (0, 0) => self.block([output, output], 1, device),
                (0, _) => self.block([input, output], 2, device),
                _ => self.block([output, output], 1, device),
            };
            (0..self.blocks[level]).map(block).collect()
        };
        ResencUnetNet {
            stem: style.layer([ends.input, self.filters], [3; 3], [1; 3], device),
            encoder: (0..channels.len()).map(stage).collect(),
            decoder: Decoder::new(
                style,
                1,
                &channels,
                ends.output,
                self.deep_supervision,
                &Dropout::new(self.dropout),
                |channels| self.upsampling.init(channels, device),
                [true; 3],
                device,
            ),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = self.norm.rules(self.filters);
        let levels = self.blocks.len();
        if !(2..=8).contains(&levels) || !self.blocks.iter().all(|n| (1..=32).contains(n)) {
            let message = "blocks must list 2 to 8 levels of 1 to 32 blocks";
            faults.push(Fault::new("blocks", message));
        }
        faults
    }
}

/// The network that [`ResencUnet`] describes.
#[derive(Module, Debug)]
pub struct ResencUnetNet<B: Backend> {
    stem: Layer<B>,
    encoder: Vec<Vec<Block<B>>>,
    decoder: Decoder<B>,
}

impl<B: Kernels> ResencUnetNet<B> {
    fn encode(&self, x: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
        let mut x = self.stem.forward(x);
        let mut levels = Vec::new();
        for stage in &self.encoder {
            x = stage.iter().fold(x, |x, block| block.forward(x));
            levels.push(x.clone());
        }
        levels
    }
}

impl<B: Kernels> Segmentation<B> for ResencUnetNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << (self.encoder.len() - 1); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        self.decoder.forward(self.encode(x))
    }

    fn forward_deep(&self, x: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
        self.decoder.forward_deep(self.encode(x))
    }
}

/// Two convolutions and a shortcut around both (He et al., Bag of tricks, 2019).
#[derive(Module, Debug)]
struct Block<B: Backend> {
    first: Layer<B>,
    second: Layer<B>,
    projection: Option<Layer<B>>,
    activation: ActivationLayer<B>,
    dropout: Dropout,
    #[module(skip)]
    halves: bool,
}

impl<B: Kernels> Block<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut shortcut = x.clone();
        if self.halves {
            shortcut = B::avg_pool3d(shortcut);
        }
        if let Some(projection) = &self.projection {
            shortcut = projection.forward(shortcut);
        }
        let first = self.dropout.forward(self.first.forward(x));
        self.activation
            .forward(self.second.forward(first) + shortcut)
    }
}
