//! A residual network of large kernels.

use burn::module::Module;
use burn::nn::conv::Conv3d;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Activation, ActivationLayer, Dropout, Layer, Norm, Stack, Style, UpLayer, Upsampling, channels,
    convolution, convolve,
};
use super::init::Scheme;
use super::{Architecture, Channels, Segmentation};
use crate::kernel::Kernels;
use crate::settings::Fault;

/// Stages of 5x5x5 convolutions whose input is added to their output, 2x2x2 convolutions of stride 2
/// between them, down and (transposed) up. To the first stage the image itself is added, repeated for
/// all channels.
///
/// Large (45 million weights with the defaults), by its kernels.
///
/// Reference: Milletari et al., V-Net, 3DV 2016; followed: MONAI 1.6.1, VNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vnet {
    /// Channels of the first level; each level down has twice as many, up to 320.
    #[schemars(range(min = 1, max = 320))]
    pub filters: usize,
    /// Convolutions of each stage of the encoder below the images' resolution (which has one); as many
    /// stages as numbers, 1 to 7, of 1 to 8 convolutions.
    #[schemars(length(min = 1, max = 7), inner(range(min = 1, max = 8)))]
    pub convolutions_down: Vec<usize>,
    /// Convolutions of each stage of the decoder, from the deepest up; as many numbers as in
    /// `convolutions_down`, of 1 to 8 convolutions.
    #[schemars(length(min = 1, max = 7), inner(range(min = 1, max = 8)))]
    pub convolutions_up: Vec<usize>,
    /// Normalisation: batch, instance, group, eight_groups or none. The one before the head is of as many
    /// channels as there are structures: instance would fix the part of an image that they take.
    pub norm: Norm,
    /// Activation: relu, leaky_relu, prelu, gelu, silu, elu or none.
    pub activation: Activation,
    /// Probability that a channel is dropped as a whole, in every skip connection and in the two deepest
    /// stages of each side.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub dropout: f64,
    /// How the decoder doubles the resolution: transposed or trilinear.
    pub upsampling: Upsampling,
}

impl Default for Vnet {
    fn default() -> Self {
        Self {
            filters: 16,
            convolutions_down: vec![1, 2, 3, 2],
            convolutions_up: vec![2, 2, 1, 1],
            norm: Norm::Batch,
            activation: Activation::Elu,
            dropout: 0.5,
            upsampling: Upsampling::Transposed,
        }
    }
}

const KERNEL: usize = 5;

impl Vnet {
    fn style(&self) -> Style {
        Style {
            norm: self.norm,
            activation: self.activation,
        }
    }

    fn stage<B: Backend>(&self, count: usize, channels: usize, device: &B::Device) -> Stage<B> {
        let channels = [channels, channels];
        Stage {
            stack: self.style().stack(count, channels, KERNEL, 1, 0.0, device),
            activation: self.activation.init(device),
        }
    }

    /// Dropout of the `index`-th of `count` stages from the top.
    fn dropout(&self, index: usize, count: usize) -> Dropout {
        let deep = index + 2 >= count;
        Dropout::new(if deep { self.dropout } else { 0.0 })
    }
}

impl Architecture for Vnet {
    type Network<B: Backend> = VnetNet<B>;
    const SCHEME: Scheme = Scheme::HeNormal;

    fn build<B: Backend>(&self, ends: Channels, device: &B::Device) -> VnetNet<B> {
        let stages = self.convolutions_down.len();
        let channels = channels(self.filters, stages + 1);
        let linear = Style {
            activation: Activation::None,
            ..self.style()
        };
        let down = |(index, count): (usize, &usize)| Down {
            conv: self.style().layer(
                [channels[index], channels[index + 1]],
                [2; 3],
                [2; 3],
                device,
            ),
            dropout: self.dropout(index, stages),
            stage: self.stage(*count, channels[index + 1], device),
        };
        let decoder_level = |(index, count): (usize, &usize)| {
            let above = channels[index];
            let below = if index + 1 == stages {
                channels[stages]
            } else {
                2 * channels[index + 1]
            };
            DecoderLevel {
                dropout: self.dropout(index, stages),
                skip_dropout: Dropout::new(self.dropout),
                up: self
                    .style()
                    .up_layer(self.upsampling, [below, above], 2, device),
                stage: self.stage(*count, 2 * above, device),
            }
        };
        let head_channels = [2 * self.filters, ends.output];
        VnetNet {
            input: linear.layer([ends.input, self.filters], [KERNEL; 3], [1; 3], device),
            activation: self.activation.init(device),
            encoder: self
                .convolutions_down
                .iter()
                .enumerate()
                .map(down)
                .collect(),
            decoder: (0..stages)
                .rev()
                .zip(&self.convolutions_up)
                .map(decoder_level)
                .collect(),
            output: self
                .style()
                .layer(head_channels, [KERNEL; 3], [1; 3], device),
            head: convolution([ends.output, ends.output], 1, true, device),
        }
    }

