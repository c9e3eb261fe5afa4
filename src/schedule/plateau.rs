use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, RateSchedule};

/// Multiplies the learning rate by a factor whenever the validation IoU has not risen for some epochs, of those that are
/// validated.
///
/// Reference: PyTorch's `ReduceLROnPlateau` (mode `max`, relative threshold).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// What the rate is multiplied by.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub factor: f64,
    /// Epochs without a rise that are tolerated.
    pub patience: usize,
    /// A rise is a validation IoU above the best one times 1 plus this.
    #[schemars(range(min = 0.0))]
    pub threshold: f64,
    /// Epochs after a drop during which nothing is counted.
    pub cooldown: usize,
    /// The lowest factor.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub floor: f64,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            floor: 1e-4,
        }
    }
}

impl RateSchedule for Plateau {
    fn factor(&self, _at: Moment, validation_ious: &[f64]) -> f64 {
        let mut factor: f64 = 1.0;
        let mut best = f64::NEG_INFINITY;
        let (mut flat, mut rest) = (0, 0);
        for &iou in validation_ious {
            if iou > best * (1.0 + self.threshold) || best == f64::NEG_INFINITY {
                best = iou;
                flat = 0;
            } else {
                flat += 1;
            }
            if rest > 0 {
                rest -= 1;
                flat = 0;
            }
            if flat > self.patience {
                factor = (factor * self.factor).max(self.floor);
                flat = 0;
                rest = self.cooldown;
            }
        }
        factor
    }

    fn depends_on_length(&self) -> bool {
        false
    }

    fn needs_validation_history(&self) -> bool {
        true
    }
}
