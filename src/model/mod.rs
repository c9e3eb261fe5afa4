//! The networks: from images to logits of the same size.

pub mod article;
pub mod blocks;
pub mod init;
pub mod unet;
pub mod weights;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use article::Article;
pub use unet::Unet;

use self::article::ArticleNet;
use self::init::{Scheme, initialize};
use self::unet::UnetNet;
use crate::kernel::Kernels;

crate::family! {
    /// A network's architecture.
    pub enum Model {
        /// The published baseline.
        "article" => Article(Article),
        /// A modern 3-D U-Net.
        "unet" => Unet(Unet),
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::Unet(Unet::default())
    }
}

impl Model {
    /// The network with its initial weights, which depend on `seed` alone.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> Network<B> {
        match self {
            Self::Article(article) => Network::Article(initialize(
                article.build(device),
                seed,
                Scheme::GlorotUniform,
            )),
            Self::Unet(unet) => {
                Network::Unet(initialize(unet.build(device), seed, Scheme::HeNormal))
            }
        }
    }

    /// Every axis of an image must be a multiple of this.
    pub fn divisor(&self) -> usize {
        match self {
            Self::Article(_) => Article::DIVISOR,
            Self::Unet(unet) => unet.divisor(),
        }
    }
}

/// A network with weights.
#[derive(Module, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a program holds one network or two"
)]
pub enum Network<B: Backend> {
    /// The published baseline.
    Article(ArticleNet<B>),
    /// A modern 3-D U-Net.
    Unet(UnetNet<B>),
}

impl<B: Kernels> Network<B> {
    /// Logits of images; the sigmoid of a logit is the probability of brain.
    ///
    /// On an autodiff backend the network trains: dropout drops, and batch normalisation uses the
    /// batch's statistics.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, 1, depth, height, width]`, axes multiples of [`Model::divisor`]
    /// - output: the same
    pub fn forward(&self, images: Tensor<B, 5>) -> Tensor<B, 5> {
        match self {
            Self::Article(network) => network.forward(images),
            Self::Unet(network) => network.forward(images),
        }
    }
}

impl<B: Backend> Network<B> {
    /// Number of trainable weights; the running statistics of batch normalisation are none.
    pub fn parameter_count(&self) -> usize {
        let mut count = Count::default();
        self.visit(&mut count);
        count.trainable
    }
}

#[derive(Default)]
struct Count {
    trainable: usize,
    statistic: bool,
}

impl<B: Backend> ModuleVisitor<B> for Count {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.statistic = name.starts_with("running_");
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if !self.statistic {
            self.trainable += param.lazy_shape().num_elements();
        }
    }
}

fn check_dropout(probability: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&probability) {
        Ok(())
    } else {
        Err("dropout must be from 0 to below 1".into())
    }
}
