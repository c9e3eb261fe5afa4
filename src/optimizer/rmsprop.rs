use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{UpdateRule, penalty};
use crate::kernel::Kernels;

/// Each gradient over the root of the running mean of its squares, with momentum.
///
/// Reference: Hinton, lecture 6e of Neural Networks for Machine Learning, 2012; PyTorch's `RMSprop`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Decay of the running mean of squared gradients.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub smoothing: f64,
    /// Part of the last step carried into this one; 0 for none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// Added to the root.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub epsilon: f64,
    /// Whether the square of the mean is subtracted from the mean of squares.
    pub centred: bool,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether norms and biases decay too, as in PyTorch, or only the convolutions' weights.
    pub decay_norms: bool,
}

impl Default for RmsProp {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            smoothing: 0.99,
            momentum: 0.9,
            epsilon: 1e-8,
            centred: false,
            weight_decay: 0.0,
            decay_norms: true,
        }
    }
}

impl UpdateRule for RmsProp {
    type Rule<B: Kernels> = burn::optim::RmsProp;

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> (f64, bool) {
        (self.weight_decay, self.decay_norms)
    }

    fn rule<B: Kernels>(&self, weight_decay: f64) -> burn::optim::RmsProp {
        burn::optim::RmsPropConfig::new()
            .with_alpha(self.smoothing as f32)
            .with_momentum(self.momentum as f32)
            .with_epsilon(self.epsilon as f32)
            .with_centered(self.centred)
            .with_weight_decay(penalty(weight_decay))
            .build()
    }
}