    fn dropout(&self) -> f64 {
        self.dropout
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = self.norm.rules(self.filters);
        if self.convolutions_up.len() != self.convolutions_down.len() {
            let message = "convolutions_up must have as many numbers as convolutions_down";
            faults.push(Fault::new("convolutions_up", message));
        }
        faults
    }
}

/// The network that [`Vnet`] describes.
#[derive(Module, Debug)]
pub struct VnetNet<B: Backend> {
    input: Layer<B>,
    activation: ActivationLayer<B>,
    encoder: Vec<Down<B>>,
    decoder: Vec<DecoderLevel<B>>,
    output: Layer<B>,
    head: Conv3d<B>,
}

impl<B: Kernels> Segmentation<B> for VnetNet<B> {
    fn divisors(&self) -> [usize; 3] {
        [1 << self.encoder.len(); 3]
    }

    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let first = self.input.forward(x.clone());
        let repeated = repeat_channels(x, first.dims()[1]);
        let mut x = self.activation.forward(first + repeated);
        let mut skips = Vec::new();
        for down in &self.encoder {
            skips.push(x.clone());
            x = down.forward(x);
        }
        for (decoder_level, skip) in self.decoder.iter().zip(skips.into_iter().rev()) {
            x = decoder_level.forward(x, skip);
        }
        convolve(&self.head, self.output.forward(x))
    }
}

/// The channels of `x` again and again, until there are as many as `wanted`.
fn repeat_channels<B: Backend>(x: Tensor<B, 5>, wanted: usize) -> Tensor<B, 5> {
    let times = wanted.div_ceil(x.dims()[1]);
    x.repeat_dim(1, times).narrow(1, 0, wanted)
}

/// Drops channels as a whole.
fn drop_channels<B: Kernels>(dropout: &Dropout, x: Tensor<B, 5>) -> Tensor<B, 5> {
    if !dropout.acts(&x) {
        return x;
    }
    let [batch, channels, ..] = x.dims();
    let ones = Tensor::ones([batch, channels, 1, 1, 1], (&x.device(), x.dtype()));
    x * dropout.forward(ones)
}

/// Layers, to whose output their input is added before the last activation.
#[derive(Module, Debug)]
struct Stage<B: Backend> {
    stack: Stack<B>,
    activation: ActivationLayer<B>,
}

impl<B: Kernels> Stage<B> {
    fn forward(&self, x: Tensor<B, 5>, added: Tensor<B, 5>) -> Tensor<B, 5> {
        self.activation.forward(self.stack.forward(x) + added)
    }
}

/// A level of the encoder.
#[derive(Module, Debug)]
struct Down<B: Backend> {
    conv: Layer<B>,
    dropout: Dropout,
    stage: Stage<B>,
}

impl<B: Kernels> Down<B> {
    fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        let x = self.conv.forward(x);
        // What is dropped for the convolutions is still added.
        self.stage
            .forward(drop_channels(&self.dropout, x.clone()), x)
    }
}

/// A level of the decoder.
#[derive(Module, Debug)]
struct DecoderLevel<B: Backend> {
    dropout: Dropout,
    skip_dropout: Dropout,
    up: UpLayer<B>,
    stage: Stage<B>,
}

impl<B: Kernels> DecoderLevel<B> {
    fn forward(&self, x: Tensor<B, 5>, skip: Tensor<B, 5>) -> Tensor<B, 5> {
        let x = self.up.forward(drop_channels(&self.dropout, x));
        let joined = B::concat_channels(x, drop_channels(&self.skip_dropout, skip));
        self.stage.forward(joined.clone(), joined)
    }
}
