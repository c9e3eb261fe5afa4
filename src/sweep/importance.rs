//! How much each parameter matters.

use thiserror::Error;

use super::history::{History, Status};
use crate::random;
use crate::search::forest::{Feature, Tree};
use crate::search::parameter::Domain;

/// Trees of the forest.
const TREES: u64 = 64;

/// Finished trials below which nothing is said.
const FEWEST: usize = 8;

/// How much the parameters of a space matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Importances {
    /// Each parameter, the most important first.
    pub parameters: Vec<Importance>,
    /// The part of the variance that no parameter explains alone.
    pub interactions: f64,
    /// Finished trials on which this rests.
    pub trials: usize,
}

impl Importances {
    /// What the shares mean, and what not.
    pub fn caveat(&self) -> String {
        format!(
            "How much of the objective's variance over the whole space each parameter explains alone, as a \
             random forest sees it after {} finished trials: of few trials it knows little, and it tells \
             what goes together, not what causes what.",
            self.trials
        )
    }
}

/// Why nothing can be said of how much parameters matter.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TooLittle {
    /// So few trials finished.
    #[error("{FEWEST} finished trials are needed, and there are {0}")]
    Trials(usize),
    /// Nothing varied, or nothing came of it.
    #[error("all trials came to the same")]
    Same,
}

/// How much one parameter matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The parameter.
    pub key: String,
    /// The part of the objective's variance over the space that it explains alone, from 0 to 1.
    pub share: f64,
    /// The standard deviation of that over the forest's trees.
    pub sd: f64,
}

/// Functional analysis of variance: a random forest is fitted to the finished trials, and the variance of what
/// it predicts over the whole space is parted into what each parameter explains alone and what only several do
/// together.
///
/// It describes the forest, not the truth: with few trials it says little, and where a sampler hardly looked
/// it has hardly learnt. It weighs all of the space alike, so that a parameter which decides between bad and worse
/// may come before one that decides between good and best. Pruned and failed trials are left out. A parameter
/// behind a condition counts, in trials that do not have it, as if in the middle of its range, so
/// that its share also measures how much of the space has it.
///
/// Reference: Hutter, Hoos and Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML
/// 2014; the forest as in Optuna's `FanovaImportanceEvaluator`.
///
/// # Errors
///
/// For fewer than eight finished trials, or when all came to the same.
pub fn importances(history: &History) -> Result<Importances, TooLittle> {
    let sweep = &history.definition.sweep;
    let parameters: Vec<_> = sweep
        .space
        .parameters()
        .filter(|(_, parameter)| !parameter.domain.is_single())
        .collect();
    let features: Vec<Feature> = parameters
        .iter()
        .map(|(_, parameter)| feature(&parameter.domain))
        .collect();
    let (mut points, mut values) = (Vec::new(), Vec::new());
    for trial in &history.trials {
        if let Status::Finished { value, .. } = trial.status {
            let number = |(key, parameter): &(&str, &crate::search::parameter::Parameter)| {
                let number = trial
                    .assignment
                    .get(key)
                    .and_then(|value| parameter.domain.number(value));
                scaled(&parameter.domain, number)
            };
            points.push(parameters.iter().map(number).collect::<Vec<f64>>());
            values.push(value);
        }
    }
    if points.len() < FEWEST {
        return Err(TooLittle::Trials(points.len()));
    }
    let tree = |index| {
        let mut rng = random::stream(sweep.seed, &["sweep", "importance"], &[index]);
        Tree::grow(&features, &points, &values, &mut rng)
    };
    let trees: Vec<(Tree, f64)> = (0..TREES)
        .map(tree)
        .map(|tree| {
            let whole = tree.variance();
            (tree, whole)
        })
        .filter(|(_, whole)| *whole > 0.0)
        .collect();
    if trees.is_empty() {
        return Err(TooLittle::Same);
    }
    let importance = |(index, (key, _)): (usize, &(&str, _))| {
        let shares: Vec<f64> = trees
            .iter()
            .map(|(tree, whole)| tree.variance_along(index) / whole)
            .collect();
        let share = crate::search::objective::mean(&shares);
        let sd = (shares.iter().map(|one| (one - share).powi(2)).sum::<f64>()
            / shares.len() as f64)
            .sqrt();
        Importance {
            key: (*key).to_owned(),
            share,
            sd,
        }
    };
    let mut found: Vec<Importance> = parameters.iter().enumerate().map(importance).collect();
    found.sort_by(|a, b| b.share.total_cmp(&a.share));
    let alone: f64 = found.iter().map(|one| one.share).sum();
    Ok(Importances {
        parameters: found,
        interactions: (1.0 - alone).max(0.0),
        trials: points.len(),
    })
}

fn feature(domain: &Domain) -> Feature {
    match domain {
        Domain::Choice(values) => Feature::Index(values.len()),
        _ => Feature::Number,
    }
}

/// A parameter's number from 0 to 1, or the index of its choice.
fn scaled(domain: &Domain, number: Option<f64>) -> f64 {
    let (low, high) = domain.bounds();
    match domain {
        Domain::Choice(_) => number.unwrap_or(0.0),
        _ => number.map_or(0.5, |number| (number - low) / (high - low)),
    }
}
