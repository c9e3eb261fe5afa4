//! In which type a network computes.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kernels;

/// The type of a network's activations, in training and validation. Weights, statistics of normalisation,
/// the loss, gradients of weights and the optimiser are in single precision with each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Eight bits of mantissa and single precision's exponent, so that no loss need be scaled up
    /// (Kalamkar et al., 2019): for GPUs with tensor cores. The processor computes in single precision and
    /// rounds.
    Bf16,
}

impl Precision {
    /// `images` in this type: a network computes in that of its images.
    pub fn of<B: Kernels>(self, images: Tensor<B, 5>) -> Tensor<B, 5> {
        B::cast(images, DType::from(self.dtype()))
    }

    /// Checks that a device computes in it.
    ///
    /// # Errors
    ///
    /// A sentence with the remedy.
    pub fn check<B: Backend>(self, device: &B::Device) -> Result<(), String> {
        if B::supports_dtype(device, DType::from(self.dtype())) {
            return Ok(());
        }
        Err("this device does not compute in bf16: leave train.precision at f32.".into())
    }

    /// What experiments call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
        }
    }
}
