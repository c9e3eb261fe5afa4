//! The JSON schema that editors complete from.

use std::path::{Path, PathBuf};

use calvaria::experiment::schema;
use calvaria::sweep::Sweep;
use calvaria::synth::Synthesis;
use jsonschema::Validator;
use serde_json::Value;

use crate::common::repository;

fn validator() -> Validator {
    jsonschema::validator_for(&schema().to_value()).unwrap()
}

fn parse(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let own = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    own.chain(folders.iter().flat_map(|folder| yaml_files(folder)))
        .collect()
}

#[test]
fn every_file_that_ships_is_valid() {
    let experiments = validator();
    let of = |schema: schemars::Schema| jsonschema::validator_for(&schema.to_value()).unwrap();
    let sweeps = of(schemars::schema_for!(Sweep));
    let synth = of(schemars::schema_for!(Synthesis));
    for folder in ["experiments", "configs", "results/golden"] {
        for file in yaml_files(&repository(folder)) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let validator = match name.starts_with("sweep-") {
                true => &sweeps,
                false if file.starts_with(repository("configs/synth")) => &synth,
                false => &experiments,
            };
            let text = std::fs::read_to_string(&file).unwrap();
            let mistakes: Vec<String> = validator
                .iter_errors(&parse(&text))
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(mistakes.is_empty(), "{}: {mistakes:?}", file.display());
        }
    }
}

#[test]
fn what_is_refused_by_the_program_is_marked_by_an_editor() {
    let validator = validator();
    for wrong in [
        "{modle: unet}",
        "{model: unett}",
        "{model: {unet: {filtres: 8}}}",
        "{model: {unet: {filters: 0}}}",
        "{model: {unet: {dropout: 1.0}}}",
        "{model: {unet: {norm: layer}}}",
        "{model: {unet: {}, vnet: {}}}",
        "{loss: {sum: [dice, {focal: {gamma: -1.0}}]}}",
        "{train: {epochs: many}}",
        "{train: {patch: {foreground: 0.5}}}",
        "{augment: [flip, {gamma: {p: 2.0}}]}",
        "{extends: 3}",
    ] {
        assert!(!validator.is_valid(&parse(wrong)), "{wrong}");
    }
    for right in [
        "{}",
        "{extends: base.yaml, model: {unet: }}",
        "{loss: {sum: [dice, {focal: {gamma: 1.0}}]}}",
        "{train: {patch: {size: [64, 64, 64]}}}",
    ] {
        assert!(validator.is_valid(&parse(right)), "{right}");
    }
}

#[test]
fn the_schemas_that_ship_are_the_programs() {
    let shipped = [
        ("experiment", schema()),
        ("sweep", schemars::schema_for!(Sweep)),
        ("synth", schemars::schema_for!(Synthesis)),
    ];
    for (name, schema) in shipped {
        let file = repository(&format!("configs/{name}.schema.json"));
        let text = std::fs::read_to_string(file).unwrap();
        let shipped: Value = serde_json::from_str(&text).unwrap();
        assert!(
            shipped == schema.to_value(),
            "write it again: calvaria config schema {name} > configs/{name}.schema.json"
        );
    }
}
