//! Runs, the folds and seeds beside them, and the trials of a sweep are made from one and the same data.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::assert::Assert;
use calvaria::dataset::Fold;
use calvaria::files::lock;
use calvaria::volume::nifti::{read_mask, write_mask};
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, killed_run, sweep_workplace, toy_workplace};

fn run(folder: &Path, more: &[&str]) -> Assert {
    let mut command = calvaria();
    command
        .current_dir(folder)
        .args(["run", "toy.yaml", "--device", "cpu"]);
    command.args(more).assert()
}

fn head(folder: &Path, subject: &str) -> PathBuf {
    folder.join("heads").join(subject)
}

/// Takes a subject out of the data; it is put back by the returned path.
fn take_out(folder: &Path, subject: &str) -> PathBuf {
    let aside = folder.join(format!("{subject}-aside"));
    fs::rename(head(folder, subject), &aside).unwrap();
    aside
}

/// Changes a voxel of a subject's mask. Returns the file as it was.
fn correct_mask(folder: &Path, subject: &str) -> (PathBuf, Vec<u8>) {
    let path = head(folder, subject).join(format!("{subject}_T1w_brainmask.nii.gz"));
    let before = fs::read(&path).unwrap();
    let mut mask = read_mask(&path).unwrap();
    mask.voxels[[8, 8, 8]] = 1 - mask.voxels[[8, 8, 8]];
    write_mask(&path, &mask).unwrap();
    (path, before)
}

/// The files of a run that an invocation would write first; one that a kill left unwritten is empty.
fn records(run: &Path) -> Vec<Vec<u8>> {
    let names = [
        "config.yaml",
        "split.json",
        "environment.json",
        "metrics.csv",
    ];
    names
        .map(|name| fs::read(run.join(name)).unwrap_or_default())
        .into()
}

#[test]
fn an_unfinished_run_is_not_resumed_on_other_data() {
    let folder = toy_workplace(6);
    let folder = folder.path();
    let home = folder.join("results/toy/seed-7");
    let aside = take_out(folder, "sub-05");
    let half = ["--set", "split={holdout: {validation: 2}}"];
    killed_run(folder, &half, "results/toy/seed-7");
    let before = records(&home);
    let refused = |changes: &str| {
        run(folder, &half).code(2).stderr(
            contains("results/toy/seed-7 was made from other data: ")
                .and(contains(changes))
                .and(
                    contains("Put the data back")
                        .and(contains("--force"))
                        .and(contains("`name`")),
                ),
        );
        assert!(records(&home) == before, "{changes}: something was written");
    };
    fs::rename(&aside, head(folder, "sub-05")).unwrap();
    refused("1 case added (sub-05)");
    let aside = take_out(folder, "sub-05");
    let (path, mask) = correct_mask(folder, "sub-02");
    refused("1 case changed in the mask (sub-02)");
    fs::write(path, mask).unwrap();
    let other = take_out(folder, "sub-03");
    refused("1 case removed (sub-03)");
    // As many cases, and another one among them.
    fs::rename(&other, head(folder, "sub-03")).unwrap();
    let scan = head(folder, "sub-04").join("sub-04_T1w.nii.gz");
    let (old, new) = (
        fs::read(&scan).unwrap(),
        fs::read(aside.join("sub-05_T1w.nii.gz")).unwrap(),
    );
    fs::write(&scan, new).unwrap();
    refused("1 case changed in the scan (sub-04)");
    fs::write(&scan, old).unwrap();
    run(folder, &half).success().stderr(contains("Resuming"));
    fs::rename(&aside, head(folder, "sub-05")).unwrap();
    refused_when_finished(folder, &half);
    run(folder, &[&half[..], &["--force"]].concat()).success();
}

fn refused_when_finished(folder: &Path, options: &[&str]) {
    for more in [&[][..], &["--set", "train.epochs=5"]] {
        run(folder, &[options, more].concat())
            .code(2)
            .stderr(contains("was made from other data").and(contains("is finished").not()));
    }
}

