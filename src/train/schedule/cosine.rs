use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::anneal;

/// A straight warm-up, then half a cosine down to a floor (Loshchilov and Hutter 2017, without
/// restarts).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Part of the run (0 to 1) over which the rate rises to its full value.
    pub warmup: f64,
    /// The last factor.
    pub floor: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self {
            warmup: 0.05,
            floor: 0.01,
        }
    }
}

impl Cosine {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !(0.0..1.0).contains(&self.warmup) {
            return Err("warmup must be at least 0 and below 1".into());
        }
        if !(self.floor > 0.0 && self.floor <= 1.0) {
            return Err("floor must be above 0 and at most 1".into());
        }
        Ok(())
    }

    pub(super) fn factor(&self, step: usize, total: usize) -> f64 {
        let warmup = self.warmup * total as f64;
        let at = step as f64;
        if at < warmup {
            return (at + 1.0) / (warmup + 1.0);
        }
        let rest = (total as f64 - 1.0 - warmup).max(1.0);
        anneal(1.0, self.floor, ((at - warmup) / rest).min(1.0))
    }
}
