//! What is a mask, and what is said about files that are none.

use std::fs;
use std::path::Path;

use calvaria::layout::RunFolder;
use calvaria::preprocess::cache::Cache;
use calvaria::preprocess::{GRID_TOLERANCE, ImageFile, Inputs};
use calvaria::volume::nifti::{Dtype, Encoding, write_image, write_mask};
use calvaria::volume::{Marked, MaskRule, Volume};
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{TOY_EXPERIMENT, calvaria, toy_head, toy_workplace};

fn mask_of(folder: &Path, subject: usize) -> std::path::PathBuf {
    let name = format!("sub-{subject:02}");
    folder.join(format!("heads/{name}/{name}_T1w_brainmask.nii.gz"))
}

/// Writes what `to` makes of a subject's mask (0 or 1, at an index) in place of it.
fn rewrite(
    folder: &Path,
    subject: usize,
    encoding: impl Into<Encoding>,
    to: impl Fn(f32, [usize; 3]) -> f32,
) {
    let (_, Volume { voxels, affine }) = toy_head(subject as u64);
    let mut values = voxels.mapv(f32::from);
    for ((x, y, z), value) in values.indexed_iter_mut() {
        *value = to(*value, [x, y, z]);
    }
    let volume = Volume {
        voxels: values,
        affine,
    };
    write_image(&mask_of(folder, subject), &volume, encoding).unwrap();
}

/// The toy experiment with other settings beside its source.
fn beside(folder: &Path, settings: &str) {
    let text = TOY_EXPERIMENT.replace("{root: heads}}", &format!("{{root: heads}}, {settings}}}"));
    assert_ne!(text, TOY_EXPERIMENT);
    fs::write(folder.join("toy.yaml"), text).unwrap();
}

fn run(folder: &Path, more: &[&str]) -> assert_cmd::assert::Assert {
    calvaria()
        .current_dir(folder)
        .args(["run", "toy.yaml", "--device", "cpu", "-q"])
        .args(more)
        .assert()
}

fn cases_table(folder: &Path, results: &str) -> String {
    let run = RunFolder::new(folder.join(results).join("toy/seed-7"));
    fs::read_to_string(run.cases()).unwrap()
}

/// As cubic interpolation leaves a mask: it swings about 0 and 1 near the edge.
fn cubic(value: f32, [x, y, z]: [usize; 3]) -> f32 {
    value + 0.06 * ((x * x + y * y + z * z) as f32).sin()
}

#[test]
fn files_that_are_no_masks_are_refused_with_their_values() {
    let folder = toy_workplace(8);
    let folder = folder.path();
    rewrite(folder, 1, Dtype::Float32, |value, [x, y, z]| {
        (value * 0.9 + 0.0001 * (x + 16 * y + 256 * z) as f32 / 41.0).max(1e-6)
    });
    rewrite(folder, 2, Dtype::Int16, |value, _| value + 1.0);
    rewrite(folder, 3, Dtype::Int16, |value, _| 2.0 * value - 1.0);
    rewrite(folder, 4, Dtype::Uint8, |_, _| 1.0);
    // The intercept puts no stored number at 0.
    let scaled = Encoding {
        slope: 1.12 / 255.0,
        inter: -0.06,
        ..Dtype::Uint8.into()
    };
    rewrite(folder, 5, scaled, cubic);
    rewrite(folder, 6, Dtype::Uint8, |value, [x, ..]| {
        value * (1 + x % 2) as f32
    });
    rewrite(folder, 7, Dtype::Uint8, |_, _| 0.0);
    calvaria()
        .current_dir(folder)
        .args(["list", "cases", "toy.yaml"])
        .assert()
        .code(2)
        .stdout(
            contains("like probabilities")
                .and(contains("the values 1 (93."))
                .and(contains("the values -1 (93."))
                .and(contains("every voxel is 1"))
                .and(contains("different values from -0.06 to 1.0"))
                .and(contains(" and 2 ("))
                .and(contains("brainmask.nii.gz is empty"))
                .and(contains("`label`").and(contains("`threshold`"))),
        )
        .stderr(contains("7 of 8 cases have problems"));
    run(folder, &[])
        .code(2)
        .stderr(contains("is not a mask").and(contains("brainmask.nii.gz")));
    assert!(!folder.join("results/toy/seed-7").exists());
}

