use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, RateSchedule};

/// `(1 - step / steps) ^ power`: falls all through the run.
///
/// Reference: nnU-Net's schedule (Isensee et al., 2021); PyTorch's `PolynomialLR`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Poly {
    /// The power: 1 falls in a straight line.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub power: f64,
}

impl Default for Poly {
    fn default() -> Self {
        Self { power: 0.9 }
    }
}

impl RateSchedule for Poly {
    fn factor(&self, at: Moment, _validation_ious: &[f64]) -> f64 {
        (1.0 - at.step / at.total).powf(self.power)
    }
}
