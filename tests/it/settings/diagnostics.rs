//! The messages about wrong experiments: one table of mistakes, and one file of their messages.
//!
//! After a change on purpose: `INSTA_UPDATE=always cargo test --release --test it diagnostics`, then read
//! the difference.

use std::fmt::Write;
use std::fs;

use calvaria::experiment::load;

/// Each with its name, the file `a.yaml` and the values of `--set`.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    // Keys.
    ("a misspelt section", "trian: {epochs: 3}", &[]),
    ("a misspelt key", "train:\n  epoch: 3", &[]),
    (
        "a misspelt key of a member",
        "model: {unet: {filtres: 8}}",
        &[],
    ),
    (
        "a key of another member",
        "optimizer: {sgd: {beta_1: 0.9}}",
        &[],
    ),
    ("a key that is like no other", "zzzz: 1", &[]),
    (
        "a key where there are none",
        "schedule: {constant: {factor: 2}}",
        &[],
    ),
    ("a key twice", "seed: 1\nseed: 2", &[]),
    ("a required key that is missing", "data: {bids: {}}", &[]),
    // Members of families.
    ("a misspelt model", "model: resunett", &[]),
    (
        "neither a number nor one for each axis",
        "augment: [{affine: {rotate: wide}}]",
        &[],
    ),
    (
        "a misspelt loss in a sum",
        "loss: {sum: [dice, {focl: {}}]}",
        &[],
    ),
    ("an unknown transform", "augment: [flip, rotate]", &[]),
    ("two members in one map", "model: {unet: {}, vnet: {}}", &[]),
    (
        "two transforms in one item",
        "augment:\n  - flip:\n    noise:\n",
        &[],
    ),
    ("no member in a map", "model: {}", &[]),
    ("a member that is a number", "loss: 3", &[]),
    ("an unknown preprocessing step", "preprocess: [n5]", &[]),
    ("a list where one member belongs", "split: [holdout]", &[]),
    ("an unknown choice", "model: {unet: {norm: layer}}", &[]),
    ("a choice that is a number", "model: {unet: {norm: 8}}", &[]),
    // Types.
    ("text for a number", "train:\n  epochs: many", &[]),
    ("a fraction for a whole number", "train: {epochs: 1.5}", &[]),
    ("a number for text", "name: 42", &[]),
    ("yes is text", "predict: {largest_component: yes}", &[]),
    ("a list for a map", "train: [epochs, 3]", &[]),
    ("nothing for a number", "seed: ", &[]),
    ("a negative seed", "seed: -1", &[]),
    ("not a number", "predict: {threshold: .nan}", &[]),
    (
        "an item of the wrong type",
        "augment:\n  - affine: {scale: [0.9, big]}",
        &[],
    ),
    (
        "too few items",
        "preprocess: [{resample: {spacing: [2, 2]}}]",
        &[],
    ),
    ("one map for a list", "augment: {flip: {}}", &[]),
    ("a tag", "model: !unet {filters: 8}", &[]),
    // Ranges.
    ("no epochs", "train: {epochs: 0}", &[]),
    ("a rate of 0", "optimizer: {adam: {learning_rate: 0}}", &[]),
    ("a probability above 1", "augment: [{flip: {p: 1.5}}]", &[]),
    ("a threshold of 1", "predict: {threshold: 1}", &[]),
    ("an infinite clip", "train: {gradient_clip: .inf}", &[]),
    (
        "a part of all above all",
        "split: {holdout: {validation: 1.2}}",
        &[],
    ),
    ("one fold", "split: {kfold: {k: 1}}", &[]),
    ("a reference in percent", "report: {reference_iou: 86}", &[]),
    // What only the experiment as a whole shows.
    (
        "mixup alone",
        "train: {batch_size: 1}\naugment: [flip, {mixup: {}}]",
        &[],
    ),
    (
        "a range upside down",
        "augment: [flip, {affine: {scale: [1.2, 0.8]}}]",
        &[],
    ),
    ("a name that leaves the folder", "name: ../elsewhere", &[]),
    // The file itself.
    ("not YAML", "name: [toy\nseed: 3", &[]),
    ("a tab", "train:\n\tepochs: 3", &[]),
    ("only text", "hello", &[]),
    (
        "extends a file that is not there",
        "extends: baze.yaml",
        &[],
    ),
    ("extends itself", "extends: [base.yaml, a.yaml]", &[]),
    ("extends a number", "extends: [3]", &[]),
    (
        "an unset variable",
        "report: {reference_iou: 0.5}\ndata: {nfbs: {root: '${CALVARIA_UNSET}/x'}}",
        &[],
    ),
    ("an open variable", "name: '${HOME'", &[]),
    // Of a file below, and of the command line.
    ("in the file that is extended", "extends: wrong.yaml", &[]),
    (
        "a misspelt key on the command line",
        "seed: 1",
        &["model.unet.filtres=8"],
    ),
    (
        "a wrong value on the command line",
        "seed: 1",
        &["train.epochs=-3"],
    ),
    ("a flag without a value", "seed: 1", &["train.epochs"]),
    ("a flag that is not YAML", "seed: 1", &["augment=[flip"]),
    // All at once.
    (
        "several mistakes",
        "sed: 1\ntrain:\n  epochs: 0\n  batchsize: 2\nmodel: {unet: {filters: -8, norm: bach}}\naugment: [{affine: {scale: [1.2, 0.8]}}]\n",
        &["loss=dise"],
    ),
];

#[test]
fn every_mistake_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::write(file("base.yaml"), "seed: 1\n").unwrap();
    fs::write(
        file("wrong.yaml"),
        "# A building block.\ntrain:\n  epochs: 0\n",
    )
    .unwrap();
    let mut message = String::new();
    for (name, text, overrides) in MISTAKES {
        let data = if text.contains("data:") || !text.contains(':') {
            ""
        } else {
            "data: {table: {path: cases.csv}}\n"
        };
        fs::write(file("a.yaml"), format!("{data}{text}\n")).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
        let error = load(&file("a.yaml"), &overrides)
            .map(|_| ())
            .expect_err(name);
        writeln!(message, "## {name}\nerror: {error}\n").unwrap();
    }
    assert!(MISTAKES.len() >= 40);
    // As if they were in the current folder.
    let folder = format!("{}/", folder.path().display());
    insta::assert_snapshot!(message.replace(&folder, ""));
}
