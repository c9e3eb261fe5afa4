//! Losses against MONAI, PyTorch and segmentation_models.

use std::collections::BTreeMap;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use calvaria::loss::Loss;
use serde::Deserialize;

type Ad = Autodiff<Flex>;
type Device = burn::tensor::Device<Flex>;

/// Each reference loss, as an experiment would ask for it.
const LOSSES: &[(&str, &str)] = &[
    ("dice_monai", "dice"),
    ("dice_monai_batch", "{dice: {batch: true}}"),
    ("dice_monai_squared", "{dice: {squared: true}}"),
    (
        "dice_monai_squared_batch",
        "{dice: {squared: true, batch: true}}",
    ),
    ("dice_monai_smooth1", "{dice: {smooth: 1.0}}"),
    ("dice_sm", "{dice: {batch: true}}"),
    ("dice_sm_per_image", "dice"),
    ("bce_logits", "bce"),
    ("focal_monai", "{focal: {alpha: null}}"),
    ("focal_monai_alpha", "focal"),
    ("focal_sm", "{focal: {clip: true}}"),
    ("dice_ce_monai", "sum"),
    ("dice_focal_monai", "{sum: [dice, {focal: {alpha: null}}]}"),
];

#[derive(Deserialize)]
struct Expected {
    shape: [usize; 5],
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    logits: Vec<f32>,
    target: Vec<f32>,
    value: BTreeMap<String, f64>,
    value_float32: BTreeMap<String, f64>,
    grad: BTreeMap<String, Gradient>,
}

#[derive(Deserialize)]
struct Gradient {
    max_abs: f64,
    l2: f64,
    /// All of it, or only its beginning.
    first: Vec<f64>,
}

fn parse(yaml: &str) -> Loss {
    let loss: Loss = serde_yaml::from_str(yaml).unwrap();
    loss.validate().unwrap();
    loss
}

fn value_and_gradient(
    loss: &Loss,
    logits: &[f32],
    target: &[f32],
    shape: [usize; 5],
) -> (f64, Vec<f64>) {
    let device = Device::default();
    let tensor = |values: &[f32]| {
        Tensor::<Ad, 5>::from_data(TensorData::new(values.to_vec(), shape), &device)
    };
    let logits = tensor(logits).require_grad();
    let value = loss.forward(logits.clone(), tensor(target));
    let gradients = value.backward();
    let gradient = logits.grad(&gradients).unwrap().into_data();
    (
        f64::from(value.into_scalar()),
        gradient.iter::<f64>().collect(),
    )
}

#[test]
fn values_and_gradients_are_those_of_the_references() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/losses/expected.json"
    );
    let expected: Expected = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(expected.cases.len(), 8);
    for (case_name, case) in &expected.cases {
        for (name, yaml) in LOSSES {
            let what = format!("{name} in {case_name}");
            let (value, gradient) =
                value_and_gradient(&parse(yaml), &case.logits, &case.target, expected.shape);
            // The reference in single precision, or the exact value: a formula may well lose less.
            let error = [case.value_float32[*name], case.value[*name]]
                .map(|reference| (value - reference).abs() - 1e-5 * reference.abs())
                .into_iter()
                .fold(f64::INFINITY, f64::min);
            assert!(
                error < 1e-7,
                "{what}: {value}, not {}",
                case.value_float32[*name]
            );
            let Gradient { max_abs, l2, first } = &case.grad[*name];
            let tolerance = 1e-5 * max_abs + 1e-7;
            for (ours, theirs) in gradient.iter().zip(first) {
                assert!(
                    (ours - theirs).abs() < tolerance,
                    "{what}: gradient {ours}, not {theirs}"
                );
            }
            // Just below 1 single precision is too coarse for which voxels are clipped.
            if (*name, case_name.as_str()) == ("focal_sm", "full_prediction") {
                continue;
            }
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!(
                (norm - l2).abs() < 1e-5 * l2 + 1e-6,
                "{what}: norm {norm}, not {l2}"
            );
        }
    }
}

#[test]
fn every_loss_stays_finite_for_extreme_logits() {
    let shape = [1, 1, 1, 2, 4];
    let logits = [-1000.0, -100.0, -20.0, 0.0, 0.0, 20.0, 100.0, 1000.0];
    for loss in Loss::defaults() {
        for target in [[0.0; 8], [1.0; 8]] {
            let (value, gradient) = value_and_gradient(&loss, &logits, &target, shape);
            assert!(
                value.is_finite() && value >= 0.0,
                "{}: {value}",
                loss.name()
            );
            assert!(
                gradient.iter().all(|g| g.is_finite()),
                "{}: {gradient:?}",
                loss.name()
            );
        }
    }
}

#[test]
fn a_confident_error_still_gives_a_gradient_unless_clipped() {
    let gradient = |yaml: &str| value_and_gradient(&parse(yaml), &[30.0], &[0.0], [1; 5]).1[0];
    assert!(gradient("bce") > 0.9);
    assert!(gradient("focal") > 0.7);
    assert_eq!(gradient("{focal: {clip: true}}"), 0.0);
}

#[test]
fn a_weight_multiplies_its_loss() {
    let (logits, target) = ([0.5, -1.0, 2.0, 0.1], [1.0, 0.0, 0.0, 1.0]);
    let value = |yaml: &str| value_and_gradient(&parse(yaml), &logits, &target, [2, 1, 1, 1, 2]).0;
    for name in ["bce", "dice", "focal"] {
        let ratio = value(&format!("{{{name}: {{weight: 3.0}}}}")) / value(name);
        assert!((ratio - 3.0).abs() < 1e-5, "{name}: {ratio}");
    }
    let sum = value("{sum: [{dice: {weight: 2.0}}, {bce: {weight: 0.5}}]}");
    assert!((sum - 2.0 * value("dice") - 0.5 * value("bce")).abs() < 1e-6);
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (yaml, field) in [
        ("{dice: {weight: -1.0}}", "weight"),
        ("{dice: {smooth: 0.0}}", "smooth"),
        ("{focal: {alpha: 1.5}}", "alpha"),
        ("{focal: {gamma: -2.0}}", "gamma"),
        ("{sum: []}", "at least one"),
        ("{sum: [{bce: {weight: .nan}}]}", "sum: bce: weight"),
    ] {
        let loss: Loss = serde_yaml::from_str(yaml).unwrap();
        let why = loss.validate().unwrap_err();
        assert!(why.contains(field), "{yaml}: {why}");
    }
}
