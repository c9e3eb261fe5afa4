//! When a sweep stops.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a sweep stops: at whichever limit comes first. A grid also ends with its last point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Trials to begin, those that fail included.
    #[schemars(range(min = 1))]
    pub trials: Option<usize>,
    /// Hours after which no trial is begun; running trials are finished. Time between sessions does not count.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub hours: Option<f64>,
    /// Failed trials that stop the sweep.
    #[schemars(range(min = 1))]
    pub failures: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            trials: None,
            hours: None,
            failures: 10,
        }
    }
}

/// Why no further trial is begun.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// All of the budget's trials were begun.
    Trials(usize),
    /// The budget's hours are over.
    Hours(f64),
    /// This many trials failed.
    Failures(usize),
    /// Every assignment of the space has been tried.
    Exhausted,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trials(trials) => write!(f, "the budget's {trials} trials have been begun"),
            Self::Hours(hours) => write!(f, "the budget's {hours} hours are over"),
            Self::Failures(failures) => write!(
                f,
                "{failures} trials failed: fix the cause and add --retry-failed, or raise budget.failures"
            ),
            Self::Exhausted => f.write_str("every assignment of the space has been tried"),
        }
    }
}

/// The used part of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Trials begun.
    pub trials: usize,
    /// Trials failed.
    pub failures: usize,
    /// Hours at work.
    pub hours: f64,
}

impl Budget {
    /// The used part of it, human-readable.
    pub fn used(&self, usage: &Usage) -> String {
        let of =
            |limit: Option<String>| limit.map_or_else(String::new, |limit| format!(" of {limit}"));
        format!(
            "{}{} trials begun, {:.2}{} hours, {} of {} failures",
            usage.trials,
            of(self.trials.map(|trials| trials.to_string())),
            usage.hours,
            of(self.hours.map(|hours| hours.to_string())),
            usage.failures,
            self.failures
        )
    }

    /// Why nothing may run any more, not even an interrupted trial.
    pub fn spent(&self, usage: &Usage) -> Option<Stop> {
        if usage.failures >= self.failures {
            return Some(Stop::Failures(usage.failures));
        }
        self.hours
            .filter(|hours| usage.hours >= *hours)
            .map(Stop::Hours)
    }

    /// Why no new trial may be begun.
    pub fn full(&self, usage: &Usage) -> Option<Stop> {
        self.spent(usage).or_else(|| {
            self.trials
                .filter(|trials| usage.trials >= *trials)
                .map(Stop::Trials)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_limit_reached_stops() {
        let budget = Budget {
            trials: Some(4),
            hours: Some(2.0),
            failures: 3,
        };
        let usage = |trials, failures, hours| Usage {
            trials,
            failures,
            hours,
        };
        assert_eq!(budget.full(&usage(3, 2, 1.9)), None);
        assert_eq!(budget.full(&usage(4, 2, 1.9)), Some(Stop::Trials(4)));
        assert_eq!(budget.full(&usage(3, 2, 2.0)), Some(Stop::Hours(2.0)));
        assert_eq!(budget.full(&usage(3, 3, 1.9)), Some(Stop::Failures(3)));
    }

    #[test]
    fn what_is_used_is_told_beside_what_there_is() {
        let usage = Usage {
            trials: 3,
            failures: 1,
            hours: 0.5,
        };
        let mut budget = Budget {
            trials: Some(4),
            hours: Some(2.0),
            failures: 3,
        };
        assert_eq!(
            budget.used(&usage),
            "3 of 4 trials begun, 0.50 of 2 hours, 1 of 3 failures"
        );
        budget.hours = None;
        assert_eq!(
            budget.used(&usage),
            "3 of 4 trials begun, 0.50 hours, 1 of 3 failures"
        );
    }

    #[test]
    fn what_was_interrupted_may_go_on_when_all_trials_were_begun() {
        let budget = Budget {
            trials: Some(4),
            ..Budget::default()
        };
        assert_eq!(
            budget.spent(&Usage {
                trials: 4,
                ..Usage::default()
            }),
            None
        );
    }
}
