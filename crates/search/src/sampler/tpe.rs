use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parzen::Parzen;
use super::{Observation, Outcome, SamplingMethod, Stream, TrialSeed, draw_new, random};
use crate::parameter::Parameter;
use crate::pareto::{self, Point};
use crate::space::{Assignment, Space};

/// Tree-structured Parzen estimator: of some candidates, drawn where the best tenth of all trials lie,
/// the one at which these are densest relative to all others. Parameters that always have values together
/// are modelled together; those behind a condition, given the trials that have them.
///
/// Trials that were stopped early count as worse than those that finished, and the worse the earlier;
/// those that failed, as bad ones. With two objectives the best tenth are those that no other beats in both, or only few;
/// of the last of them, those that together cover the widest range.
///
/// Reference: Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization, NeurIPS
/// 2011; details as in Optuna 5's `TPESampler(multivariate=True, group=True)` (Akiba et al., KDD 2019;
/// Watanabe, arXiv:2304.11127; Ozaki et al., Multiobjective Tree-Structured Parzen Estimator, JAIR 73, 2022).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tpe {
    /// Trials drawn at random before the first that learns from others.
    #[schemars(range(min = 1))]
    pub startup: usize,
    /// Number of candidates; the best one is tried.
    #[schemars(range(min = 1))]
    pub candidates: usize,
    /// Whether trials that still run count as bad ones, so that those at work together differ.
    pub constant_liar: bool,
}

impl Default for Tpe {
    fn default() -> Self {
        Self {
            startup: 10,
            candidates: 24,
            constant_liar: true,
        }
    }
}

impl SamplingMethod for Tpe {
    fn propose(
        &self,
        space: &Space,
        trial: TrialSeed,
        seen: &[Observation<'_>],
    ) -> Option<Assignment> {
        draw_new(space, trial, seen, |stream| self.draw(space, stream, seen))
    }
}

impl Tpe {
    fn draw(&self, space: &Space, stream: Stream, seen: &[Observation<'_>]) -> Assignment {
        let ended = seen
            .iter()
            .filter(|trial| rank(&trial.outcome).is_some())
            .count();
        if ended < self.startup {
            return random::draw(space, stream);
        }
        let (good, bad) = self.split(seen, ended);
        let mut assignment = Assignment::new();
        for group in space.groups() {
            if space.is_active(group[0].1, &assignment) {
                self.choose(&group, &good, &bad, stream, &mut assignment);
            }
        }
        assignment
    }

    /// The best trials and all others, each in the order of their numbers.
    fn split<'a>(
        &self,
        seen: &'a [Observation<'a>],
        ended: usize,
    ) -> (Vec<&'a Observation<'a>>, Vec<&'a Observation<'a>>) {
        let count = ended.div_ceil(10).min(25);
        let points = points(seen);
        let mut good: Vec<_> = match points.is_empty() {
            true => best_of(seen, count),
            false => {
                let losses: Vec<Point> = points.iter().map(|(point, _)| *point).collect();
                let best = pareto::best(&losses, count).into_iter();
                best.map(|index| points[index].1).collect()
            }
        };
        good.sort_by_key(|trial| trial.number);
        let counts = |trial: &&Observation<'_>| {
            (self.constant_liar || trial.outcome != Outcome::Running)
                && good.iter().all(|other| other.number != trial.number)
        };
        let bad = seen.iter().filter(counts).collect();
        (good, bad)
    }

    /// Adds a group's values to the assignment.
    fn choose(
        &self,
        group: &[(&str, &Parameter)],
        good: &[&Observation<'_>],
        bad: &[&Observation<'_>],
        stream: Stream,
        assignment: &mut Assignment,
    ) {
        let varying: Vec<_> = group
            .iter()
            .filter(|(_, parameter)| !parameter.domain.is_single())
            .collect();
        let domains: Vec<_> = varying
            .iter()
            .map(|(_, parameter)| &parameter.domain)
            .collect();
        let numbers = |trials: &[&Observation<'_>]| -> Vec<Vec<f64>> {
            let of = |trial: &&Observation<'_>| {
                let number = |(key, parameter): &&(&str, &Parameter)| {
                    parameter.domain.number(trial.assignment.get(*key)?)
                };
                varying.iter().map(number).collect()
            };
            trials.iter().filter_map(of).collect()
        };
        let (good, bad) = (
            Parzen::new(&domains, &numbers(good)),
            Parzen::new(&domains, &numbers(bad)),
        );
        let mut rng = stream.of("tpe", group[0].0);
        let candidates = (0..self.candidates).map(|_| {
            let candidate = good.draw(&mut rng);
            let score = good.log_density(&candidate) - bad.log_density(&candidate);
            (score, candidate)
        });
        // The first of the best, should several be as good.
        let best = candidates.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let mut numbers = best
            .map(|(_, candidate)| candidate)
            .unwrap_or_default()
            .into_iter();
        for (key, parameter) in group {
            let number = if parameter.domain.is_single() {
                Some(0.0)
            } else {
                numbers.next()
            };
            assignment.insert((*key).into(), parameter.domain.value(number.unwrap_or(0.0)));
        }
    }
}

/// The best trials by their loss.
fn best_of<'a>(seen: &'a [Observation<'a>], count: usize) -> Vec<&'a Observation<'a>> {
    let mut ranked: Vec<_> = seen
        .iter()
        .filter_map(|trial| Some((rank(&trial.outcome)?, trial)))
        .collect();
    ranked.sort_by(|((a, x), _), ((b, y), _)| a.cmp(b).then(x.total_cmp(y)));
    let best = ranked.into_iter().take(count);
    best.map(|(_, trial)| trial).collect()
}

/// The losses of the finished trials that have two.
fn points<'a>(seen: &'a [Observation<'a>]) -> Vec<(Point, &'a Observation<'a>)> {
    let point = |trial: &'a Observation<'a>| match trial.outcome {
        Outcome::Finished {
            loss,
            second: Some(second),
        } => Some(([loss, second], trial)),
        _ => None,
    };
    seen.iter().filter_map(point).collect()
}

/// How good a trial that ran is, least first: finished ones by their loss, then those stopped early,
/// the later the better, then by their loss. What is not a number comes last.
fn rank(outcome: &Outcome) -> Option<(usize, f64)> {
    match *outcome {
        Outcome::Finished { loss, .. } => Some((0, loss)),
        Outcome::Pruned { epoch, loss } => Some((
            usize::MAX - epoch,
            if loss.is_nan() { f64::INFINITY } else { loss },
        )),
        Outcome::Failed | Outcome::Running => None,
    }
}
