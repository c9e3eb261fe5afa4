//! What a user's mistakes are answered with: one clear paragraph, exit code 2, nothing half-written.

use std::fs;
use std::path::Path;

use calvaria::volume::nifti::{Dtype, write_image, write_mask};
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, toy_head, toy_workplace};

/// Runs the toy experiment after `spoil` has changed its folder; nothing may be left in results.
fn refused(spoil: impl FnOnce(&Path), message: &[&str]) {
    let folder = toy_workplace(3);
    spoil(folder.path());
    let output = calvaria()
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "cpu"])
        .assert()
        .code(2)
        .stderr(contains("panicked").not())
        .stderr(contains("error: "))
        .get_output()
        .clone();
    let text = String::from_utf8(output.stderr).unwrap();
    for words in message {
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }
    assert!(
        !folder.path().join("results/toy/seed-7").exists(),
        "a run was started all the same"
    );
}

fn edit(folder: &Path, from: &str, to: &str) {
    let path = folder.join("toy.yaml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from));
    fs::write(path, text.replace(from, to)).unwrap();
}

const MASK: &str = "heads/sub-02/sub-02_T1w_brainmask.nii.gz";
const IMAGE: &str = "heads/sub-02/sub-02_T1w.nii.gz";

#[test]
fn a_missing_mask() {
    refused(
        |folder| fs::remove_file(folder.join(MASK)).unwrap(),
        &["sub-02_T1w.nii.gz", "mask"],
    );
}

#[test]
fn an_unreadable_file() {
    refused(
        |folder| fs::write(folder.join(IMAGE), "this is text, not a scan").unwrap(),
        &["sub-02_T1w.nii.gz"],
    );
}

#[test]
fn a_truncated_file() {
    refused(
        |folder| {
            let whole = fs::read(folder.join(IMAGE)).unwrap();
            fs::write(folder.join(IMAGE), &whole[..whole.len() / 2]).unwrap();
        },
        &["sub-02_T1w.nii.gz"],
    );
}

#[test]
fn a_mask_of_another_shape() {
    refused(
        |folder| {
            let (_, mut mask) = toy_head(2);
            mask.voxels = mask.voxels.slice(ndarray::s![..15, .., ..]).to_owned();
            write_mask(&folder.join(MASK), &mask).unwrap();
        },
        &[
            "sub-02_T1w_brainmask.nii.gz",
            "sub-02_T1w.nii.gz",
            "15",
            "16",
        ],
    );
}

#[test]
fn a_mask_that_lies_elsewhere() {
    refused(
        |folder| {
            let (_, mut mask) = toy_head(2);
            mask.affine.0[0][3] += 5.0;
            write_mask(&folder.join(MASK), &mask).unwrap();
        },
        &["sub-02_T1w_brainmask.nii.gz", "affine"],
    );
}

#[test]
fn an_empty_mask() {
    refused(
        |folder| {
            let (_, mut mask) = toy_head(2);
            mask.voxels.fill(0);
            write_mask(&folder.join(MASK), &mask).unwrap();
        },
        &["sub-02_T1w_brainmask.nii.gz", "empty"],
    );
}

#[test]
fn a_scan_with_voxels_that_are_not_numbers() {
    refused(
        |folder| {
            let (mut image, _) = toy_head(2);
            image.voxels[[3, 3, 3]] = f32::NAN;
            write_image(&folder.join(IMAGE), &image, Dtype::Float32).unwrap();
        },
        &["sub-02_T1w.nii.gz"],
    );
}

#[test]
fn a_folder_without_cases() {
    refused(
        |folder| {
            fs::remove_dir_all(folder.join("heads")).unwrap();
            fs::create_dir(folder.join("heads")).unwrap();
        },
        &["heads", "holds no cases"],
    );
    refused(
        |folder| fs::remove_dir_all(folder.join("heads")).unwrap(),
        &["heads", "there is no folder"],
    );
}

#[test]
fn a_misspelt_key() {
    refused(
        |folder| edit(folder, "filters: 2", "filtres: 2"),
        &[
            "toy.yaml:7",
            "unknown key `filtres`",
            "Did you mean `filters`?",
        ],
    );
    refused(
        |folder| edit(folder, "schedule: constant", "schedule: constnat"),
        &["toy.yaml:10", "constnat", "Did you mean `constant`?"],
    );
    refused(
        |folder| edit(folder, "train:", "trian:"),
        &["toy.yaml:11", "Did you mean `train`?"],
    );
}

#[test]
fn a_value_out_of_range_or_of_the_wrong_type() {
    refused(
        |folder| edit(folder, "epochs: 3", "epochs: 0"),
        &["toy.yaml:11", "epochs must be at least 1"],
    );
    refused(
        |folder| edit(folder, "epochs: 3", "epochs: many"),
        &["toy.yaml:11", "train.epochs", "many"],
    );
    refused(
        |folder| edit(folder, "learning_rate: 0.01", "learning_rate: -1"),
        &["toy.yaml:9", "learning_rate must be above 0"],
    );
}

#[test]
fn a_file_that_is_not_yaml() {
    refused(
        |folder| edit(folder, "name: toy", "name: [toy"),
        &["toy.yaml", "not valid YAML"],
    );
}

#[test]
fn an_environment_variable_that_is_not_set() {
    calvaria()
        .args(["run", "--dry-run"])
        .arg(crate::common::repository("experiments/nfbs-baseline.yaml"))
        .assert()
        .code(2)
        .stderr(contains("NFBS_ROOT").and(contains("export")));
}

#[test]
fn results_that_cannot_be_written() {
    let folder = toy_workplace(3);
    fs::write(folder.path().join("occupied"), "a file, not a folder").unwrap();
    calvaria()
        .current_dir(folder.path())
        .args([
            "run",
            "toy.yaml",
            "--results",
            "occupied",
            "--device",
            "cpu",
        ])
        .assert()
        .code(2)
        .stderr(contains("occupied").and(contains("panicked").not()));
}

#[test]
fn cuda_where_there_is_none() {
    let folder = toy_workplace(3);
    let has_gpu = Path::new("/dev/nvidia0").exists();
    if has_gpu {
        println!("skipped: this machine has a GPU");
        return;
    }
    calvaria()
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "cuda"])
        .assert()
        .code(2)
        .stderr(contains("CUDA").or(contains("cuda:0")))
        .stderr(contains("panicked").not());
    calvaria()
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "gpu"])
        .assert()
        .code(2)
        .stderr(contains("allowed: auto, cpu, cuda"));
}

#[test]
fn a_folder_that_is_no_run() {
    let folder = toy_workplace(3);
    calvaria()
        .current_dir(folder.path())
        .args(["predict", "--run", "heads", IMAGE])
        .assert()
        .code(2)
        .stderr(contains("heads is not a run's folder"));
    std::fs::write(folder.path().join("study.jsonl"), "").unwrap();
    calvaria()
        .current_dir(folder.path())
        .args(["predict", "--run", ".", IMAGE])
        .assert()
        .code(2)
        .stderr(contains("Name a trial's folder").and(contains("sweep.csv")));
}
