use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PruningRule, Rival};
use crate::objective::Goal;
use crate::settings::Fault;

/// Asynchronous successive halving: at each rung a trial continues if it is among the best `1 / reduction` of
/// those that have reached the rung so far, itself included, or the best of fewer than `reduction`; else
/// it ends there. No trial waits for another, and no stopped trial is resumed.
///
/// Reference: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020; stopping instead
/// of pausing as in Optuna's `SuccessiveHalvingPruner`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Asha {
    /// The epochs at which trials are compared, rising.
    #[schemars(length(min = 1), inner(range(min = 1)))]
    pub rungs: Vec<usize>,
    /// One in this many continues.
    #[schemars(range(min = 2))]
    pub reduction: usize,
}

impl Default for Asha {
    fn default() -> Self {
        Self {
            rungs: vec![5, 15],
            reduction: 3,
        }
    }
}

impl PruningRule for Asha {
    fn due(&self, decided: Option<usize>) -> Option<usize> {
        self.rungs
            .iter()
            .copied()
            .find(|rung| decided.is_none_or(|epoch| *rung > epoch))
    }

    fn cutoff(&self, value: f64, rivals: &[Rival], goal: Goal) -> Option<f64> {
        let values = rivals.iter().map(|rival| rival.value).chain([value]);
        let mut losses: Vec<f64> = values
            .filter(|value| !value.is_nan())
            .map(|value| goal.loss(value))
            .collect();
        losses.sort_by(f64::total_cmp);
        let promoted = ((rivals.len() + 1) / self.reduction).max(1);
        // Those without a number are the worst of all and cannot be the cutoff.
        losses
            .get(promoted - 1)
            .or(losses.last())
            .map(|loss| goal.loss(*loss))
    }

    fn last_needed(&self) -> Option<usize> {
        self.rungs.last().copied()
    }

    fn rules(&self) -> Vec<Fault> {
        if self.rungs.windows(2).all(|pair| pair[0] < pair[1]) {
            return Vec::new();
        }
        vec![Fault::new("rungs", "rungs must be epochs in rising order")]
    }
}
