//! Densities from observations: a mixture of products, one kernel per observation and one for the prior. As in
//! Optuna 5's `_ParzenEstimator` with its defaults.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use statrs::function::erf::erfc;

use crate::parameter::Domain;

/// A density over several parameters, on the scales of their [`Domain::bounds`].
pub struct Parzen<'a> {
    /// Of each kernel; their sum is 1.
    weights: Vec<f64>,
    dimensions: Vec<Dimension<'a>>,
}

/// One parameter: what each kernel is along it.
enum Dimension<'a> {
    /// The probability of each choice.
    Choice(Vec<Vec<f64>>),
    /// Normal distributions, cut off at the domain's bounds.
    Normal {
        domain: &'a Domain,
        kernels: Vec<Kernel>,
    },
}

/// A normal distribution on the scale of the bounds.
#[derive(Clone, Copy)]
struct Kernel {
    mean: f64,
    deviation: f64,
}

impl<'a> Parzen<'a> {
    /// The density of these observations, the oldest first: of each, the numbers of all parameters.
    pub fn new(domains: &[&'a Domain], observations: &[Vec<f64>]) -> Self {
        let mut weights = recency(observations.len());
        weights.push(1.0); // the prior
        let sum: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let dimension = |(index, domain): (usize, &&'a Domain)| {
            let values: Vec<f64> = observations.iter().map(|numbers| numbers[index]).collect();
            match domain {
                Domain::Choice(choices) => {
                    Dimension::Choice(choice_kernels(&values, choices.len()))
                }
                _ => Dimension::Normal {
                    domain,
                    kernels: normal_kernels(&values, domain.bounds()),
                },
            }
        };
        Self {
            weights,
            dimensions: domains.iter().enumerate().map(dimension).collect(),
        }
    }

    /// A draw: of each parameter, its number.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let kernel = pick(&self.weights, rng);
        self.dimensions
            .iter()
            .map(|dimension| match dimension {
                Dimension::Choice(kernels) => pick(&kernels[kernel], rng) as f64,
                Dimension::Normal { domain, kernels } => kernels[kernel].draw(domain, rng),
            })
            .collect()
    }

    /// The logarithm of the density; of the probability, along choices and whole numbers.
    pub fn log_density(&self, numbers: &[f64]) -> f64 {
        let terms: Vec<f64> = self
            .weights
            .iter()
            .enumerate()
            .map(|(kernel, weight)| {
                let along =
                    self.dimensions.iter().zip(numbers).map(
                        |(dimension, &number)| match dimension {
                            Dimension::Choice(kernels) => kernels[kernel][number as usize].ln(),
                            Dimension::Normal { domain, kernels } => {
                                kernels[kernel].log_density(number, domain)
                            }
                        },
                    );
                weight.ln() + along.sum::<f64>()
            })
            .collect();
        let greatest = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        greatest
            + terms
                .iter()
                .map(|term| (term - greatest).exp())
                .sum::<f64>()
                .ln()
    }
}

/// Weights of `n` observations, the oldest first: all 1, but of more than 25 only the last 25, and before them
/// rising in a straight line.
fn recency(n: usize) -> Vec<f64> {
    let ramp = n.saturating_sub(25);
    let first = 1.0 / n.max(1) as f64;
    let rise = |index: usize| match ramp {
        1 => first,
        _ => first + (1.0 - first) * index as f64 / (ramp - 1) as f64,
    };
    (0..n)
        .map(|index| if index < ramp { rise(index) } else { 1.0 })
        .collect()
}

/// Of each observation and of the prior, the probability of each choice.
fn choice_kernels(values: &[f64], choices: usize) -> Vec<Vec<f64>> {
    let base = 1.0 / (values.len() + 1) as f64;
    let total = 1.0 + choices as f64 * base;
    let kernel = |value: &f64| {
        let probability = |choice| {
            if choice == *value as usize {
                (1.0 + base) / total
            } else {
                base / total
            }
        };
        (0..choices).map(probability).collect()
    };
    let prior = vec![1.0 / choices as f64; choices];
    values.iter().map(kernel).chain([prior]).collect()
}

/// Of each observation and of the prior, a normal distribution: as wide as the further of its two
/// neighbours is away, but neither wider than the range nor narrower than a part of it that shrinks
/// with the number of observations.
fn normal_kernels(values: &[f64], (low, high): (f64, f64)) -> Vec<Kernel> {
    let n = values.len();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let narrowest = (high - low) / (n as f64 + 2.0).min(100.0);
    let prior = Kernel {
        mean: 0.5 * (low + high),
        deviation: high - low,
    };
    let mut kernels = vec![prior; n + 1];
    for (place, &index) in order.iter().enumerate() {
        let mean = values[index];
        let before = place
            .checked_sub(1)
            .map(|place| mean - values[order[place]]);
        let after = order.get(place + 1).map(|&next| values[next] - mean);
        // The ends of the range are neighbours only of a lone observation.
        let width = match (before, after) {
            (None, None) => (mean - low).max(high - mean),
            (before, after) => before.unwrap_or(0.0).max(after.unwrap_or(0.0)),
        };
        kernels[index] = Kernel {
            mean,
            deviation: width.clamp(narrowest, high - low),
        };
    }
    kernels
}

