//! Splits as a user meets them: through the program.

use std::fs;
use std::path::Path;

use assert_cmd::assert::Assert;
use calvaria::dataset::Fold;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{TOY_EXPERIMENT, calvaria, repository, toy_workplace};

/// Runs the toy experiment of a workplace with this split.
fn run(folder: &Path, split: &str, arguments: &[&str]) -> Assert {
    let text = TOY_EXPERIMENT.replace("{holdout: {validation: 1}}", split);
    assert!(text.contains(split));
    fs::write(folder.join("toy.yaml"), text).unwrap();
    let mut command = calvaria();
    command.current_dir(folder);
    command.args(["run", "toy.yaml", "--device", "cpu"]);
    command.args(arguments).assert()
}

/// A table of the toy heads: two of every subject, at two of three sites.
fn write_table(folder: &Path, count: usize) {
    let row = |number: usize| {
        let path = format!("heads/sub-{number:02}/sub-{number:02}_T1w");
        format!(
            "c{number},s{},{path}.nii.gz,{path}_brainmask.nii.gz,site-{}\n",
            number.div_ceil(2),
            number % 3
        )
    };
    let rows: String = (1..=count).map(row).collect();
    fs::write(
        folder.join("cases.csv"),
        format!("id,subject,image,mask,site\n{rows}"),
    )
    .unwrap();
}

#[test]
fn a_file_that_leaks_a_subject_is_refused_before_anything_runs() {
    let workplace = toy_workplace(4);
    let folder = workplace.path();
    write_table(folder, 4);
    fs::create_dir(folder.join("folds")).unwrap();
    let leaky = "[{train: [c1, c2, c3], val: [c4]}]";
    fs::write(folder.join("folds/leaky.yaml"), leaky).unwrap();
    let table = ["--set", "data={table: {path: cases.csv}}"];
    for also in [&["--dry-run"][..], &[]] {
        run(
            folder,
            "{file: {path: folds/leaky.yaml}}",
            &[&table[..], also].concat(),
        )
        .code(2)
        .stderr(contains(
            "folds/leaky.yaml: subject s2 stands on both sides of fold 0",
        ))
        .stderr(contains("case c3 trains, case c4 validates").and(contains("panicked").not()))
        .stdout(contains("all right").not());
    }
    assert!(!folder.join("results/toy/seed-7").exists());
}

#[test]
fn a_file_is_looked_for_beside_the_experiment() {
    let workplace = toy_workplace(3);
    let folder = workplace.path();
    fs::write(
        folder.join("folds.csv"),
        "id,fold\nsub-01,0\nsub-02,1\nsub-03,1\n",
    )
    .unwrap();
    run(folder, "{file: {path: folds.csv}}", &["--dry-run"])
        .success()
        .stdout(contains("data: 3 cases, 2 runs"));
    let elsewhere = folder.join("heads");
    calvaria()
        .current_dir(elsewhere)
        .args(["run", "../toy.yaml", "--dry-run"])
        .assert()
        .success()
        .stdout(contains("data: 3 cases, 2 runs"));
}

#[test]
fn a_dry_run_checks_the_split_where_the_data_are_there() {
    let workplace = toy_workplace(3);
    let folder = workplace.path();
    run(folder, "{kfold: {k: 3, repeats: 2}}", &["--dry-run"])
        .success()
        .stdout(contains("data: 3 cases, 6 runs"));
    run(folder, "kfold", &["--dry-run"])
        .code(2)
        .stderr(contains("cannot make 5 folds"));
    run(folder, "{kfold: {k: 3}}", &["--dry-run", "--folds", "1,3"])
        .code(2)
        .stderr(contains("--folds names fold 3, but the split has 3"));
    fs::remove_dir_all(folder.join("heads")).unwrap();
    run(folder, "kfold", &["--dry-run"])
        .success()
        .stdout(contains("all right").and(contains("data: not checked: there is no folder")));
}

#[test]
fn a_mask_that_cannot_be_measured_is_named() {
    let workplace = toy_workplace(4);
    let folder = workplace.path();
    let mask = "heads/sub-02/sub-02_T1w_brainmask.nii.gz";
    let by_volume = "{kfold: {k: 2, stratify: mask_volume}}";
    run(folder, by_volume, &["--dry-run"]).success();
    fs::write(folder.join(mask), "no mask").unwrap();
    run(folder, by_volume, &["--dry-run"])
        .code(2)
        .stderr(contains("sub-02_T1w_brainmask.nii.gz").and(contains("panicked").not()));
}

#[test]
fn shipped_splits_split() {
    let workplace = toy_workplace(6);
    let folder = workplace.path();
    write_table(folder, 6);
    // Sites that share subjects cannot be distinguished: here every case is a subject of its own.
    let table = fs::read_to_string(folder.join("cases.csv")).unwrap();
    fs::write(folder.join("cases.csv"), table.replace("subject", "family")).unwrap();
    for (name, runs) in [
        ("five-folds", 5),
        ("five-folds-by-volume", 5),
        ("leave-one-site-out", 3),
    ] {
        let base = repository("configs/split").join(format!("{name}.yaml"));
        let text = TOY_EXPERIMENT
            .replace("split: {holdout: {validation: 1}}\n", "")
            .replace("{nfbs: {root: heads}}", "{table: {path: cases.csv}}");
        let text = format!("extends: {}\n{text}", base.display());
        fs::write(folder.join("toy.yaml"), text).unwrap();
        calvaria()
            .current_dir(folder)
            .args(["run", "toy.yaml", "--dry-run"])
            .assert()
            .success()
            .stdout(contains(format!("data: 6 cases, {runs} runs")));
    }
    let shipped = fs::read_dir(repository("configs/split")).unwrap().count();
    assert_eq!(shipped, 3, "a split that ships is not tested here");
}

#[test]
fn a_runs_own_split_can_be_run_again_and_older_runs_stay_finished() {
    let workplace = toy_workplace(3);
    let folder = workplace.path();
    run(folder, "{holdout: {validation: 1}}", &[]).success();
    let home = folder.join("results/toy/seed-7");
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    let first: Fold = serde_json::from_str(&read("results/toy/seed-7/split.json")).unwrap();

    let file = "{file: {path: results/toy/seed-7/split.json}}";
    run(
        folder,
        file,
        &["--set", "name=again", "--set", "train.epochs=1"],
    )
    .success();
    let again: Fold = serde_json::from_str(&read("results/again/seed-7/split.json")).unwrap();
    assert_eq!(first, again);

    // Before groups and strata there were, config.yaml did not name them.
    let config = read("results/toy/seed-7/config.yaml");
    let older: String = config
        .lines()
        .filter(|line| !line.contains("group:") && !line.contains("stratify:"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(config, older);
    fs::write(home.join("config.yaml"), older).unwrap();
    run(folder, "{holdout: {validation: 1}}", &[])
        .success()
        .stderr(contains("is finished"));
    run(folder, "{holdout: {validation: 2}}", &[])
        .code(2)
        .stderr(contains("holds a run with other settings"));
}
