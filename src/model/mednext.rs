//! MedNeXt.

use burn::module::Module;
use burn::nn::conv::{Conv3d, Conv3dConfig, ConvTranspose3d, ConvTranspose3dConfig};
use burn::nn::{Initializer, PaddingConfig3d};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, ActivationLayer, Dropout, Norm, NormLayer, convolution, convolve,
    convolve_transposed, strided_convolution,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::{Kernels, pad};
use crate::settings::Fault;

/// A U-Net of ConvNeXt blocks: a large kernel for each channel on its own, then two 1x1x1 convolutions
/// through several times as many channels, and a shortcut around them. Going down and up are such blocks,
/// too; skip connections are added.
///
/// Reference: Roy et al., MedNeXt, MICCAI 2023; followed: MONAI 1.6.1, MedNeXt. The default is MedNeXt-S;
/// B has `expansions: [2, 3, 4, 4, 4]`, M `blocks: [3, 4, 4, 4, 4]` besides, and L both of
/// `[3, 4, 8, 8, 8]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mednext {
    /// Channels of the first level; each level down has twice as many.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Size of the kernels: an odd number.
    #[schemars(range(min = 3, max = 9))]
    pub kernel: usize,
    /// Blocks of each level, down as up, the input's own resolution first.
    pub blocks: Vec<usize>,
    /// How many times as many channels the blocks of each level have inside.
    pub expansions: Vec<usize>,
    /// Whether every level has a head of its own, and all heads are trained.
    pub deep_supervision: bool,
    /// Normalisation.
    pub norm: Norm,
    /// Activation.
    pub activation: Activation,
    /// Probability that a block's last activation is dropped.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
}

impl Default for Mednext {
    fn default() -> Self {
        Self {
            filters: 32,
            kernel: 3,
            blocks: vec![2; 5],
            expansions: vec![2; 5],
            deep_supervision: true,
            norm: Norm::Instance,
            activation: Activation::Gelu,
            dropout: 0.0,
        }
    }
}

impl Mednext {
    fn mixing<B: Backend>(
        &self,
        [input, output]: [usize; 2],
        level: usize,
        device: &B::Device,
    ) -> Mixing<B> {
        let inner = input * self.expansions[level];
        Mixing {
            norm: self.norm.init(input, device),
            expand: convolution([input, inner], 1, true, device),
            activation: self.activation.init(device),
            compress: convolution([inner, output], 1, true, device),
            dropout: Dropout::new(self.dropout),
        }
    }

    fn depthwise<B: Backend>(
        &self,
        channels: usize,
        stride: usize,
        device: &B::Device,
    ) -> Conv3d<B> {
        let padding = self.kernel / 2;
        Conv3dConfig::new([channels, channels], [self.kernel; 3])
            .with_stride([stride; 3])
            .with_padding(PaddingConfig3d::Explicit(padding, padding, padding))
            .with_groups(channels)
            .with_bias(self.norm == Norm::None)
            .with_initializer(Initializer::Zeros)
            .init(device)
    }

    fn stage<B: Backend>(&self, level: usize, device: &B::Device) -> Vec<Block<B>> {
        let channels = self.filters << level;
        let block = |_| Block {
            conv: self.depthwise(channels, 1, device),
            mixing: self.mixing([channels, channels], level, device),
        };
        (0..self.blocks[level]).map(block).collect()
    }

    fn down<B: Backend>(&self, level: usize, device: &B::Device) -> Down<B> {
        let channels = [self.filters << level, self.filters << (level + 1)];
        Down {
            conv: self.depthwise(channels[0], 2, device),
            mixing: self.mixing(channels, level, device),
            shortcut: strided_convolution(channels, [1; 3], [2; 3], true, device),
        }
    }

