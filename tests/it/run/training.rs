//! The settings of training, and their effects.

use std::fs;
use std::path::Path;

use calvaria::layout::{Epoch, RunFolder};
use calvaria::volume::Volume;
use calvaria::volume::nifti::{Dtype, write_image, write_mask};
use ndarray::s;
use predicates::str::contains;

use crate::common::{calvaria, killed_run, toy_head, toy_workplace};

/// Trains the toy experiment with `options` set, and gives its history and the weights that it keeps.
fn trained(folder: &Path, results: &str, options: &[&str]) -> (Vec<Epoch>, Vec<u8>) {
    let mut command = calvaria();
    command
        .current_dir(folder)
        .args(["run", "toy.yaml", "--device", "cpu", "--results", results]);
    for option in options {
        command.args(["--set", option]);
    }
    command.assert().success();
    let home = folder.join(results).join("toy/seed-7");
    let mut history = RunFolder::new(&home).read_metrics().unwrap();
    history.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    let weights = fs::read(home.join("checkpoints/last.safetensors")).unwrap();
    (history, weights)
}

fn losses(history: &[Epoch]) -> Vec<f64> {
    history.iter().map(|epoch| epoch.validation_loss).collect()
}

/// Whether two runs' validation losses are the same up to rounding.
fn alike(a: &[Epoch], b: &[Epoch]) -> bool {
    let pairs = losses(a).into_iter().zip(losses(b));
    a.len() == b.len()
        && pairs
            .into_iter()
            .all(|(a, b)| (a - b).abs() < 1e-4 * a.abs())
}

#[test]
fn accumulated_batches_do_what_a_large_batch_does() {
    let folder = toy_workplace(5);
    // What is drawn for a sample must not depend on its batch; dropout and batch norm are off.
    let whole = trained(folder.path(), "whole", &["train.batch_size=4"]).0;
    let parts = ["train.batch_size=2", "train.accumulate=2"];
    let parts = trained(folder.path(), "parts", &parts).0;
    let single = ["train.batch_size=1", "train.accumulate=4"];
    let single = trained(folder.path(), "single", &single).0;
    assert!(
        alike(&whole, &parts),
        "{:?} {:?}",
        losses(&whole),
        losses(&parts)
    );
    assert!(
        alike(&whole, &single),
        "{:?} {:?}",
        losses(&whole),
        losses(&single)
    );
    let less = trained(folder.path(), "less", &["train.batch_size=2"]).0;
    assert!(!alike(&whole, &less));
}

#[test]
fn averaged_weights_are_what_is_validated_and_kept() {
    let folder = toy_workplace(4);
    let plain = trained(folder.path(), "plain", &[]);
    let averaged = trained(folder.path(), "averaged", &["train.ema=0.9"]);
    let training = |run: &[Epoch]| run.iter().map(|epoch| epoch.train_loss).collect::<Vec<_>>();
    assert_eq!(
        training(&plain.0),
        training(&averaged.0),
        "training is the same"
    );
    assert!(!alike(&plain.0, &averaged.0), "validation is not");
    assert!(plain.1 != averaged.1);
    // An average that keeps nothing is the weights.
    let forgetful = trained(folder.path(), "forgetful", &["train.ema=1.0e-9"]);
    assert!(alike(&plain.0, &forgetful.0));
}

#[test]
fn every_option_survives_an_interruption_to_the_bit() {
    let folder = toy_workplace(4);
    let options = [
        "train.ema=0.9",
        "train.accumulate=2",
        "train.warmup=0.3",
        "train.gradient_clip_value=0.5",
        "train.patch={size: [8, 12, 16], samples: 2}",
        "schedule={plateau: {patience: 0, factor: 0.5}}",
        "optimizer={lion: {learning_rate: 0.003, weight_decay: 0.1, decay_norms: false}}",
    ];
    let whole = trained(folder.path(), "whole", &options);
    let mut more = vec!["--results", "cut"];
    for option in &options {
        more.extend(["--set", option]);
    }
    killed_run(folder.path(), &more, "cut/toy/seed-7");
    assert!(whole == trained(folder.path(), "cut", &options));
}

#[test]
fn the_learning_rate_warms_up_and_falls_on_a_plateau() {
    let folder = toy_workplace(4);
    let options = [
        "train.epochs=6",
        "train.warmup=0.5",
        "schedule={plateau: {patience: 0, factor: 0.5, threshold: 1.0e9}}",
    ];
    let (history, _) = trained(folder.path(), "results", &options);
    let rates: Vec<f64> = history.iter().map(|epoch| epoch.learning_rate).collect();
    // 18 steps, 9 of them warming up: the last of the first three epochs are the 3rd, 6th and 9th
    // of ten. Nothing after the first epoch is such a rise.
    let factors = [0.3, 0.6, 0.9, 0.25, 0.125, 0.0625];
    for (rate, factor) in rates.iter().zip(factors) {
        assert!((rate - 0.01 * factor).abs() < 1e-9, "{rates:?}");
    }
}

