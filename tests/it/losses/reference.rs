//! Losses against MONAI, PyTorch and segmentation_models.

use std::collections::{BTreeMap, BTreeSet};

use burn::backend::{Autodiff, Flex};
use burn::tensor::{FloatDType, Tensor, TensorData};
use calvaria::loss::{Loss, Target};
use proptest::prelude::*;
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
    ("dice_monai_smooth_nr0", "{dice: {smooth_numerator: false}}"),
    // MONAI doubles both sides of the fraction, but not the smoothing.
    ("jaccard_monai", "{jaccard: {smooth: 5.0e-6}}"),
    (
        "jaccard_monai_batch",
        "{jaccard: {smooth: 5.0e-6, batch: true}}",
    ),
    ("jaccard_sm", "{jaccard: {batch: true}}"),
    ("bce_logits", "bce"),
    ("bce_logits_pos_weight3", "{bce: {positive_weight: 3.0}}"),
    ("bce_smoothed", "{bce: {label_smoothing: 0.2}}"),
    ("bce_keras", "{bce: {clip: true}}"),
    // Of structures that do not exclude each other.
    ("bce_logits", "cross_entropy"),
    ("bce_smoothed", "{cross_entropy: {label_smoothing: 0.2}}"),
    ("focal_smoothed", "{focal: {label_smoothing: 0.2}}"),
    ("tversky_monai", "tversky"),
    ("tversky_monai_batch", "{tversky: {batch: true}}"),
    ("focal_tversky_0.75", "focal_tversky"),
    (
        "focal_tversky_4/3",
        "{focal_tversky: {exponent: 1.3333333333333333}}",
    ),
    ("lovasz_hinge_per_image", "lovasz"),
    ("lovasz_hinge_batch", "{lovasz: {batch: true}}"),
    ("lovasz_hinge_per_image_first_of_ties", "lovasz"),
    (
        "lovasz_hinge_batch_first_of_ties",
        "{lovasz: {batch: true}}",
    ),
    ("hausdorff_dt_monai", "hausdorff_dt"),
    ("boundary", "boundary"),
    ("topk_10", "topk"),
    ("log_cosh_dice", "log_cosh_dice"),
    (
        "generalized_dice_monai",
        "{generalized_dice: {smooth: 1.0e-5}}",
    ),
    (
        "generalized_dice_monai_batch",
        "{generalized_dice: {smooth: 1.0e-5, batch: true}}",
    ),
    ("focal_monai", "{focal: {alpha: null}}"),
    ("focal_monai_alpha", "focal"),
    ("focal_sm", "{focal: {clip: true}}"),
    ("dice_ce_monai", "sum"),
    ("dice_focal_monai", "{sum: [dice, {focal: {alpha: null}}]}"),
];

