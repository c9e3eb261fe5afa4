//! Importance of parameters: against Optuna's fANOVA, and where it is known.

use std::collections::BTreeMap;

use calvaria::search::Assignment;
use calvaria::search::importance::{Importances, TooLittle};
use calvaria::sweep::{Definition, History, Next, RunKey, Study, Sweep};
use serde::Deserialize;
use serde_yaml::Value;

const PART: RunKey = RunKey {
    seed: 1,
    fold: None,
};

/// A finished study of these values, each of trial's parameters or of those that are drawn.
fn study(space: &str, trials: usize, value: impl Fn(usize, &Assignment) -> f64) -> History {
    let yaml = format!(
        "{{experiment: a.yaml, space: {space}, sampler: random, budget: {{trials: {trials}}}}}"
    );
    let sweep: Sweep = serde_yaml::from_str(&yaml).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let definition = Definition {
        sweep,
        parts: vec![PART],
        experiment: Value::Null,
    };
    let mut study = Study::open(folder.path(), &definition).unwrap();
    while let Next::Run(trial) = study.next(&[]).unwrap() {
        study
            .report(
                trial.number,
                PART,
                1,
                value(trial.number, &trial.assignment),
            )
            .unwrap();
        study.finish(trial.number).unwrap();
    }
    study.history().clone()
}

fn share(found: &Importances, key: &str) -> f64 {
    found
        .parameters
        .iter()
        .find(|one| one.key == key)
        .unwrap()
        .share
}

#[derive(Deserialize)]
struct Expected {
    importances: BTreeMap<String, Vec<f64>>,
    trials: Vec<Trial>,
}

#[derive(Deserialize)]
struct Trial {
    parameters: Assignment,
    value: f64,
}

/// Forests differ by chance: Optuna's mean over 20 of them is met within four of their standard deviations.
#[test]
fn shares_are_those_that_optuna_finds() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/sweep/importance.json"
    );
    let expected: Expected = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let space = "{a: {uniform: [-1, 1]}, b: {uniform: [0, 3]}, level: {uniform: [0, 3]}, nothing: {uniform: [0, 1]}}";
    let mut history = study(space, expected.trials.len(), |number, _| {
        expected.trials[number].value
    });
    for (trial, known) in history.trials.iter_mut().zip(&expected.trials) {
        trial.assignment = known.parameters.clone();
    }
    let found = history.importances(0).unwrap();
    for (key, shares) in expected.importances {
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        let sd = (shares.iter().map(|one| (one - mean).powi(2)).sum::<f64>()
            / (shares.len() - 1) as f64)
            .sqrt();
        let ours = share(&found, &key);
        assert!(
            (ours - mean).abs() < 4.0 * sd,
            "{key}: {ours:.4}, Optuna {mean:.4} ± {sd:.4}"
        );
    }
}

/// Of independent terms, each explains its own variance.
#[test]
fn shares_of_a_sum_are_those_of_the_variances_of_its_terms() {
    let space = "{kind: {choice: [p, q, r]}, n: {int: [1, 8]}, rate: {log_uniform: [1.0e-4, 1]}, x: {uniform: [0, 1]}}";
    let history = study(space, 400, |_, assignment| {
        let kind = match assignment["kind"].as_str().unwrap() {
            "p" => 0.0,
            "q" => 3.0,
            _ => 6.0,
        };
        kind + assignment["n"].as_f64().unwrap() * 0.6
            + assignment["rate"].as_f64().unwrap().log10()
    });
    let found = history.importances(0).unwrap();
    // Variances: 9 * 2/3, 0.36 * 63/12, 4²/12, 0.
    let variances = [("kind", 6.0), ("n", 1.89), ("rate", 4.0 / 3.0), ("x", 0.0)];
    let sum: f64 = variances.iter().map(|(_, variance)| variance).sum();
    for (key, variance) in variances {
        let (ours, true_share) = (share(&found, key), variance / sum);
        assert!(
            (ours - true_share).abs() < 0.03,
            "{key}: {ours:.3}, truly {true_share:.3}"
        );
    }
    let order: Vec<&str> = found
        .parameters
        .iter()
        .map(|one| one.key.as_str())
        .collect();
    assert_eq!(order, ["kind", "n", "rate", "x"]);
    assert!(found.interactions < 0.05);
}

#[test]
fn what_only_two_do_together_is_an_interaction() {
    let space = "{x: {uniform: [-1, 1]}, y: {uniform: [-1, 1]}}";
    let of = |assignment: &Assignment, key: &str| assignment[key].as_f64().unwrap();
    let history = study(space, 300, |_, assignment| {
        (of(assignment, "x") * of(assignment, "y")).signum()
    });
    assert!(history.importances(0).unwrap().interactions > 0.8);
}

#[test]
fn nothing_is_said_of_few_trials_or_of_none_that_differ() {
    assert_eq!(
        study("{x: {uniform: [0, 1]}}", 7, |number, _| number as f64).importances(0),
        Err(TooLittle::Trials(7))
    );
    assert_eq!(
        study("{x: {uniform: [0, 1]}}", 20, |_, _| 0.5).importances(0),
        Err(TooLittle::Same)
    );
}
