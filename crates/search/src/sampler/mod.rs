//! What to try next. A proposal depends on the sweep's seed, the trial's number and the results that it
//! sees, and on nothing else.

mod parzen;

use std::collections::HashSet;

use super::space::{Assignment, Space};
use crate::settings::{Fault, to_inline_yaml};

/// What every sampler does: the contract of a member of [`Sampler`].
pub trait SamplingMethod {
    /// The parameters of a trial, given the trials before it in order; see [`Sampler::propose`].
    fn propose(
        &self,
        space: &Space,
        trial: TrialSeed,
        seen: &[Observation<'_>],
    ) -> Option<Assignment>;

    /// Whether it tries every combination, and then ends; ranges then need a number of points.
    fn is_exhaustive(&self) -> bool {
        false
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// How the next trial's parameters are chosen.
    pub enum Sampler: SamplingMethod, listed as "samplers" {
        /// Every combination, in order.
        "grid" => grid::Grid,
        /// Evenly at random.
        "random" => random::Random,
        /// At random, more and more often where results were good.
        "tpe" => tpe::Tpe,
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::Tpe(Tpe::default())
    }
}

/// What a sampler sees of a trial.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The trial.
    pub number: usize,
    /// Its parameters.
    pub assignment: &'a Assignment,
    /// Its outcome.
    pub outcome: Outcome,
}

/// The outcome of a trial. Losses are the objective as something to minimise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It ran to its end.
    Finished {
        /// The objective.
        loss: f64,
        /// The second objective, where there are two.
        second: Option<f64>,
    },
    /// It was stopped early.
    Pruned {
        /// After this epoch, or after this many of its runs.
        epoch: usize,
        /// The objective then, which may be NaN.
        loss: f64,
    },
    /// It failed.
    Failed,
    /// It has not ended.
    Running,
}

/// How often a proposal is drawn again because it repeats an earlier trial.
const REDRAWS: u64 = 100;

impl Sampler {
    /// The parameters of trial `number`, given the trials before it in order. None when everything in
    /// the space has been tried. No trial repeats another: a run of the same parameters and seeds would
    /// give the same result.
    pub fn propose(
        &self,
        space: &Space,
        seed: u64,
        number: usize,
        seen: &[Observation<'_>],
    ) -> Option<Assignment> {
        let trial = TrialSeed { seed, number };
        with_member!(self, method => method.propose(space, trial, seen))
    }

    /// Whether it tries every combination, and then ends; ranges then need a number of points.
    pub fn is_exhaustive(&self) -> bool {
        with_member!(self, method => method.is_exhaustive())
    }
}

/// What `draw` draws, again and again until it repeats no earlier trial; none when everything in the
/// space has been tried.
fn draw_new(
    space: &Space,
    trial: TrialSeed,
    seen: &[Observation<'_>],
    draw: impl Fn(Stream) -> Assignment,
) -> Option<Assignment> {
    let tried: HashSet<String> = seen.iter().map(|trial| key(trial.assignment)).collect();
    let is_new = |assignment: &Assignment| !tried.contains(&key(assignment));
    let mut drawn = (0..REDRAWS).map(|redraw| draw(Stream { trial, redraw }));
    // In a space of a few assignments the last ones are hard to draw.
    let left = || {
        (0..=tried.len() as u128)
            .map_while(|point| space.grid_point(point))
            .find(is_new)
    };
    drawn
        .find(is_new)
        .or_else(|| space.grid_size().and_then(|_| left()))
}

fn key(assignment: &Assignment) -> String {
    to_inline_yaml(&assignment.clone().into())
}

/// What names the random streams of a trial.
#[derive(Clone, Copy, Debug)]
pub struct TrialSeed {
    /// The sweep's seed.
    pub seed: u64,
    /// The trial.
    pub number: usize,
}

/// What names the random stream of a proposal.
#[derive(Clone, Copy)]
struct Stream {
    trial: TrialSeed,
    redraw: u64,
}

impl Stream {
    fn of(self, purpose: &str, key: &str) -> rand_chacha::ChaCha8Rng {
        crate::random::stream(
            self.trial.seed,
            &["sweep", purpose, key],
            &[self.trial.number as u64, self.redraw],
        )
    }
}