#[test]
fn patches_train_on_cases_of_different_shapes_that_validate_whole() {
    let folder = toy_workplace(4);
    // One head loses slices, so that no batch of whole heads can be made.
    let (image, mask) = toy_head(2);
    let subject = folder.path().join("heads/sub-02");
    let voxels = image.voxels.slice(s![.., 1..14, 2..]).to_owned();
    let image = Volume {
        voxels,
        affine: image.affine,
    };
    let voxels = mask.voxels.slice(s![.., 1..14, 2..]).to_owned();
    let mask = Volume {
        voxels,
        affine: mask.affine,
    };
    write_image(&subject.join("sub-02_T1w.nii.gz"), &image, Dtype::Float32).unwrap();
    write_mask(&subject.join("sub-02_T1w_brainmask.nii.gz"), &mask).unwrap();
    calvaria()
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "cpu"])
        .assert()
        .code(2)
        .stderr(contains("train.patch"));
    for seed in ["1", "2", "3"] {
        // Whichever head validates.
        calvaria()
            .current_dir(folder.path())
            .args(["run", "toy.yaml", "--device", "cpu", "--seeds", seed])
            .args(["--set", "train.patch={size: [9, 8, 20], foreground: 1.0}"])
            .assert()
            .success();
    }
}

#[test]
fn a_case_is_seen_in_validation_as_in_prediction() {
    let folder = toy_workplace(4);
    let scores = |results: &str, options: &[&str]| {
        let patch = "train.patch={size: [7, 9, 8]}";
        let mut sets = vec!["train.epochs=1", "predict.largest_component=false", patch];
        sets.extend(options);
        let history = trained(folder.path(), results, &sets).0;
        let run = RunFolder::new(folder.path().join(results).join("toy/seed-7"));
        let cases = run.read_cases().unwrap();
        (history[0].validation_iou, cases[0].iou())
    };
    // Windows of the patch's size, which overlap by half in prediction and by a quarter in validation.
    let usual = scores("usual", &[]);
    let whole = scores("whole", &["validate.window=whole", "predict.window=whole"]);
    let half = scores("half", &["validate.window={overlap: 0.5}"]);
    let loose = scores("loose", &["predict.window={overlap: 0.25}"]);
    let same = |(validated, predicted): (f64, f64)| (validated - predicted).abs() < 1e-5;
    for scores in [whole, half, loose] {
        assert!(same(scores), "{scores:?}");
    }
    assert!(!same(usual), "{usual:?}");
    assert_eq!((usual.0, usual.1), (loose.0, half.1));
    assert!(whole.0 != half.0 && whole.0 != loose.0);
}

#[test]
fn metrics_of_batches_are_shown_beside_the_iou_of_volumes_and_change_nothing_else() {
    let folder = toy_workplace(6);
    let split = "split={holdout: {validation: 3}}";
    let (plain, weights) = trained(folder.path(), "plain", &[split]);
    let options = [
        split,
        "validate={metrics: [sm_iou, sm_dice], every: 2}",
        "report={reference_iou: 0.86, reference_metric: sm_iou}",
    ];
    let (history, same_weights) = trained(folder.path(), "with", &options);
    assert!(weights == same_weights);
    let value =
        |epoch: &Epoch, metric: &str| epoch.metric(&format!("validation_{metric}")).unwrap();
    for (plain, epoch) in plain.iter().zip(&history) {
        if epoch.epoch == 1 {
            // Not validated.
            assert!(value(epoch, "sm_iou").is_nan());
            continue;
        }
        let [iou, dice] = ["sm_iou", "sm_dice"].map(|metric| value(epoch, metric));
        assert!(0.0 < iou && iou < dice && dice < 1.0, "{iou} {dice}");
        assert!((iou - epoch.validation_iou_soft).abs() > 1e-6);
        let without = Epoch {
            metrics: Vec::new(),
            ..epoch.clone()
        };
        assert_eq!(*plain, without);
    }
    let run = folder.path().join("with/toy/seed-7");
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let header = text.lines().next().unwrap();
    assert!(
        header.ends_with(",seconds,validation_sm_iou,validation_sm_dice"),
        "{header}"
    );
    let curve = fs::read_to_string(run.join("plots/validation_iou.svg")).unwrap();
    for name in [
        "IoU of volumes",
        "sm_iou",
        "sm_dice",
        "published sm_iou 0.86",
    ] {
        assert!(curve.contains(name), "{name} is missing");
    }
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("the published 0.86"));
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.contains("  sm_iou 0."));
    // Runs of several seeds have a plot for each metric.
    let mut command = calvaria();
    command
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "cpu", "--results", "seeds"])
        .args(["--seeds", "1,2", "--set", "train.epochs=1"]);
    for option in options {
        command.args(["--set", option]);
    }
    command.assert().success();
    let home = folder.path().join("seeds/toy");
    assert!(home.join("plots/validation_sm_iou.svg").is_file());
    let page = fs::read_to_string(home.join("report.html")).unwrap();
    assert!(page.contains("Validation sm_dice of every run"));
}

