//! A modern 3-D U-Net.

use burn::module::Module;
use burn::nn::conv::{Conv3d, ConvTranspose3d};
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, Norm, NormLayer, convolution, convolve, convolve_transposed, transposed_convolution,
};
use crate::kernel::{Kernels, activate, max_pool3d, upsample_trilinear};

/// Channels of a level, however deep: as in nnU-Net (Isensee et al., 2021).
const MOST_CHANNELS: usize = 320;

/// A 3-D U-Net (Çiçek et al., 2016) with today's usual choices: two 3x3x3 convolutions a level,
/// each followed by a normalisation and an activation, max pooling down, skip connections by
/// concatenation, a 1x1x1 head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    pub filters: usize,
    /// Resolutions, the input's own included.
    pub levels: usize,
    /// Normalisation: batch, instance, group or none.
    pub norm: Norm,
    /// Activation: relu, leaky_relu or none.
    pub activation: Activation,
    /// Probability that an activation is dropped, after each pooling and each concatenation.
    pub dropout: f64,
    /// How the decoder doubles the resolution: transposed or trilinear.
    pub upsampling: Upsampling,
}

/// How the decoder doubles the resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Upsampling {
    /// A 2x2x2 transposed convolution of stride 2.
    #[default]
    Transposed,
    /// A 1x1x1 convolution, then trilinear interpolation.
    Trilinear,
}

impl Default for Unet {
    fn default() -> Self {
        Self {
            filters: 16,
            levels: 5,
            norm: Norm::default(),
            activation: Activation::default(),
            dropout: 0.0,
            upsampling: Upsampling::default(),
        }
    }
}

impl Unet {
    /// Every input axis must be a multiple of this.
    pub fn divisor(&self) -> usize {
        1 << (self.levels - 1)
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// A sentence that names the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        if !(1..=MOST_CHANNELS).contains(&self.filters) {
            return Err(format!("filters must be 1 to {MOST_CHANNELS}"));
        }
        if !(2..=8).contains(&self.levels) {
            return Err("levels must be 2 to 8".into());
        }
        self.norm
            .check(self.filters)
            .map_err(|why| format!("filters {why}"))?;
        super::check_dropout(self.dropout)
    }

    /// The network, with all weights zero.
    pub(super) fn build<B: Backend>(&self, device: &B::Device) -> UnetNet<B> {
        let channels: Vec<usize> = (0..self.levels)
            .map(|level| (self.filters << level).min(MOST_CHANNELS))
            .collect();
        let inputs = std::iter::once(1).chain(channels.iter().copied());
        let encoder = inputs
            .zip(&channels)
            .map(|(input, &output)| self.block(input, output, device))
            .collect();
        // From the deepest level up: each pair is a level and the one above it.
        let steps = channels.windows(2).rev().map(|pair| (pair[1], pair[0]));
        UnetNet {
            encoder,
            up: steps
                .clone()
                .map(|(below, above)| self.up([below, above], device))
                .collect(),
            decoder: steps
                .map(|(_, above)| self.block(2 * above, above, device))
                .collect(),
            head: convolution([self.filters, 1], 1, true, device),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }

    fn block<B: Backend>(&self, input: usize, output: usize, device: &B::Device) -> Block<B> {
        let layer = |input| Layer {
            // A norm takes away what a bias would add.
            conv: convolution([input, output], 3, self.norm == Norm::None, device),
            norm: self.norm.init(output, device),
            activation: self.activation,
        };
        Block {
            first: layer(input),
            second: layer(output),
        }
    }

    fn up<B: Backend>(&self, channels: [usize; 2], device: &B::Device) -> Up<B> {
        match self.upsampling {
            Upsampling::Transposed => Up::Transposed(transposed_convolution(channels, 2, device)),
            Upsampling::Trilinear => Up::Trilinear(convolution(channels, 1, true, device)),
        }
    }
}

/// The network that [`Unet`] describes.
#[derive(Module, Debug)]
pub struct UnetNet<B: Backend> {
    encoder: Vec<Block<B>>,
    up: Vec<Up<B>>,
    decoder: Vec<Block<B>>,
    head: Conv3d<B>,
    dropout: Dropout,
}

impl<B: Kernels> UnetNet<B> {
    /// Logits of images, `[batch, 1, depth, height, width]` both.
    pub fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut levels = self.encoder.iter();
        let mut x = x;
        let mut skips = Vec::new();
        if let Some(first) = levels.next() {
            x = first.forward(x);
        }
        for block in levels {
            skips.push(x.clone());
            x = block.forward(self.dropout.forward(max_pool3d(x)));
        }
        let decoder = self.up.iter().zip(&self.decoder);
        for ((up, block), skip) in decoder.zip(skips.into_iter().rev()) {
            let joined = B::join(up.forward(x), skip);
            x = block.forward(self.dropout.forward(joined));
        }
        convolve(&self.head, x)
    }
}

#[derive(Module, Debug)]
struct Block<B: Backend> {
    first: Layer<B>,
    second: Layer<B>,
}

impl<B: Kernels> Block<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        self.second.forward(self.first.forward(x))
    }
}

#[derive(Module, Debug)]
struct Layer<B: Backend> {
    conv: Conv3d<B>,
    norm: Option<NormLayer<B>>,
    #[module(skip)]
    activation: Activation,
}

impl<B: Kernels> Layer<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let x = convolve(&self.conv, x);
        match &self.norm {
            Some(norm) => norm.forward(x, self.activation),
            None => activate(x, self.activation.slope()),
        }
    }
}

#[derive(Module, Debug)]
enum Up<B: Backend> {
    Transposed(ConvTranspose3d<B>),
    Trilinear(Conv3d<B>),
}

impl<B: Kernels> Up<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        match self {
            Self::Transposed(conv) => convolve_transposed(conv, x),
            // Both are linear, so their order is free: the convolution is cheaper before.
            Self::Trilinear(conv) => upsample_trilinear(convolve(conv, x)),
        }
    }
}
