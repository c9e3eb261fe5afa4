//! The published baseline: a 3-D U-Net of the Keras kind.

use burn::module::Module;
use burn::nn::conv::{Conv3d, Conv3dConfig, ConvTranspose3d};
use burn::nn::{Initializer, PaddingConfig3d};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    BatchNorm, Dropout, convolution, convolve, convolve_joined, convolve_transposed,
    transposed_convolution,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::{Kernels, max_pool3d};

/// The U-Net of the published skull-stripping pipeline, as its Keras code computes it: four
/// levels down, batch normalisation, transposed convolutions up.
///
/// What its code does that its text does not mention: the two convolutions of a block both read the
/// block's input, so the first has no effect; a transposed convolution loses the last plane of
/// each axis; the head's kernel is 1x1x2, with a plane of zeros beyond the last axis' end.
///
/// Reference: the published Python pipeline on NFBS (0.86 of segmentation_models' `iou_score` in validation, not an IoU of volumes); Keras 3.15 and PyTorch 2.15.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Article {
    /// Channels of the first level; each level down has twice as many.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Probability that an activation is dropped, after each pooling and each concatenation.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// Whether blocks are as published, where only the second convolution has an effect. With
    /// false they are what was evidently meant: two convolutions in sequence.
    pub as_published: bool,
}

impl Default for Article {
    fn default() -> Self {
        Self {
            filters: 16,
            dropout: 0.05,
            as_published: true,
        }
    }
}

impl Architecture for Article {
    type Network<B: Backend> = ArticleNet<B>;
    /// Keras' default.
    const SCHEME: Scheme = Scheme::GlorotUniform;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> ArticleNet<B> {
        let f = self.filters;
        let block = |input, output| Block::new(input, output, self.as_published, device);
        let up = |input| Up {
            conv: transposed_convolution([input, input / 2], 3, device),
        };
        ArticleNet {
            down1: block(ends.input, f),
            down2: block(f, 2 * f),
            down3: block(2 * f, 4 * f),
            down4: block(4 * f, 8 * f),
            mid_a: block(8 * f, 16 * f),
            mid_b: block(16 * f, 16 * f),
            up6: up(16 * f),
            dec6: block(16 * f, 8 * f),
            up7: up(8 * f),
            dec7: block(8 * f, 4 * f),
            up8: up(4 * f),
            dec8: block(4 * f, 2 * f),
            up9: up(2 * f),
            dec9: block(2 * f, f),
            head: Conv3dConfig::new([f, ends.output], [1, 1, 2])
                .with_padding(PaddingConfig3d::Explicit(0, 0, 1))
                .with_initializer(Initializer::Zeros)
                .init(device),
            dropout: Dropout::new(self.dropout),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }
}

/// The network that [`Article`] describes.
#[derive(Module, Debug)]
pub struct ArticleNet<B: Backend> {
    down1: Block<B>,
    down2: Block<B>,
    down3: Block<B>,
    down4: Block<B>,
    mid_a: Block<B>,
    mid_b: Block<B>,
    up6: Up<B>,
    dec6: Block<B>,
    up7: Up<B>,
    dec7: Block<B>,
    up8: Up<B>,
    dec8: Block<B>,
    up9: Up<B>,
    dec9: Block<B>,
    head: Conv3d<B>,
    dropout: Dropout,
}

impl<B: Kernels> Segmentation<B> for ArticleNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [16; 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut x = x;
        let mut skips = Vec::new();
        for block in [&self.down1, &self.down2, &self.down3, &self.down4] {
            x = block.forward(x);
            skips.push(x.clone());
            x = self.dropout.forward(max_pool3d(x));
        }
        x = self.mid_b.forward(self.mid_a.forward(x));
        let decoder = [
            (&self.up6, &self.dec6),
            (&self.up7, &self.dec7),
            (&self.up8, &self.dec8),
            (&self.up9, &self.dec9),
        ];
        for ((up, block), skip) in decoder.into_iter().zip(skips.into_iter().rev()) {
            let joined = self.dropout.forward_joined([up.forward(x), skip]);
            x = block.forward_joined(joined);
        }
        // Keras pads the last axis at its end alone: padded at both, the first plane is too many.
        let width = x.dims()[4];
        convolve(&self.head, x).narrow(4, 1, width)
    }
}

/// Convolution, batch normalisation, ReLU; with `first` the same once before.
#[derive(Module, Debug)]
struct Block<B: Backend> {
    first: Option<Layer<B>>,
    conv: Conv3d<B>,
    bn: BatchNorm<B>,
}

impl<B: Backend> Block<B> {
    fn new(input: usize, output: usize, as_published: bool, device: &B::Device) -> Self {
        let layer = |input| Layer {
            conv: convolution([input, output], 3, true, device),
            // Keras' epsilon, and 1 minus its momentum.
            bn: BatchNorm::new(output, 1e-3, 0.01, device),
        };
        let (first, Layer { conv, bn }) = if as_published {
            (None, layer(input))
        } else {
            (Some(layer(input)), layer(output))
        };
        Self { first, conv, bn }
    }
}

impl<B: Kernels> Block<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let x = match &self.first {
            Some(Layer { conv, bn }) => bn.forward(convolve(conv, x), 0.0),
            None => x,
        };
        self.bn.forward(convolve(&self.conv, x), 0.0)
    }

    /// As [`Self::forward`], of the channels of two tensors.
    fn forward_joined(&self, x: [Tensor<B, 5>; 2]) -> Tensor<B, 5> {
        let x = match &self.first {
            Some(Layer { conv, bn }) => {
                let x = bn.forward(convolve_joined(conv, x), 0.0);
                convolve(&self.conv, x)
            }
            None => convolve_joined(&self.conv, x),
        };
        self.bn.forward(x, 0.0)
    }
}

#[derive(Module, Debug)]
struct Layer<B: Backend> {
    conv: Conv3d<B>,
    bn: BatchNorm<B>,
}

/// Keras' transposed convolution with padding "same", then ReLU.
#[derive(Module, Debug)]
struct Up<B: Backend> {
    conv: ConvTranspose3d<B>,
}

impl<B: Kernels> Up<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let [_, _, size @ ..] = x.dims();
        let size = size.map(|size| 2 * size);
        // Of 2 n + 1 planes Keras drops the last.
        B::crop_and_activate(convolve_transposed(&self.conv, x), size, 0.0)
    }
}