    fn decoder_level<B: Backend>(&self, level: usize, device: &B::Device) -> DecoderLevel<B> {
        let channels = [self.filters << (level + 1), self.filters << level];
        let transposed = |channels: [usize; 2], kernel: usize, groups, bias| {
            ConvTranspose3dConfig::new(channels, [kernel; 3])
                .with_stride([2; 3])
                .with_padding([kernel / 2; 3])
                .with_groups(groups)
                .with_bias(bias)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        let below = channels[0];
        DecoderLevel {
            conv: transposed([below, below], self.kernel, below, self.norm == Norm::None),
            mixing: self.mixing(channels, level, device),
            shortcut: transposed(channels, 1, 1, true),
        }
    }
}

impl Architecture for Mednext {
    type Network<B: Backend> = MednextNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> MednextNet<B> {
        let deepest = self.blocks.len() - 1;
        let heads = if self.deep_supervision { deepest } else { 0 };
        MednextNet {
            stem: convolution([ends.input, self.filters], 1, true, device),
            encoder: (0..=deepest)
                .map(|level| self.stage(level, device))
                .collect(),
            down: (0..deepest).map(|level| self.down(level, device)).collect(),
            up: (0..deepest)
                .map(|level| self.decoder_level(level, device))
                .collect(),
            decoder: (0..deepest)
                .map(|level| self.stage(level, device))
                .collect(),
            heads: (0..=heads)
                .map(|level| convolution([self.filters << level, ends.output], 1, true, device))
                .collect(),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = self.norm.rules(self.filters);
        if self.kernel.is_multiple_of(2) {
            faults.push(Fault::new("kernel", "kernel must be 3, 5, 7 or 9"));
        }
        let levels = self.blocks.len();
        if !(2..=7).contains(&levels) || !self.blocks.iter().all(|n| (1..=32).contains(n)) {
            let message = "blocks must list 2 to 7 levels of 1 to 32 blocks";
            faults.push(Fault::new("blocks", message));
        }
        if self.expansions.len() != levels || !self.expansions.iter().all(|n| (1..=16).contains(n))
        {
            let message = "expansions must list a number from 1 to 16 for each level of blocks";
            faults.push(Fault::new("expansions", message));
        }
        faults
    }
}

/// The network that [`Mednext`] describes. All lists begin at the images' own resolution.
#[derive(Module, Debug)]
pub struct MednextNet<B: Backend> {
    stem: Conv3d<B>,
    encoder: Vec<Vec<Block<B>>>,
    down: Vec<Down<B>>,
    up: Vec<DecoderLevel<B>>,
    decoder: Vec<Vec<Block<B>>>,
    heads: Vec<Conv3d<B>>,
}

impl<B: Kernels> Segmentation<B> for MednextNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << self.down.len(); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut levels = self.levels(x);
        match levels.pop() {
            Some(finest) => convolve(&self.heads[0], finest),
            None => unreachable!("a network has a level"),
        }
    }

    fn forward_deep(&self, x: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
        let levels = self.levels(x).into_iter().rev();
        let heads = self.heads.iter();
        levels
            .zip(heads)
            .map(|(x, head)| convolve(head, x))
            .collect()
    }
}

impl<B: Kernels> MednextNet<B> {
    /// The features of each level, from the deepest up to the images' own.
    fn levels(&self, x: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
        let stage = |blocks: &Vec<Block<B>>, x| blocks.iter().fold(x, |x, block| block.forward(x));
        let mut x = convolve(&self.stem, x);
        let mut skips = Vec::new();
        for (level, blocks) in self.encoder.iter().enumerate() {
            x = stage(blocks, x);
            if let Some(down) = self.down.get(level) {
                skips.push(x.clone());
                x = down.forward(x);
            }
        }
        let mut levels = vec![x.clone()];
        let decoder = self.up.iter().zip(&self.decoder).zip(skips);
        for ((up, blocks), skip) in decoder.rev() {
            x = stage(blocks, up.forward(x) + skip);
            levels.push(x.clone());
        }
        levels
    }
}

/// A normalisation, then two 1x1x1 convolutions.
#[derive(Module, Debug)]
struct Mixing<B: Backend> {
    norm: Option<NormLayer<B>>,
    expand: Conv3d<B>,
    activation: ActivationLayer<B>,
    compress: Conv3d<B>,
    dropout: Dropout,
}

impl<B: Kernels> Mixing<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let x = match &self.norm {
            Some(norm) => norm.forward(x, 1.0),
            None => x,
        };
        let x = self.activation.forward(convolve(&self.expand, x));
        convolve(&self.compress, self.dropout.forward(x))
    }
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    conv: Conv3d<B>,
    mixing: Mixing<B>,
}

impl<B: Kernels> Block<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        self.mixing.forward(convolve(&self.conv, x.clone())) + x
    }
}

/// A block that halves the resolution.
#[derive(Module, Debug)]
struct Down<B: Backend> {
    conv: Conv3d<B>,
    mixing: Mixing<B>,
    shortcut: Conv3d<B>,
}

impl<B: Kernels> Down<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        self.mixing.forward(convolve(&self.conv, x.clone())) + convolve(&self.shortcut, x)
    }
}

/// A block that doubles the resolution.
#[derive(Module, Debug)]
struct DecoderLevel<B: Backend> {
    conv: ConvTranspose3d<B>,
    mixing: Mixing<B>,
    shortcut: ConvTranspose3d<B>,
}

impl<B: Kernels> DecoderLevel<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mixed = self
            .mixing
            .forward(convolve_transposed(&self.conv, x.clone()));
        let sum = mixed + convolve_transposed(&self.shortcut, x);
        // Of 2 n voxels a transposed convolution gives all but one; the first is 0, as in the reference.
        pad(sum, [(1, 0); 3])
    }
}
