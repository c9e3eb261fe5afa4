//! What can happen in a study: a line of its record each.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use super::budget::Budget;
use crate::search::space::Assignment;

/// A line of the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written, in seconds since 1970 (UTC).
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
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
    /// A process took the study up.
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
    /// A trial was handed to a worker.
    Started {
        /// The trial.
        trial: usize,
        /// How often it has been, this time included.
        attempt: usize,
    },
    /// An epoch of one part of a trial ended.
    Epoch {
        /// The trial.
        trial: usize,
        /// The part.
        part: Part,
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
        /// Its objective there, on its first part; none if it is no number.
        value: Option<f64>,
        /// The worst value that goes on; none where any does.
        cutoff: Option<f64>,
        /// How many other trials it was compared with.
        rivals: usize,
        /// Which they were, by number. Records of earlier versions do not say.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compared: Vec<usize>,
    },
    /// A trial ended with a value.
    Finished {
        /// The trial.
        trial: usize,
        /// The objective, the mean over its parts.
        value: f64,
        /// The objective of each part, in the definition's order.
        parts: Vec<f64>,
    },
    /// A trial ended without a value.
    Failed {
        /// The trial.
        trial: usize,
        /// Why.
        error: String,
    },
    /// A trial will go on that was interrupted from outside, or begin anew if it had failed.
    Requeued {
        /// The trial.
        trial: usize,
        /// Why.
        reason: String,
    },
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

/// One of the runs that make up a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The run's seed.
    pub seed: u64,
    /// The run's fold, counted from 0; none where the split has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed-{}", self.seed)?;
        match self.fold {
            Some(fold) => write!(f, "/fold-{fold}"),
            None => Ok(()),
        }
    }
}
