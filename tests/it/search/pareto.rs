//! Two objectives: fronts, hypervolumes, and what TPE finds.

use std::collections::BTreeMap;

use calvaria::search::pareto::{Point, best, fronts, hypervolume};
use calvaria::search::sampler::{Observation, Outcome, Random, Sampler, Tpe};
use calvaria::search::{Assignment, Space};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::samplers::{median, p_larger};

fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sweep/");
    let text = std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[derive(Deserialize)]
struct Expected {
    sets: BTreeMap<String, Set>,
}

#[derive(Deserialize)]
struct Set {
    points: Vec<[serde_json::Value; 2]>,
    fronts: Vec<usize>,
    best: BTreeMap<usize, Vec<usize>>,
    reference: Option<Point>,
    hypervolume: Option<f64>,
}

#[test]
fn fronts_hypervolumes_and_the_best_trials_are_optunas_and_pymoos() {
    let Expected { sets } = fixture("pareto.json");
    assert!(sets.len() >= 10);
    for (name, set) in sets {
        let number = |value: &serde_json::Value| value.as_f64().unwrap_or(f64::INFINITY);
        let points: Vec<Point> = (set.points.iter())
            .map(|point| [number(&point[0]), number(&point[1])])
            .collect();
        assert_eq!(fronts(&points), set.fronts, "{name}");
        for (count, expected) in set.best {
            let mut chosen = best(&points, count);
            chosen.sort_unstable();
            assert_eq!(chosen, expected, "the best {count} of {name}");
        }
        if let Some((reference, expected)) = set.reference.zip(set.hypervolume) {
            let ours = hypervolume(&points, reference);
            assert!((ours / expected - 1.0).abs() < 1e-12, "{name}: {ours}");
        }
    }
}

proptest! {
    #[test]
    fn no_point_of_the_front_is_beaten_and_all_others_are(
        points in prop::collection::vec([0u8..6, 0u8..6], 1..30),
    ) {
        let points: Vec<Point> = points.iter().map(|point| point.map(f64::from)).collect();
        let fronts = fronts(&points);
        for (point, front) in points.iter().zip(&fronts) {
            let beats = |other: &Point| other[0] <= point[0] && other[1] <= point[1] && other != point;
            prop_assert_eq!(points.iter().any(beats), *front > 0);
        }
    }
}

/// ZDT1 of five variables.
fn zdt1(assignment: &Assignment) -> Point {
    let x = |index: usize| assignment[format!("x{index}").as_str()].as_f64().unwrap();
    let g = 1.0 + 9.0 * (1..5).map(x).sum::<f64>() / 4.0;
    [x(0), g * (1.0 - (x(0) / g).sqrt())]
}

/// The hypervolumes that a sampler reaches, by seed.
fn hypervolumes(sampler: &Sampler, trials: usize, reference: Point) -> Vec<f64> {
    let ranges = (0..5).map(|index| format!("x{index}: {{uniform: [0, 1]}}"));
    let yaml = ranges.collect::<Vec<_>>().join("\n");
    let space: Space = serde_yaml::from_str(&yaml).unwrap();
    let of_seed = |seed| {
        let mut done: Vec<(Assignment, Point)> = Vec::new();
        for number in 0..trials {
            let seen: Vec<Observation<'_>> = (done.iter().enumerate())
                .map(|(number, (assignment, [loss, second]))| Observation {
                    number,
                    assignment,
                    outcome: Outcome::Finished {
                        loss: *loss,
                        second: Some(*second),
                    },
                })
                .collect();
            let next = sampler.propose(&space, seed, number, &seen).unwrap();
            let point = zdt1(&next);
            done.push((next, point));
        }
        let points: Vec<Point> = done.iter().map(|(_, point)| *point).collect();
        hypervolume(&points, reference)
    };
    (0..30).map(of_seed).collect()
}

#[derive(Deserialize)]
struct Hypervolumes {
    trials: usize,
    reference: Point,
    hypervolumes: BTreeMap<String, Vec<f64>>,
}

/// After 60 trials, over 30 seeds: clearly more than random search, and no clearly less than Optuna's TPE.
#[test]
fn tpe_of_two_objectives_dominates_more_than_random_search_and_as_much_as_optunas() {
    let expected: Hypervolumes = fixture("hypervolumes.json");
    let of = |sampler| hypervolumes(&sampler, expected.trials, expected.reference);
    let (tpe, random) = (
        of(Sampler::Tpe(Tpe::default())),
        of(Sampler::Random(Random::default())),
    );
    let optunas = &expected.hypervolumes;
    let message = format!(
        "tpe {:.3}, random {:.3}; Optuna's tpe {:.3}, in groups {:.3}, random {:.3}; p {:.3} {:.3}",
        median(&tpe),
        median(&random),
        median(&optunas["tpe"]),
        median(&optunas["tpe_group"]),
        median(&optunas["random"]),
        p_larger(&tpe, &random),
        p_larger(&optunas["tpe_group"], &tpe),
    );
    println!("{message}");
    assert!(p_larger(&tpe, &random) < 0.01, "{message}");
    assert!(p_larger(&optunas["tpe_group"], &tpe) > 0.05, "{message}");
    // Random search is the same everywhere: the functions are, too.
    assert!(p_larger(&random, &optunas["random"]) > 0.05, "{message}");
    assert!(p_larger(&optunas["random"], &random) > 0.05, "{message}");
}
