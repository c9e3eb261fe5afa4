//! The JSON schema that editors complete from.

mod common;

use std::path::{Path, PathBuf};

use calvaria::config::schema;
use common::repository;
use jsonschema::Validator;
use serde_json::Value;

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
    let validator = validator();
    for folder in ["experiments", "configs"] {
        for file in yaml_files(&repository(folder)) {
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
fn the_schema_that_ships_is_the_programs() {
    let shipped = std::fs::read_to_string(repository("configs/experiment.schema.json")).unwrap();
    let shipped: Value = serde_json::from_str(&shipped).unwrap();
    assert!(
        shipped == schema().to_value(),
        "stale: calvaria config schema > configs/experiment.schema.json"
    );
}
