use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::tensor::backend::AutodiffBackend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{validate_beta, validate_decay, validate_rate};

/// Stochastic gradient descent with Nesterov or plain momentum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate.
    pub learning_rate: f64,
    /// Part of the last step carried into this one; 0 for none.
    pub momentum: f64,
    /// Look ahead (Nesterov) instead of behind.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            momentum: 0.99,
            nesterov: true,
            weight_decay: 3e-5,
        }
    }
}

impl Sgd {
    pub(super) fn validate(&self) -> Result<(), String> {
        validate_rate(self.learning_rate)?;
        validate_beta("momentum", self.momentum)?;
        validate_decay(self.weight_decay)
    }

    pub(super) fn init<B: AutodiffBackend, M: AutodiffModule<B>>(
        &self,
    ) -> OptimizerAdaptor<burn::optim::Sgd<B::InnerBackend>, M, B> {
        let momentum = (self.momentum > 0.0).then(|| {
            MomentumConfig::new()
                .with_momentum(self.momentum)
                .with_dampening(0.0)
                .with_nesterov(self.nesterov)
        });
        let decay =
            (self.weight_decay > 0.0).then(|| WeightDecayConfig::new(self.weight_decay as f32));
        burn::optim::SgdConfig::new()
            .with_momentum(momentum)
            .with_weight_decay(decay)
            .init()
    }
}
