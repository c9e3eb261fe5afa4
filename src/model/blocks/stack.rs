//! Layers in a row.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::{Dropout, Layer, Style};
use crate::kernel::Kernels;

/// Layers one after the other, each followed by dropout.
#[derive(Module, Debug)]
pub struct Stack<B: Backend> {
    /// The layers.
    pub layers: Vec<Layer<B>>,
    /// The dropout after each.
    pub dropout: Dropout,
}

impl Style {
    /// As many layers as `count`, of cubic kernels. The first changes the number of channels and takes
    /// every `stride`-th voxel, the others keep both.
    pub fn stack<B: Backend>(
        self,
        count: usize,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        dropout: f64,
        device: &B::Device,
    ) -> Stack<B> {
        let [input, output] = channels;
        let layer = |index| {
            let (input, stride) = if index == 0 {
                (input, stride)
            } else {
                (output, 1)
            };
            self.layer([input, output], [kernel; 3], [stride; 3], device)
        };
        Stack {
            layers: (0..count).map(layer).collect(),
            dropout: Dropout::new(dropout),
        }
    }
}

impl<B: Kernels> Stack<B> {
    /// Applies all to `x`, `[batch, channels, depth, height, width]`.
    pub fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        follow(&self.layers, &self.dropout, x)
    }

    /// As [`Self::forward`], of the channels of two tensors.
    pub fn forward_joined(&self, x: [Tensor<B, 5>; 2]) -> Tensor<B, 5> {
        follow_joined(&self.layers, &self.dropout, x)
    }
}

/// Layers one after the other, each followed by dropout.
pub fn follow<B: Kernels>(layers: &[Layer<B>], dropout: &Dropout, x: Tensor<B, 5>) -> Tensor<B, 5> {
    let step = |x, layer: &Layer<B>| dropout.forward(layer.forward(x));
    layers.iter().fold(x, step)
}

/// As [`follow`], of the channels of two tensors.
pub fn follow_joined<B: Kernels>(
    layers: &[Layer<B>],
    dropout: &Dropout,
    x: [Tensor<B, 5>; 2],
) -> Tensor<B, 5> {
    match layers {
        [first, others @ ..] => follow(others, dropout, dropout.forward(first.forward_joined(x))),
        [] => {
            let [first, second] = x;
            B::concat_channels(first, second)
        }
    }
}
