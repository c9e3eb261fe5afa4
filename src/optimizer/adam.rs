use burn::optim::{AdamState, AdaptiveMomentumState, SimpleOptimizer};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UpdateRule;
use crate::kernel::{AdamStep, Kernels};

/// Each weight moves by the running mean of its gradients over the root of that of their squares.
///
/// Reference: Kingma & Ba, ICLR 2015; PyTorch's `Adam`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Decay of the running mean of gradients.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_1: f64,
    /// Decay of the running mean of squared gradients.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_2: f64,
    /// Added to the root of the second moment.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub epsilon: f64,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether norms and biases decay too, as in PyTorch, or only the convolutions' weights.
    pub decay_norms: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_norms: true,
        }
    }
}

impl UpdateRule for Adam {
    type Rule<B: Kernels> = AdamRule;

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> (f64, bool) {
        (self.weight_decay, self.decay_norms)
    }

    fn rule<B: Kernels>(&self, weight_decay: f64) -> AdamRule {
        AdamRule {
            betas: [self.beta_1 as f32, self.beta_2 as f32],
            epsilon: self.epsilon as f32,
            penalty: weight_decay as f32,
        }
    }
}

/// What Adam does with one tensor.
#[derive(Clone, Debug)]
pub struct AdamRule {
    betas: [f32; 2],
    epsilon: f32,
    penalty: f32,
}

impl<B: Kernels> SimpleOptimizer<B> for AdamRule {
    // Burn's, so that checkpoints of older versions can be read.
    type State<const D: usize> = AdamState<B, D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        weights: Tensor<B, D>,
        mut gradient: Tensor<B, D>,
        state: Option<AdamState<B, D>>,
    ) -> (Tensor<B, D>, Option<AdamState<B, D>>) {
        if self.penalty > 0.0 {
            gradient = gradient + weights.clone() * self.penalty;
        }
        let (time, mean, squares) = match state {
            Some(AdamState { momentum }) => {
                (momentum.time + 1, momentum.moment_1, momentum.moment_2)
            }
            None => (1, weights.zeros_like(), weights.zeros_like()),
        };
        let step = AdamStep {
            betas: self.betas,
            epsilon: self.epsilon,
            rate,
            time: time as i32,
        };
        let [weights, mean, squares] = B::adam([weights, mean, squares], gradient, &step);
        let momentum = AdaptiveMomentumState::new(time, mean, squares);
        (weights, Some(AdamState::new(momentum)))
    }

    fn to_device<const D: usize>(
        mut state: AdamState<B, D>,
        device: &B::Device,
    ) -> AdamState<B, D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