#[test]
fn cases_that_change_sides_are_named_even_if_no_file_changed() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let sides = |validates: usize| {
        let side = |case| {
            if case == validates {
                "validation"
            } else {
                "train"
            }
        };
        let rows: String = (1..=4)
            .map(|case| format!("sub-{case:02},{}\n", side(case)))
            .collect();
        fs::write(folder.join("sides.csv"), format!("id,side\n{rows}")).unwrap();
    };
    let split = ["--set", "split={file: {path: sides.csv}}"];
    sides(1);
    run(folder, &split).success();
    sides(3);
    run(folder, &split).code(2).stderr(contains(
        "2 cases moved to the other side of the split (sub-01, sub-03)",
    ));
    sides(1);
    run(folder, &split)
        .success()
        .stderr(contains("is finished"));
    // What a file leaves out may come and go.
    let unlisted = [
        "--set",
        "split={file: {path: sides.csv, skip_unlisted: true}}",
        "--set",
        "name=listed",
    ];
    run(folder, &unlisted).success();
    let copy = head(folder, "sub-05");
    fs::create_dir(&copy).unwrap();
    for (from, to) in [
        ("sub-01_T1w", "sub-05_T1w"),
        ("sub-01_T1w_brainmask", "sub-05_T1w_brainmask"),
    ] {
        let from = head(folder, "sub-01").join(format!("{from}.nii.gz"));
        fs::copy(from, copy.join(format!("{to}.nii.gz"))).unwrap();
    }
    run(folder, &unlisted)
        .success()
        .stderr(contains("is finished"));
}

#[test]
fn folds_and_seeds_of_an_experiment_are_made_from_the_same_data() {
    let folder = toy_workplace(6);
    let folder = folder.path();
    let aside = take_out(folder, "sub-06");
    let kfold = ["--set", "split={kfold: {k: 2}}", "--set", "train.epochs=1"];
    let with = |more: &[&'static str]| run(folder, &[&kfold[..], more].concat());
    with(&["--folds", "0"]).success();
    fs::rename(&aside, head(folder, "sub-06")).unwrap();
    for other in [
        &["--folds", "1"][..],
        &["--folds", "1", "--force"],
        &["--seeds", "8"],
        &["--seeds", "8,9"],
    ] {
        with(other).code(2).stderr(
            contains("results/toy/seed-7/fold-0 was made from other data: 1 case added (sub-06)")
                .and(contains("All folds and seeds").and(contains("in one command with --force"))),
        );
    }
    let runs = |name: &str| folder.join("results/toy").join(name).exists();
    assert!(!runs("seed-7/fold-1") && !runs("seed-8"));
    // Another split is another experiment, whatever its name.
    run(folder, &["--seeds", "8"]).success();
    with(&["--force"]).success();
    with(&["--seeds", "9", "--folds", "1"]).success();
    // A fold that is to be resumed is looked at before the first one starts.
    correct_mask(folder, "sub-01");
    fs::remove_dir_all(folder.join("results/toy/seed-7/fold-0")).unwrap();
    with(&[])
        .code(2)
        .stderr(contains("1 case changed in the mask (sub-01)"));
    assert!(!runs("seed-7/fold-0"));
}

#[test]
fn a_run_of_an_earlier_version_without_records_resumes() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    killed_run(folder, &[], "results/toy/seed-7");
    let home = folder.join("results/toy/seed-7");
    fs::remove_file(home.join("split.json")).unwrap();
    fs::write(home.join("environment.json"), "{\"sessions\": []}").unwrap();
    run(folder, &[]).success().stderr(contains("Resuming"));
    fs::remove_file(home.join("environment.json")).unwrap();
    correct_mask(folder, "sub-02");
    run(folder, &[]).success().stderr(contains("is finished"));
}

