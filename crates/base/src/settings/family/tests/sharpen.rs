use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FilterKernel;

/// Adds a part of the difference from the neighbours' mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sharpen {
    /// How much sharper.
    #[schemars(range(min = 0.0))]
    pub amount: f64,
}

impl Default for Sharpen {
    fn default() -> Self {
        Self { amount: 0.5 }
    }
}

impl FilterKernel for Sharpen {
    fn apply(&self, [before, here, after]: [f64; 3]) -> f64 {
        here + self.amount * (here - 0.5 * (before + after))
    }
}
