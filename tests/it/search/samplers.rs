//! Samplers: determinism, and the tree-structured Parzen estimator against random search and Optuna's.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use calvaria::search::sampler::{Grid, Observation, Outcome, Random, Sampler, Tpe};
use calvaria::search::{Assignment, Space};
use serde::Deserialize;
use statrs::distribution::{ContinuousCDF, Normal};

/// As `make_regrets.py` has them.
const BRANIN: &str = "{x: {uniform: [-5, 10]}, y: {uniform: [0, 15]}}";
const HARTMANN6: &str = "{x0: {uniform: [0, 1]}, x1: {uniform: [0, 1]}, x2: {uniform: [0, 1]},
    x3: {uniform: [0, 1]}, x4: {uniform: [0, 1]}, x5: {uniform: [0, 1]}}";
const CONDITIONAL: &str = "
    rate: {log_uniform: [1.0e-5, 1]}
    branch: {choice: [a, b, c]}
    x: {uniform: [-5, 5], when: {branch: a}}
    y: {log_uniform: [1.0e-4, 1], when: {branch: a}}
    n: {int: {low: 4, high: 64, step: 4}, when: {branch: b}}
    mode: {choice: [plain, extra], when: {branch: b}}
    w: {uniform: [0, 1], when: {mode: extra}}
    m: {int: {low: 1, high: 100, log: true}, when: {branch: c}}";

fn space(yaml: &str) -> Space {
    serde_yaml::from_str(yaml).unwrap()
}

fn number(assignment: &Assignment, key: &str) -> f64 {
    assignment[key].as_f64().unwrap()
}

fn branin(assignment: &Assignment) -> f64 {
    let (x, y) = (number(assignment, "x"), number(assignment, "y"));
    let a = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    a * a + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
}

fn hartmann6(assignment: &Assignment) -> f64 {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let term = |row: usize| {
        let square =
            |i: usize| A[row][i] * (number(assignment, &format!("x{i}")) - P[row][i]).powi(2);
        ALPHA[row] * (-(0..6).map(square).sum::<f64>()).exp()
    };
    -(0..4).map(term).sum::<f64>()
}

fn conditional(assignment: &Assignment) -> f64 {
    let of = |key| number(assignment, key);
    let common = (of("rate").log10() + 3.0).powi(2) / 4.0;
    match assignment["branch"].as_str().unwrap() {
        "a" => {
            common + 0.4 + (of("x") - 2.0).powi(2) / 10.0 + (of("y").log10() + 2.0).powi(2) / 4.0
        }
        "b" => {
            let value = common + ((of("n") - 40.0) / 20.0).powi(2);
            match assignment["mode"].as_str().unwrap() {
                "plain" => value + 0.3,
                _ => value + 2.0 * (of("w") - 0.7).abs(),
            }
        }
        _ => common + 0.8 + 0.1 * (of("m") - 10.0).abs().sqrt(),
    }
}

struct Function {
    name: &'static str,
    space: &'static str,
    of: fn(&Assignment) -> f64,
    least: f64,
}

const FUNCTIONS: [Function; 3] = [
    Function {
        name: "branin",
        space: BRANIN,
        of: branin,
        least: 0.39788735772973816,
    },
    Function {
        name: "hartmann6",
        space: HARTMANN6,
        of: hartmann6,
        least: -3.322368011391339,
    },
    Function {
        name: "conditional",
        space: CONDITIONAL,
        of: conditional,
        least: 0.0,
    },
];

/// The assignments of a study at parallelism 1, and their losses.
fn study(
    sampler: &Sampler,
    space: &Space,
    of: fn(&Assignment) -> f64,
    seed: u64,
    trials: usize,
) -> Vec<(Assignment, f64)> {
    let mut done: Vec<(Assignment, f64)> = Vec::new();
    for number in 0..trials {
        let seen = observations(&done);
        let assignment = sampler.propose(space, seed, number, &seen).unwrap();
        let loss = of(&assignment);
        done.push((assignment, loss));
    }
    done
}

fn observations(done: &[(Assignment, f64)]) -> Vec<Observation<'_>> {
    done.iter()
        .enumerate()
        .map(|(number, (assignment, loss))| Observation {
            number,
            assignment,
            outcome: Outcome::Finished {
                loss: *loss,
                second: None,
            },
        })
        .collect()
}

