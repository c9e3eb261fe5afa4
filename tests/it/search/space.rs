//! A sweep's file: what it may contain, conditions, and what a trial means for the experiment.

use calvaria::search::parameter::Domain;
use calvaria::search::sampler::{Random, Sampler};
use calvaria::search::{Assignment, Space};
use calvaria::sweep::Sweep;
use proptest::prelude::*;
use serde_yaml::Value;

const WHOLE: &str = "
name: sweep-loss
experiment: heads-baseline.yaml
set: {train.epochs: 20, predict.threshold: 0.5}
seed: 7
seeds: [1, 2]
folds: all
space:
  loss: {choice: [dice, focal, {sum: [{dice: {}}, {bce: {}}]}]}
  optimizer.adam.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  train.ema: {uniform: [0.9, 0.999]}
  model.unet.filters: {int: {low: 8, high: 32, step: 8, log: false}}
  loss.focal.gamma: {uniform: [0.5, 4], when: {loss: focal}}
sampler: tpe
pruner: {asha: {rungs: [5, 10], reduction: 3}}
objective: {metric: validation_iou, goal: maximize}
budget: {trials: 60, hours: 8, failures: 10}
parallelism: 2
executor: {local: {workers: 2}}
";

/// The sweep of a file with this content, or all that is wrong with it.
fn load(yaml: &str) -> Result<Sweep, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.yaml");
    std::fs::write(&path, yaml).unwrap();
    Sweep::load(&path).map_err(|why| why.to_string())
}

fn space(yaml: &str) -> Result<Space, String> {
    serde_yaml::from_str(yaml).map_err(|why| why.to_string())
}

fn refused(yaml: &str, message: &[&str]) {
    let why = space(yaml).unwrap_err();
    for part in message {
        assert!(why.contains(part), "{why}");
    }
}

/// `WHOLE` with one line replaced, as far as the error it gives.
fn mistake(line: &str, by: &str) -> String {
    assert!(WHOLE.contains(line));
    load(&WHOLE.replace(line, by)).unwrap_err()
}

#[test]
fn a_whole_file_is_read_and_written_back_as_it_was() {
    let sweep: Sweep = serde_yaml::from_str(WHOLE).unwrap();
    let written = serde_yaml::to_string(&sweep).unwrap();
    assert_eq!(serde_yaml::from_str::<Sweep>(&written).unwrap(), sweep);
    let json = serde_json::to_string(&sweep).unwrap();
    assert_eq!(serde_json::from_str::<Sweep>(&json).unwrap(), sweep);
}

#[test]
fn the_least_file_has_defaults_and_is_named_after_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep-rate.yaml");
    let least = "{experiment: ../a.yaml, space: {loss: {choice: [dice]}}, budget: {trials: 3}}";
    std::fs::write(&path, least).unwrap();
    let sweep = Sweep::load(&path).unwrap();
    assert_eq!(sweep.name, "sweep-rate");
    assert_eq!(sweep.experiment_path(), folder.path().join("../a.yaml"));
    assert_eq!(
        (sweep.seed, sweep.parallelism, sweep.sampler.name()),
        (42, 1, "tpe")
    );
    assert_eq!(sweep.objective[0].metric, "validation_iou");
}

