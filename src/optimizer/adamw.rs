use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UpdateRule;
use crate::kernel::Kernels;

/// Adam with weight decay apart from the gradient.
///
/// Reference: Loshchilov & Hutter, ICLR 2019; PyTorch's `AdamW`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
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
    /// Part of each weight taken away per step, times the learning rate.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether norms and biases decay too, as in PyTorch, or only the convolutions' weights.
    pub decay_norms: bool,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
            decay_norms: true,
        }
    }
}

impl UpdateRule for AdamW {
    type Rule<B: Kernels> = burn::optim::AdamW;

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> (f64, bool) {
        (self.weight_decay, self.decay_norms)
    }

    fn rule<B: Kernels>(&self, weight_decay: f64) -> burn::optim::AdamW {
        burn::optim::AdamWConfig::new()
            .with_beta_1(self.beta_1 as f32)
            .with_beta_2(self.beta_2 as f32)
            .with_epsilon(self.epsilon as f32)
            .with_weight_decay(weight_decay as f32)
            .build()
    }
}
