//! What can happen in a study: each event is a line of its record.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use super::budget::Budget;
use super::number;
use super::run_key::RunKey;
use crate::search::Assignment;

/// A line of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written, in seconds since 1970 (UTC).
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Entry {
    /// An event at the present time.
    pub(super) fn now(event: Event) -> Self {
        Self { at: now(), event }
    }
}

/// The time in seconds since 1970 (UTC), to a millisecond.
pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| (since.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// What can happen in a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The study began.
    Created {
        /// Version of the program.
        version: String,
        /// SHA-256 of the definition, in hexadecimal.
        digest: String,
        /// What is searched, over what and how: a [`super::Definition`].
        definition: Value,
    },
    /// A process began or resumed work on the study.
    Opened {
        /// Version of the program.
        version: String,
        /// The budget from now on.
        budget: Budget,
        /// Trials at once from now on.
        parallelism: usize,
    },
    /// A sampler chose a trial's parameters.
    Proposed {
        /// The trial, counted from 0.
        trial: usize,
        /// Its parameters.
        parameters: Assignment,
        /// What the sampler saw.
        seen: Seen,
    },
    /// A trial was started or resumed.
    Started {
        /// The trial.
        trial: usize,
        /// How often, this time included.
        attempt: usize,
    },
    /// An epoch of one run of a trial ended.
    Epoch {
        /// The trial.
        trial: usize,
        /// The run.
        part: RunKey,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The objective's metric; none if it is not a finite number.
        value: Option<f64>,
    },
    /// A pruner decided about a trial.
    Decided {
        /// The trial.
        trial: usize,
        /// After this epoch.
        epoch: usize,
        /// Whether it stops.
        stop: bool,
        /// Its objective there, of its first run; none if it is not a number.
        value: Option<f64>,
        /// The worst value that continues; none if every value continues.
        cutoff: Option<f64>,
        /// How many other trials it was compared with.
        rivals: usize,
        /// Their numbers. Records of earlier versions do not have them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compared: Vec<usize>,
    },
    /// A run of a trial ended, where its objectives are not those of its epochs or are compared with those of other runs.
    Scored {
        /// The trial.
        trial: usize,
        /// The run.
        part: RunKey,
        /// Each objective of the run.
        #[serde(with = "number::list")]
        values: Vec<f64>,
    },
    /// A pruner compared the ended runs of a trial with those of the best one.
    Compared {
        /// The trial.
        trial: usize,
        /// How many of its runs had ended.
        runs: usize,
        /// Whether it stops.
        stop: bool,
        /// The mean of its objective over these runs.
        #[serde(with = "number")]
        value: f64,
        /// The best trial.
        best: usize,
        /// The probability of runs so much worse by chance.
        p: f64,
    },
    /// A trial ended with a value.
    Finished {
        /// The trial.
        trial: usize,
        /// The objective, the mean over its runs.
        #[serde(with = "number")]
        value: f64,
        /// The objective of each run, in the definition's order.
        #[serde(with = "number::list")]
        parts: Vec<f64>,
        /// The second objective, where there are two.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        second: Option<Score>,
    },
    /// A trial ended without a value.
    Failed {
        /// The trial.
        trial: usize,
        /// Why.
        error: String,
    },
    /// A trial that was interrupted from outside will be resumed; one that failed will be started again.
    Requeued {
        /// The trial.
        trial: usize,
        /// Why.
        reason: String,
    },
}

/// An objective of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// The mean over its runs.
    #[serde(with = "number")]
    pub value: f64,
    /// Of each run, in the definition's order.
    #[serde(with = "number::list")]
    pub parts: Vec<f64>,
}

/// The trials that a sampler saw, by number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Those that had ended: finished, pruned or failed.
    pub ended: Vec<usize>,
    /// Those that had been proposed and had not ended.
    pub running: Vec<usize>,
}