#[test]
fn mistakes_are_refused_with_the_place_and_what_is_allowed() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "seed: 7",
            "sed: 7",
            &["sweep.yaml:5:1 (sed)", "Did you mean `seed`?", "^^^"],
        ),
        (
            "sampler: tpe",
            "sampler: {tpe: {startup: 0}}",
            &["(sampler.tpe.startup)", "at least 1"],
        ),
        (
            "sampler: tpe",
            "sampler: grid",
            &["(sampler)", "points", "train.ema"],
        ),
        (
            "parallelism: 2",
            "parallelism: 0",
            &["(parallelism)", "at least 1"],
        ),
        (
            "folds: all",
            "folds: some",
            &["(folds)", "must be all, or a list"],
        ),
        ("folds: all", "folds: [0, 0]", &["(folds)", "names 0 twice"]),
        (
            "seeds: [1, 2]",
            "seeds: [1, 1]",
            &["(seeds)", "names 1 twice"],
        ),
        (
            "rungs: [5, 10]",
            "rungs: [10, 5]",
            &["(pruner.asha.rungs)", "rising"],
        ),
        (
            "reduction: 3",
            "reduction: 1",
            &["(pruner.asha.reduction)", "at least 2"],
        ),
        (
            "goal: maximize",
            "goal: most",
            &["(objective.goal)", "maximize, minimize"],
        ),
        ("trials: 60, hours: 8,", "", &["(budget)", "never ends"]),
        ("hours: 8", "hours: 0", &["(budget.hours)", "above 0"]),
        (
            "set: {train.epochs: 20",
            "set: {train.ema: 0.9",
            &["(set.train.ema)", "varies in space"],
        ),
        (
            "train.ema: {uniform",
            "split.kfold.k: {uniform",
            &["(space.split.kfold.k)", "cannot vary", "under `set`"],
        ),
        (
            "train.ema: {uniform",
            "seed: {uniform",
            &["(space.seed)", "cannot vary", "`seeds: [1, 2, 3]`"],
        ),
        (
            "train.ema: {uniform",
            "name: {uniform",
            &["(space.name)", "cannot vary", "by its number"],
        ),
        (
            "train.ema: {uniform",
            "devices: {uniform",
            &["(space.devices)", "cannot vary", "`executor`"],
        ),
        (
            "set: {train.epochs: 20",
            "set: {seed: 20",
            &["(set.seed)", "cannot be set", "`seeds`"],
        ),
        (
            "metric: validation_iou",
            "metric: validation_iuo",
            &["(objective.metric)", "Did you mean `validation_iou`?"],
        ),
        ("name: sweep-loss", "name: a/b", &["(name)", "a/b"]),
        (
            "uniform: [0.9, 0.999]",
            "uniform: [0.9, 0.1]",
            &["(space.train.ema)", "the first below the second"],
        ),
        (
            "uniform: [0.9, 0.999]",
            "unifrom: [0.9, 0.99]",
            &["(space.train.ema.unifrom)", "Did you mean `uniform`?"],
        ),
        (
            "{uniform: [0.9, 0.999]}",
            "{}",
            &["(space.train.ema)", "exactly one of"],
        ),
        (
            "step: 8",
            "step: 7",
            &["(space.model.unet.filters)", "high could be 29"],
        ),
        (
            "step: 8, log: false",
            "step: 8, log: true",
            &["logarithmic scale cannot have a step"],
        ),
        (
            "log_uniform: [1.0e-4",
            "log_uniform: [0",
            &["must begin above 0"],
        ),
        (
            "uniform: [0.5, 4], when",
            "points: 3, when",
            &["(space.loss.focal.gamma)", "exactly one of"],
        ),
        (
            "{int: {low: 8, high: 32, step: 8, log: false}}",
            "{int: [1.5, 2]}",
            &[
                "(space.model.unet.filters.int.0)",
                "a whole number, not 1.5",
            ],
        ),
        (
            "seed: 7",
            "seed: 7\nseed: 8",
            &["sweep.yaml:6", "duplicate"],
        ),
        (
            "seed: 7",
            "extends: a.yaml",
            &["(extends)", "only experiments"],
        ),
        ("seed: 7", "seed: [", &["sweep.yaml:", "not valid YAML"]),
    ];
    for (line, by, message) in cases {
        let why = mistake(line, by);
        for part in *message {
            assert!(why.contains(part), "`{by}` should say `{part}`: {why}");
        }
    }
}

#[test]
fn conditions_must_be_on_choices_that_can_be_so_and_not_lead_in_a_circle() {
    refused(
        "{a: {choice: [1, 2]}, b: {int: [1, 3], when: {aa: 1}}}",
        &["b when names `aa`", "Did you mean `a`?"],
    );
    refused(
        "{a: {int: [1, 2]}, b: {int: [1, 3], when: {a: 1}}}",
        &["only a choice"],
    );
    refused(
        "{a: {choice: [1, 2]}, b: {int: [1, 3], when: {a: 3}}}",
        &["a = 3", "never", "1, 2"],
    );
    refused(
        "{a: {choice: [1, 2]}, b: {int: [1, 3], when: {a: []}}}",
        &["no value"],
    );
    refused(
        "{a: {choice: [1, 2], when: {b: 1}}, b: {choice: [1, 2], when: {a: 1}}}",
        &["circle", "a, b"],
    );
    refused("{}", &["at least one key"]);
    refused("{a: {choice: [x, x]}}", &["x twice"]);
    refused("{a: {choice: [.nan]}}", &["JSON cannot hold"]);
    refused("{a..b: {choice: [x]}}", &["not a key"]);
}

