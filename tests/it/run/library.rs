//! Runs from code, as from a program of one's own.

use std::fs;
use std::path::Path;

use burn::tensor::Tensor;
use calvaria::device::{DeviceChoice, DeviceName};
use calvaria::experiment::{Experiment, Resolved};
use calvaria::kernel::Kernels;
use calvaria::layout::RunFolder;
use calvaria::loss::{LossTerm, Target};
use calvaria::metric;
use calvaria::preprocess::{CaseVolumes, Inputs};
use calvaria::train::OwnLoss;
use calvaria::volume::nifti::read_mask;
use calvaria::{Options, Predictor};
use ndarray::{Array3, s};

use crate::common::toy_workplace;

/// The toy experiment with other values.
fn toy(folder: &Path, overrides: &[&str]) -> (Resolved, Options) {
    let root = format!("data.nfbs.root={}", folder.join("heads").display());
    let mut all = vec![root];
    all.extend(overrides.iter().map(|&text| text.to_owned()));
    let options = Options {
        results: folder.join("results"),
        device: DeviceChoice::Named(vec![DeviceName::Cpu]),
        ..Options::default()
    };
    let resolved = calvaria::load(&folder.join("toy.yaml"), &all).unwrap();
    (resolved, options)
}

#[test]
fn cases_are_scored_as_predictions_of_their_raw_scans() {
    let folder = toy_workplace(5);
    // On a grid whose place single precision cannot hold.
    let overrides = [
        "preprocess=[{resample: {spacing: [4.3, 3.7, 4.1], shape: [16, 16, 16]}}, rescale]",
        "split={holdout: {validation: 3}}",
        "train.epochs=1",
    ];
    let (resolved, options) = toy(folder.path(), &overrides);
    let runs = calvaria::run(&resolved.experiment, &options).unwrap();
    let predictor = Predictor::open(&runs[0].folder, &options.device, |_| {}).unwrap();
    let mut table = csv::Reader::from_path(runs[0].folder.join("cases.csv")).unwrap();
    let mut count = 0;
    for record in table.records() {
        let record = record.unwrap();
        let stem = format!("heads/{0}/{0}_T1w", &record[0]);
        let file = |extension: &str| folder.path().join(format!("{stem}{extension}.nii.gz"));
        let scan = Inputs::scan(&file(""), None).read().unwrap();
        let predicted = predictor.predict(scan.case).unwrap();
        let truth = read_mask(&file("_brainmask")).unwrap();
        let settings = &resolved.experiment.evaluate;
        let probability = predicted.probabilities.of(0);
        let scores = metric::all(&predicted.mask, &truth, Some(&probability), settings);
        let expected: Vec<String> = scores.iter().map(|(_, value)| value.to_string()).collect();
        assert_eq!(record.iter().skip(1).collect::<Vec<_>>(), expected);
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn several_runs_say_the_mean_of_what_each_says() {
    let folder = toy_workplace(4);
    // Each fold learns landmarks of its own.
    let overrides = [
        "preprocess=[nyul]",
        "split={kfold: {k: 2}}",
        "train.epochs=1",
    ];
    let (resolved, options) = toy(folder.path(), &overrides);
    let runs = calvaria::run(&resolved.experiment, &options).unwrap();
    let folders: Vec<_> = runs.iter().map(|run| run.folder.clone()).collect();
    let scan = Inputs::scan(&folder.path().join("heads/sub-01/sub-01_T1w.nii.gz"), None);
    let said = |folders: &[_]| {
        let predictor = Predictor::open_all(folders, &options.device, |_| {}).unwrap();
        assert_eq!(predictor.count(), folders.len());
        let predicted = predictor.predict(scan.read().unwrap().case).unwrap();
        predicted.probabilities.of(0).into_owned().voxels
    };
    let mean = (said(&folders[..1]) + said(&folders[1..])) / 2.0;
    let together = said(&folders);
    assert!(said(&folders[..1]) != said(&folders[1..]));
    for (together, mean) in together.iter().zip(&mean) {
        assert!((together - mean).abs() < 1e-6, "{together} {mean}");
    }

    let labels = [
        "name=named",
        "labels={brain: 1}",
        "loss=dice",
        "train.epochs=1",
    ];
    let (named, _) = toy(folder.path(), &labels);
    let named = calvaria::run(&named.experiment, &options).unwrap();
    let both = [folders[0].clone(), named[0].folder.clone()];
    let apart = Predictor::open_all(&both, &options.device, |_| {})
        .err()
        .unwrap();
    assert!(
        apart.to_string().contains("has other structures than"),
        "{apart}"
    );
}

#[test]
fn mirrored_views_say_their_mean() {
    let folder = toy_workplace(4);
    let (resolved, options) = toy(folder.path(), &["train.epochs=1"]);
    let run = calvaria::run(&resolved.experiment, &options)
        .unwrap()
        .remove(0);
    let run_iou = run.native_iou;
    let mut experiment = resolved.experiment;
    let file = folder.path().join("heads/sub-01/sub-01_T1w.nii.gz");
    let scan = Inputs::scan(&file, None).read().unwrap().case;
    let turned = |voxels: &Array3<f32>| voxels.slice(s![..;-1, .., ..]).to_owned();
    let said = |experiment: &Experiment, scan: &CaseVolumes| {
        let weights = RunFolder::new(&run.folder).best_weights();
        let predictor = Predictor::new(experiment, &weights, DeviceName::Cpu).unwrap();
        let predicted = predictor.predict(scan.clone()).unwrap();
        predicted.probabilities.of(0).into_owned().voxels
    };
    let mut mirrored = scan.clone();
    mirrored.images[0].voxels = turned(&scan.images[0].voxels);
    let (plain, back) = (
        said(&experiment, &scan),
        turned(&said(&experiment, &mirrored)),
    );
    experiment.predict.tta = serde_yaml::from_str("{flip: [left_right]}").unwrap();
    let mean = said(&experiment, &scan);
    assert!(plain != back);
    // A run with such views says what they bring.
    let views = [
        "name=mirrored",
        "train.epochs=1",
        "predict.tta={flip: [left_right, up_down]}",
    ];
    let (mirrored, options) = toy(folder.path(), &views);
    let summary = calvaria::run(&mirrored.experiment, &options)
        .unwrap()
        .remove(0);
    let tta = summary.tta.unwrap();
    assert_eq!(tta.native_iou_without, run_iou);
    let told = summary.rows();
    assert!(
        told.iter().any(|(name, _)| name == "of that by tta"),
        "{told:?}"
    );
    for ((mean, plain), back) in mean.iter().zip(&plain).zip(&back) {
        assert!((mean - (plain + back) / 2.0).abs() < 1e-6);
    }
}

#[derive(Debug)]
struct Square;

impl LossTerm for Square {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        (logits - target.truth(1)).square().mean()
    }
}

#[test]
fn a_loss_from_outside_is_what_is_trained_on() {
    let folder = toy_workplace(4);
    let (mut resolved, mut options) = toy(folder.path(), &["train.epochs=2"]);
    let losses = |resolved: &Resolved, options: &Options| {
        let runs = calvaria::run(&resolved.experiment, options).unwrap();
        let history = RunFolder::new(&runs[0].folder).read_metrics().unwrap();
        let each = history.iter().map(|row| row.validation_loss);
        (each.collect::<Vec<_>>(), runs[0].folder.clone())
    };
    let (usual, folder) = losses(&resolved, &options);
    resolved.experiment.name = "own".into();
    options.own_loss = Some(OwnLoss::new(Square));
    let (own, own_folder) = losses(&resolved, &options);
    assert!(own.len() == 2 && own.iter().zip(&usual).all(|(a, b)| a != b));
    let weights = |folder: &Path| fs::read(folder.join("checkpoints/last.safetensors")).unwrap();
    assert!(weights(&folder) != weights(&own_folder));
}
