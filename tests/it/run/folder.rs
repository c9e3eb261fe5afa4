//! `calvaria run` and `predict` as a user sees them, on made-up heads.

use std::fs;
use std::path::Path;

use calvaria::dataset::Fold;
use calvaria::experiment::Experiment;
use calvaria::layout::RunFolder;
use calvaria::preprocess::{Inputs, Pipeline};
use calvaria::volume::nifti::{Dtype, read_image, read_mask, write_image};
use calvaria::volume::{Affine, Volume};
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, killed_run, repository, toy_head, toy_workplace};

fn run(folder: &Path, more: &[&str]) -> assert_cmd::assert::Assert {
    calvaria()
        .current_dir(folder)
        .args(["run", "toy.yaml", "--device", "cpu"])
        .args(more)
        .assert()
}

#[test]
fn a_run_leaves_everything_that_the_readme_lists() {
    let folder = toy_workplace(4);
    run(folder.path(), &[])
        .success()
        .stdout(contains("validation IoU").and(contains("report.html")));
    let home = folder.path().join("results/toy/seed-7");
    for name in [
        "config.yaml",
        "environment.json",
        "split.json",
        "metrics.csv",
        "cases.csv",
        "summary.json",
        "report.html",
        "log.txt",
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "plots/validation_iou.png",
        "plots/validation_iou.svg",
        "plots/loss.png",
        "plots/learning_rate.png",
        "plots/cases.png",
        "plots/overlay_best.png",
        "plots/overlay_median.png",
        "plots/overlay_worst.png",
    ] {
        let file = home.join(name);
        assert!(
            file.metadata().is_ok_and(|m| m.len() > 0),
            "{name} is missing"
        );
    }
    let events = fs::read_dir(home.join("tensorboard")).unwrap().count();
    assert_eq!(events, 1, "one session, one file of events");
    assert_eq!(RunFolder::new(&home).read_metrics().unwrap().len(), 3);
    let log = fs::read_to_string(home.join("log.txt")).unwrap();
    assert!(log.contains("epoch   3/3"), "{log}");
}

#[test]
fn the_same_seed_gives_the_same_numbers_and_another_does_not() {
    let folder = toy_workplace(4);
    let numbers = |results: &str, seed: &str| {
        run(folder.path(), &["--results", results, "--seeds", seed]).success();
        let home = folder.path().join(results).join(format!("toy/seed-{seed}"));
        let mut history = RunFolder::new(&home).read_metrics().unwrap();
        history.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
        let weights = fs::read(home.join("checkpoints/last.safetensors")).unwrap();
        (history, weights)
    };
    let first = numbers("a", "1");
    assert!(first == numbers("b", "1"), "the same seed, other numbers");
    assert!(
        first.0 != numbers("c", "2").0,
        "another seed, the same numbers"
    );
}

#[test]
fn an_unfinished_run_goes_on_and_ends_like_an_uninterrupted_one() {
    let folder = toy_workplace(4);
    let history = |results: &str| {
        let run = RunFolder::new(folder.path().join(results).join("toy/seed-7"));
        let mut history = run.read_metrics().unwrap();
        history.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
        history
    };
    run(folder.path(), &["--results", "whole"]).success();
    killed_run(folder.path(), &["--results", "cut"], "cut/toy/seed-7");
    run(folder.path(), &["--results", "cut"]).success();
    assert_eq!(history("whole"), history("cut"));
    let weights = |results: &str| {
        fs::read(
            folder
                .path()
                .join(results)
                .join("toy/seed-7/checkpoints/last.safetensors"),
        )
        .unwrap()
    };
    assert!(
        weights("whole") == weights("cut"),
        "weights differ after resuming"
    );
}

