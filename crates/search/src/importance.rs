//! How much each parameter matters.

use thiserror::Error;

use super::forest::{Feature, Tree};
use super::parameter::{Domain, Parameter};
use super::space::{Assignment, Space};
use crate::random;
use crate::statistics::mean_and_population_sd;

/// Trees of the forest.
const TREES: u64 = 64;

/// The fewest finished trials that importance is computed from.
const FEWEST: usize = 8;

/// How much the parameters of a space matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Importances {
    /// Each parameter, the most important first.
    pub parameters: Vec<Importance>,
    /// The part of the variance that no parameter explains alone.
    pub interactions: f64,
    /// The number of finished trials.
    pub trials: usize,
}

impl Importances {
    /// What the shares mean, and what they do not mean.
    pub fn caveat(&self) -> String {
        format!(
            "The share of the objective's variance over the whole space that each parameter explains alone, by a \
             random forest fitted to {} finished trials. It is unreliable after few trials, and shows \
             association, not cause.",
            self.trials
        )
    }
}

/// Why importance cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TooLittle {
    /// Only this many trials finished.
    #[error("{FEWEST} finished trials are needed, and there are {0}")]
    Trials(usize),
    /// The value does not vary.
    #[error("all trials have the same value")]
    Same,
}

/// How much one parameter matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The parameter.
    pub key: String,
    /// The part of the objective's variance over the space that it explains alone, from 0 to 1.
    pub share: f64,
    /// Its standard deviation over the forest's trees.
    pub sd: f64,
}

/// Functional analysis of variance: a random forest is fitted to the finished trials, each with its parameters
/// and value. The variance of its predictions over the whole space is divided into the shares that each
/// parameter explains alone and the rest, which only several explain together.
///
/// It describes the forest, not the truth: it is unreliable after few trials, and where a sampler tried few
/// points. All of the space has equal weight, so a parameter that separates bad from worse may rank above one
/// that separates good from best. In trials that do not have a conditional parameter, it counts as if in the
/// middle of its range, so its share also measures how much of the space has it.
///
/// Reference: Hutter, Hoos and Leyton-Brown, An Efficient Approach for Assessing Hyperparameter Importance, ICML
/// 2014; the forest as in Optuna's `FanovaImportanceEvaluator`.
///
/// # Errors
///
/// For fewer than eight trials, or when all have the same value.
pub fn importances(
    space: &Space,
    seed: u64,
    trials: &[(&Assignment, f64)],
) -> Result<Importances, TooLittle> {
    if trials.len() < FEWEST {
        return Err(TooLittle::Trials(trials.len()));
    }
    let parameters: Vec<(&str, &Parameter)> = space
        .parameters()
        .filter(|(_, parameter)| !parameter.domain.is_single())
        .collect();
    let features: Vec<Feature> = parameters
        .iter()
        .map(|(_, parameter)| feature(&parameter.domain))
        .collect();
    let point = |(assignment, _): &(&Assignment, f64)| {
        let number = |(key, parameter): &(&str, &Parameter)| {
            let number = assignment
                .get(key)
                .and_then(|value| parameter.domain.number(value));
            scaled(&parameter.domain, number)
        };
        parameters.iter().map(number).collect()
    };
    let points: Vec<Vec<f64>> = trials.iter().map(point).collect();
    let values: Vec<f64> = trials.iter().map(|(_, value)| *value).collect();
    let tree = |index| {
        let mut rng = random::stream(seed, &["sweep", "importance"], &[index]);
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
        let (share, sd) = mean_and_population_sd(&shares);
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
        trials: trials.len(),
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
