//! Activation.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::activation::{prelu, relu, silu};
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::{Kernels, activate};

/// What follows a convolution and its normalisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x` where it is positive, `x / 100` elsewhere.
    LeakyRelu,
    /// `x` where it is positive, `a x` elsewhere; `a` is learnt, one per layer, and starts at 1/4
    /// (He et al., 2015).
    Prelu,
    /// `x P(X <= x)` of a standard normal `X` (Hendrycks & Gimpel, 2016).
    Gelu,
    /// `x sigmoid(x)`, also called swish (Ramachandran et al., 2017).
    Silu,
    /// `x` where it is positive, `exp(x) - 1` elsewhere (Clevert et al., 2016).
    Elu,
    /// `x` as it is.
    None,
}

impl Activation {
    /// The slope below 0, where it is a constant: the normalisations then activate in one pass.
    pub fn slope(self) -> Option<f64> {
        match self {
            Self::Relu => Some(0.0),
            Self::LeakyRelu => Some(0.01),
            Self::None => Some(1.0),
            Self::Prelu | Self::Gelu | Self::Silu | Self::Elu => None,
        }
    }

    /// The activation as a layer.
    pub fn init<B: Backend>(self, device: &B::Device) -> ActivationLayer<B> {
        ActivationLayer {
            weight: (self == Self::Prelu)
                .then(|| Initializer::Constant { value: 0.25 }.init([1], device)),
            kind: self,
        }
    }
}

/// An activation with what it learns.
#[derive(Module, Debug)]
pub struct ActivationLayer<B: Backend> {
    /// The slope below 0 of [`Activation::Prelu`].
    pub weight: Option<Param<Tensor<B, 1>>>,
    #[module(skip)]
    kind: Activation,
}

impl<B: Backend> ActivationLayer<B> {
    /// As [`Activation::slope`].
    pub fn slope(&self) -> Option<f64> {
        self.kind.slope()
    }
}

impl<B: Kernels> ActivationLayer<B> {
    /// Activates `x`.
    pub fn forward(&self, x: Tensor<B, 5>) -> Tensor<B, 5> {
        match (self.kind, &self.weight) {
            (Activation::Prelu, Some(weight)) => {
                let weight = weight.val().cast(x.dtype());
                prelu(x, weight)
            }
            (Activation::Gelu, _) => <B as Kernels>::gelu(x),
            (Activation::Silu, _) => silu(x),
            // Burn's own takes the exponential of what is positive too, and its gradient overflows.
            (Activation::Elu, _) => relu(x.clone()) + (x.clamp_max(0.0).exp() - 1.0),
            (kind, _) => activate(x, kind.slope().unwrap_or(1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::TensorData;

    use super::*;

    type Ad = Autodiff<Flex>;

    #[test]
    fn elu_is_the_exponential_below_zero_and_overflows_nowhere() {
        let device = burn::tensor::Device::<Flex>::default();
        let given = vec![-200.0_f32, -1.0, 0.5, 200.0];
        let data = TensorData::new(given, [1, 1, 1, 1, 4]);
        let x = Tensor::<Ad, 5>::from_data(data, &device).require_grad();
        let y = Activation::Elu.init::<Ad>(&device).forward(x.clone());
        let gradient = x.grad(&y.clone().sum().backward()).unwrap();
        let close = |tensor: TensorData, expected: [f32; 4]| {
            let values: Vec<f32> = tensor.to_vec().unwrap();
            for (value, expected) in values.iter().zip(expected) {
                assert!((value - expected).abs() < 1e-6, "{value}, not {expected}");
            }
        };
        let e = std::f32::consts::E;
        close(y.into_data(), [-1.0, 1.0 / e - 1.0, 0.5, 200.0]);
        close(gradient.into_data(), [0.0, 1.0 / e, 1.0, 1.0]);
    }
}
