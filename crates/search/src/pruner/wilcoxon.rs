use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PruningRule, Rival, RunVerdict};
use crate::objective::Goal;
use crate::statistics::{mean, wilcoxon_greater};

/// Stops a trial whose finished runs are worse than the same runs of the best finished trial, by Wilcoxon's one-sided
/// signed-rank test over folds and seeds. It decides whenever a run ends, and never before the run's end.
///
/// A trial is spared whose mean so far is as good as the best trial's. The smallest p of n runs is 2^-n: with the default
/// threshold four runs must have ended before a trial can be stopped.
///
/// Reference: Optuna's `WilcoxonPruner`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wilcoxon {
    /// A trial stops where p is below this.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub p_threshold: f64,
    /// Runs of a trial that must have ended before it is stopped; at least two.
    pub n_startup_steps: usize,
}

impl Default for Wilcoxon {
    fn default() -> Self {
        Self {
            p_threshold: 0.1,
            n_startup_steps: 2,
        }
    }
}

impl Wilcoxon {
    /// Runs that must have ended before a trial can be stopped; none if p cannot become as small.
    fn fewest(&self) -> Option<usize> {
        (self.n_startup_steps.max(2)..=1000)
            .find(|runs| 0.5_f64.powi(*runs as i32) < self.p_threshold)
    }
}

impl PruningRule for Wilcoxon {
    fn due(&self, _decided: Option<usize>) -> Option<usize> {
        None
    }

    fn last_needed(&self) -> Option<usize> {
        None
    }

    fn cutoff(&self, _value: f64, _rivals: &[Rival], _goal: Goal) -> Option<f64> {
        None
    }

    fn runs_needed(&self) -> Option<usize> {
        Some(self.fewest().map_or(usize::MAX, |fewest| fewest + 1))
    }

    fn compare(&self, own: &[Option<f64>], best: &[f64], goal: Goal) -> Option<RunVerdict> {
        let ended: Vec<(f64, f64)> = (own.iter().zip(best))
            .filter_map(|(own, best)| Some((goal.loss((*own)?), goal.loss(*best))))
            .collect();
        if ended.len() < self.n_startup_steps.max(2) {
            return None;
        }
        // Two infinities have no difference that is a number.
        let difference = |(own, best): &(f64, f64)| if own == best { 0.0 } else { own - best };
        let p = wilcoxon_greater(&ended.iter().map(difference).collect::<Vec<_>>());
        let losses: Vec<f64> = ended.iter().map(|(own, _)| *own).collect();
        let is_best = mean(&losses) <= goal.loss(mean(best));
        Some(RunVerdict {
            stop: p < self.p_threshold && !is_best,
            p,
        })
    }
}