fn regrets(sampler: &Sampler, function: &Function, trials: usize) -> Vec<f64> {
    let space = space(function.space);
    let regret = |seed| {
        let done = study(sampler, &space, function.of, seed, trials);
        done.iter()
            .map(|(_, loss)| loss - function.least)
            .fold(f64::INFINITY, f64::min)
    };
    (0..30).map(regret).collect()
}

#[derive(Deserialize)]
struct Expected {
    trials: usize,
    regrets: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

fn expected() -> Expected {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/sweep/regrets.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    0.5 * (sorted[(n - 1) / 2] + sorted[n / 2])
}

/// One-sided p of the Mann-Whitney test that `a` tends to be larger than `b` (normal approximation).
pub fn p_larger(a: &[f64], b: &[f64]) -> f64 {
    let wins = |x: &f64| {
        b.iter()
            .map(|y| {
                if x > y {
                    1.0
                } else if x == y {
                    0.5
                } else {
                    0.0
                }
            })
            .sum::<f64>()
    };
    let u: f64 = a.iter().map(wins).sum();
    let (n, m) = (a.len() as f64, b.len() as f64);
    let z = (u - n * m / 2.0 - 0.5) / (n * m * (n + m + 1.0) / 12.0).sqrt();
    Normal::new(0.0, 1.0).unwrap().sf(z)
}

/// After 60 trials, over 30 seeds: a lower median regret than random search, clearly so by the Mann-Whitney
/// test, and none that this test would call larger than that of Optuna's TPE at 5 %.
#[test]
fn tpe_beats_random_search_and_is_as_good_as_optunas() {
    let expected = expected();
    for function in &FUNCTIONS {
        let tpe = regrets(&Sampler::Tpe(Tpe::default()), function, expected.trials);
        let random = regrets(
            &Sampler::Random(Random::default()),
            function,
            expected.trials,
        );
        let optunas = &expected.regrets[function.name];
        let message = format!(
            "{}: tpe {:.4}, random {:.4}; Optuna's tpe {:.4}, in groups {:.4}, random {:.4}; p {:.3} {:.3} {:.3}",
            function.name,
            median(&tpe),
            median(&random),
            median(&optunas["tpe"]),
            median(&optunas["tpe_group"]),
            median(&optunas["random"]),
            p_larger(&random, &tpe),
            p_larger(&tpe, &optunas["tpe"]),
            p_larger(&tpe, &optunas["tpe_group"]),
        );
        println!("{message}");
        assert!(median(&tpe) < median(&random), "{message}");
        assert!(p_larger(&random, &tpe) < 0.01, "{message}");
        for name in ["tpe", "tpe_group"] {
            assert!(p_larger(&tpe, &optunas[name]) > 0.05, "{message}");
        }
        // Random search is the same everywhere: the functions are, too.
        for p in [
            p_larger(&random, &optunas["random"]),
            p_larger(&optunas["random"], &random),
        ] {
            assert!(p > 0.05, "{message}");
        }
    }
}

#[test]
fn the_same_seed_and_results_give_the_same_proposals_and_another_seed_others() {
    for sampler in [
        Sampler::Random(Random::default()),
        Sampler::Tpe(Tpe::default()),
    ] {
        let space = space(CONDITIONAL);
        let run = |seed| study(&sampler, &space, conditional, seed, 30);
        assert_eq!(run(1), run(1), "{}", sampler.name());
        assert_ne!(run(1), run(2), "{}", sampler.name());
    }
}

#[test]
fn a_parameters_random_draws_do_not_change_when_others_join() {
    let sampler = Sampler::Random(Random::default());
    let (small, large) = (
        space("{a: {uniform: [0, 1]}}"),
        space("{b: {int: [1, 9]}, a: {uniform: [0, 1]}}"),
    );
    for number in 0..5 {
        let draw = |space| sampler.propose(space, 7, number, &[]).unwrap()["a"].clone();
        assert_eq!(draw(&small), draw(&large));
    }
}

#[test]
fn a_grid_has_every_combination_once_and_then_ends() {
    let space = space(
        "
        loss: {choice: [dice, focal]}
        loss.focal.gamma: {uniform: [1, 3], points: 3, when: {loss: focal}}
        train.batch_size: {int: {low: 2, high: 4, step: 2}}
        optimizer.adam.learning_rate: {log_uniform: [1.0e-4, 1.0e-2], points: 3}",
    );
    let grid = Sampler::Grid(Grid::default());
    assert_eq!(space.grid_size(), Some((1 + 3) * 2 * 3));
    let all: Vec<Assignment> = (0..)
        .map_while(|number| grid.propose(&space, 1, number, &[]))
        .collect();
    assert_eq!(all.len(), 24);
    assert!((1..24).all(|index| !all[..index].contains(&all[index])));
    let lines = |index: usize| Space::overrides(&all[index]).join(" ");
    assert_eq!(
        lines(0),
        "loss=dice train.batch_size=2 optimizer.adam.learning_rate=0.0001"
    );
    assert_eq!(
        lines(1),
        "loss=dice train.batch_size=2 optimizer.adam.learning_rate=0.001"
    );
    assert_eq!(
        lines(23),
        "loss=focal loss.focal.gamma=3.0 train.batch_size=4 optimizer.adam.learning_rate=0.01"
    );
}

#[test]
fn no_trial_repeats_another_and_a_finite_space_comes_to_an_end() {
    let space = space("{a: {choice: [1, 2, 3]}, b: {int: [1, 4]}}");
    for sampler in [
        Sampler::Random(Random::default()),
        Sampler::Tpe(Tpe::default()),
    ] {
        let mut done: Vec<(Assignment, f64)> = Vec::new();
        while let Some(next) = sampler.propose(&space, 3, done.len(), &observations(&done)) {
            assert!(done.iter().all(|(other, _)| *other != next));
            done.push((next, 1.0));
        }
        assert_eq!(done.len(), 12, "{}", sampler.name());
    }
}

#[test]
fn running_trials_push_proposals_away_and_failed_ones_are_not_learnt_as_good() {
    let space = space("{x: {uniform: [0, 1]}}");
    let tpe = Sampler::Tpe(Tpe::default());
    let at = |x: f64| Assignment::from_iter([("x".into(), x.into())]);
    let finished: Vec<(Assignment, f64)> = (0..20)
        .map(|i| (at(f64::from(i) / 20.0), (f64::from(i) / 20.0 - 0.3).abs()))
        .collect();
    let near = at(0.3);
    // How far from 0.3 proposals lie, over many seeds.
    let distance = |extra: Option<Outcome>| {
        let mut seen = observations(&finished);
        for number in 20..30 {
            seen.extend(extra.map(|outcome| Observation {
                number,
                assignment: &near,
                outcome,
            }));
        }
        let proposal = |seed| number(&tpe.propose(&space, seed, 30, &seen).unwrap(), "x");
        (0..100)
            .map(|seed| (proposal(seed) - 0.3).abs())
            .sum::<f64>()
            / 100.0
    };
    let alone = distance(None);
    assert!(distance(Some(Outcome::Running)) > 1.5 * alone);
    assert!(distance(Some(Outcome::Failed)) > 1.5 * alone);
    assert!(
        distance(Some(Outcome::Pruned {
            epoch: 5,
            loss: 0.0
        })) > 1.5 * alone
    );
}

#[test]
fn of_trials_stopped_early_those_that_came_furthest_are_the_good_ones() {
    let space = space("{x: {uniform: [0, 1]}}");
    let tpe = Sampler::Tpe(Tpe::default());
    let at = |x: f64| Assignment::from_iter([("x".into(), x.into())]);
    let tried: Vec<Assignment> = (0..20).map(|i| at(f64::from(i) / 20.0)).collect();
    // Those about 0.7 reached epoch 9 with a loss that others had surpassed at epoch 3.
    let outcome = |x: f64| match (x - 0.7).abs() < 0.06 {
        true => Outcome::Pruned {
            epoch: 9,
            loss: 0.8,
        },
        false => Outcome::Pruned {
            epoch: 3,
            loss: 0.5 + (x - 0.2).abs(),
        },
    };
    let seen: Vec<Observation<'_>> = tried
        .iter()
        .enumerate()
        .map(|(number, assignment)| Observation {
            number,
            assignment,
            outcome: outcome(number as f64 / 20.0),
        })
        .collect();
    let near = |seed: &u64| {
        let proposal = tpe.propose(&space, *seed, 20, &seen).unwrap();
        (number(&proposal, "x") - 0.7).abs() < 0.15
    };
    assert!((0..100).filter(near).count() > 80);
}