#[test]
fn a_run_can_be_run_again_from_its_own_folder() {
    let folder = toy_workplace(6);
    // The second fold learns its own landmarks from its own training cases.
    let options = ["split={kfold: {k: 2}}", "preprocess=[nyul, zscore]"];
    let options = options.map(|option| ["--set", option]).concat();
    run(folder.path(), &options).success();
    let first = folder.path().join("results/toy/seed-7/fold-1");
    calvaria()
        .current_dir(folder.path())
        .args(["run", "results/toy/seed-7/fold-1/config.yaml"])
        .args(["--device", "cpu", "--results", "again"])
        .assert()
        .success();
    let again = folder.path().join("again/toy/seed-7/fold-1");
    for file in [
        "config.yaml",
        "cases.csv",
        "split.json",
        "checkpoints/best.safetensors",
    ] {
        let same = fs::read(first.join(file)).unwrap() == fs::read(again.join(file)).unwrap();
        assert!(same, "{file} differs");
    }
    let siblings = folder.path().join("again/toy/seed-7");
    assert_eq!(
        fs::read_dir(siblings).unwrap().count(),
        1,
        "that fold alone"
    );
}

#[test]
fn the_environment_tells_what_a_run_was_made_from_and_used() {
    let folder = toy_workplace(4);
    killed_run(folder.path(), &[], "results/toy/seed-7");
    run(folder.path(), &[]).success();
    let home = folder.path().join("results/toy/seed-7");
    let text = fs::read_to_string(home.join("environment.json")).unwrap();
    let environment: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sessions = environment["sessions"].as_array().unwrap();
    assert_eq!(
        sessions.len(),
        2,
        "the one that was killed and the one that resumed"
    );
    let last = &sessions[1];
    assert_eq!(last["device"], "cpu");
    assert_eq!(last["command"][1], "run");
    assert!(last["wall_seconds"].as_f64().unwrap() > 0.0);
    assert!(last["cpu_seconds"].as_f64().unwrap() > 0.0);
    let lock = fs::read_to_string(repository("Cargo.lock")).unwrap();
    assert!(lock.contains(&format!("name = \"burn\"\nversion = {}", last["burn"])));
    let described = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(repository(""))
        .output();
    if let Ok(described) = described
        && repository(".git").exists()
    {
        let commit = String::from_utf8(described.stdout).unwrap();
        assert_eq!(last["commit"], commit.trim());
    }
    let image = folder.path().join("heads/sub-02/sub-02_T1w.nii.gz");
    let recorded = &environment["inputs"]["sub-02"]["image"];
    let sum = std::process::Command::new("sha256sum")
        .arg(image)
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(recorded.as_str().unwrap(), sum.split(' ').next().unwrap());
    assert_eq!(environment["inputs"].as_object().unwrap().len(), 4);
}

