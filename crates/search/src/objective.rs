//! What is better, and the values by which trials are compared.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub fn value(&self, epoch: usize, goal: Goal, counted: Counted) -> Option<f64> {
        if self.reached() < epoch {
            return None;
        }
        let mut seen = self.0.range(..=epoch).map(|(_, value)| *value);
        match counted {
            Counted::Last => seen.next_back(),
            Counted::Best => seen.reduce(|best, next| {
                if goal.is_better(next, best) {
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

    fn curve(values: &[f64]) -> Curve {
        Curve((1..).zip(values.iter().copied()).collect())
    }

    #[test]
    fn the_best_or_the_last_epoch_so_far_counts() {
        let seen = curve(&[0.5, 0.8, 0.6]);
        let value = |epoch, goal, counted| seen.value(epoch, goal, counted);
        assert_eq!(value(3, Goal::Maximize, Counted::Best), Some(0.8));
        assert_eq!(value(1, Goal::Maximize, Counted::Best), Some(0.5));
        assert_eq!(value(3, Goal::Minimize, Counted::Best), Some(0.5));
        assert_eq!(value(3, Goal::Maximize, Counted::Last), Some(0.6));
        assert_eq!(value(4, Goal::Maximize, Counted::Last), None);
    }

    #[test]
    fn what_is_not_a_number_is_never_the_best() {
        let seen = curve(&[f64::NAN, 0.3, f64::NAN]);
        assert_eq!(seen.value(3, Goal::Minimize, Counted::Best), Some(0.3));
        assert!(
            seen.value(3, Goal::Minimize, Counted::Last)
                .unwrap()
                .is_nan()
        );
        assert!(!Goal::Maximize.is_better(f64::NAN, 0.0));
        assert!(Goal::Maximize.is_better(0.0, f64::NAN));
    }
}
