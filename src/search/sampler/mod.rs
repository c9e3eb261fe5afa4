//! What to try next. A proposal depends on the sweep's seed, the trial's number and the results that it
//! sees, and on nothing else.

mod grid;
mod parzen;
mod random;
mod tpe;

use std::collections::HashSet;

use super::parameter::to_inline_yaml;
use super::space::{Assignment, Space};

pub use grid::Grid;
pub use random::Random;
pub use tpe::Tpe;

crate::family! {
    /// How the next trial's parameters are chosen.
    pub enum Sampler {
        /// Every combination, in order.
        "grid" => Grid(Grid),
        /// Evenly at random.
        "random" => Random(Random),
        /// At random, more and more often where results were good.
        "tpe" => Tpe(Tpe),
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
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a trial. Losses are the objective as something to minimise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It ran to its end.
    Finished {
        /// The objective.
        loss: f64,
    },
    /// It was stopped early.
    Pruned {
        /// After this epoch.
        epoch: usize,
        /// The objective then, which may be no number.
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
        if let Self::Grid(_) = self {
            return space.grid_point(number as u128);
        }
        let tried: HashSet<String> = seen.iter().map(|trial| key(trial.assignment)).collect();
        let is_new = |assignment: &Assignment| !tried.contains(&key(assignment));
        let drawn = (0..REDRAWS).map(|redraw| {
            let stream = Stream {
                seed,
                number,
                redraw,
            };
            match self {
                Self::Tpe(tpe) => tpe.propose(space, stream, seen),
                Self::Grid(_) | Self::Random(_) => random::propose(space, stream),
            }
        });
        // In a space of a few assignments the last ones are hard to draw.
        let left = || {
            (0..=tried.len() as u128)
                .map_while(|point| space.grid_point(point))
                .find(is_new)
        };
        drawn
            .into_iter()
            .find(is_new)
            .or_else(|| space.grid_size().and_then(|_| left()))
    }
}

fn key(assignment: &Assignment) -> String {
    to_inline_yaml(&assignment.clone().into())
}

/// What names the random stream of a proposal.
#[derive(Clone, Copy)]
struct Stream {
    seed: u64,
    number: usize,
    redraw: u64,
}

impl Stream {
    fn of(self, purpose: &str, key: &str) -> rand_chacha::ChaCha8Rng {
        crate::random::stream(
            self.seed,
            &["sweep", purpose, key],
            &[self.number as u64, self.redraw],
        )
    }
}