#[test]
fn as_much_is_said_as_is_asked_for() {
    let folder = toy_workplace(4);
    let output_of = |results: &str, more: &[&str]| {
        let mut all = vec!["--results", results];
        all.extend(more);
        let output = run(folder.path(), &all).success().get_output().clone();
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(output_of("quiet", &["-q"]), "");
    let normal = output_of("normal", &[]);
    assert_eq!(normal.matches("epoch ").count(), 3, "{normal}");
    assert!(
        normal.contains(" left") && !normal.contains("step 1/3"),
        "{normal}"
    );
    assert!(
        !normal.contains('\u{1b}'),
        "no colours where nobody sees them"
    );
    let verbose = output_of("verbose", &["-v"]);
    assert!(
        verbose.contains("  step 3/3  loss") && verbose.contains("threads"),
        "{verbose}"
    );
    let log = fs::read_to_string(folder.path().join("normal/toy/seed-7/log.txt")).unwrap();
    assert!(
        log.starts_with("epoch   1/3") && log.ends_with(" s.\n"),
        "{log}"
    );
}

#[test]
fn a_finished_run_is_kept_unless_forced() {
    let folder = toy_workplace(4);
    run(folder.path(), &[]).success();
    let home = RunFolder::new(folder.path().join("results/toy/seed-7"));
    let csv = home.metrics();
    let before = fs::read(&csv).unwrap();
    run(folder.path(), &[])
        .success()
        .stderr(contains("is finished"));
    assert_eq!(fs::read(&csv).unwrap(), before);
    run(folder.path(), &["--set", "train.epochs=2"])
        .code(2)
        .stderr(contains("has only 2").and(contains("--force")));
    run(folder.path(), &["--set", "train.batch_size=1"])
        .code(2)
        .stderr(contains(
            "other settings: train.batch_size was 2, is 1. Use --force",
        ));
    run(folder.path(), &["--set", "train.epochs=2", "--force"]).success();
    assert_eq!(home.read_metrics().unwrap().len(), 2);
}

#[test]
fn a_run_that_another_process_works_on_is_left_alone() {
    let folder = toy_workplace(4);
    let home = folder.path().join("results/toy/seed-7");
    let other = calvaria::files::lock(&home.join(".lock")).unwrap();
    let forced = run(folder.path(), &["--force"]);
    forced.code(2).stderr(contains("another process"));
    assert!(!home.join("config.yaml").exists());
    drop(other);
    run(folder.path(), &["--force"]).success();
}

#[test]
fn folds_and_seeds_run_and_are_averaged() {
    let folder = toy_workplace(4);
    run(
        folder.path(),
        &[
            "--set",
            "split={kfold: {k: 2}}",
            "--set",
            "train.epochs=1",
            "--seeds",
            "1,2",
        ],
    )
    .success()
    .stdout(contains("4 runs, mean ± sd"));
    for variant in [
        "seed-1/fold-0",
        "seed-1/fold-1",
        "seed-2/fold-0",
        "seed-2/fold-1",
    ] {
        assert!(
            folder
                .path()
                .join("results/toy")
                .join(variant)
                .join("cases.csv")
                .exists()
        );
    }
    assert!(
        folder
            .path()
            .join("results/toy/plots/validation_iou.png")
            .exists()
    );
    run(
        folder.path(),
        &["--set", "split={kfold: {k: 2}}", "--folds", "2"],
    )
    .code(2)
    .stderr(contains("numbered from 0"));
}

#[test]
fn a_trained_run_segments_a_scan_on_its_own_grid() {
    let folder = toy_workplace(4);
    run(folder.path(), &["--set", "train.epochs=8"]).success();
    // A new head, stored mirrored, permuted and shifted in the world.
    let (image, truth) = toy_head(9);
    let flip = |affine: Affine| {
        let mut m = affine.0;
        for (row, line) in m.iter_mut().enumerate().take(3) {
            line[3] += line[0] * 15.0 + if row == 1 { 10.0 } else { 0.0 };
            line[0] = -line[0];
        }
        Affine(m)
    };
    let mut voxels = image.voxels.clone();
    voxels.invert_axis(ndarray::Axis(0));
    let mirrored = Volume {
        voxels: voxels.as_standard_layout().to_owned(),
        affine: flip(image.affine),
    };
    let scan = folder.path().join("scan.nii.gz");
    write_image(&scan, &mirrored, Dtype::Float32).unwrap();
    calvaria()
        .current_dir(folder.path())
        .args([
            "predict",
            "--run",
            "results/toy/seed-7",
            "scan.nii.gz",
            "-o",
            "out",
        ])
        .assert()
        .success()
        .stdout(contains("mL"));
    let mask = read_mask(&folder.path().join("out/scan_desc-calvaria_mask.nii.gz")).unwrap();
    let brain = read_image(&folder.path().join("out/scan_desc-calvaria_brain.nii.gz")).unwrap();
    assert_eq!(mask.shape(), mirrored.shape());
    assert_eq!(mask.affine, mirrored.affine);
    let mut expected = truth.voxels.clone();
    expected.invert_axis(ndarray::Axis(0));
    let hits = mask
        .voxels
        .iter()
        .zip(&expected)
        .filter(|(a, b)| **a == 1 && **b == 1)
        .count();
    let either = mask
        .voxels
        .iter()
        .zip(&expected)
        .filter(|(a, b)| **a == 1 || **b == 1)
        .count();
    assert!(hits as f64 / either as f64 > 0.7, "IoU {hits}/{either}");
    assert!(
        brain
            .voxels
            .iter()
            .zip(&mask.voxels)
            .all(|(v, m)| (*m == 1) || *v == 0.0)
    );
}

#[test]
fn landmarks_are_learnt_from_each_folds_training_cases_and_stored_with_the_run() {
    let folder = toy_workplace(4);
    // A head unlike the others, so that it matters who teaches.
    let unlike = folder.path().join("heads/sub-01/sub-01_T1w.nii.gz");
    let mut image = read_image(&unlike).unwrap();
    image.change(|value| value * value);
    write_image(&unlike, &image, Dtype::Float32).unwrap();
    let args = [
        "--set",
        "split={kfold: {k: 2}}",
        "--set",
        "preprocess=[rescale, nyul, zscore]",
        "--set",
        "train.epochs=1",
    ];
    run(folder.path(), &args).success();
    let learnt = |fold: usize| {
        let home = folder
            .path()
            .join(format!("results/toy/seed-7/fold-{fold}"));
        let config: Experiment =
            serde_yaml::from_str(&fs::read_to_string(home.join("config.yaml")).unwrap()).unwrap();
        let split = fs::read_to_string(home.join("split.json")).unwrap();
        (
            config.preprocess,
            serde_json::from_str::<Fold>(&split).unwrap(),
        )
    };
    let heads = folder.path().join("heads");
    let read = |id: &String| {
        let image = heads.join(id).join(format!("{id}_T1w.nii.gz"));
        let raw = Inputs::scan(&image, None).read().unwrap().case;
        serde_yaml::from_str::<Pipeline>("[rescale]")
            .unwrap()
            .apply(raw)
    };
    let unlearnt: Pipeline = serde_yaml::from_str("[rescale, nyul, zscore]").unwrap();
    for fold in 0..2 {
        let (pipeline, split) = learnt(fold);
        let expected = unlearnt
            .clone()
            .learnt(split.train.iter().map(read))
            .unwrap();
        assert_eq!(pipeline, expected, "fold {fold}");
    }
    assert_ne!(learnt(0).0, learnt(1).0);
    // The same command finds the same runs.
    run(folder.path(), &args)
        .success()
        .stderr(contains("fold-1 is finished"));
    calvaria()
        .current_dir(folder.path())
        .args(["predict", "--run", "results/toy/seed-7/fold-0", "-o", "out"])
        .arg("heads/sub-01/sub-01_T1w.nii.gz")
        .assert()
        .success();
}

#[test]
fn a_folder_of_another_origin_is_left_alone() {
    let folder = toy_workplace(4);
    let note = folder.path().join("results/toy/seed-7/metrics.csv");
    fs::create_dir_all(note.parent().unwrap()).unwrap();
    fs::write(&note, "my own").unwrap();
    for more in [&[][..], &["--force"]] {
        run(folder.path(), more)
            .code(2)
            .stderr(contains("is not the folder of a run").and(contains("metrics.csv")));
        assert_eq!(fs::read(&note).unwrap(), b"my own");
        assert_eq!(fs::read_dir(note.parent().unwrap()).unwrap().count(), 1);
    }
}

/// Killed while it wrote its first file, a run leaves a part of that and nothing else.
#[test]
fn a_run_that_was_killed_at_its_first_file_begins_again() {
    let folder = toy_workplace(4);
    let home = folder.path().join("results/toy/seed-7");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join(".tmp-a1B2c3"), "seed: ").unwrap();
    run(folder.path(), &["--set", "train.epochs=1"]).success();
    assert!(home.join("summary.json").exists());
}

