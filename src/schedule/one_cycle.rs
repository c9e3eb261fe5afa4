use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, RateSchedule, anneal};

/// Half a cosine up from `1 / start_divisor` to 1, then one down to
/// `1 / (start_divisor * end_divisor)`.
///
/// Reference: Smith & Topin, Super-convergence, 2019; PyTorch's `OneCycleLR`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// Part of the run (0 to 1) spent rising.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub rise: f64,
    /// The first factor is 1 over this.
    #[schemars(range(min = 1.0))]
    pub start_divisor: f64,
    /// The last factor is the first one over this.
    #[schemars(range(min = 1.0))]
    pub end_divisor: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self {
            rise: 0.3,
            start_divisor: 25.0,
            end_divisor: 1e4,
        }
    }
}

impl RateSchedule for OneCycle {
    fn factor(&self, at: Moment, _validation_ious: &[f64]) -> f64 {
        let first = 1.0 / self.start_divisor;
        let last = first / self.end_divisor;
        // The step of the peak, as PyTorch counts it.
        let peak = (self.rise * at.total - 1.0).max(0.0);
        if at.step <= peak && peak > 0.0 {
            anneal(first, 1.0, at.step / peak)
        } else {
            let rest = (at.total - 1.0 - peak).max(1.0);
            anneal(1.0, last, ((at.step - peak) / rest).min(1.0))
        }
    }
}
