//! What a trial sets is what its experiment becomes.

use std::path::Path;

use calvaria::experiment;
use calvaria::search::sampler::{Random, Sampler};
use calvaria::search::{Assignment, Space};
use calvaria::sweep::Sweep;
use serde_yaml::Value;

const SWEEP: &str = "
experiment: experiments/quickstart.yaml
set: {train.epochs: 3}
space:
  loss: {choice: [dice, focal, {sum: [{dice: {}}, {bce: {}}]}]}
  loss.focal.gamma: {uniform: [0.5, 4], when: {loss: focal}}
  model: {choice: [{unet: {levels: 2}}, segresnet]}
  model.unet.filters: {int: {low: 8, high: 32, step: 8}, when: {model: unet}}
  optimizer: {choice: [adam, sgd]}
  optimizer.adam.learning_rate: {log_uniform: [1.0e-4, 1.0e-2], when: {optimizer: adam}}
  train.ema: {uniform: [0.9, 0.999]}
sampler: random
budget: {trials: 40}
";

/// The value at a dotted key.
fn at<'a>(mut value: &'a Value, key: &str) -> Option<&'a Value> {
    for part in key.split('.') {
        value = value.get(part)?;
    }
    Some(value)
}

fn keys(assignment: &Assignment) -> impl Iterator<Item = (&str, &Value)> {
    assignment
        .iter()
        .map(|(key, value)| (key.as_str().unwrap(), value))
}

#[test]
fn a_trial_is_the_same_on_the_resolved_experiment_as_on_its_files() {
    let sweep: Sweep = serde_yaml::from_str(SWEEP).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&sweep.experiment);
    let base = experiment::load(&file, &sweep.overrides(&Assignment::new())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let resolved = folder.path().join("experiment.yaml");
    let text = serde_yaml::to_string(&base.experiment).unwrap();
    std::fs::write(&resolved, text).unwrap();
    let random = Sampler::Random(Random::default());
    for number in 0..40 {
        let assignment = random.propose(&sweep.space, 1, number, &[]).unwrap();
        let from_files = experiment::load(&file, &sweep.overrides(&assignment)).unwrap();
        let from_one = experiment::load(&resolved, &Space::overrides(&assignment)).unwrap();
        assert_eq!(from_files.experiment, from_one.experiment, "{assignment:?}");
    }
}

#[test]
fn choices_and_settings_below_them_compose() {
    let sweep: Sweep = serde_yaml::from_str(SWEEP).unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&sweep.experiment);
    let random = Sampler::Random(Random::default());
    for number in 0..40 {
        let assignment = random.propose(&sweep.space, 1, number, &[]).unwrap();
        let overrides = sweep.overrides(&assignment);
        let resolved = experiment::load(&file, &overrides).unwrap();
        let values = serde_yaml::to_value(&resolved.experiment).unwrap();
        assert_eq!(at(&values, "train.epochs"), Some(&Value::from(3)));
        for (key, value) in keys(&assignment) {
            let found = at(&values, key).unwrap();
            let member = found
                .as_mapping()
                .and_then(|map| map.keys().next()?.as_str());
            match value.as_str() {
                // A member by its name alone.
                Some(name) => assert_eq!(member, Some(name), "{overrides:?}"),
                None if value.is_number() => assert_eq!(found, value, "{key} of {overrides:?}"),
                None => {
                    let wanted = value.as_mapping().unwrap().keys().next().unwrap().as_str();
                    assert_eq!(member, wanted, "{overrides:?}");
                }
            }
        }
        if at(&values, "model.unet").is_some() {
            assert_eq!(at(&values, "model.unet.levels"), Some(&Value::from(2)));
        }
    }
}
