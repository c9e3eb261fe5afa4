//! Which trials are stopped early. A pruner decides at certain epochs, once at each, from the values
//! that the trial and the others had there. Of a trial of several runs it looks at the first alone, so that
//! what it decides does not depend on which of them runs faster.

mod asha;
mod median;
mod none;

use super::objective::Goal;

pub use asha::Asha;
pub use median::Median;
pub use none::NoPruner;

crate::family! {
    /// Which trials are stopped early. A trial of several runs is judged by its first (the first seed, the
    /// first fold), compared with the first runs of the others.
    pub enum Pruner {
        /// Every trial runs to its end.
        "none" => None(NoPruner),
        /// Stops trials that are worse than half of those that finished were at the same epoch.
        "median" => Median(Median),
        /// Stops all but the best few of those that have come as far.
        "asha" => Asha(Asha),
    }
}

impl Default for Pruner {
    fn default() -> Self {
        Self::None(NoPruner::default())
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
    /// The worst value that goes on; none where any does.
    pub cutoff: Option<f64>,
}

impl Pruner {
    /// The first epoch, up to the one reached, that is still to be decided. `decided` is the last one
    /// that was.
    pub fn due(&self, reached: usize, decided: Option<usize>) -> Option<usize> {
        let epoch = match self {
            Self::None(_) => None,
            Self::Median(median) => Some(median.after(decided)),
            Self::Asha(asha) => asha.after(decided),
        };
        epoch.filter(|epoch| *epoch <= reached)
    }

    /// Whether a trial with this objective stops, given the others that have come as far.
    pub fn judge(&self, value: f64, rivals: &[Rival], goal: Goal) -> Verdict {
        let cutoff = match self {
            Self::None(_) => None,
            Self::Median(median) => median.cutoff(rivals, goal),
            Self::Asha(asha) => asha.cutoff(value, rivals, goal),
        };
        let stop = !matches!(self, Self::None(_)) && value.is_nan()
            || cutoff.is_some_and(|cutoff| goal.is_better(cutoff, value));
        Verdict { stop, cutoff }
    }

    /// Checks the epochs at which decisions are made against the length of a run.
    ///
    /// # Errors
    ///
    /// When a decision would come too late to save anything.
    pub fn check_epochs(&self, epochs: usize) -> Result<(), String> {
        let last = match self {
            Self::None(_) => return Ok(()),
            Self::Median(median) => median.after(None),
            Self::Asha(asha) => asha.rungs.last().copied().unwrap_or(0),
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
