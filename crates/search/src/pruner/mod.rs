//! Which trials are stopped early. Most pruners decide at certain epochs, once at each, from the values that the
//! trial and the others had there. If a trial has several runs, they look only at the first, so that their
//! decision does not depend on which of them is faster. Others compare all runs that have ended.

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

    /// How many runs a trial must have for a decision by its ended runs to save something; none if it never decides by
    /// them.
    fn runs_needed(&self) -> Option<usize> {
        None
    }

    /// Whether a trial stops that has ended some of its runs, compared with the best finished trial: the objective of each
    /// run in the same order, and none where the trial's has not ended. None if it does not decide yet.
    fn compare(&self, own: &[Option<f64>], best: &[f64], goal: Goal) -> Option<RunVerdict> {
        let _ = (own, best, goal);
        None
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// Which trials are stopped early. By epochs, a trial of several runs is judged by its first (the first seed, the
    /// first fold), compared with the first runs of the others.
    pub enum Pruner: PruningRule, listed as "pruners" {
        /// Every trial runs to its end.
        "none" => none::NoPruner,
        /// Stops trials that are worse than half of those that finished were at the same epoch.
        "median" => median::Median,
        /// Stops all but the best few of those that have come as far.
        "asha" => asha::Asha,
        /// Stops trials whose ended folds and seeds are worse than those of the best one.
        "wilcoxon" => wilcoxon::Wilcoxon,
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

/// What a pruner decided from the runs that have ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunVerdict {
    /// Whether the trial stops.
    pub stop: bool,
    /// The probability of runs so much worse by chance.
    pub p: f64,
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

    /// Whether it decides at epochs.
    pub fn decides_by_epoch(&self) -> bool {
        with_member!(self, rule => rule.due(None).is_some())
    }

    /// Whether it decides when runs have ended.
    pub fn decides_by_run(&self) -> bool {
        with_member!(self, rule => rule.runs_needed().is_some())
    }

    /// Whether a trial stops that has ended some of its runs, compared with the best finished trial: the objective of each
    /// run in the same order, and none where the trial's has not ended. None if it does not decide yet.
    pub fn compare(&self, own: &[Option<f64>], best: &[f64], goal: Goal) -> Option<RunVerdict> {
        with_member!(self, rule => rule.compare(own, best, goal))
    }

    /// Checks that trials of this many runs can be stopped before their last.
    ///
    /// # Errors
    ///
    /// When they cannot.
    pub fn check_runs(&self, runs: usize) -> Result<(), String> {
        match with_member!(self, rule => rule.runs_needed()) {
            Some(usize::MAX) => Err(format!(
                "{} never stops a trial: raise p_threshold",
                self.name()
            )),
            Some(needed) if runs < needed => Err(format!(
                "{} compares ended runs, and with these settings can stop a trial that has at least {needed} runs: \
                 this one has {runs}. Add folds or seeds, such as `folds: all` or `seeds: [1, 2, 3]`, or raise p_threshold",
                self.name()
            )),
            _ => Ok(()),
        }
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
