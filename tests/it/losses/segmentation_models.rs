//! The published baseline's loss and metrics against segmentation_models 1.0.1 itself, under Keras.

use std::collections::BTreeMap;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use calvaria::loss::{Loss, Target};
use calvaria::metric::{BatchMetric, PlaneSums, smooth_iou};
use calvaria::train::plane_sums;
use serde::Deserialize;

type Ad = Autodiff<Flex>;

#[derive(Deserialize)]
struct Expected {
    losses: BTreeMap<String, LossCase>,
    metrics: BTreeMap<String, MetricCase>,
}

/// Tensors are `[batch, channel, x, y, z]`.
#[derive(Deserialize)]
struct LossCase {
    shape: [usize; 5],
    softmax: bool,
    logits: Vec<f32>,
    target: Vec<f32>,
    value: f64,
    value_float32: f64,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct MetricCase {
    shape: [usize; 5],
    probabilities: Vec<f64>,
    target: Vec<f32>,
    sm_iou: f64,
    sm_dice: f64,
    volume_iou: f64,
}

fn expected() -> Expected {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/segmentation_models/expected.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn tensor(values: &[f32], shape: [usize; 5]) -> Tensor<Ad, 5> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Default::default())
}

/// The class map of one-hot classes.
fn class_map(one_hot: &[f32], [batch, channels, x, y, z]: [usize; 5]) -> Tensor<Ad, 5> {
    let voxels = x * y * z;
    let class = |i: usize| {
        let (sample, voxel) = (i / voxels, i % voxels);
        let at = |channel: usize| one_hot[(sample * channels + channel) * voxels + voxel];
        (0..channels).find(|channel| at(*channel) == 1.0).unwrap() as f32
    };
    let classes: Vec<f32> = (0..batch * voxels).map(class).collect();
    tensor(&classes, [batch, 1, x, y, z])
}

fn value_and_gradient(yaml: &str, logits: &Tensor<Ad, 5>, target: &Target<Ad>) -> (f64, Vec<f64>) {
    let loss: Loss = serde_yaml::from_str(yaml).unwrap();
    let logits = logits.clone().detach().require_grad();
    let value = loss.forward(logits.clone(), target);
    let gradient = logits.grad(&value.backward()).unwrap().into_data();
    let value = f64::from(value.into_scalar());
    (value, gradient.iter::<f64>().collect())
}

#[test]
fn values_and_gradients_of_the_loss_are_the_packages() {
    let cases = expected().losses;
    assert!(cases.len() >= 9);
    for (name, case) in &cases {
        let target = match case.softmax {
            true => Target::softmax(class_map(&case.target, case.shape), false),
            false => Target::sigmoid(tensor(&case.target, case.shape), None),
        };
        let logits = tensor(&case.logits, case.shape);
        let (value, gradient) = value_and_gradient("sm_cce_dice", &logits, &target);
        let close = [case.value, case.value_float32]
            .iter()
            .any(|theirs| (value / theirs - 1.0).abs() < 1e-6);
        assert!(close, "{name}: {value}, not {}", case.value);
        assert_eq!(gradient.len(), case.gradient.len());
        let largest = case
            .gradient
            .iter()
            .fold(0.0, |max: f64, g| max.max(g.abs()));
        // The gradient of a probability that is 1 in single precision is lost.
        let lost = if name == "probable" { 1e-9 } else { 1e-10 };
        let tolerance = 2e-6 * largest + lost;
        for (ours, theirs) in gradient.iter().zip(&case.gradient) {
            assert!(
                (ours - theirs).abs() < tolerance,
                "{name}: gradient {ours}, not {theirs}"
            );
        }
    }
}

