//! A nested U-Net.

use burn::module::Module;
use burn::nn::conv::Conv3d;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, Norm, Stack, Style, Up, Upsampling, channels, convolution, convolve,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::{Kernels, max_pool3d};
use crate::settings::Fault;

/// U-Nets of all depths in one: where a U-Net hands an encoder's level on to the decoder as it is, here
/// each level is a row of nodes, and each node (two 3x3x3 convolutions) reads all before it in the row and,
/// upsampled, the one before it in the row below.
///
/// Large: the nodes of the first rows work on fine grids.
///
/// Reference: Zhou et al., UNet++, DLMIA 2018; followed: MONAI 1.6.1, BasicUNetPlusPlus (whose leaky ReLU
/// has the slope 1/10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UnetPlusPlus {
    /// Channels of the first and of the second level; each level further down has twice as many, up to
    /// 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Resolutions, the input's own included.
    #[schemars(range(min = 2, max = 8))]
    pub levels: usize,
    /// Whether every node of the first row but the encoder's has a head, and the logits are the mean of
    /// theirs; otherwise the last node has the only one. All these heads are of the images' resolution, so
    /// the loss of the mean reaches each of them, and there are no logits of other resolutions.
    pub deep_supervision: bool,
    /// Normalisation: batch, instance, group, eight_groups or none.
    pub norm: Norm,
    /// Activation: relu, leaky_relu, prelu, gelu, silu, elu or none.
    pub activation: Activation,
    /// Probability that an activation is dropped, after each of them.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How nodes double the resolution: transposed or trilinear.
    pub upsampling: Upsampling,
}

impl Default for UnetPlusPlus {
    fn default() -> Self {
        Self {
            filters: 32,
            levels: 5,
            deep_supervision: false,
            norm: Norm::Instance,
            activation: Activation::LeakyRelu,
            dropout: 0.0,
            upsampling: Upsampling::Transposed,
        }
    }
}

impl UnetPlusPlus {
    fn block<B: Backend>(&self, channels: [usize; 2], device: &B::Device) -> Stack<B> {
        let style = Style {
            norm: self.norm,
            activation: self.activation,
        };
        style.stack(2, channels, 3, 1, self.dropout, device)
    }
}

impl Architecture for UnetPlusPlus {
    type Network<B: Backend> = UnetPlusPlusNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> UnetPlusPlusNet<B> {
        let mut channels = channels(self.filters, self.levels - 1);
        channels.insert(0, self.filters);
        let node = |depth: usize, row: usize| {
            let (own, below) = (channels[row], channels[row + 1]);
            let before = depth - row;
            Node {
                up: self.upsampling.init([below, own], device),
                block: self.block([before * own + own, own], device),
            }
        };
        let diagonal = |depth: usize| {
            let input = match depth.checked_sub(1) {
                Some(above) => channels[above],
                None => ends.input,
            };
            Diagonal {
                encoder: self.block([input, channels[depth]], device),
                nodes: (0..depth).rev().map(|row| node(depth, row)).collect(),
            }
        };
        let head = |_| convolution([self.filters, ends.output], 1, true, device);
        let others = if self.deep_supervision {
            self.levels - 2
        } else {
            0
        };
        UnetPlusPlusNet {
            diagonals: (0..self.levels).map(diagonal).collect(),
            head: head(0),
            other_heads: (0..others).map(head).collect(),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        self.norm.rules(self.filters)
    }
}

/// The network that [`UnetPlusPlus`] describes.
#[derive(Module, Debug)]
pub struct UnetPlusPlusNet<B: Backend> {
    diagonals: Vec<Diagonal<B>>,
    head: Conv3d<B>,
    /// Those of the nodes between the encoder's and the last, where they have any.
    other_heads: Vec<Conv3d<B>>,
}

impl<B: Kernels> Segmentation<B> for UnetPlusPlusNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << (self.diagonals.len() - 1); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut deepest = x.clone();
        let mut last = x;
        // The nodes of each row so far, joined.
        let mut rows: Vec<Tensor<B, 5>> = Vec::new();
        let mut between = Vec::new();
        for (depth, diagonal) in self.diagonals.iter().enumerate() {
            if depth > 1 {
                between.push(last);
            }
            if depth > 0 {
                deepest = max_pool3d(deepest);
            }
            deepest = diagonal.encoder.forward(deepest);
            last = deepest.clone();
            for (node, row) in diagonal.nodes.iter().zip(rows.iter_mut().rev()) {
                last = node.forward(row.clone(), last);
                // No node comes after the last diagonal's.
                if depth + 1 < self.diagonals.len() {
                    *row = B::concat_channels(row.clone(), last.clone());
                }
            }
            rows.push(deepest.clone());
        }
        let mut sum = convolve(&self.head, last);
        for (head, x) in self.other_heads.iter().zip(between) {
            sum = sum + convolve(head, x);
        }
        sum / (1 + self.other_heads.len()) as f64
    }
}

/// A level of the encoder, and the nodes that it makes possible, from the one above it to the first row's.
#[derive(Module, Debug)]
struct Diagonal<B: Backend> {
    encoder: Stack<B>,
    nodes: Vec<Node<B>>,
}

#[derive(Module, Debug)]
struct Node<B: Backend> {
    up: Up<B>,
    block: Stack<B>,
}

impl<B: Kernels> Node<B> {
    fn forward(&self, row: Tensor<B, 5>, below: Tensor<B, 5>) -> Tensor<B, 5> {
        self.block.forward_joined([row, self.up.forward(below)])
    }
}