#[test]
fn starting_over_removes_what_a_run_has_written_and_nothing_else() {
    let folder = toy_workplace(4);
    run(folder.path(), &[]).success();
    let home = folder.path().join("results/toy/seed-7");
    fs::write(home.join("notes.txt"), "mine").unwrap();
    fs::write(home.join("checkpoints/leftover"), "").unwrap();
    run(folder.path(), &["--force", "--set", "train.epochs=1"]).success();
    assert_eq!(fs::read(home.join("notes.txt")).unwrap(), b"mine");
    assert!(!home.join("checkpoints/leftover").exists());
    assert_eq!(RunFolder::new(&home).read_metrics().unwrap().len(), 1);
}

#[test]
fn pages_of_another_origin_and_experiments_of_one_name_are_refused_before_the_work() {
    let folder = toy_workplace(4);
    let page = folder.path().join("results/toy/report.html");
    fs::create_dir_all(page.parent().unwrap()).unwrap();
    fs::write(&page, "<p>my own</p>").unwrap();
    run(folder.path(), &["--seeds", "1,2"])
        .code(2)
        .stderr(contains("report.html exists").and(contains("no page of calvaria")));
    assert_eq!(fs::read(&page).unwrap(), b"<p>my own</p>");
    fs::copy(
        folder.path().join("toy.yaml"),
        folder.path().join("again.yaml"),
    )
    .unwrap();
    run(folder.path(), &["again.yaml"])
        .code(2)
        .stderr(contains("have the name `toy`"));
    run(folder.path(), &["--fixed-data", "nowhere.json"])
        .code(2)
        .stderr(contains("nowhere.json"));
    assert!(
        !folder
            .path()
            .join("results/toy/seed-7/config.yaml")
            .exists()
    );
}

