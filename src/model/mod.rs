//! The networks: from images to logits of the same size.

// Here and not at the enum, since its derive makes others like it.
#![allow(
    clippy::large_enum_variant,
    reason = "a program holds one network or two"
)]

#[macro_use]
mod network;

pub mod article;
pub mod attention_unet;
pub mod blocks;
pub mod init;
pub mod mednext;
pub mod nnunet;
pub mod resenc_unet;
pub mod resunet;
pub mod segresnet;
pub mod unet;
pub mod unet_2d;
pub mod unet_plus_plus;
pub mod vnet;
pub mod weights;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use article::Article;
pub use attention_unet::AttentionUnet;
pub use mednext::Mednext;
pub use nnunet::Nnunet;
pub use resenc_unet::ResencUnet;
pub use resunet::Resunet;
pub use segresnet::Segresnet;
pub use unet::Unet;
pub use unet_2d::{Plane, Unet2d};
pub use unet_plus_plus::UnetPlusPlus;
pub use vnet::Vnet;

use self::article::ArticleNet;
use self::attention_unet::AttentionUnetNet;
use self::blocks::Norm;
use self::init::{Scheme, initialize};
use self::mednext::MednextNet;
use self::network::{cut, enlarge, size};
use self::nnunet::NnunetNet;
use self::resenc_unet::ResencUnetNet;
use self::resunet::ResunetNet;
use self::segresnet::SegresnetNet;
use self::unet::UnetNet;
use self::unet_2d::Unet2dNet;
use self::unet_plus_plus::UnetPlusPlusNet;
use self::vnet::VnetNet;
use crate::kernel::Kernels;

/// Channels of a level, however deep: as in nnU-Net (Isensee et al., 2021).
pub const MOST_CHANNELS: usize = 320;

crate::family! {
    /// A network's architecture.
    pub enum Model {
        /// The published baseline.
        "article" => Article(Article),
        /// A modern 3-D U-Net.
        "unet" => Unet(Unet),
        /// A U-Net of residual units.
        "resunet" => Resunet(Resunet),
        /// A U-Net whose skip connections are gated by attention.
        "attention_unet" => AttentionUnet(AttentionUnet),
        /// A U-Net whose skip connections are nets of convolutions themselves.
        "unet_plus_plus" => UnetPlusPlus(UnetPlusPlus),
        /// A deep residual encoder with a light decoder.
        "segresnet" => Segresnet(Segresnet),
        /// A residual network of 5x5x5 kernels.
        "vnet" => Vnet(Vnet),
        /// nnU-Net's plain network, supervised in depth.
        "nnunet" => Nnunet(Nnunet),
        /// nnU-Net's network with a residual encoder.
        "resenc_unet" => ResencUnet(ResencUnet),
        /// A U-Net of large kernels and inverted bottlenecks.
        "mednext" => Mednext(Mednext),
        /// A 2-D network that sees one slice at a time.
        "unet_2d" => Unet2d(Unet2d),
    }
}

networks! {
    Article => ArticleNet,
    Unet => UnetNet,
    Resunet => ResunetNet,
    AttentionUnet => AttentionUnetNet,
    UnetPlusPlus => UnetPlusPlusNet,
    Segresnet => SegresnetNet,
    Vnet => VnetNet,
    Nnunet => NnunetNet,
    ResencUnet => ResencUnetNet,
    Mednext => MednextNet,
    Unet2d => Unet2dNet,
}

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
    /// Structures to tell apart, each with a logit of its own.
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

/// What a member of [`Model`] describes: a network to build.
trait Architecture {
    /// The network.
    type Network<B: Backend>: Module<B>;
    /// How its convolutions' weights start.
    const SCHEME: Scheme;

    /// The network, with all convolutions' weights zero.
    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> Self::Network<B>;
}

/// A network that segments.
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
}

impl Model {
    /// Probability with which the network drops activations in training; members call it `dropout`.
    pub fn dropout(&self) -> f64 {
        let settings = serde_json::to_value(self).unwrap_or_default();
        settings[self.name()]["dropout"].as_f64().unwrap_or(0.0)
    }
}

impl<B: Backend> Network<B> {
    /// Number of trainable weights; the running statistics of batch normalisation are none.
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

fn check_pyramid(filters: usize, levels: usize, norm: Norm) -> Result<(), String> {
    if !(1..=MOST_CHANNELS).contains(&filters) {
        return Err(format!("filters must be 1 to {MOST_CHANNELS}"));
    }
    if !(2..=8).contains(&levels) {
        return Err("levels must be 2 to 8".into());
    }
    norm.check(filters).map_err(|why| format!("filters {why}"))
}

fn check_dropout(probability: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&probability) {
        Ok(())
    } else {
        Err("dropout must be from 0 to below 1".into())
    }
}
