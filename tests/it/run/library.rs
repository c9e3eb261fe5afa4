//! Runs from code, as from a program of one's own.

use std::fs;
use std::path::Path;

use burn::tensor::Tensor;
use calvaria::device::{DeviceChoice, DeviceName};
use calvaria::experiment::Resolved;
use calvaria::kernel::Kernels;
use calvaria::layout::RunFolder;
use calvaria::loss::{LossTerm, Target};
use calvaria::metric;
use calvaria::preprocess::Inputs;
use calvaria::train::OwnLoss;
use calvaria::volume::nifti::read_mask;
use calvaria::{Options, Predictor};

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
