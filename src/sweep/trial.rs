//! A trial so far.

use std::fmt;

use super::event::{Score, Seen};
use super::run_key::trial_folder;
use crate::search::Assignment;
use crate::search::objective::Curve;

/// A trial so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Counted from 0.
    pub number: usize,
    /// Its parameters.
    pub assignment: Assignment,
    /// What the sampler saw when it chose them.
    pub seen: Seen,
    /// How often it was started or resumed.
    pub attempts: usize,
    /// The [watched](super::Objectives::watched) metric by epoch, of each run in the definition's order.
    pub curves: Vec<Curve>,
    /// The objectives of each run that has ended, where they are recorded.
    pub scores: Vec<Option<Vec<f64>>>,
    /// The last epoch at which a pruner decided about it.
    pub decided: Option<usize>,
    /// How many runs had ended when a pruner last compared them.
    pub compared: usize,
    /// Its state.
    pub status: Status,
}

/// The state of a trial.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// It has not ended: it runs, waits, or was interrupted.
    Unfinished,
    /// A pruner stopped it.
    Pruned {
        /// How far it had come.
        after: Stage,
        /// Its objective then; NaN if there was none.
        value: f64,
    },
    /// It ran to its end.
    Finished {
        /// The objective: the mean over its runs.
        value: f64,
        /// The objective of each run.
        parts: Vec<f64>,
        /// The second objective, where there are two.
        second: Option<Score>,
    },
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
}

/// How far a trial had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// To this epoch.
    Epoch(usize),
    /// To the end of this many of its runs.
    Runs(usize),
}

impl Stage {
    /// Its epoch or the number of its runs.
    pub fn number(self) -> usize {
        match self {
            Self::Epoch(number) | Self::Runs(number) => number,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Epoch(epoch) => write!(f, "epoch {epoch}"),
            Self::Runs(1) => f.write_str("1 run"),
            Self::Runs(runs) => write!(f, "{runs} runs"),
        }
    }
}

impl Status {
    /// The value of an objective, counted from 0, if it ran to its end.
    pub fn value(&self, objective: usize) -> Option<f64> {
        match (self, objective) {
            (Self::Finished { value, .. }, 0) => Some(*value),
            (Self::Finished { second, .. }, 1) => second.as_ref().map(|of| of.value),
            _ => None,
        }
    }

    /// An objective of each run, if it ran to its end; else nothing.
    pub fn parts(&self, objective: usize) -> &[f64] {
        match (self, objective) {
            (Self::Finished { parts, .. }, 0) => parts,
            (Self::Finished { second, .. }, 1) => second.as_ref().map_or(&[], |of| &of.parts),
            _ => &[],
        }
    }

    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Pruned { .. } => "pruned",
            Self::Finished { .. } => "finished",
            Self::Failed { .. } => "failed",
        }
    }
}

impl Trial {
    /// The epoch that all begun runs have reached.
    pub fn reached(&self) -> usize {
        let reached = self.curves.iter().map(Curve::reached);
        reached.filter(|epoch| *epoch > 0).min().unwrap_or(0)
    }

    /// How many of its runs have ended, as far as that is recorded.
    pub fn ended(&self) -> usize {
        self.scores.iter().flatten().count()
    }

    /// The name of the trial's folder.
    pub fn folder(&self) -> String {
        trial_folder(self.number)
    }
}