#[derive(Deserialize)]
struct Expected {
    losses: BTreeMap<String, serde_json::Value>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    shape: [usize; 5],
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

fn expected() -> Expected {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/losses/expected.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
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
    let value = loss.forward(logits.clone(), &Target::sigmoid(tensor(target), None));
    let gradients = value.backward();
    let gradient = logits.grad(&gradients).unwrap().into_data();
    (
        f64::from(value.into_scalar()),
        gradient.iter::<f64>().collect(),
    )
}

/// The gradient, voxels with equal hinge errors taken together: a sort may leave these in any order, and what
/// each of them gets depends on it, but not what they get in all. Only those that lie wholly among the first
/// `known`.
fn ties_together(gradient: &[f64], known: usize, case: &Case, batch: bool) -> Vec<f64> {
    let [samples, channels, depth, height, width] = case.shape;
    let voxels = depth * height * width;
    let mut tied: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (i, (z, t)) in case.logits.iter().zip(&case.target).enumerate() {
        let sample = i / (voxels * channels) % samples;
        let ordered_with = (if batch { 0 } else { sample }, i / voxels % channels);
        let error = (1.0 - z * (2.0 * t - 1.0)).to_bits();
        tied.entry((ordered_with, error)).or_default().push(i);
    }
    tied.into_values()
        .filter(|voxels| voxels.iter().all(|&i| i < known))
        .map(|voxels| voxels.iter().map(|&i| gradient[i].abs()).sum())
        .collect()
}

#[test]
fn values_and_gradients_are_those_of_the_references() {
    let expected = expected();
    assert_eq!(expected.cases.len(), 9);
    for (case_name, case) in &expected.cases {
        for (name, yaml) in LOSSES {
            let what = format!("{name} in {case_name}");
            let (value, gradient) =
                value_and_gradient(&parse(yaml), &case.logits, &case.target, case.shape);
            // The reference in single precision, or the exact value: a formula may well lose less.
            let close = [case.value_float32[*name], case.value[*name]]
                .iter()
                .any(|reference| (value - reference).abs() <= 1e-5 * reference.abs());
            assert!(close, "{what}: {value}, not {}", case.value_float32[*name]);
            let Gradient { max_abs, l2, first } = &case.grad[*name];
            let tolerance = 1e-5 * max_abs + 1e-7;
            let any_order = ["lovasz_hinge_per_image", "lovasz_hinge_batch"].contains(name);
            let (ours, theirs) = if any_order {
                let together = |gradient: &[f64]| {
                    ties_together(gradient, first.len(), case, name.ends_with("batch"))
                };
                (together(&gradient), together(first))
            } else {
                (gradient.clone(), first.clone())
            };
            assert!(!theirs.is_empty());
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!(
                    (ours - theirs).abs() < tolerance,
                    "{what}: gradient {ours}, not {theirs}"
                );
            }
            // Just below 1 single precision is too coarse for which voxels are clipped.
            let clipped = ["focal_sm", "bce_keras"].contains(name);
            if any_order || clipped && case_name == "full_prediction" {
                continue;
            }
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            assert!(
                (norm - l2).abs() < 1e-5 * l2 + 1e-7,
                "{what}: norm {norm}, not {l2}"
            );
        }
    }
}

#[test]
fn every_loss_is_compared_with_a_reference() {
    let compared = LOSSES.iter().map(|(_, yaml)| parse(yaml).name());
    let compared: BTreeSet<&str> = compared.chain(COMPARED_ELSEWHERE).collect();
    assert_eq!(compared, Loss::NAMES.iter().copied().collect());
    let references: BTreeSet<&str> = LOSSES.iter().map(|(name, _)| *name).collect();
    let expected = expected();
    assert_eq!(
        references,
        expected.losses.keys().map(String::as_str).collect()
    );
}

/// `sm_cce_dice` in `segmentation_models.rs`.
const COMPARED_ELSEWHERE: [&str; 1] = ["sm_cce_dice"];

/// Non-default settings of every member that has settings besides its weight.
const OTHERS: &[&str] = &[
    "{bce: {positive_weight: 3.0, label_smoothing: 0.1}}",
    "{bce: {clip: true}}",
    "{cross_entropy: {label_smoothing: 0.1}}",
    "{dice: {squared: true, batch: true, smooth: 1.0}}",
    "{dice: {smooth_numerator: false}}",
    "{focal: {gamma: 0.0, alpha: null, label_smoothing: 0.1}}",
    "{focal: {gamma: 0.5, clip: true}}",
    "{focal_tversky: {exponent: 2.0, false_positives: 0.0, batch: true}}",
    "{generalized_dice: {smooth: 1.0e-5, batch: true}}",
    "{hausdorff_dt: {exponent: 1.0}}",
    "{jaccard: {smooth: 1.0, batch: true}}",
    "{log_cosh_dice: {smooth: 1.0, batch: true}}",
    "{lovasz: {batch: true, classes: all, background: false}}",
    "{sm_cce_dice: {smooth: 1.0}}",
    "{sum: [{dice: {weight: 2.0}}, lovasz, {topk: {weight: 0.5}}]}",
    "{topk: {part: 1.0, label_smoothing: 0.1, of_all: true}}",
    "{tversky: {false_positives: 1.0, false_negatives: 0.0, batch: true}}",
    "{boundary: {weight: 0.01}}",
];

fn defaults_and_others() -> Vec<Loss> {
    let others = OTHERS.iter().map(|yaml| parse(yaml));
    Loss::defaults().into_iter().chain(others).collect()
}

#[test]
fn every_loss_reads_back_as_it_is_written() {
    let mut names = BTreeSet::new();
    for loss in defaults_and_others() {
        let yaml = serde_yaml::to_string(&loss).unwrap();
        assert_eq!(parse(&yaml), loss);
        if !Loss::defaults().contains(&loss) {
            names.insert(loss.name());
        }
    }
    assert_eq!(names, Loss::NAMES.iter().copied().collect());
}