#[test]
fn learnt_landmarks_do_not_hide_what_changed() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let learning = ["--set", "preprocess=[nyul, zscore]"];
    run(folder, &learning).success();
    correct_mask(folder, "sub-02");
    run(folder, &learning)
        .code(2)
        .stderr(contains("changed in the mask (sub-02)").and(contains("other settings").not()));
    // What is really set otherwise is named, with both values.
    run(
        folder,
        &[
            "--set",
            "preprocess=[nyul, zscore]",
            "--set",
            "train.batch_size=1",
            "--set",
            "augment=[]",
        ],
    )
    .code(2)
    .stderr(
        contains("results/toy/seed-7 holds a run with other settings: ")
            .and(contains("train.batch_size was 2, is 1"))
            .and(contains("augment was [{"))
            .and(contains("landmarks").not()),
    );
}

#[test]
fn one_scan_under_two_names_stands_on_one_side() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let scan = |subject: &str| head(folder, subject).join(format!("{subject}_T1w.nii.gz"));
    fs::copy(scan("sub-01"), scan("sub-03")).unwrap();
    let side = |validates: [usize; 2]| {
        let side = |case: usize| {
            if validates.contains(&case) {
                "validation"
            } else {
                "train"
            }
        };
        let rows: String = (1..=4)
            .map(|case| format!("sub-{case:02},{}\n", side(case)))
            .collect();
        fs::write(folder.join("sides.csv"), format!("id,side\n{rows}")).unwrap();
    };
    let split = [
        "--set",
        "split={file: {path: sides.csv}}",
        "--set",
        "train.epochs=1",
    ];
    side([3, 4]);
    run(folder, &split).code(2).stderr(
        contains("sub-01_T1w.nii.gz and ")
            .and(contains(
                "sub-03_T1w.nii.gz are the same file under two names",
            ))
            .and(contains("case sub-01 trains while case sub-03 validates")),
    );
    assert!(!folder.join("results/toy/seed-7").exists());
    side([2, 4]);
    run(folder, &split)
        .success()
        .stderr(contains("warning: cases sub-01 and sub-03 have the same image").count(1));
}

#[test]
fn a_mask_that_changes_while_a_run_trains_is_not_scored_against() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let home = folder.join("results/toy/seed-7");
    let longer = ["--set", "train.epochs=40"];
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("calvaria"))
        .current_dir(folder)
        .args(["run", "toy.yaml", "--device", "cpu", "-q"])
        .args(longer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !home.join("checkpoints/last.state").exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended too soon");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let fold: Fold = serde_json::from_slice(&fs::read(home.join("split.json")).unwrap()).unwrap();
    let (path, mask) = correct_mask(folder, &fold.validation[0]);
    let ended = child.wait_with_output().unwrap();
    let message = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{message}");
    assert!(
        message.contains("the data changed while they were used: 1 case changed in the mask"),
        "{message}"
    );
    assert!(!home.join("summary.json").exists());
    fs::write(path, mask).unwrap();
    run(folder, &longer).success();
}

#[test]
fn what_is_named_twice_is_refused() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    run(folder, &["--seeds", "1,2,1"])
        .code(2)
        .stderr(contains("--seeds names 1 twice"));
    let kfold = ["--set", "split={kfold: {k: 2}}", "--folds", "1,1"];
    run(folder, &kfold)
        .code(2)
        .stderr(contains("--folds names 1 twice"));
    run(folder, &["toy.yaml"])
        .code(2)
        .stderr(contains("toy.yaml is named twice"));
    assert!(!folder.join("results/toy/seed-1").exists());
}

const SWEEP: &str = "\
experiment: toy.yaml
set: {train.epochs: 1}
seeds: [1, 2]
space: {loss: {choice: [dice, bce]}}
sampler: grid
objective: {metric: validation_iou, goal: maximize}
budget: {trials: 1}
executor: {local: {workers: 1, devices: [cpu]}}
";