#[test]
fn extreme_logits_have_the_limit_of_the_packages_loss() {
    // The package divides 0 by 0 here: probabilities of a whole column are 0 in single precision.
    let shape = [1, 1, 1, 1, 4];
    let target = Target::sigmoid(tensor(&[0.0, 1.0, 1.0, 0.0], shape), None);
    let (value, gradient) = value_and_gradient("sm_cce_dice", &tensor(&[-1e4; 4], shape), &target);
    // Equal shares of a column: half of the voxels count log 4. Of four planes two are right.
    assert!((value - (0.5 * 4_f64.ln() + 0.5)).abs() < 1e-4, "{value}");
    assert!(gradient.iter().all(|g| g.is_finite()));
}

#[test]
fn ignored_voxels_are_in_neither_a_plane_nor_a_column() {
    let logits = [0.3, -1.2, 0.7, 2.0, -0.4, 0.9];
    let truth = [1.0, 0.0, 1.0, 1.0, 0.0, 0.0];
    let with = |ignored_logit: f32| {
        let mut logits = logits.to_vec();
        logits[2] = ignored_logit;
        let counted = tensor(&[1.0, 1.0, 0.0, 1.0, 1.0, 1.0], [1, 1, 2, 1, 3]);
        let target = Target::sigmoid(tensor(&truth, [1, 1, 2, 1, 3]), Some(counted));
        value_and_gradient("sm_cce_dice", &tensor(&logits, [1, 1, 2, 1, 3]), &target)
    };
    let (value, gradient) = with(0.7);
    assert_eq!(gradient[2], 0.0);
    assert_eq!((value, gradient), with(-30.0));
}

fn planes(probabilities: &[f64], target: &[f32], shape: [usize; 5]) -> Vec<PlaneSums> {
    let logit = |p: &f64| (p / (1.0 - p)).ln().clamp(-200.0, 200.0) as f32;
    let logits: Vec<f32> = probabilities.iter().map(logit).collect();
    let target = Target::sigmoid(tensor(target, shape), None);
    let samples = plane_sums(tensor(&logits, shape), &target);
    assert_eq!(samples.len(), shape[0]);
    let mut all = vec![PlaneSums::default(); shape[1] * shape[4]];
    for sample in samples {
        assert_eq!(sample.len(), all.len());
        for (sums, of_sample) in all.iter_mut().zip(sample) {
            *sums += of_sample;
        }
    }
    all
}

fn metric(name: &str, planes: &[PlaneSums]) -> f64 {
    let metric: BatchMetric = serde_yaml::from_str(name).unwrap();
    metric.of_batch(planes)
}

#[test]
fn metrics_of_batches_are_the_packages() {
    let cases = expected().metrics;
    assert!(cases.len() >= 6);
    for (name, case) in &cases {
        let planes = planes(&case.probabilities, &case.target, case.shape);
        for (metric_name, theirs) in [("sm_iou", case.sm_iou), ("sm_dice", case.sm_dice)] {
            let ours = metric(metric_name, &planes);
            assert!(
                (ours - theirs).abs() < 1e-6,
                "{metric_name} of {name}: {ours}, not {theirs}"
            );
        }
    }
}

#[test]
fn the_packages_iou_is_no_iou_of_volumes() {
    let cases = expected().metrics;
    let both = |name: &str| {
        let case = &cases[name];
        let planes = planes(&case.probabilities, &case.target, case.shape);
        let mut volume = PlaneSums::default();
        planes.iter().for_each(|sums| volume += *sums);
        let of_volume = smooth_iou(volume.intersection, volume.prediction + volume.truth);
        assert!((of_volume - case.volume_iou).abs() < 1e-6);
        [metric("sm_iou", &planes), of_volume]
    };
    let close = |[a, b]: [f64; 2], [c, d]: [f64; 2]| (a - c).abs() < 0.006 && (b - d).abs() < 0.006;
    // One plane of four is missed, and four planes are empty.
    let missed = both("cube_with_a_missed_plane");
    assert!(close(missed, [0.875, 0.75]), "{missed:?}");
    // The prediction is perfect, but for a probability of 1 % everywhere else.
    let little = both("cube_and_a_little_everywhere");
    assert!(close(little, [0.485, 0.934]), "{little:?}");
}
