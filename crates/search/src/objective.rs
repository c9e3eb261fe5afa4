//! The metric by which trials are compared.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{Fault, nearest};

/// The metric of each epoch by which trials are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// A column of `metrics.csv`, such as `validation_iou`, or of one structure `validation_dice/anterior`.
    pub metric: String,
    /// Whether more of it is better.
    pub goal: Goal,
    /// Which epoch of a run counts.
    #[serde(default)]
    pub epoch: Counted,
}

/// The direction that is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// More is better.
    Maximize,
    /// Less is better.
    Minimize,
}

/// Which epoch of a run counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// The best epoch, whose weights the run keeps. Its value is a little too good, the more so the more
    /// epochs there are to choose from.
    #[default]
    Best,
    /// The last epoch.
    Last,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            metric: "validation_iou".into(),
            goal: Goal::Maximize,
            epoch: Counted::Best,
        }
    }
}

impl Objective {
    /// What is wrong with the values that the schema does not show; `metrics` are those that runs have, and
    /// `by_structure` those that they have for each structure as well, as in `validation_dice/anterior`.
    pub fn rules(&self, metrics: &[&str], by_structure: &[&str]) -> Vec<Fault> {
        let metric = self.metric.as_str();
        if metrics.contains(&metric) {
            return Vec::new();
        }
        if let Some((of, structure)) = metric.split_once('/') {
            if by_structure.contains(&of) && !structure.is_empty() {
                return Vec::new();
            }
            let known: Vec<String> = (by_structure.iter())
                .map(|of| format!("{of}/{structure}"))
                .collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let hint = nearest(metric, &known)
                .map(|name| format!(" Did you mean `{name}`?"))
                .unwrap_or_default();
            let message = format!(
                "metric is `{metric}`, which is not a metric of a structure in metrics.csv.{hint} Allowed: {}",
                by_structure
                    .iter()
                    .map(|of| format!("{of}/NAME"))
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            return vec![Fault::new("metric", message)];
        }
        let hint = nearest(metric, metrics)
            .map(|name| format!(" Did you mean `{name}`?"))
            .unwrap_or_default();
        let message = format!(
            "metric is `{metric}`, which is not a metric of metrics.csv.{hint} Allowed: {}",
            metrics.join(", ")
        );
        vec![Fault::new("metric", message)]
    }
}

impl Goal {
    /// The value as something to minimise.
    pub fn loss(self, value: f64) -> f64 {
        match self {
            Self::Maximize => -value,
            Self::Minimize => value,
        }
    }

    /// Whether `a` is better than `b`. NaN is worse than every number.
    pub fn is_better(self, a: f64, b: f64) -> bool {
        !a.is_nan() && (b.is_nan() || self.loss(a) < self.loss(b))
    }
}

/// The metric over the epochs of one part of a trial, by epoch, counted from 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve(pub BTreeMap<usize, f64>);

impl Curve {
    /// The last epoch that has a value; 0 before the first.
    pub fn reached(&self) -> usize {
        self.0.keys().next_back().copied().unwrap_or(0)
    }

    /// The objective's value over the epochs up to `epoch`: the best finite value, or the last one. None if
    /// the curve has not reached `epoch`.
    pub fn value(&self, epoch: usize, objective: &Objective) -> Option<f64> {
        if self.reached() < epoch {
            return None;
        }
        let mut seen = self.0.range(..=epoch).map(|(_, value)| *value);
        match objective.epoch {
            Counted::Last => seen.next_back(),
            Counted::Best => seen.reduce(|best, next| {
                if objective.goal.is_better(next, best) {
                    next
                } else {
                    best
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objective(goal: Goal, epoch: Counted) -> Objective {
        Objective {
            goal,
            epoch,
            ..Objective::default()
        }
    }

    fn curve(values: &[f64]) -> Curve {
        Curve((1..).zip(values.iter().copied()).collect())
    }

    #[test]
    fn the_best_or_the_last_epoch_so_far_counts() {
        let seen = curve(&[0.5, 0.8, 0.6]);
        let value = |epoch, goal, counted| seen.value(epoch, &objective(goal, counted));
        assert_eq!(value(3, Goal::Maximize, Counted::Best), Some(0.8));
        assert_eq!(value(1, Goal::Maximize, Counted::Best), Some(0.5));
        assert_eq!(value(3, Goal::Minimize, Counted::Best), Some(0.5));
        assert_eq!(value(3, Goal::Maximize, Counted::Last), Some(0.6));
        assert_eq!(value(4, Goal::Maximize, Counted::Last), None);
    }

    #[test]
    fn what_is_not_a_number_is_never_the_best() {
        let seen = curve(&[f64::NAN, 0.3, f64::NAN]);
        assert_eq!(
            seen.value(3, &objective(Goal::Minimize, Counted::Best)),
            Some(0.3)
        );
        assert!(
            seen.value(3, &objective(Goal::Minimize, Counted::Last))
                .unwrap()
                .is_nan()
        );
        assert!(!Goal::Maximize.is_better(f64::NAN, 0.0));
        assert!(Goal::Maximize.is_better(0.0, f64::NAN));
    }
}