#[test]
fn a_reference_of_a_metric_that_is_not_validated_is_refused() {
    let folder = toy_workplace(3);
    let refused = |set: &str, says: &str| {
        calvaria()
            .current_dir(folder.path())
            .args(["run", "toy.yaml", "--dry-run", "--set", set])
            .args(["--set", "report.reference_iou=0.86"])
            .assert()
            .code(2)
            .stderr(contains(says));
    };
    refused(
        "report.reference_metric=sm_iou",
        "validate: {metrics: [sm_iou]}",
    );
    refused(
        "validate.metrics=[sm_iou, sm_iou]",
        "metrics names sm_iou twice",
    );
    refused("validate.metrics=[sm_iuo]", "sm_iou");
    refused(
        "validate.metrics=[{sm_iou: {smooth: 0.0}}]",
        "smooth must be above 0",
    );
}

#[test]
fn a_window_needs_a_size_where_there_are_no_patches() {
    let folder = toy_workplace(4);
    let refused = |set: &str, says: &str| {
        calvaria()
            .current_dir(folder.path())
            .args(["run", "toy.yaml", "--dry-run", "--set", set])
            .assert()
            .code(2)
            .stderr(contains(says.to_owned()));
    };
    refused("predict.window={overlap: 0.25}", "window needs a size");
    refused("validate.window={size: [8, 0, 8]}", "at least 1");
    refused("predict.window=patches", "Allowed: auto, whole");
    refused("predict.window={size: [8, 8, 8], overlap: 1.0}", "overlap");
    refused("validate.every=0", "every");
}

/// The same for all epochs, also for what is not a number.
fn told(history: &[Epoch]) -> Vec<String> {
    history.iter().map(|epoch| format!("{epoch:?}")).collect()
}

#[test]
fn epochs_between_validations_train_as_those_that_are_validated() {
    let folder = toy_workplace(4);
    let epochs = "train.epochs=5";
    let (each, weights) = trained(folder.path(), "each", &[epochs]);
    let every = [epochs, "validate.every=2"];
    let (some, same_weights) = trained(folder.path(), "some", &every);
    assert!(weights == same_weights);
    let validated: Vec<usize> = (some.iter())
        .filter(|row| row.is_validated())
        .map(|row| row.epoch)
        .collect();
    assert_eq!(validated, [2, 4, 5], "the last one always");
    for row in validated {
        assert_eq!(some[row - 1], each[row - 1]);
    }
    assert_eq!(some[0].train_loss, each[0].train_loss);

    killed_run(
        folder.path(),
        &["--results", "cut", "--set", every[0], "--set", every[1]],
        "cut/toy/seed-7",
    );
    let (cut, cut_weights) = trained(folder.path(), "cut", &every);
    assert_eq!(told(&cut), told(&some));
    assert!(cut_weights == weights);
    // Curves have points where there are validations.
    let plot = fs::read_to_string(
        folder
            .path()
            .join("some/toy/seed-7/plots/validation_iou.svg"),
    )
    .unwrap();
    assert!(!plot.contains("NaN"));
}

#[test]
fn more_patches_of_a_case_make_longer_epochs() {
    let folder = toy_workplace(4);
    let experiment = fs::read_to_string(folder.path().join("toy.yaml")).unwrap();
    let displayed = experiment.replace("steps_per_epoch: 3, ", "");
    fs::write(folder.path().join("toy.yaml"), displayed).unwrap();
    let steps = |results: &str, options: &[&str]| {
        let mut all = vec!["train.epochs=1", "train.warmup=0.99", "train.batch_size=1"];
        all.extend(options);
        // A warm-up over the whole run shows how many steps there were.
        let rate = trained(folder.path(), results, &all).0[0].learning_rate / 0.01;
        (1..100).find(|&n| {
            let warmup = 0.99 * f64::from(n);
            (rate - f64::from(n) / (warmup + 1.0)).abs() < 1e-6
        })
    };
    let patch = |samples| format!("train.patch={{size: [8, 8, 8], samples: {samples}}}");
    assert_eq!(steps("one", &[&patch(1)]), Some(3));
    assert_eq!(steps("three", &[&patch(3)]), Some(9));
    assert_eq!(steps("joined", &[&patch(3), "train.accumulate=2"]), Some(5));
}