#[test]
fn a_sweep_fixes_its_data_when_it_is_opened() {
    let folder = sweep_workplace(SWEEP);
    let folder = folder.path();
    let sweep = || {
        calvaria()
            .current_dir(folder)
            .args(["sweep", "search.yaml"])
            .assert()
    };
    sweep().success();
    let more = SWEEP.replace("trials: 1", "trials: 2");
    fs::write(folder.join("search.yaml"), more).unwrap();
    let refused = |changes: &str| {
        sweep().code(2).stderr(
            contains("results/search was made from other data: ")
                .and(contains(changes))
                .and(contains("All trials of a sweep").and(contains("another name"))),
        );
        assert!(!folder.join("results/search/trial-0001").exists());
    };
    let (path, mask) = correct_mask(folder, "sub-02");
    refused("1 case changed in the mask (sub-02)");
    // A trial that a cluster starts later does not run on them either.
    let job = |trial: &str| {
        let mut command = calvaria();
        command
            .current_dir(folder)
            .args(["run", "results/search/experiment.yaml"]);
        command.args([
            "--set",
            trial,
            "--seeds",
            "1",
            "--device",
            "cpu",
            "--results",
            "results/search",
        ]);
        command
            .args(["--fixed-data", "results/search/data.json"])
            .assert()
    };
    job("name=trial-0001")
        .code(2)
        .stderr(contains("changed in the mask (sub-02)"));
    fs::write(path, mask).unwrap();
    let aside = take_out(folder, "sub-03");
    refused("1 case removed (sub-03)");
    fs::rename(aside, head(folder, "sub-03")).unwrap();
    sweep().success().stdout(contains("2 trials: 2 finished"));
    // A sweep of an earlier version takes on the data that it finds.
    fs::remove_file(folder.join("results/search/data.json")).unwrap();
    sweep().success();
    assert!(folder.join("results/search/data.json").is_file());
}

#[test]
fn a_sweep_over_data_fixes_those_of_each_trial() {
    let folder = sweep_workplace(
        &SWEEP
            .replace(
                "loss: {choice: [dice, bce]}",
                "data.nfbs.root: {choice: [heads, others]}",
            )
            .replace("trials: 1", "trials: 2"),
    );
    let folder = folder.path();
    crate::common::toy_dataset(&folder.join("others"), 4);
    let other = folder.join("others/sub-01/sub-01_T1w_brainmask.nii.gz");
    let sweep = || {
        calvaria()
            .current_dir(folder)
            .args(["sweep", "search.yaml"])
            .assert()
    };
    sweep().success().stdout(contains("2 trials: 2 finished"));
    sweep().success();
    fs::copy(
        folder.join("others/sub-02/sub-02_T1w_brainmask.nii.gz"),
        other,
    )
    .unwrap();
    sweep()
        .code(2)
        .stderr(contains("changed in the mask (sub-01)"));
}

#[test]
fn pruning_for_another_experiment_spares_what_a_process_works_with() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let other = fs::read_to_string(folder.join("toy.yaml")).unwrap();
    let other = other
        .replace("[{zscore: {over: whole}}]", "[rescale]")
        .replace("name: toy", "name: other");
    fs::write(folder.join("other.yaml"), other).unwrap();
    let prune = || {
        let mut command = calvaria();
        command
            .current_dir(folder)
            .args(["prepare", "other.yaml", "--prune"]);
        command.assert().success()
    };
    let home = folder.join("results/toy/seed-7");
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("calvaria"))
        .current_dir(folder)
        .args([
            "run",
            "toy.yaml",
            "--device",
            "cpu",
            "-q",
            "--set",
            "train.epochs=400",
        ])
        .spawn()
        .unwrap();
    while !home.join("checkpoints/last.state").exists() {
        assert!(child.try_wait().unwrap().is_none(), "ended too soon");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(
        lock(&home.join(".lock")).unwrap().is_none(),
        "it is at work"
    );
    prune().stderr(
        contains("Pruned 0 cases")
            .and(contains("Kept 4 cases"))
            .and(contains("runs in progress")),
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // What a killed process listed is no longer in use.
    prune().stderr(contains("Pruned 4 cases").and(contains("Kept").not()));
    let lists = fs::read_dir(folder.join("results/cache/.in-use")).unwrap();
    assert_eq!(lists.count(), 1, "the lock alone");
}