#[test]
fn whatever_the_one_value_is_and_however_it_is_named_the_run_is_the_same() {
    let folder = toy_workplace(3);
    let folder = folder.path();
    let short = ["--set", "train.epochs=1", "--results"];
    let run = |results: &str| {
        run(folder, &[&short[..], &[results]].concat()).success();
        cases_table(folder, results)
    };
    let plain = run("plain");
    for subject in 1..=3 {
        rewrite(folder, subject, Dtype::Uint8, |value, _| 255.0 * value);
    }
    assert_eq!(run("bytes"), plain);
    for subject in 1..=3 {
        rewrite(
            folder,
            subject,
            Dtype::Int16,
            |value, [x, ..]| match value {
                0.0 => 1.0 + (x % 2) as f32,
                _ => 3.0 + (x % 2) as f32,
            },
        );
    }
    beside(folder, "label: [3, 4]");
    assert_eq!(run("labels"), plain);
    beside(folder, "threshold: 2.5");
    assert_eq!(run("threshold"), plain);
}

#[test]
fn settings_of_masks_are_checked_like_any_other() {
    let folder = toy_workplace(3);
    let folder = folder.path();
    for (settings, message) in [
        (
            "label: 2, threshold: 0.5",
            "threshold cannot stand beside label",
        ),
        ("label: []", "label must name at least one value"),
        (
            "label: brain",
            "label must be a number or a list, not `brain`",
        ),
        (
            "treshold: 0.5",
            "unknown name `treshold`. Did you mean `threshold`? Allowed: nfbs, bids, table, pairs, ",
        ),
        ("allow_empty: 1", "allow_empty must be true or false"),
    ] {
        beside(folder, settings);
        run(folder, &[]).code(2).stderr(contains(message));
    }
    fs::write(folder.join("toy.yaml"), "data: {label: 2}").unwrap();
    run(folder, &[]).code(2).stderr(contains(
        "data must also have one of nfbs, bids, table, pairs",
    ));
    fs::write(folder.join("toy.yaml"), TOY_EXPERIMENT).unwrap();
    let shown = calvaria()
        .current_dir(folder)
        .args(["config", "show", "toy.yaml", "--set", "data.label=2"])
        .assert()
        .success();
    let shown = String::from_utf8_lossy(&shown.get_output().stdout).into_owned();
    assert!(shown.contains("\n  label: 2.0\n"), "{shown}");
    assert!(!shown.contains("allow_empty"), "{shown}");
}

#[test]
fn cases_with_an_empty_mask_train_and_validate_where_that_is_allowed() {
    let folder = toy_workplace(6);
    let folder = folder.path();
    // One of them trains, the other validates.
    for subject in [1, 4] {
        rewrite(folder, subject, Dtype::Uint8, |_, _| 0.0);
    }
    fs::write(
        folder.join("sides.csv"),
        "id,side\nsub-01,val\nsub-02,val\nsub-03,train\nsub-04,train\nsub-05,train\nsub-06,train\n",
    )
    .unwrap();
    let refused = run(folder, &[]).code(2);
    refused.stderr(contains("is empty").and(contains("allow_empty: true")));
    beside(folder, "allow_empty: true");
    let listed = calvaria()
        .current_dir(folder)
        .args(["list", "cases", "toy.yaml"])
        .assert();
    listed.success().stdout(contains(",0.0,"));
    let whole = "loss={sum: [dice, bce, generalized_dice, boundary, hausdorff_dt, lovasz, focal_tversky, topk]}";
    let patches = "train.patch={size: [8, 8, 8], foreground: 1.0}";
    for (results, setting) in [("whole", whole), ("patches", patches)] {
        let split = ["--set", "split={file: {path: sides.csv}}"];
        let more = [
            "--set",
            "train.epochs=2",
            "--set",
            setting,
            "--results",
            results,
        ];
        run(folder, &[&split[..], &more].concat()).success();
        let run = RunFolder::new(folder.join(results).join("toy/seed-7"));
        for epoch in run.read_metrics().unwrap() {
            assert!(epoch.train_loss.is_finite() && epoch.validation_loss.is_finite());
        }
        let empty = &run.read_cases().unwrap()[0];
        let score = |name: &str| {
            empty
                .scores
                .iter()
                .find(|(score, _)| score == name)
                .unwrap()
                .1
        };
        assert_eq!((&*empty.case, score("true_volume_ml")), ("sub-01", 0.0));
        // Where both are empty they agree; where one is, nothing does.
        let expected = match score("volume_ml") {
            0.0 => (1.0, 0.0),
            _ => (0.0, f64::INFINITY),
        };
        assert_eq!((score("dice"), score("hd95")), expected);
        assert!(run.report().is_file() && run.plots().join("overlay_best.png").is_file());
    }
}

