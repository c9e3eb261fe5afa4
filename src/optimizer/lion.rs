use burn::optim::SimpleOptimizer;
use burn::record::Record;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UpdateRule;
use crate::kernel::Kernels;

/// Every weight moves by the learning rate itself, in the direction of the sign of a running mean of
/// its gradients. Needs a learning rate of a third to a tenth of Adam's.
///
/// Reference: Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Weight of the running mean in the direction of a step; the gradient has the rest.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_1: f64,
    /// Decay of the running mean of gradients.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_2: f64,
    /// Part of each weight taken away per step, times the learning rate.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether norms and biases decay too, as in PyTorch, or only the convolutions' weights.
    pub decay_norms: bool,
}

impl Default for Lion {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            beta_1: 0.9,
            beta_2: 0.99,
            weight_decay: 0.0,
            decay_norms: true,
        }
    }
}

impl UpdateRule for Lion {
    type Rule<B: Kernels> = LionRule;

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> (f64, bool) {
        (self.weight_decay, self.decay_norms)
    }

    fn rule<B: Kernels>(&self, weight_decay: f64) -> LionRule {
        LionRule {
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            weight_decay,
        }
    }
}

/// What Lion does with one tensor.
#[derive(Clone, Debug)]
pub struct LionRule {
    beta_1: f64,
    beta_2: f64,
    weight_decay: f64,
}

/// What Lion remembers of one tensor.
#[derive(Record, Clone)]
pub struct LionState<B: Backend, const D: usize> {
    mean: Tensor<B, D>,
}

impl<B: Backend> SimpleOptimizer<B> for LionRule {
    type State<const D: usize> = LionState<B, D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        tensor: Tensor<B, D>,
        grad: Tensor<B, D>,
        state: Option<LionState<B, D>>,
    ) -> (Tensor<B, D>, Option<LionState<B, D>>) {
        let mean = state.map_or_else(|| grad.zeros_like(), |state| state.mean);
        let blend = |beta: f64| mean.clone() * beta + grad.clone() * (1.0 - beta);
        let kept = tensor * (1.0 - lr * self.weight_decay);
        let state = LionState {
            mean: blend(self.beta_2),
        };
        (kept - blend(self.beta_1).sign() * lr, Some(state))
    }

    fn to_device<const D: usize>(state: LionState<B, D>, device: &B::Device) -> LionState<B, D> {
        LionState {
            mean: state.mean.to_device(device),
        }
    }
}
