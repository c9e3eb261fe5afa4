use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::anneal;

/// The one-cycle policy (Smith and Topin 2019) in PyTorch's cosine form: up from
/// `1 / start_divisor` to 1, then down to `1 / (start_divisor * end_divisor)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// Part of the run (0 to 1) spent rising.
    pub rise: f64,
    /// The first factor is 1 over this.
    pub start_divisor: f64,
    /// The last factor is the first one over this.
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

impl OneCycle {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !(self.rise > 0.0 && self.rise < 1.0) {
            return Err("rise must lie between 0 and 1".into());
        }
        if !(self.start_divisor >= 1.0 && self.end_divisor >= 1.0) {
            return Err("start_divisor and end_divisor must be at least 1".into());
        }
        Ok(())
    }

    pub(super) fn factor(&self, step: usize, total: usize) -> f64 {
        let first = 1.0 / self.start_divisor;
        let last = first / self.end_divisor;
        // The step of the peak, as PyTorch counts it.
        let peak = (self.rise * total as f64 - 1.0).max(0.0);
        let at = step as f64;
        if at <= peak && peak > 0.0 {
            anneal(first, 1.0, at / peak)
        } else {
            let rest = (total as f64 - 1.0 - peak).max(1.0);
            anneal(1.0, last, ((at - peak) / rest).min(1.0))
        }
    }
}
