//! Losses and counts of several structures: against MONAI, nnU-Net, PyTorch and the Lovász losses of others, and what
//! holds for voxels that are ignored.

use std::collections::{BTreeMap, BTreeSet};

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use calvaria::loss::{Loss, Target};
use calvaria::train::{Counts, soft_counts};
use calvaria::volume::{Named, Structures, Undeclared};
use serde::Deserialize;

type Ad = Autodiff<Flex>;

#[derive(Deserialize)]
struct Expected {
    labels: Form,
    regions: Form,
}

#[derive(Deserialize)]
struct Form {
    losses: BTreeMap<String, Peer>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Peer {
    yaml: String,
}

#[derive(Deserialize)]
struct Case {
    shape: [usize; 5],
    logits: Vec<f32>,
    classes: Vec<f32>,
    value: BTreeMap<String, f64>,
    value_float32: BTreeMap<String, f64>,
    grad: BTreeMap<String, Gradient>,
}

#[derive(Deserialize)]
struct Gradient {
    max_abs: f64,
    l2: f64,
    /// One of so many values.
    every: usize,
    values: Vec<f64>,
}

fn expected() -> Expected {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/losses_classes/expected.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn parse(yaml: &str) -> Loss {
    let loss: Loss = serde_yaml::from_str(yaml).unwrap();
    loss.validate().unwrap();
    loss
}

fn named(names: &[(&str, &[u16])]) -> Vec<Named> {
    let names = names.iter();
    names
        .map(|(name, labels)| ((*name).to_owned(), labels.to_vec()))
        .collect()
}

/// Three structures that exclude each other.
fn labels(ignored: bool) -> Structures {
    let three = named(&[("left", &[1]), ("right", &[2]), ("stem", &[3])]);
    Structures::labels(&three, ignored.then_some(255), Undeclared::Refused).unwrap()
}

/// Three structures, each within the one before it.
fn regions(ignored: bool) -> Structures {
    let three = named(&[
        ("whole", &[1, 2, 3]),
        ("core", &[1, 3]),
        ("enhancing", &[3]),
    ]);
    let order = Some(&[2, 1, 3][..]);
    Structures::regions(&three, order, ignored.then_some(255), Undeclared::Refused).unwrap()
}

/// A target of both forms; `classes` is `[batch, 1, …]`, of logits of this shape.
fn target(structures: &Structures, classes: &[f32], shape: [usize; 5]) -> Target<Ad> {
    let [batch, _, depth, height, width] = shape;
    let data = TensorData::new(classes.to_vec(), [batch, 1, depth, height, width]);
    Target::new(Tensor::from_data(data, &Default::default()), structures)
}

fn value_and_gradient(
    loss: &Loss,
    logits: &[f32],
    target: &Target<Ad>,
    shape: [usize; 5],
) -> (f64, Vec<f64>) {
    let data = TensorData::new(logits.to_vec(), shape);
    let logits = Tensor::<Ad, 5>::from_data(data, &Default::default()).require_grad();
    let value = loss.forward(logits.clone(), target);
    let gradients = value.backward();
    let gradient = logits.grad(&gradients).unwrap().into_data();
    let value = f64::from(value.into_scalar());
    (value, gradient.iter::<f64>().collect())
}

fn assert_as_the_peers(form: &Form, structures: fn(bool) -> Structures) {
    let mut compared = BTreeSet::new();
    for (case_name, case) in &form.cases {
        let ignored = case.classes.contains(&255.0);
        let target = target(&structures(ignored), &case.classes, case.shape);
        assert_eq!(target.counted().is_some(), ignored);
        for (name, exact) in &case.value {
            let what = format!("{name} in {case_name}");
            let loss = parse(&form.losses[name].yaml);
            assert_eq!(loss.check(&structures(ignored)), [], "{what}");
            let (value, gradient) = value_and_gradient(&loss, &case.logits, &target, case.shape);
            // The reference in single precision, or the exact value: a formula may well lose less.
            let close = [case.value_float32[name], *exact]
                .iter()
                .any(|reference| (value - reference).abs() <= 1e-5 * reference.abs());
            assert!(close, "{what}: {value}, not {exact}");
            let Gradient {
                max_abs,
                l2,
                every,
                values,
            } = &case.grad[name];
            let tolerance = 1e-5 * max_abs + 1e-7;
            assert!(!values.is_empty());
            for (at, (ours, theirs)) in gradient.iter().step_by(*every).zip(values).enumerate() {
                let apart = (ours - theirs).abs();
                assert!(
                    apart < tolerance,
                    "{what}: gradient {at}: {ours}, not {theirs}"
                );
            }
            let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let apart = (norm - l2).abs();
            assert!(apart < 1e-5 * l2 + 1e-7, "{what}: norm {norm}, not {l2}");
            compared.insert(name.clone());
        }
    }
    assert_eq!(compared, form.losses.keys().cloned().collect());
}

#[test]
fn losses_of_structures_that_exclude_each_other_are_those_of_the_peers() {
    let expected = expected().labels;
    assert_eq!(expected.cases.len(), 6);
    assert_as_the_peers(&expected, labels);
    let yamls = expected
        .losses
        .values()
        .map(|peer| parse(&peer.yaml).name());
    // `sm_cce_dice` is compared in `segmentation_models.rs`, by softmax as well.
    let elsewhere = ["bce", "sm_cce_dice"];
    let all = Loss::NAMES
        .iter()
        .copied()
        .filter(|name| !elsewhere.contains(name));
    assert_eq!(yamls.collect::<BTreeSet<_>>(), all.collect());
}

#[test]
fn losses_of_regions_are_those_of_the_peers() {
    let expected = expected().regions;
    assert_eq!(expected.cases.len(), 3);
    assert_as_the_peers(&expected, regions);
}

/// Losses with their defaults, and some with other settings, that these structures can have.
fn losses(structures: &Structures) -> Vec<Loss> {
    let others = [
        "{dice: {background: true, smooth_numerator: false, batch: true}}",
        "{generalized_dice: {batch: true}}",
        "{focal: {gamma: 0.5, label_smoothing: 0.1}}",
        "{topk: {of_all: true}}",
        "{lovasz: {classes: all, batch: true}}",
    ];
    let others = others.into_iter().map(parse);
    let all = Loss::defaults().into_iter().chain(others);
    all.filter(|loss| loss.check(structures).is_empty())
        .collect()
}

/// Logits and classes of two samples, some voxels ignored.
fn batch(channels: usize) -> ([usize; 5], Vec<f32>, Vec<f32>) {
    let shape = [2, channels, 3, 4, 5];
    let logits = (0..2 * channels * 60).map(|i| ((i * 37 + i / 7) % 61) as f32 / 10.0 - 3.0);
    let classes = (0..120).map(|i| [0.0, 1.0, 2.0, 255.0, 0.0, 3.0, 255.0][i * 5 % 7]);
    (shape, logits.collect(), classes.collect())
}

fn both() -> [(Structures, usize); 2] {
    [(labels(true), 4), (regions(true), 3)]
}

#[test]
fn where_everything_is_ignored_the_loss_is_0_and_so_is_its_gradient() {
    for (structures, channels) in both() {
        let (shape, logits, _) = batch(channels);
        let nothing = target(&structures, &[255.0; 120], shape);
        for loss in losses(&structures) {
            let (value, gradient) = value_and_gradient(&loss, &logits, &nothing, shape);
            assert_eq!(value, 0.0, "{loss:?}");
            assert!(gradient.iter().all(|g| *g == 0.0), "{loss:?}");
        }
    }
}

#[test]
fn what_a_network_says_of_voxels_that_are_ignored_changes_nothing() {
    for (structures, channels) in both() {
        let (shape, mut logits, classes) = batch(channels);
        let target = target(&structures, &classes, shape);
        let is_ignored = |at: usize| classes[at / (channels * 60) * 60 + at % 60] == 255.0;
        let before: Vec<_> = losses(&structures)
            .iter()
            .map(|loss| value_and_gradient(loss, &logits, &target, shape))
            .collect();
        for (at, logit) in logits
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| is_ignored(*at))
        {
            *logit = 40.0 - (at % 9) as f32 * 10.0;
        }
        for (loss, (value, gradient)) in losses(&structures).iter().zip(before) {
            let after = value_and_gradient(loss, &logits, &target, shape);
            assert!((value - after.0).abs() <= 1e-6 * value.abs(), "{loss:?}");
            for (at, (a, b)) in gradient.iter().zip(after.1).enumerate() {
                assert!((a - b).abs() < 1e-6, "{loss:?}");
                assert!(!is_ignored(at) || *a == 0.0, "{loss:?}: {a}");
            }
        }
    }
}

#[test]
fn a_logit_that_is_not_a_number_is_hidden_by_no_loss() {
    for (structures, channels) in both() {
        let (shape, logits, mut classes) = batch(channels);
        classes[7] = 1.0;
        let target = target(&structures, &classes, shape);
        for channel in 0..channels {
            let mut logits = logits.clone();
            logits[channel * 60 + 7] = f32::NAN;
            let background = structures.is_exclusive() && channel == 0;
            for loss in losses(&structures) {
                let (value, gradient) = value_and_gradient(&loss, &logits, &target, shape);
                let what = format!("{loss:?}, channel {channel}: {value}");
                // A sort puts what is not a number somewhere, and so do distances.
                let visible = !value.is_finite() || gradient.iter().any(|g| !g.is_finite());
                assert!(visible || background && value.is_nan(), "{what}");
            }
        }
    }
}

#[test]
fn every_loss_is_finite_for_extreme_logits_and_absent_classes() {
    for (structures, channels) in both() {
        let (shape, _, classes) = batch(channels);
        let extreme = [-1e4, -100.0, 0.0, 50.0, -50.0, 88.0, 1e4];
        let logits: Vec<f32> = (0..2 * channels * 60).map(|i| extreme[i * 3 % 7]).collect();
        let maps = [classes, vec![0.0; 120], vec![2.0; 120], vec![3.0; 120]];
        for (loss, classes) in losses(&structures)
            .iter()
            .flat_map(|loss| maps.iter().map(move |map| (loss, map)))
        {
            let target = target(&structures, classes, shape);
            let (value, gradient) = value_and_gradient(loss, &logits, &target, shape);
            assert!(value.is_finite() && value > -1e-6, "{loss:?}: {value}");
            assert!(gradient.iter().all(|g| g.is_finite()), "{loss:?}");
        }
    }
}

#[test]
fn every_loss_is_lowest_for_the_truth_and_falls_along_its_gradient() {
    for (structures, channels) in both() {
        let (shape, logits, classes) = batch(channels);
        let target = target(&structures, &classes, shape);
        let truth = target.truth(channels).into_data();
        let truth: Vec<f32> = truth.iter::<f32>().map(|t| t * 20.0 - 10.0).collect();
        for loss in losses(&structures) {
            let (value, gradient) = value_and_gradient(&loss, &logits, &target, shape);
            let (best, _) = value_and_gradient(&loss, &truth, &target, shape);
            assert!(best < value, "{loss:?}");
            let squares: f64 = gradient.iter().map(|g| g * g).sum();
            let step = 1e-3 / squares.sqrt();
            let lower: Vec<f32> = logits
                .iter()
                .zip(&gradient)
                .map(|(z, g)| z - (step * g) as f32)
                .collect();
            let (after, _) = value_and_gradient(&loss, &lower, &target, shape);
            assert!(after < value, "{loss:?}: {after} after {value}");
        }
    }
}

#[test]
fn a_loss_that_does_not_fit_the_structures_is_refused_with_a_sentence() {
    let why = |yaml: &str, structures: &Structures| -> Vec<String> {
        let faults = parse(yaml).check(structures);
        faults.iter().map(|fault| fault.to_string()).collect()
    };
    let refused = |yaml: &str, structures: &Structures, says: &[&str]| {
        let why = why(yaml, structures);
        assert_eq!(why.len(), 1, "{yaml}: {why:?}");
        assert!(says.iter().all(|part| why[0].contains(part)), "{why:?}");
    };
    let labels = labels(false);
    refused("bce", &labels, &["use cross_entropy"]);
    refused(
        "{sum: [dice, bce]}",
        &labels,
        &["sum.1.bce", "use cross_entropy"],
    );
    refused(
        "{focal: {clip: true}}",
        &labels,
        &["focal.clip", "leave it out"],
    );
    let weights = "{dice: {class_weights: [1.0, 2.0]}}";
    refused(
        weights,
        &labels,
        &["2 weights for 3 channels", "left, right, stem"],
    );
    let with_background = "{dice: {background: true, class_weights: [1.0, 2.0, 3.0]}}";
    refused(with_background, &labels, &["background, left, right, stem"]);
    refused(
        "{cross_entropy: {class_weights: [1.0]}}",
        &regions(false),
        &["whole, core"],
    );
    refused(weights, &Structures::Mask, &["the one structure"]);
    assert!(why("{sum: [dice, bce]}", &regions(false)).is_empty());
    assert!(why("{bce: {class_weights: [2.0]}}", &Structures::Mask).is_empty());
}

#[test]
fn the_default_loss_fits_all_structures() {
    for structures in [Structures::Mask, regions(true), labels(true)] {
        let loss = Loss::default_for(&structures);
        assert_eq!(loss.check(&structures), []);
        assert_eq!(structures.is_exclusive(), loss != Loss::default());
    }
    assert_eq!(
        Loss::default_for(&labels(true)),
        parse("{sum: [dice, cross_entropy]}")
    );
}

#[test]
fn settings_of_several_structures_are_not_written_where_they_are_left_out() {
    for loss in Loss::defaults() {
        let yaml = serde_yaml::to_string(&loss).unwrap();
        for key in ["background", "class_weights", "classes", "of_all"] {
            assert!(!yaml.contains(key), "{yaml}");
        }
    }
    // But they are listed, with what they are then.
    let listed = Loss::FAMILY.describe().unwrap();
    for setting in [
        "background: false",
        "background: true",
        "class_weights: null",
        "classes: present",
        "of_all: false",
    ] {
        assert!(listed.contains(&format!("\n  {setting}\n")), "{setting}");
    }
}

#[test]
fn coarser_outputs_see_the_classes_of_every_second_voxel() {
    for (structures, channels) in both() {
        let (shape, logits, classes) = batch(channels);
        let tensor = |values: Vec<f32>, shape: [usize; 5]| {
            Tensor::<Ad, 5>::from_data(TensorData::new(values, shape), &Default::default())
        };
        let whole = target(&structures, &classes, shape);
        let coarse = [2, channels, 2, 2, 3];
        let mut half = Vec::new();
        for (sample, x, y, z) in (0..24).map(|i| (i / 12, i / 6 % 2, i / 3 % 2, i % 3)) {
            half.push(classes[sample * 60 + x * 40 + y * 10 + z * 2]);
        }
        let half = target(&structures, &half, coarse);
        let outputs = vec![
            tensor(logits.clone(), shape),
            tensor(logits[..24 * channels].to_vec(), coarse),
            tensor(logits[..2 * channels].to_vec(), [2, channels, 1, 1, 1]),
        ];
        for loss in losses(&structures) {
            let number = |loss: Tensor<Ad, 1>| f64::from(loss.into_scalar());
            let fine = number(loss.forward(outputs[0].clone(), &whole));
            let coarse = number(loss.forward(outputs[1].clone(), &half));
            let deep = number(loss.forward_deep(outputs.clone(), &whole));
            let expected = (2.0 * fine + coarse) / 3.0;
            assert!((deep - expected).abs() < 1e-6 * expected.abs(), "{loss:?}");
        }
    }
}

#[test]
fn counts_are_of_each_structure_and_leave_ignored_voxels_out() {
    for (structures, channels) in both() {
        let (shape, logits, classes) = batch(channels);
        let target = target(&structures, &classes, shape).inner();
        let tensor = TensorData::new(logits.clone(), shape);
        let tensor = Tensor::<Flex, 5>::from_data(tensor, &Default::default());
        let probabilities = target.probabilities(tensor.clone()).into_data();
        let probabilities: Vec<f32> = probabilities.iter::<f32>().collect();
        let rows = soft_counts(tensor, &target);
        assert_eq!(rows.dims(), [2, 3, 5]);
        let rows: Vec<f64> = rows.into_data().iter::<f64>().collect();
        for (sample, structure) in (0..6).map(|i| (i / 3, i % 3)) {
            let mut expected = [0.0; 5];
            for voxel in 0..60 {
                let class = classes[sample * 60 + voxel] as u8;
                if class == Structures::IGNORED {
                    continue;
                }
                let at = |channel: usize| (sample * channels + channel) * 60 + voxel;
                let channel = structures.channel(structure);
                let p = f64::from(probabilities[at(channel)]);
                let predicted = match structures.is_exclusive() {
                    true => (0..channels).all(|c| {
                        let (a, b) = (logits[at(channel)], logits[at(c)]);
                        a > b || a == b && channel <= c
                    }),
                    false => logits[at(channel)] >= 0.0,
                };
                let truth = structures.contains(structure, class);
                let number = |is: bool| f64::from(u8::from(is));
                expected[0] += p * number(truth);
                expected[1] += p;
                expected[2] += number(predicted && truth);
                expected[3] += number(predicted);
                expected[4] += number(truth);
            }
            let ours = &rows[(sample * 3 + structure) * 5..][..5];
            let close = ours.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(close, "{ours:?}, not {expected:?}");
            let (counts, expected) = (Counts::from_row(ours), Counts::from_row(&expected));
            assert_eq!(counts.dice(), expected.dice());
        }
    }
}
