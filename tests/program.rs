//! The smaller subcommands.

mod common;

use calvaria::volume::nifti::{read_image, write_mask};
use common::{calvaria, toy_head, toy_workplace};
use predicates::prelude::*;
use predicates::str::contains;

#[test]
fn help_names_every_subcommand() {
    let help = calvaria().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for name in [
        "run",
        "prepare",
        "preprocess",
        "predict",
        "evaluate",
        "list",
        "config",
    ] {
        assert!(
            text.contains(&format!("\n  {name} ")),
            "{name} is not in: {text}"
        );
    }
}

#[test]
fn preprocess_takes_a_step_by_name_inline_or_from_a_file() {
    let folder = toy_workplace(1);
    std::fs::write(
        folder.path().join("steps.yaml"),
        "- {resample: {spacing: [8, 8, 8], shape: null, interpolation: linear}}\n- zscore\n",
    )
    .unwrap();
    let input = "heads/sub-01/sub-01_T1w.nii.gz";
    for (steps, shape) in [
        ("zscore", [16, 16, 16]),
        ("{resample: {spacing: [8, 8, 8], shape: null}}", [8, 8, 8]),
        ("steps.yaml", [8, 8, 8]),
    ] {
        calvaria()
            .current_dir(folder.path())
            .args(["preprocess", steps, input, "out.nii.gz"])
            .assert()
            .success();
        let done = read_image(&folder.path().join("out.nii.gz")).unwrap();
        assert_eq!(done.shape(), shape, "{steps}");
    }
    calvaria()
        .current_dir(folder.path())
        .args(["preprocess", "n5", input, "out.nii.gz"])
        .assert()
        .code(2)
        .stderr(contains("n4"));
}

#[test]
fn evaluate_scores_a_mask_against_itself_and_refuses_another_grid() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        folder.path().join("a.nii.gz"),
        folder.path().join("b.nii.gz"),
    );
    let (_, mut mask) = toy_head(1);
    write_mask(&a, &mask).unwrap();
    mask.affine.0[1][3] += 1.0;
    write_mask(&b, &mask).unwrap();
    calvaria()
        .arg("evaluate")
        .args([&a, &a])
        .assert()
        .success()
        .stdout(contains("iou                 1.000000"));
    calvaria()
        .arg("evaluate")
        .args([&a, &b])
        .assert()
        .code(2)
        .stderr(contains("one grid"));
}

#[test]
fn list_shows_members_and_cases() {
    let folder = toy_workplace(2);
    calvaria()
        .args(["list", "losses"])
        .assert()
        .success()
        .stdout(
            contains("dice:")
                .and(contains("focal:"))
                .and(contains("gamma:")),
        );
    calvaria()
        .current_dir(folder.path())
        .args(["list", "cases", "toy.yaml"])
        .assert()
        .success()
        .stdout(contains("sub-01,16x16x16,4.000x4.000x4.000,RAS,"));
}

#[test]
fn prepare_fills_the_cache_that_run_uses() {
    let folder = toy_workplace(3);
    calvaria()
        .current_dir(folder.path())
        .args(["prepare", "toy.yaml"])
        .assert()
        .success()
        .stderr(contains("Prepared 3 cases"));
    let kept = || {
        std::fs::read_dir(folder.path().join("results/cache"))
            .unwrap()
            .count()
    };
    assert_eq!(kept(), 3);
    calvaria()
        .current_dir(folder.path())
        .args([
            "run",
            "toy.yaml",
            "--set",
            "train.epochs=1",
            "--device",
            "cpu",
        ])
        .assert()
        .success();
    assert_eq!(kept(), 3, "the run prepared the cases anew");
}