impl Kernel {
    /// A draw within the bounds, rounded to a value of the domain. The mean lies within the bounds and the
    /// deviation is at most their distance, so that a third of all draws or more do, too.
    fn draw(&self, domain: &Domain, rng: &mut ChaCha8Rng) -> f64 {
        let (low, high) = domain.bounds();
        let number = match Normal::new(self.mean, self.deviation) {
            Ok(normal) => loop {
                let number = normal.sample(rng);
                if (low..=high).contains(&number) {
                    break number;
                }
            },
            Err(_) => self.mean,
        };
        domain.number(&domain.value(number)).unwrap_or(number)
    }

    fn log_density(&self, number: f64, domain: &Domain) -> f64 {
        let (low, high) = domain.bounds();
        let whole = self.mass(low, high).ln();
        match *domain {
            Domain::Int { step, log, .. } => {
                let half = 0.5 * step as f64;
                let edge = |offset: f64| {
                    if log {
                        (number.exp().round() + offset).ln()
                    } else {
                        number + offset
                    }
                };
                self.mass(edge(-half), edge(half)).ln() - whole
            }
            _ => {
                let z = (number - self.mean) / self.deviation;
                -0.5 * (z * z + std::f64::consts::TAU.ln()) - self.deviation.ln() - whole
            }
        }
    }

    /// The probability between two numbers.
    fn mass(&self, from: f64, to: f64) -> f64 {
        let scaled = |x: f64| (x - self.mean) / (self.deviation * std::f64::consts::SQRT_2);
        let (from, to) = (scaled(from), scaled(to));
        // Differences in the lower tail keep their digits.
        let (from, to) = if from > 0.0 { (-to, -from) } else { (from, to) };
        0.5 * (erfc(-to) - erfc(-from))
    }
}

/// An index drawn with these probabilities.
fn pick(probabilities: &[f64], rng: &mut ChaCha8Rng) -> usize {
    let mut rest = rng.random::<f64>();
    for (index, probability) in probabilities.iter().enumerate() {
        if rest < *probability {
            return index;
        }
        rest -= probability;
    }
    probabilities.len() - 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_yaml::Value;

    use super::*;
    use crate::Space;

    const SPACE: &str = "
        real: {uniform: [-2, 3]}
        log: {log_uniform: [1.0e-4, 1]}
        whole: {int: {low: 4, high: 64, step: 4}}
        log_whole: {int: {low: 1, high: 100, log: true}}
        choice: {choice: [p, q, r]}";

    #[derive(Deserialize)]
    struct Expected {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        observations: BTreeMap<String, Vec<f64>>,
        queries: BTreeMap<String, Vec<f64>>,
        log_densities: Vec<f64>,
    }

    /// Rows of numbers on the domains' scales; choices are indices already.
    fn rows(domains: &[(&str, &Domain)], table: &BTreeMap<String, Vec<f64>>) -> Vec<Vec<f64>> {
        let number = |(key, domain): &(&str, &Domain), row: usize| match domain {
            Domain::Choice(_) => table[*key][row],
            Domain::Int { .. } => domain
                .number(&Value::from(table[*key][row] as i64))
                .unwrap(),
            Domain::Real { .. } => domain.number(&Value::from(table[*key][row])).unwrap(),
        };
        let count = table.values().next().unwrap().len();
        let row = |row| domains.iter().map(|domain| number(domain, row)).collect();
        (0..count).map(row).collect()
    }

    #[test]
    fn densities_are_those_that_optuna_estimates() {
        let space: Space = serde_yaml::from_str(SPACE).unwrap();
        let text = include_str!("../../../../tests/fixtures/sweep/parzen.json");
        let expected: Expected = serde_json::from_str(text).unwrap();
        for case in expected.cases {
            let domains = space
                .parameters()
                .map(|(key, parameter)| (key, &parameter.domain));
            let domains: Vec<_> = domains
                .filter(|(key, _)| case.queries.contains_key(*key))
                .collect();
            let observations = rows(&domains, &case.observations);
            let only: Vec<&Domain> = domains.iter().map(|(_, domain)| *domain).collect();
            let parzen = Parzen::new(&only, &observations);
            for (query, density) in rows(&domains, &case.queries).iter().zip(case.log_densities) {
                let ours = parzen.log_density(query);
                let comparison = || {
                    format!(
                        "{domains:?} of {}: {ours} for {density}",
                        observations.len()
                    )
                };
                assert!(
                    (ours - density).abs() < 1e-9 * density.abs().max(1.0),
                    "{}",
                    comparison()
                );
            }
        }
    }
}
