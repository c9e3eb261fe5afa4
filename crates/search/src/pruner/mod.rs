//! Which trials are stopped early. A pruner decides at certain epochs, once at each, from the values that the
//! trial and the others had there. If a trial has several runs, it looks only at the first, so that its
//! decision does not depend on which of them is faster.

use super::objective::Goal;
use crate::settings::Fault;

/// What every pruner does: the contract of a member of [`Pruner`].
pub trait PruningRule {
    /// The first epoch that is still to be decided; `decided` is the last one that was.
    fn due(&self, decided: Option<usize>) -> Option<usize>;

    /// The epoch that a run must go beyond for all its decisions to save something; none where nothing is
    /// ever decided.
    fn last_needed(&self) -> Option<usize>;

    /// The worst value that continues, given the others that have come as far; none if every value continues.
    fn cutoff(&self, value: f64, rivals: &[Rival], goal: Goal) -> Option<f64>;

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// Which trials are stopped early. A trial of several runs is judged by its first (the first seed, the
    /// first fold), compared with the first runs of the others.
    pub enum Pruner: PruningRule, listed as "pruners" {
        /// Every trial runs to its end.
        "none" => none::NoPruner,
        /// Stops trials that are worse than half of those that finished were at the same epoch.
        "median" => median::Median,
        /// Stops all but the best few of those that have come as far.
        "asha" => asha::Asha,
    }
}

impl Default for Pruner {
    fn default() -> Self {
        Self::NoPruner(NoPruner::default())
    }
}

/// Another trial at the epoch of a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival {
    /// Its objective at that epoch.
    pub value: f64,
    /// Whether it ran to its end.
    pub finished: bool,
}

/// What a pruner decided, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    /// Whether the trial stops.
    pub stop: bool,
    /// The worst value that continues; none if every value continues.
    pub cutoff: Option<f64>,
}

impl Pruner {
    /// The first epoch, up to the one reached, that is still to be decided. `decided` is the last one
    /// that was.
    pub fn due(&self, reached: usize, decided: Option<usize>) -> Option<usize> {
        let epoch = with_member!(self, rule => rule.due(decided));
        epoch.filter(|epoch| *epoch <= reached)
    }

    /// Whether a trial with this objective stops, given the others that have come as far.
    pub fn judge(&self, value: f64, rivals: &[Rival], goal: Goal) -> Verdict {
        let cutoff = with_member!(self, rule => rule.cutoff(value, rivals, goal));
        let decides = with_member!(self, rule => rule.last_needed().is_some());
        let stop =
            decides && value.is_nan() || cutoff.is_some_and(|cutoff| goal.is_better(cutoff, value));
        Verdict { stop, cutoff }
    }

    /// Checks the epochs at which decisions are made against the length of a run.
    ///
    /// # Errors
    ///
    /// When a decision would come too late to save anything.
    pub fn check_epochs(&self, epochs: usize) -> Result<(), String> {
        let Some(last) = with_member!(self, rule => rule.last_needed()) else {
            return Ok(());
        };
        match last < epochs {
            true => Ok(()),
            false => Err(format!(
                "{} decides after epoch {last}, and a run has only {epochs}: decide earlier or raise train.epochs",
                self.name()
            )),
        }
    }
}
