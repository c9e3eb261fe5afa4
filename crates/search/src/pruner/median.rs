use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PruningRule, Rival};
use crate::objective::Goal;

/// Stops a trial whose objective is worse than the median of what the trials that finished had at the
/// same epoch.
///
/// Reference: Golovin et al., Google Vizier: A Service for Black-Box Optimization, KDD 2017, section
/// 3.2.1; settings as in Optuna's `MedianPruner`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Median {
    /// Trials that must have finished before one is stopped.
    #[schemars(range(min = 1))]
    pub startup: usize,
    /// Epochs of each trial in which it is not stopped.
    pub warmup: usize,
    /// Epochs between decisions.
    #[schemars(range(min = 1))]
    pub interval: usize,
}

impl Default for Median {
    fn default() -> Self {
        Self {
            startup: 5,
            warmup: 5,
            interval: 1,
        }
    }
}

impl PruningRule for Median {
    fn due(&self, decided: Option<usize>) -> Option<usize> {
        Some(decided.map_or(self.warmup + 1, |epoch| epoch + self.interval))
    }

    fn cutoff(&self, _value: f64, rivals: &[Rival], goal: Goal) -> Option<f64> {
        let mut losses: Vec<f64> = rivals
            .iter()
            .filter(|rival| rival.finished)
            .map(|rival| goal.loss(rival.value))
            .collect();
        if losses.len() < self.startup {
            return None;
        }
        losses.sort_by(f64::total_cmp);
        let middle = losses.len() / 2;
        let median = match losses.len() % 2 {
            1 => losses[middle],
            _ => 0.5 * (losses[middle - 1] + losses[middle]),
        };
        Some(goal.loss(median))
    }

    fn last_needed(&self) -> Option<usize> {
        self.due(None)
    }
}
