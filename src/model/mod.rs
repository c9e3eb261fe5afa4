//! The networks: from images to logits of the same size.

// Here and not at the enum, since its derive makes others like it.
#![allow(
    clippy::large_enum_variant,
    reason = "a program holds one network or two"
)]

#[macro_use]
mod network;
mod peers;

pub mod blocks;
pub mod freeze;
pub mod init;
mod names;
pub mod weights;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use self::init::{Scheme, initialize};
use self::network::{cut, enlarge, size};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// Channels of a level, however deep: as in nnU-Net (Isensee et al., 2021).
pub const MOST_CHANNELS: usize = 320;

/// What every architecture describes, a network to build: the contract of a member of [`Model`].
pub trait Architecture {
    /// The network.
    type Network<B: Backend>: Module<B>;
    /// How its convolutions' weights start.
    const SCHEME: Scheme;

    /// The network, with all convolutions' weights zero.
    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> Self::Network<B>;

    /// Probability with which the network drops activations in training; 0 if it never does.
    fn dropout(&self) -> f64;

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// A network's architecture.
    pub enum Model: Architecture, listed as "models" {
        /// The published baseline.
        "article" => article::Article,
        /// A modern 3-D U-Net.
        "unet" => unet::Unet,
        /// A U-Net of residual units.
        "resunet" => resunet::Resunet,
        /// A U-Net whose skip connections are gated by attention.
        "attention_unet" => attention_unet::AttentionUnet,
        /// A U-Net whose skip connections are nets of convolutions themselves.
        "unet_plus_plus" => unet_plus_plus::UnetPlusPlus,
        /// A deep residual encoder with a light decoder.
        "segresnet" => segresnet::Segresnet,
        /// A residual network of 5x5x5 kernels.
        "vnet" => vnet::Vnet,
        /// nnU-Net's plain network, supervised in depth.
        "nnunet" => nnunet::Nnunet,
        /// nnU-Net's network with a residual encoder.
        "resenc_unet" => resenc_unet::ResencUnet,
        /// A U-Net of large kernels and inverted bottlenecks.
        "mednext" => mednext::Mednext,
        /// A 2-D network that sees one slice at a time.
        "unet_2d" => unet_2d::Unet2d,
    }
}

for_members!(networks!);

impl Default for Model {
    fn default() -> Self {
        Self::Unet(Unet::default())
    }
}

/// Channels at a network's two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Images that a case has, on one grid.
    pub input: usize,
    /// Structures to distinguish, each with a logit of its own.
    pub output: usize,
}

impl Default for Channels {
    /// One image, one structure.
    fn default() -> Self {
        Self {
            input: 1,
            output: 1,
        }
    }
}

/// A segmentation network.
pub trait Segmentation<B: Kernels> {
    /// Each axis of images must be a multiple of this, as [`Network::forward`] sees to.
    fn divisors(&self) -> [usize; 3];

    /// Logits of images.
    fn forward(&self, images: Tensor<B, 5>) -> Tensor<B, 5>;

    /// Logits of several resolutions, the images' own first, then halves of the one before; only
    /// the first where a network is not supervised in depth.
    fn forward_deep(&self, images: Tensor<B, 5>) -> Vec<Tensor<B, 5>> {
        vec![self.forward(images)]
    }
}

impl Model {
    /// The network for one image and one structure, with its initial weights, which depend on `seed`
    /// alone.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> Network<B> {
        self.init_for(Channels::default(), seed, device)
    }

    /// Probability with which the network drops activations in training.
    pub fn dropout(&self) -> f64 {
        with_member!(self, architecture => architecture.dropout())
    }
}

impl<B: Backend> Network<B> {
    /// Number of trainable weights; the running statistics of batch normalisation do not count.
    pub fn parameter_count(&self) -> usize {
        Count::of(self).trainable
    }

    /// Whether training leaves running statistics, of batch normalisation, besides the weights.
    pub fn has_running_statistics(&self) -> bool {
        Count::of(self).statistics > 0
    }
}

#[derive(Default)]
struct Count {
    trainable: usize,
    statistics: usize,
    statistic: bool,
}

impl Count {
    fn of<B: Backend>(network: &Network<B>) -> Self {
        let mut count = Self::default();
        network.visit(&mut count);
        count
    }
}

impl<B: Backend> ModuleVisitor<B> for Count {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.statistic = name.starts_with("running_");
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let counted = if self.statistic {
            &mut self.statistics
        } else {
            &mut self.trainable
        };
        *counted += param.lazy_shape().num_elements();
    }
}