#[test]
fn every_loss_is_finite_and_not_negative_whatever_is_empty_full_or_extreme() {
    let shape = [2, 2, 1, 2, 2];
    let extreme = [
        -1000.0, -100.0, -20.0, 0.0, 0.0, 20.0, 100.0, 1000.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5,
        88.0, -88.0,
    ];
    let predictions = [
        [-1e4; 16],
        [-30.0; 16],
        [0.0; 16],
        [30.0; 16],
        [1e4; 16],
        extreme,
    ];
    let one_voxel = std::array::from_fn(|i| f32::from(u8::from(i == 5)));
    let every_other = std::array::from_fn(|i| (i % 2) as f32);
    let targets = [[0.0; 16], [1.0; 16], one_voxel, every_other];
    for loss in defaults_and_others() {
        for (logits, target) in predictions.iter().flat_map(|p| targets.map(|t| (p, t))) {
            let (value, gradient) = value_and_gradient(&loss, logits, &target, shape);
            let what = format!("{loss:?} of {logits:?} for {target:?}");
            assert!(value.is_finite(), "{what}: {value}");
            // A Dice of 1 may be rounded up.
            assert!(value > -1e-6, "{what}: {value}");
            assert!(
                gradient.iter().all(|g| g.is_finite()),
                "{what}: {gradient:?}"
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
    for name in Loss::NAMES.iter().filter(|name| **name != "sum") {
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
        ("{bce: {label_smoothing: 1.5}}", "label_smoothing"),
        ("{topk: {part: 0.0}}", "part"),
        ("{focal: {alpha: 1.5}}", "alpha"),
        ("{focal: {gamma: -2.0}}", "gamma"),
        ("{dice: {class_weights: [1.0, -1.0]}}", "class_weights"),
        ("{focal: {class_weights: [0.0, 0.0]}}", "above 0"),
        ("{sum: []}", "at least one"),
        ("{sum: [{bce: {weight: .nan}}]}", "sum.0.bce.weight"),
    ] {
        let loss: Loss = serde_yaml::from_str(yaml).unwrap();
        let why = loss.validate().unwrap_err().to_string();
        assert!(why.contains(field), "{yaml}: {why}");
    }
}

/// A ball of the structure, and logits that are right, or right but for its shell, or for a far corner.
fn ball() -> ([usize; 5], Vec<f32>, impl Fn(&str) -> Vec<f32>) {
    let shape = [1, 1, 8, 8, 8];
    let radius = |index: usize| {
        let at = [index / 64, index / 8 % 8, index % 8];
        let squared: f64 = at.iter().map(|&a| (a as f64 - 3.5).powi(2)).sum();
        squared.sqrt()
    };
    let target: Vec<f32> = (0..512)
        .map(|i| f32::from(u8::from(radius(i) < 3.0)))
        .collect();
    let logits = move |errors: &str| {
        let wrong = |i: usize| match errors {
            "shell" => (3.0..3.5).contains(&radius(i)),
            "corner" => radius(i) > 5.0,
            "all" => true,
            _ => false,
        };
        let sign = |i: usize| {
            if (radius(i) < 3.0) != wrong(i) {
                6.0
            } else {
                -6.0
            }
        };
        (0..512).map(sign).collect()
    };
    (shape, target, logits)
}

/// The losses of `configs/loss`.
fn recipes() -> Vec<Loss> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/loss");
    let files = std::fs::read_dir(folder).unwrap();
    let recipe = |file: std::io::Result<std::fs::DirEntry>| {
        let yaml = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let block: BTreeMap<String, Loss> = serde_yaml::from_str(&yaml).unwrap();
        block["loss"].validate().unwrap();
        block["loss"].clone()
    };
    files.map(recipe).collect()
}

#[test]
fn every_loss_and_recipe_is_lowest_for_the_truth_and_highest_for_its_opposite() {
    let (shape, target, logits) = ball();
    for loss in Loss::defaults().into_iter().chain(recipes()) {
        let value = |errors| value_and_gradient(&loss, &logits(errors), &target, shape).0;
        let name = loss.name();
        assert!(value("none") < value("shell"), "{name}");
        assert!(value("shell") < value("all"), "{name}");
    }
}

#[test]
fn losses_by_distance_mind_how_far_off_an_error_is() {
    let (shape, target, logits) = ball();
    let value =
        |yaml: &str, errors| value_and_gradient(&parse(yaml), &logits(errors), &target, shape).0;
    let count = |errors| {
        let wrong = logits(errors).into_iter().zip(logits("none"));
        wrong.filter(|(a, b)| a != b).count() as f64
    };
    for yaml in ["boundary", "hausdorff_dt"] {
        let per_error = |errors| value(yaml, errors) / count(errors);
        assert!(per_error("corner") > 1.5 * per_error("shell"), "{yaml}");
    }
}

#[test]
fn every_loss_takes_each_channel_as_a_structure_of_its_own() {
    // The second channel has no structure in its second sample.
    let (shape, target, logits) = ball();
    let many = [2, 2, shape[2], shape[3], shape[4]];
    let noise =
        |seed: usize| (0..512).map(move |i| ((i * 37 + seed * 101) % 61) as f32 / 10.0 - 3.0);
    let volumes: Vec<Vec<f32>> = (0..4)
        .map(|seed| {
            logits("none")
                .iter()
                .zip(noise(seed))
                .map(|(a, b)| a / 3.0 + b)
                .collect()
        })
        .collect();
    let targets = [
        target.clone(),
        target.clone(),
        target.clone(),
        vec![0.0; 512],
    ];
    for loss in Loss::defaults() {
        let (value, gradient) =
            value_and_gradient(&loss, &volumes.concat(), &targets.concat(), many);
        assert!(gradient.iter().all(|g| g.is_finite()), "{}", loss.name());
        // What depends on all samples, channels or voxels together, or on a mean, is not a mean of the parts.
        if ["generalized_dice", "topk", "log_cosh_dice", "sm_cce_dice"].contains(&loss.name()) {
            continue;
        }
        let one = |i: usize| value_and_gradient(&loss, &volumes[i], &targets[i], shape).0;
        let mean = (0..4).map(one).sum::<f64>() / 4.0;
        let name = loss.name();
        assert!(
            (value / mean - 1.0).abs() < 1e-5,
            "{name}: {value}, not {mean}"
        );
    }
}

#[test]
fn coarser_outputs_count_half_as_much_and_see_a_coarser_target() {
    let device = Device::default();
    let tensor = |values: Vec<f32>, shape: [usize; 5]| {
        Tensor::<Flex, 5>::from_data(TensorData::new(values, shape), &device)
    };
    let target: Vec<f32> = (0..5 * 4 * 3)
        .map(|i| f32::from(u8::from(i % 7 < 3)))
        .collect();
    let logits = |count: usize| (0..count).map(|i| (i % 5) as f32 - 2.0).collect::<Vec<_>>();
    let loss = parse("bce");
    let outputs = || {
        vec![
            tensor(logits(60), [1, 1, 5, 4, 3]),
            // Not every axis need be halved.
            tensor(logits(18), [1, 1, 3, 2, 3]),
            tensor(logits(4), [1, 1, 2, 1, 2]),
        ]
    };
    let mask = |values, shape| Target::sigmoid(tensor(values, shape), None);
    let whole = mask(target.clone(), [1, 1, 5, 4, 3]);
    // Every second voxel of the first two axes, from the first.
    let mut half = Vec::new();
    for x in [0, 2, 4] {
        for y in [0, 2] {
            half.extend([0, 1, 2].map(|z| target[(x * 4 + y) * 3 + z]));
        }
    }
    let number = |loss: Tensor<Flex, 1>| f64::from(loss.into_scalar());
    let parts = [
        number(loss.forward(outputs().remove(0), &whole)),
        number(loss.forward(outputs().remove(1), &mask(half, [1, 1, 3, 2, 3]))),
    ];
    let deep = number(loss.forward_deep(outputs(), &whole));
    let expected = (2.0 * parts[0] + parts[1]) / 3.0;
    assert!((deep - expected).abs() < 1e-6, "{deep}, not {expected}");
    // One output alone is supervised as ever.
    let alone = number(loss.forward_deep(outputs()[..1].to_vec(), &whole));
    assert!((alone - parts[0]).abs() < 1e-7);
}

#[test]
fn half_precision_logits_lose_nothing_to_large_sums() {
    // 262,144 voxels: sums over them are beyond what half precision holds (65,504).
    let shape = [1, 1, 64, 64, 64];
    let device = Device::default();
    let values = |f: fn(usize) -> f32| {
        let values: Vec<f32> = (0..64 * 64 * 64).map(f).collect();
        Tensor::<Flex, 5>::from_data(TensorData::new(values, shape), &device)
    };
    // Exact in half precision.
    let logits = values(|i| (i % 41) as f32 - 20.0);
    let target = values(|i| f32::from(u8::from(i % 41 > 12)));
    for loss in Loss::defaults() {
        let whole: f32 = loss
            .forward(logits.clone(), &Target::sigmoid(target.clone(), None))
            .into_scalar();
        let half = |x: &Tensor<Flex, 5>| x.clone().cast(FloatDType::F16);
        let half_target = Target::sigmoid(half(&target), None);
        let from_half: f32 = loss.forward(half(&logits), &half_target).into_scalar();
        assert_eq!(whole, from_half, "{}", loss.name());
    }
}

/// Logits and a target, `[3, 2, 2, 3, 4]`, and a shuffle of the numbers below `count`.
fn volumes(count: usize) -> impl Strategy<Value = (Vec<f32>, Vec<f32>, Vec<usize>)> {
    let voxel = (-4.0_f32..4.0, any::<bool>());
    let voxels = prop::collection::vec(voxel, 3 * 2 * VOXELS);
    let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
    (voxels, order).prop_map(|(voxels, order)| {
        let (logits, target): (Vec<_>, Vec<_>) = voxels.into_iter().unzip();
        let target = target.into_iter().map(|t| f32::from(u8::from(t))).collect();
        (logits, target, order)
    })
}

const VOXELS: usize = 2 * 3 * 4;

/// Chunks of `size`, put in this order; where there are more chunks, each group of as many is.
fn reordered(values: &[f32], size: usize, order: &[usize]) -> Vec<f32> {
    let groups = values.chunks(size * order.len());
    groups
        .flat_map(|group| order.iter().flat_map(move |&i| &group[i * size..][..size]))
        .copied()
        .collect()
}

/// Asserts that a loss and its gradient stay as they are when voxels are reordered, the gradient in
/// the new order.
fn assert_indifferent(
    loss: &Loss,
    (logits, target): (&[f32], &[f32]),
    reorder: impl Fn(&[f32]) -> Vec<f32>,
) {
    let shape = [3, 2, 2, 3, 4];
    let (value, gradient) = value_and_gradient(loss, logits, target, shape);
    let (again, regradient) = value_and_gradient(loss, &reorder(logits), &reorder(target), shape);
    assert!(
        (value - again).abs() <= 1e-5 * value.abs() + 1e-6,
        "{loss:?}: {value}, then {again}"
    );
    let gradient: Vec<f32> = gradient.into_iter().map(|g| g as f32).collect();
    for (a, b) in reorder(&gradient).into_iter().zip(regradient) {
        assert!(
            (f64::from(a) - b).abs() < 1e-4 * b.abs() + 1e-6,
            "{loss:?}: {a}, then {b}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_a_batch_is_the_same_to_every_loss((logits, target, order) in volumes(3)) {
        for loss in defaults_and_others() {
            assert_indifferent(&loss, (&logits, &target), |x| reordered(x, 2 * VOXELS, &order));
        }
    }

    #[test]
    fn the_order_of_channels_is_the_same_to_every_loss((logits, target, order) in volumes(2)) {
        for loss in defaults_and_others() {
            assert_indifferent(&loss, (&logits, &target), |x| reordered(x, VOXELS, &order));
        }
    }

    #[test]
    fn only_losses_by_distance_and_by_plane_mind_where_a_voxel_is((logits, target, order) in volumes(VOXELS)) {
        let by_place = ["boundary", "hausdorff_dt", "sm_cce_dice"];
        for loss in defaults_and_others() {
            if !by_place.contains(&loss.name()) {
                assert_indifferent(&loss, (&logits, &target), |x| reordered(x, 1, &order));
            }
        }
    }
}
