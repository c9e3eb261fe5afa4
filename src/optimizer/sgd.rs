use burn::optim::momentum::MomentumConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{UpdateRule, penalty};
use crate::kernel::Kernels;

/// Stochastic gradient descent, with Nesterov's or plain momentum.
///
/// Reference: Sutskever et al., ICML 2013; PyTorch's `SGD`; the defaults are nnU-Net's (Isensee et al., 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Part of the last step carried into this one; 0 for none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Whether norms and biases decay too, as in PyTorch, or only the convolutions' weights.
    pub decay_norms: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            momentum: 0.99,
            nesterov: true,
            weight_decay: 3e-5,
            decay_norms: true,
        }
    }
}

impl UpdateRule for Sgd {
    type Rule<B: Kernels> = burn::optim::Sgd<B>;

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn weight_decay(&self) -> (f64, bool) {
        (self.weight_decay, self.decay_norms)
    }

    fn rule<B: Kernels>(&self, weight_decay: f64) -> burn::optim::Sgd<B> {
        let momentum = (self.momentum > 0.0).then(|| {
            MomentumConfig::new()
                .with_momentum(self.momentum)
                .with_dampening(0.0)
                .with_nesterov(self.nesterov)
        });
        burn::optim::SgdConfig::new()
            .with_momentum(momentum)
            .with_weight_decay(penalty(weight_decay))
            .build()
    }
}
