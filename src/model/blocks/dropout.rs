//! Dropout.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::kernel::Kernels;

/// Sets values to 0 in training, each with this probability (Srivastava et al., 2014).
#[derive(Module, Clone, Debug)]
pub struct Dropout {
    /// 0 for none.
    pub probability: f64,
}

impl Dropout {
    /// A layer that drops values with this probability.
    pub fn new(probability: f64) -> Self {
        Self { probability }
    }

    /// Whether it does anything to `x`: in training alone.
    pub fn acts<B: Kernels>(&self, x: &Tensor<B, 5>) -> bool {
        self.probability > 0.0 && B::ad_enabled(&x.device())
    }

    /// `x`, or what is left of it.
    pub fn forward<B: Kernels>(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        if self.acts(&x) {
            B::dropout(x, self.probability)
        } else {
            x
        }
    }

    /// As [`Self::forward`], of the channels of two tensors, as if they were joined.
    pub fn forward_joined<B: Kernels>(&self, x: [Tensor<B, 5>; 2]) -> [Tensor<B, 5>; 2] {
        if self.acts(&x[0]) {
            B::dropout_joined(x, self.probability)
        } else {
            x
        }
    }
}