#[test]
fn a_setting_of_what_is_chosen_must_depend_on_the_choice() {
    let gamma = |when| {
        format!("{{loss: {{choice: [dice, focal]}}, loss.focal.gamma: {{uniform: [1, 2]{when}}}}}")
    };
    refused(
        &gamma(""),
        &["loss.focal.gamma", "a part of loss", "when: {loss: focal}"],
    );
    refused(&gamma(", when: {loss: [dice, focal]}"), &["replace dice"]);
    assert!(space(&gamma(", when: {loss: focal}")).is_ok());
}

/// The keys that have values when the choices fall as given.
fn keys(space: &Space, choices: &[(&str, &str)]) -> Vec<String> {
    let chosen = |key: &str| choices.iter().find(|(name, _)| *name == key);
    let assignment = space.assign(|key, parameter| match chosen(key) {
        Some((_, value)) => serde_yaml::from_str(value).unwrap(),
        None => parameter.domain.value(0.0),
    });
    assignment
        .keys()
        .map(|key| key.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn parameters_have_values_only_where_their_conditions_hold() {
    let space = space(
        "{c: {int: [1, 2], when: {b: [x, y]}}, a: {choice: [p, {q: {r: 1}}]}, b: {choice: [x, y, z], when: {a: q}}}",
    )
    .unwrap();
    assert_eq!(keys(&space, &[("a", "p")]), ["a"]);
    // A name stands for the member of that name with any settings.
    assert_eq!(
        keys(&space, &[("a", "{q: {r: 1}}"), ("b", "y")]),
        ["a", "b", "c"]
    );
    assert_eq!(
        keys(&space, &[("a", "{q: {r: 1}}"), ("b", "z")]),
        ["a", "b"]
    );
    let groups: Vec<Vec<&str>> = space
        .groups()
        .iter()
        .map(|group| group.iter().map(|(key, _)| *key).collect())
        .collect();
    assert_eq!(groups, [["a"], ["b"], ["c"]]);
    // p; q with x or y and two values of c each; q with z.
    assert_eq!(space.grid_size(), Some(1 + 2 * 2 + 1));
}

#[test]
fn a_condition_may_ask_for_a_list_that_is_itself_a_value() {
    let space = space("{a: {choice: [[1, 2], [3]]}, b: {int: [1, 2], when: {a: [1, 2]}}}").unwrap();
    assert_eq!(keys(&space, &[("a", "[1, 2]")]), ["a", "b"]);
    assert_eq!(keys(&space, &[("a", "[3]")]), ["a"]);
}

#[test]
fn a_trial_overrides_what_the_sweep_sets_and_then_its_parameters() {
    let sweep = load(WHOLE).unwrap();
    let assignment: Assignment = serde_yaml::from_str(
        "{loss: {sum: [{dice: {}}, {bce: {}}]}, model.unet.filters: 16, train.ema: 0.95}",
    )
    .unwrap();
    assert_eq!(
        sweep.overrides(&assignment),
        [
            "train.epochs=20",
            "predict.threshold=0.5",
            r#"loss={"sum":[{"dice":{}},{"bce":{}}]}"#,
            "model.unet.filters=16",
            "train.ema=0.95",
        ]
    );
}

#[test]
fn the_schema_takes_what_the_program_takes() {
    let schema = serde_json::to_value(schemars::schema_for!(Sweep)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json = |yaml: &str| serde_yaml::from_str::<serde_json::Value>(yaml).unwrap();
    let whole = json(WHOLE);
    let errors: Vec<String> = validator
        .iter_errors(&whole)
        .map(|why| why.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    for (line, by) in [
        ("seed: 7", "sed: 7"),
        ("{uniform: [0.9, 0.999]}", "{}"),
        ("{uniform: [0.9, 0.999]}", "{uniform: [0, 1], int: [0, 1]}"),
        ("parallelism: 2", "parallelism: 0"),
        ("folds: all", "folds: some"),
        ("reduction: 3", "reduction: 1"),
        ("goal: maximize", "goal: most"),
        ("hours: 8", "hours: 0"),
    ] {
        assert!(!validator.is_valid(&json(&WHOLE.replace(line, by))), "{by}");
    }
}

fn domains() -> impl Strategy<Value = Domain> {
    let real = |low: f64, width: f64, log| Domain::Real {
        low,
        high: low + width,
        log,
        points: None,
    };
    prop_oneof![
        (-1e3..1e3, 1e-3..1e3).prop_map(move |(low, width)| real(low, width, false)),
        (1e-8..1.0, 1e-3..1e3).prop_map(move |(low, width)| real(low, width, true)),
        (-50i64..50, 1i64..9, 1i64..40).prop_map(|(low, step, steps)| Domain::Int {
            low,
            high: low + step * steps,
            step,
            log: false
        }),
        (1i64..50, 1i64..400).prop_map(|(low, width)| Domain::Int {
            low,
            high: low + width,
            step: 1,
            log: true
        }),
        (1i64..6).prop_map(|count| Domain::Choice((0..count).map(Value::from).collect())),
    ]
}

proptest! {
    #[test]
    fn draws_lie_in_the_domain_and_are_found_again_by_their_number(domain in domains(), seed in 0u64..1000) {
        let mut rng = calvaria::random::stream(seed, &["test"], &[]);
        let value = domain.draw(&mut rng);
        match domain {
            Domain::Choice(ref values) => prop_assert!(values.contains(&value)),
            Domain::Int { low, high, step, .. } => {
                let x = value.as_i64().unwrap();
                prop_assert!(low <= x && x <= high && (x - low) % step == 0);
            }
            Domain::Real { low, high, .. } => {
                let x = value.as_f64().unwrap();
                prop_assert!(low <= x && x <= high);
            }
        }
        let again = domain.value(domain.number(&value).unwrap());
        match (again.as_f64(), value.as_f64()) {
            (Some(again), Some(value)) => prop_assert!((again - value).abs() <= 1e-12 * value.abs()),
            _ => prop_assert_eq!(again, value),
        }
    }

    #[test]
    fn a_grid_has_as_many_points_as_it_says_and_no_two_alike(a in 1usize..4, b in 2i64..5, points in 2usize..4) {
        let choices: Vec<String> = (0..a).map(|index| format!("v{index}")).collect();
        let space = space(&format!(
            "{{a: {{choice: [{}]}}, b: {{int: [1, {b}], when: {{a: v0}}}}, c: {{uniform: [0, 1], points: {points}}}}}",
            choices.join(", ")
        )).unwrap();
        let size = space.grid_size().unwrap();
        prop_assert_eq!(size, ((b as usize + a - 1) * points) as u128);
        let all: Vec<Assignment> = (0..size).map(|number| space.grid_point(number).unwrap()).collect();
        prop_assert!((1..all.len()).all(|index| !all[..index].contains(&all[index])));
        prop_assert_eq!(space.grid_point(size), None);
    }

    #[test]
    fn a_trials_values_survive_the_record_and_the_command_line_exactly(seed in 0u64..300) {
        let space = space("{a.x: {log_uniform: [1.0e-9, 1]}, b: {uniform: [-3, 3]}, c: {choice: ['1', 'yes', 'a: b', [1, {d: null}], 1.5, '']}}").unwrap();
        let assignment = Sampler::Random(Random::default()).propose(&space, seed, 0, &[]).unwrap();
        let json = serde_json::to_string(&assignment).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Assignment>(&json).unwrap(), &assignment);
        for (text, (key, value)) in Space::overrides(&assignment).iter().zip(&assignment) {
            let (name, written) = text.split_once('=').unwrap();
            prop_assert_eq!(name, key.as_str().unwrap());
            prop_assert_eq!(&serde_yaml::from_str::<Value>(written).unwrap(), value);
        }
    }
}
