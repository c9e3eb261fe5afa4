//! `calvaria check`: it is silent about what is the same and reports everything that changed.

use std::fs;
use std::path::Path;

use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{TOY_EXPERIMENT, calvaria, toy_workplace};

fn check(folder: &Path, more: &[&str]) -> Assert {
    calvaria()
        .current_dir(folder)
        .args(["check", "--golden", "."])
        .args(more)
        .assert()
}

fn write(folder: &Path, from: &str, to: &str) {
    assert!(TOY_EXPERIMENT.contains(from));
    fs::write(folder.join("toy.yaml"), TOY_EXPERIMENT.replace(from, to)).unwrap();
}

#[test]
fn a_planted_change_is_told_with_its_size() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    check(folder, &[])
        .code(1)
        .stdout(contains("nothing is stored"));
    check(folder, &["--update", "First stored."]).success();
    let stored = fs::read_to_string(folder.join("toy.json")).unwrap();
    assert!(stored.contains("First stored.") && stored.contains("seed-7 epoch 3"));
    assert!(!stored.contains("seconds"));
    check(folder, &[]).success().stdout(contains("the same"));
    let planted = [
        ("sum: [dice, bce]", "sum: [{dice: {smooth: 1.0}}, bce]"),
        ("{noise: {p: 1.0}}", "{noise: {p: 1.0, std: 0.3}}"),
        ("seed: 7", "seed: 8"),
        ("learning_rate: 0.01", "learning_rate: 0.0101"),
    ];
    for (from, to) in planted {
        write(folder, from, to);
        check(folder, &[])
            .code(1)
            .stdout(contains("values differ").and(contains("train_loss")))
            .stderr(contains("1 of 1 experiments"));
    }
    // Nothing is stored without a reason, and with one what is now.
    check(folder, &["--update", " "])
        .code(2)
        .stderr(contains("reason"));
    assert_eq!(fs::read_to_string(folder.join("toy.json")).unwrap(), stored);
    check(folder, &["--update", "The rate was rounded."]).success();
    check(folder, &[]).success();
    let stored = fs::read_to_string(folder.join("toy.json")).unwrap();
    assert!(stored.contains("The rate was rounded."));
}

#[test]
fn on_other_instructions_the_same_is_within_the_tolerance() {
    let folder = toy_workplace(4);
    check(folder.path(), &["--update", "First stored."]).success();
    let stored = fs::read_to_string(folder.path().join("toy.json")).unwrap();
    if stored.contains("portable") {
        println!("skipped: this processor has but one set of instructions");
        return;
    }
    calvaria()
        .current_dir(folder.path())
        .env("CALVARIA_INSTRUCTIONS", "portable")
        .args(["check", "--golden", "."])
        .assert()
        .success()
        .stdout(contains("within the tolerance"));
}

#[test]
fn mistakes_are_told() {
    let folder = toy_workplace(3);
    check(folder.path(), &["tyo"])
        .code(2)
        .stderr(contains("holds no golden experiment tyo"));
    fs::write(folder.path().join("toy.json"), "{").unwrap();
    check(folder.path(), &[])
        .code(2)
        .stderr(contains("toy.json").and(contains("--update")));
    calvaria()
        .current_dir(folder.path())
        .args(["check", "--golden", "heads"])
        .assert()
        .code(2)
        .stderr(contains("holds no golden experiment"));
}