#[test]
fn what_is_doubtful_about_a_case_stands_in_the_log_of_its_run() {
    let folder = toy_workplace(4);
    // The ball reaches from -16 to 16 mm; a grid of 28 mm cuts its ends off.
    let cut = "preprocess=[{crop_pad: {shape: [16, 16, 5]}}, {zscore: {over: whole}}]";
    run(folder.path(), &["--set", cut, "--set", "train.epochs=1"])
        .success()
        .stderr(contains("of the mask lies outside the grid"));
    let log = fs::read_to_string(folder.path().join("results/toy/seed-7/log.txt")).unwrap();
    let lines = log
        .lines()
        .filter(|line| line.contains("of the mask lies outside the grid"));
    assert_eq!(lines.count(), 4, "{log}");
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_names_the_cases() {
    let folder = toy_workplace(4);
    run(
        folder.path(),
        &[
            "--set",
            "optimizer.adam.learning_rate=1.0e30",
            "--set",
            "model.unet={filters: 2, levels: 2, norm: none, activation: leaky_relu}",
        ],
    )
    .code(1)
    .stderr(
        contains("the loss is")
            .and(contains("step"))
            .and(contains("sub-")),
    );
}

#[test]
fn weights_that_break_stop_the_run_and_are_not_kept() {
    let folder = toy_workplace(4);
    run(
        folder.path(),
        &["--set", "optimizer.adam.learning_rate=1.0e30"],
    )
    .code(1)
    .stderr(contains("the loss is NaN").and(contains("learning_rate")));
    let home = folder.path().join("results/toy/seed-7");
    assert!(!home.join("checkpoints/best.safetensors").exists());
}

#[test]
fn a_validation_loss_that_is_not_finite_stops_the_run_in_the_last_epoch_too() {
    let folder = toy_workplace(4);
    // The only step of an epoch is taken after its loss is known.
    let steps = [
        "--set",
        "train.steps_per_epoch=1",
        "--set",
        "optimizer.adam.learning_rate=1.0e30",
    ];
    for epochs in ["train.epochs=1", "train.epochs=2"] {
        run(
            folder.path(),
            &[&steps[..], &["--set", epochs, "--force"]].concat(),
        )
        .code(1)
        .stderr(
            contains("the validation loss is NaN after epoch 1 (case sub-")
                .and(contains("learning_rate")),
        );
        let home = folder.path().join("results/toy/seed-7");
        assert!(
            !home.join("summary.json").exists()
                && !home.join("checkpoints/best.safetensors").exists()
        );
    }
}

#[test]
fn convolutions_give_the_same_numbers_on_any_number_of_threads_and_direct_ones_are_told() {
    let folder = toy_workplace(4);
    let run = |results: &str, convolutions: &str, threads: &str| {
        calvaria()
            .current_dir(folder.path())
            .env("CALVARIA_CONVOLUTIONS", convolutions)
            .env("RAYON_NUM_THREADS", threads)
            .args([
                "run",
                "toy.yaml",
                "--device",
                "cpu",
                "-q",
                "--results",
                results,
            ])
            .args(["--set", "train.epochs=1"])
            .assert()
            .success();
        let home = RunFolder::new(folder.path().join(results).join("toy/seed-7"));
        let environment = fs::read_to_string(home.environment()).unwrap();
        let is_told = environment.contains("direct convolutions");
        (fs::read(home.last_weights()).unwrap(), is_told)
    };
    let (usual, is_told) = run("one", "", "1");
    assert!(!is_told);
    assert_eq!(run("two", "", "2"), (usual.clone(), false));
    let (direct, is_told) = run("direct", "direct", "2");
    assert!(direct != usual && is_told);
}
