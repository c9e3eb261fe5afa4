use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, RateSchedule};

/// Multiplies the learning rate by a factor after every `epochs` epochs.
///
/// Reference: PyTorch's `StepLR`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// Epochs from one drop to the next.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// What the rate is multiplied by at each drop.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub factor: f64,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            epochs: 20,
            factor: 0.1,
        }
    }
}

impl RateSchedule for Step {
    fn factor(&self, at: Moment, _validation_ious: &[f64]) -> f64 {
        let drops = (at.step / at.epoch).floor() / self.epochs as f64;
        self.factor.powi(drops.floor() as i32)
    }

    fn depends_on_length(&self) -> bool {
        false
    }
}
