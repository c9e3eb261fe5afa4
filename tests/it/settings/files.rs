//! Text files as editors leave them, and paths as users write them.

use std::fs;
use std::path::Path;

use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{TOY_EXPERIMENT, TPE, calvaria, toy_workplace};

fn program(folder: &Path, arguments: &[&str]) -> Assert {
    calvaria()
        .current_dir(folder)
        .env("HOME", folder.join("home"))
        .args(arguments)
        .assert()
}

#[test]
fn files_that_begin_with_a_byte_order_mark_read_as_without() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let mark =
        |name: &str, text: &str| fs::write(folder.join(name), format!("\u{feff}{text}")).unwrap();
    mark("base.yaml", TOY_EXPERIMENT);
    mark(
        "toy.yaml",
        "extends: base.yaml\nsplit: {file: {path: split.json}}\ntrain: {epochs: 2}\n",
    );
    let split = r#"{"train": ["sub-01", "sub-02", "sub-03"], "validation": ["sub-04"]}"#;
    mark("split.json", split);
    mark("search.yaml", TPE);
    program(folder, &["run", "toy.yaml", "--dry-run"])
        .success()
        .stdout(contains("2 epochs").and(contains("4 cases, 1 run")));
    program(folder, &["sweep", "search.yaml", "--dry-run"]).success();
    mark("toy.yaml", "extends: base.yaml\ntrain: {epoch: 2}\n");
    program(folder, &["run", "toy.yaml", "--dry-run"])
        .code(2)
        .stderr(contains("toy.yaml:2:9 (train.epoch): unknown key `epoch`"));
}

#[test]
fn a_tilde_is_the_users_own_folder_in_every_path() {
    let folder = toy_workplace(3);
    let folder = folder.path();
    let home = folder.join("home");
    fs::create_dir(&home).unwrap();
    fs::rename(folder.join("heads"), home.join("heads")).unwrap();
    let text = TOY_EXPERIMENT.replace("root: heads", "root: ~/heads");
    fs::write(home.join("base.yaml"), text).unwrap();
    fs::write(folder.join("toy.yaml"), "extends: ~/base.yaml\nname: toy\n").unwrap();
    let listed = program(folder, &["list", "cases", "toy.yaml"]).success();
    let ids = listed.stdout(contains("sub-01").and(contains("sub-03")));
    drop(ids);
    let dry = ["run", "toy.yaml", "--dry-run", "--set"];
    program(
        folder,
        &[&dry[..], &["data.nfbs.root=~/elsewhere"]].concat(),
    )
    .success()
    .stdout(contains(format!("no folder {}/elsewhere", home.display())));
    fs::write(
        folder.join("search.yaml"),
        TPE.replace("toy.yaml", "~/base.yaml"),
    )
    .unwrap();
    program(folder, &["sweep", "search.yaml", "--dry-run"]).success();
    program(
        folder,
        &["prepare", "toy.yaml", "-q", "--results=~/results"],
    )
    .success();
    assert!(home.join("results/cache").is_dir());
    assert!(!folder.join("~").exists());
}