#[test]
fn evaluate_refuses_what_is_no_mask_unless_it_is_told_what_is_marked() {
    let folder = tempfile::tempdir().unwrap();
    let (_, Volume { voxels, affine }) = toy_head(1);
    let write = |name: &str, of: &dyn Fn(f32) -> f32| {
        let voxels = voxels.mapv(|value| of(f32::from(value)));
        let volume = Volume { voxels, affine };
        write_image(&folder.path().join(name), &volume, Dtype::Float32).unwrap();
    };
    write("mask.nii", &|value| value);
    write("bytes.nii", &|value| 255.0 * value);
    write("soft.nii", &|value| 0.2 + 0.6 * value);
    write("labels.nii", &|value| 1.0 + value);
    write("all.nii", &|_| 1.0);
    let evaluate = |files: [&str; 2], flags: &[&str]| {
        calvaria()
            .current_dir(folder.path())
            .arg("evaluate")
            .args(files)
            .args(flags)
            .assert()
    };
    let same = || contains("iou                 1.000000");
    evaluate(["bytes.nii", "mask.nii"], &[])
        .success()
        .stdout(same());
    let refused = evaluate(["soft.nii", "mask.nii"], &[]).code(2);
    refused.stderr(contains("soft.nii is not a mask").and(contains("--threshold")));
    evaluate(["soft.nii", "mask.nii"], &["--threshold", "0.5"])
        .success()
        .stdout(same());
    // The threshold is the prediction's alone.
    let refused = evaluate(["soft.nii", "soft.nii"], &["--threshold", "0.5"]).code(2);
    refused.stderr(contains("soft.nii is not a mask"));
    evaluate(["labels.nii", "labels.nii"], &["--label", "2"])
        .success()
        .stdout(same());
    evaluate(
        ["soft.nii", "labels.nii"],
        &["--label", "2", "--threshold", "0.5"],
    )
    .success()
    .stdout(same());
    evaluate(["all.nii", "mask.nii"], &[])
        .success()
        .stdout(contains("recall              1.000000"));
    let refused = evaluate(["mask.nii", "all.nii"], &[]).code(2);
    refused.stderr(contains("all.nii is not a mask: every voxel is 1"));
}

#[test]
fn evaluate_refuses_labels_and_numbers_that_mean_nothing() {
    let folder = toy_workplace(1);
    let mask = mask_of(folder.path(), 1);
    let evaluate = |more: &[&str]| {
        let mut command = calvaria();
        command.arg("evaluate").args([&mask, &mask]).args(more);
        command.assert()
    };
    evaluate(&["--label", "1"]).success();
    evaluate(&["--label", "7"])
        .code(2)
        .stderr(contains("labels [7.0]"));
    for wrong in [
        ["--label", "nan"],
        ["--threshold", "nan"],
        ["--grid-tolerance", "1000"],
    ] {
        evaluate(&wrong).code(2).stderr(contains("it must be"));
    }
}

#[test]
fn cached_cases_of_another_rule_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (scan, mask) = toy_head(1);
    let at = |name: &str| folder.path().join(name);
    write_image(&at("scan.nii"), &scan, Dtype::Float32).unwrap();
    let soft = Volume {
        voxels: mask.voxels.mapv(|value| 0.2 + 0.6 * f32::from(value)),
        affine: mask.affine,
    };
    write_mask(&at("mask.nii"), &mask).unwrap();
    let cache = Cache::new(at("cache"));
    let [scan, file] = ["scan.nii", "mask.nii"].map(at);
    let prepare = |rule: &MaskRule| {
        let inputs = Inputs {
            id: "a",
            images: vec![ImageFile::only(&scan)].into(),
            onto: None,
            mask: Some(&file),
            mask_rule: rule,
            region: None,
            grid_tolerance: GRID_TOLERANCE,
        };
        cache.prepare(&inputs, &serde_yaml::from_str("[]").unwrap())
    };
    let first = prepare(&MaskRule::STRICT).unwrap();
    let empty_too = MaskRule {
        allow_empty: true,
        ..MaskRule::STRICT
    };
    assert_ne!(prepare(&empty_too).unwrap().folder, first.folder);

    write_image(&file, &soft, Dtype::Float32).unwrap();
    let threshold = MaskRule {
        marked: Marked::From(0.5),
        ..MaskRule::STRICT
    };
    let by_threshold = prepare(&threshold).unwrap();
    let marked = by_threshold.files.load().unwrap().mask.unwrap();
    assert_eq!(marked.voxels, mask.voxels);
}
