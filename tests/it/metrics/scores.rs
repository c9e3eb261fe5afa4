//! Metrics against MONAI, medpy, scipy and segmentation_models, and what must hold for any two masks.

use std::collections::{BTreeMap, BTreeSet};

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use calvaria::loss::Target;
use calvaria::metric::{
    self, Better, Evaluation, METRICS, Metric, Overlap, SurfaceDistances, iou_soft,
};
use calvaria::train::{Counts, soft_counts};
use calvaria::volume::{Affine, Volume};
use ndarray::{Array3, ArrayView3, Axis, ShapeBuilder, s};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics");

#[derive(Deserialize)]
struct Expected {
    spacing: [f64; 3],
    pairs: BTreeMap<String, Pair>,
}

/// Other programs' values for two masks; "nan" or "inf" where they give no number.
#[derive(Deserialize)]
struct Pair {
    counts: BTreeMap<String, u64>,
    numpy: BTreeMap<String, Value>,
    monai: BTreeMap<String, Value>,
    medpy: BTreeMap<String, Value>,
}

fn expected() -> Expected {
    let text = std::fs::read_to_string(format!("{FOLDER}/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn for_each_pair(mut check: impl FnMut(&str, Array3<u8>, Array3<u8>, &Pair)) {
    let bytes = std::fs::read(format!("{FOLDER}/masks.safetensors")).unwrap();
    let masks = SafeTensors::deserialize(&bytes).unwrap();
    for (name, pair) in expected().pairs {
        let mask = |side: &str| {
            let mask = masks.tensor(&format!("{name}.{side}")).unwrap();
            let shape: [usize; 3] = mask.shape().try_into().unwrap();
            Array3::from_shape_vec(shape, mask.data().to_vec()).unwrap()
        };
        check(&name, mask("pred"), mask("ref"), &pair);
    }
}

fn volume<T>(voxels: Array3<T>, spacing: [f64; 3]) -> Volume<T> {
    let affine = Affine::diagonal(spacing, [0.0; 3]);
    Volume { voxels, affine }
}

/// A metric's values by name, with probabilities of 0.875 in the predicted mask and 0.125 elsewhere.
fn values(
    prediction: ArrayView3<'_, u8>,
    truth: ArrayView3<'_, u8>,
    spacing: [f64; 3],
    nsd_tolerance: f64,
) -> BTreeMap<&'static str, f64> {
    let probability = prediction.mapv(|label| f32::from(label) * 0.75 + 0.125);
    let all = metric::all(
        &volume(prediction.to_owned(), spacing),
        &volume(truth.to_owned(), spacing),
        Some(&volume(probability, spacing)),
        &Evaluation {
            nsd_tolerance,
            ..Evaluation::default()
        },
    );
    all.into_iter().collect()
}

/// Every metric has a column, and every column the value that numpy and scipy give.
#[test]
fn every_metric_is_numpys() {
    let spacing = expected().spacing;
    let mut compared = BTreeMap::new();
    for_each_pair(|name, prediction, truth, pair| {
        let found = values(prediction.view(), truth.view(), spacing, 1.0);
        for metric in names() {
            // Where there is no number, tests below define ours.
            let Some(reference) = pair.numpy.get(metric).and_then(Value::as_f64) else {
                continue;
            };
            let value = found[metric];
            assert!(
                (value - reference).abs() < 1e-9,
                "{name}: {metric} {value}, not {reference}"
            );
            *compared.entry(metric).or_insert(0) += 1;
        }
        let overlap = Overlap::of(&prediction, &truth);
        let counts = [overlap.tp, overlap.fp, overlap.fn_, overlap.tn];
        assert_eq!(counts, ["tp", "fp", "fn", "tn"].map(|key| pair.counts[key]));
    });
    for name in names() {
        assert!(
            compared.get(name) >= Some(&10),
            "{name} has no reference numbers"
        );
    }
}

#[test]
fn metrics_are_monais_and_medpys() {
    let spacing = expected().spacing;
    for_each_pair(|name, prediction, truth, pair| {
        let mut found = values(prediction.view(), truth.view(), spacing, 1.0);
        let wider = values(prediction.view(), truth.view(), spacing, 2.0);
        found.insert("nsd_2mm", wider["nsd"]);
        for (metric, reference) in pair.monai.iter().chain(&pair.medpy) {
            let value = found[metric.as_str()];
            let same = match reference.as_f64() {
                Some(reference) => (value - reference).abs() < 1e-5,
                None if reference == "inf" => value == f64::INFINITY,
                // MONAI's "nan"; the next test defines ours.
                None => prediction.sum() == 0 || truth.sum() == 0,
            };
            assert!(same, "{name}: {metric} {value}, not {reference}");
        }
    });
}

#[test]
fn empty_masks_agree_with_each_other_and_with_nothing_else() {
    let (empty, full) = (Array3::zeros((4, 5, 6)), Array3::from_elem((4, 5, 6), 1));
    let values = |prediction: &Array3<u8>, truth: &Array3<u8>| {
        let all = values(prediction.view(), truth.view(), [1.0; 3], 1.0);
        [
            "iou",
            "dice",
            "precision",
            "recall",
            "volume_similarity",
            "nsd",
            "specificity",
            "hausdorff",
            "hd95",
            "assd",
        ]
        .map(|name| all[name])
    };
    let best = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
    assert_eq!(values(&empty, &empty), best);
    assert_eq!(values(&full, &full), best);
    let inf = f64::INFINITY;
    let missed = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, inf, inf, inf];
    assert_eq!(values(&empty, &full), missed);
    let invented = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, inf, inf, inf];
    assert_eq!(values(&full, &empty), invented);
}

#[test]
fn a_distance_of_nothing_is_zero_without_a_sign() {
    let empty = volume(Array3::<u8>::zeros((2, 2, 2)), [1.0; 3]);
    for (name, value) in metric::all(&empty, &empty, None, &Evaluation::default()) {
        assert!(value.is_sign_positive(), "{name} is {value:?}");
    }
}

/// Probabilities and masks, and the scores of two packages that were run on them.
#[derive(Deserialize)]
struct SoftVolume {
    shape: [usize; 4],
    probabilities: Vec<f32>,
    mask: Vec<u8>,
    segmentation_models: SoftScores,
    #[serde(rename = "segmentation_models_3D")]
    segmentation_models_3d: SoftScores,
}

#[derive(Deserialize)]
struct SoftScores {
    per_image: f64,
}

#[test]
fn the_soft_iou_is_that_of_segmentation_models_3d_and_not_a_mean_over_planes() {
    #[derive(Deserialize)]
    struct File {
        volumes: BTreeMap<String, SoftVolume>,
    }
    let text = std::fs::read_to_string(format!("{FOLDER}/iou_score.json")).unwrap();
    let volumes = serde_json::from_str::<File>(&text).unwrap().volumes;
    let mut differ = 0;
    for (name, volume) in &volumes {
        let [batch, ..] = volume.shape;
        let size = volume.mask.len() / batch;
        let images = volume
            .probabilities
            .chunks(size)
            .zip(volume.mask.chunks(size));
        let ours = images.map(|(p, t)| iou_soft(p, t)).sum::<f64>() / batch as f64;
        let theirs = volume.segmentation_models_3d.per_image;
        // The packages compute in f32.
        assert!(
            (ours - theirs).abs() < 1e-6 && (ours / theirs - 1.0).abs() < 1e-4,
            "{name}: {ours}, not {theirs}"
        );
        differ += usize::from((ours - volume.segmentation_models.per_image).abs() > 1e-3);
    }
    assert!(volumes.len() >= 10 && differ >= 4, "{differ}");
}

#[test]
fn counts_on_the_device_give_what_the_masks_give() {
    for_each_pair(|name, prediction, truth, _| {
        let (prediction, truth) = (prediction.view(), truth.view());
        let (x, y, z) = truth.dim();
        let tensor = |values: Vec<f32>| {
            Tensor::<Flex, 5>::from_data(
                TensorData::new(values, [1, 1, x, y, z]),
                &Default::default(),
            )
        };
        // Probabilities away from 0 and 1; exactly one half counts as predicted.
        let logit = |label: u8, i: usize| if label == 0 { -1.0 } else { (i % 3) as f32 };
        let logits: Vec<f32> = prediction
            .iter()
            .enumerate()
            .map(|(i, &l)| logit(l, i))
            .collect();
        let probabilities: Vec<f32> = logits.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
        let target = tensor(truth.iter().map(|&l| f32::from(l)).collect());
        // A second sample, so that samples are seen to be counted apart.
        let logits = Tensor::cat(vec![tensor(logits), target.clone() * 20.0 - 10.0], 0);
        let target = Target::sigmoid(Tensor::cat(vec![target.clone(), target], 0), None);
        let rows = soft_counts(logits, &target);
        let rows: Vec<f64> = rows.into_data().iter::<f64>().collect();
        let first = Counts::from_row(&rows[..rows.len() / 2]);
        let second = Counts::from_row(&rows[rows.len() / 2..]);
        let overlap = Overlap::of(prediction, truth);
        assert_eq!(
            (first.iou(), first.dice()),
            (overlap.iou(), overlap.dice()),
            "{name}"
        );
        assert!(
            (first.iou_soft() - iou_soft(&probabilities, truth)).abs() < 1e-5,
            "{name}"
        );
        assert_eq!((second.iou(), second.dice()), (1.0, 1.0), "{name}");
    });
}

#[test]
fn without_probabilities_there_is_no_soft_iou() {
    let mask = volume(Array3::<u8>::zeros((2, 2, 2)), [1.0; 3]);
    let found = metric::all(&mask, &mask, None, &Evaluation::default());
    let names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    let hard = self::names().into_iter();
    assert_eq!(
        names,
        hard.filter(|name| *name != "iou_soft").collect::<Vec<_>>()
    );
}

#[test]
fn pieces_are_counted_where_that_is_asked_for() {
    // Of three true pieces, one of which touches by a corner alone, two are found; a predicted one has nothing true.
    let mut truth = Array3::<u8>::zeros((12, 6, 6));
    let mut prediction = truth.clone();
    truth.slice_mut(s![0..2, 0..2, 0..2]).fill(1);
    truth[[2, 2, 2]] = 1;
    truth.slice_mut(s![5..7, .., 0..1]).fill(1);
    truth[[10, 5, 5]] = 1;
    prediction[[2, 2, 2]] = 1;
    prediction.slice_mut(s![6..8, 0..2, 0..1]).fill(1);
    prediction[[10, 0, 0]] = 1;
    let settings = Evaluation {
        pieces: true,
        ..Evaluation::default()
    };
    let [prediction, truth] = [prediction, truth].map(|mask| volume(mask, [1.0; 3]));
    let found = metric::all(&prediction, &truth, None, &settings);
    let found: BTreeMap<&str, f64> = found.into_iter().collect();
    let pieces = ["pieces_true", "pieces_found", "pieces_false"].map(|name| found[name]);
    assert_eq!(pieces, [3.0, 2.0, 1.0]);
    let nothing = volume(Array3::zeros((12, 6, 6)), [1.0; 3]);
    let none = metric::all(&nothing, &nothing, None, &settings);
    assert!(
        none.iter()
            .filter(|(name, _)| name.starts_with("pieces"))
            .all(|(_, count)| *count == 0.0)
    );
}

#[test]
fn every_metric_describes_itself_and_names_its_reference() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len(), "a name occurs twice");
    for metric in METRICS {
        assert!(metric.description.ends_with('.'), "{metric:?}");
        assert!(!metric.reference.is_empty(), "{metric:?}");
    }
}

#[test]
fn a_voxel_is_within_its_own_size_whatever_float32_made_of_it() {
    let one = |z: usize| Array3::from_shape_fn((3, 3, 3), |index| u8::from(index == (1, 1, z)));
    let third = f64::from(4.0_f32 / 3.0);
    for (size, tolerance) in [(1.000_000_2, 1.0), (third, 4.0 / 3.0), (1.0, 1.0)] {
        let found = SurfaceDistances::between(one(1).view(), one(2).view(), [size; 3]);
        assert_eq!(found.nsd(tolerance), 1.0);
        assert_eq!(found.nsd(tolerance - 1e-3), 0.0);
    }
}

#[test]
fn a_tolerance_below_zero_or_without_a_number_is_refused() {
    for nsd_tolerance in [-1e-9, f64::NAN, f64::INFINITY] {
        let faults = Evaluation {
            nsd_tolerance,
            ..Evaluation::default()
        }
        .validate()
        .unwrap_err()
        .0;
        assert_eq!(faults[0].path, "nsd_tolerance");
    }
    assert_eq!(
        Evaluation {
            nsd_tolerance: 0.0,
            ..Evaluation::default()
        }
        .validate(),
        Ok(())
    );
}

/// Two masks of one shape, of boxes with holes and stray voxels.
fn pairs() -> impl Strategy<Value = (Array3<u8>, Array3<u8>)> {
    (2_usize..12, 2_usize..12, 2_usize..12).prop_flat_map(|shape| (mask(shape), mask(shape)))
}

fn mask(shape: (usize, usize, usize)) -> impl Strategy<Value = Array3<u8>> {
    let boxes = prop::collection::vec(
        (corner(shape), corner(shape), prop::bool::weighted(0.7)),
        1..4,
    );
    boxes.prop_map(move |boxes| {
        let mut mask = Array3::zeros(shape);
        for (a, b, fill) in boxes {
            draw(&mut mask, a, b, u8::from(fill));
        }
        mask
    })
}

fn corner(shape: (usize, usize, usize)) -> impl Strategy<Value = [usize; 3]> {
    (0..shape.0, 0..shape.1, 0..shape.2).prop_map(|(x, y, z)| [x, y, z])
}

/// Fills the box between two corners, both within it.
fn draw(mask: &mut Array3<u8>, a: [usize; 3], b: [usize; 3], label: u8) {
    let [x, y, z] = std::array::from_fn(|axis| a[axis].min(b[axis])..a[axis].max(b[axis]) + 1);
    mask.slice_mut(s![x, y, z]).fill(label);
}

fn spacings() -> impl Strategy<Value = [f64; 3]> {
    [0.3..4.0_f64, 0.3..4.0, 0.3..4.0]
}

fn assert_same(a: &BTreeMap<&str, f64>, b: &BTreeMap<&str, f64>, names: &[&str]) {
    for name in names {
        let (a, b) = (a[name], b[name]);
        let same = a == b || (a - b).abs() <= 1e-12 * a.abs().max(1.0);
        assert!(same, "{name}: {a} and {b}");
    }
}

const DISTANCES: [&str; 3] = ["hausdorff", "hd95", "assd"];

/// All but those that have to be asked for.
fn usual() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().filter(|metric| metric.unit != "pieces")
}

fn names() -> Vec<&'static str> {
    usual().map(|metric| metric.name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_mask_is_better_than_the_truth_itself((prediction, truth) in pairs(), spacing in spacings()) {
        let itself = values(truth.view(), truth.view(), spacing, 0.0);
        let other = values(prediction.view(), truth.view(), spacing, 0.0);
        for metric in usual().filter(|metric| metric.name != "iou_soft") {
            let (itself, other) = (itself[metric.name], other[metric.name]);
            match metric.better {
                Better::Higher => prop_assert!(itself == 1.0 && (0.0..=1.0).contains(&other)),
                Better::Lower => prop_assert!(itself == 0.0 && other >= 0.0),
                Better::Neither => {}
            }
        }
    }

    #[test]
    fn swapping_the_masks_swaps_precision_with_recall_and_the_volumes(
        (prediction, truth) in pairs(),
        spacing in spacings(),
    ) {
        let found = values(prediction.view(), truth.view(), spacing, 1.0);
        let mut swapped = values(truth.view(), prediction.view(), spacing, 1.0);
        for (a, b) in [("precision", "recall"), ("volume_ml", "true_volume_ml")] {
            let (of_a, of_b) = (swapped[a], swapped[b]);
            swapped.extend([(a, of_b), (b, of_a)]);
        }
        let symmetric: Vec<&str> = names()
            .into_iter()
            .filter(|name| !["iou_soft", "specificity"].contains(name))
            .collect();
        assert_same(&found, &swapped, &symmetric);
    }

    #[test]
    fn larger_voxels_scale_distances_and_volumes_and_nothing_else(
        (prediction, truth) in pairs(),
        spacing in spacings(),
        scale in 0.5..3.0_f64,
    ) {
        // Where a distance is the tolerance but for rounding, which is not scaled, `nsd` may be either.
        let nsd = |tolerance| values(prediction.view(), truth.view(), spacing, tolerance)["nsd"];
        prop_assume!(nsd(1.0 - 1e-4) == nsd(1.0 + 1e-4));
        let mut found = values(prediction.view(), truth.view(), spacing, 1.0);
        let larger = spacing.map(|spacing| spacing * scale);
        let scaled = values(prediction.view(), truth.view(), larger, scale);
        for metric in usual() {
            let factor = match metric.unit {
                "mm" => scale,
                "mL" => scale.powi(3),
                _ => 1.0,
            };
            found.insert(metric.name, found[metric.name] * factor);
        }
        assert_same(&found, &scaled, &names());
    }

    #[test]
    fn where_in_the_image_the_masks_lie_does_not_matter(
        (prediction, truth) in pairs(),
        spacing in spacings(),
        [x, y, z] in [0_usize..4, 0..4, 0..4],
    ) {
        let moved = |mask: &Array3<u8>| {
            let (a, b, c) = mask.dim();
            let mut larger = Array3::zeros((a + 5, b + 5, c + 5));
            larger.slice_mut(s![x..x + a, y..y + b, z..z + c]).assign(mask);
            larger
        };
        let found = values(prediction.view(), truth.view(), spacing, 1.0);
        let moved = values(moved(&prediction).view(), moved(&truth).view(), spacing, 1.0);
        // The others count background, too.
        let counts_background = ["accuracy", "specificity", "iou_soft"];
        let names: Vec<&str> = names()
            .into_iter()
            .filter(|name| !counts_background.contains(name))
            .collect();
        assert_same(&found, &moved, &names);
    }

    #[test]
    fn mirroring_turning_and_storing_otherwise_do_not_matter(
        (prediction, truth) in pairs(),
        spacing in spacings(),
        order in Just(vec![0, 1, 2]).prop_shuffle(),
        mirrored in 0_usize..3,
    ) {
        let found = values(prediction.view(), truth.view(), spacing, 1.0);
        let order: [usize; 3] = order.try_into().unwrap();
        let turn = |mask: &Array3<u8>| {
            let mut mask = mask.clone().permuted_axes(order);
            mask.invert_axis(Axis(mirrored));
            mask
        };
        // Each mask in memory in its own way.
        let turned = turn(&truth);
        let mut column_major = Array3::zeros(turned.raw_dim().f());
        column_major.assign(&turn(&prediction));
        let spacing = order.map(|axis| spacing[axis]);
        let probability = column_major.mapv(|label| f32::from(label) * 0.75 + 0.125);
        let turned = metric::all(
            &volume(column_major, spacing),
            &volume(turned, spacing),
            Some(&volume(probability, spacing)),
            &Evaluation { nsd_tolerance: 1.0, ..Evaluation::default() },
        );
        assert_same(&found, &turned.into_iter().collect(), &names());
    }

    #[test]
    fn growing_a_box_by_a_voxel_moves_its_surface_by_at_most_a_voxels_diagonal(
        (a, b) in (corner((7, 8, 9)), corner((7, 8, 9))),
        truth in mask((9, 10, 11)),
        spacing in spacings(),
    ) {
        let (mut small, mut large) = (Array3::zeros((9, 10, 11)), Array3::zeros((9, 10, 11)));
        let one = |corner: [usize; 3]| corner.map(|i| i + 1);
        draw(&mut small, one(a), one(b), 1);
        let ends = |pick: fn(usize, usize) -> usize| std::array::from_fn(|i| pick(a[i], b[i]));
        draw(&mut large, ends(usize::min), ends(usize::max).map(|i: usize| i + 2), 1);
        let diagonal = spacing.iter().map(|side| side * side).sum::<f64>().sqrt();
        let between = |a: &Array3<u8>, b: &Array3<u8>| values(a.view(), b.view(), spacing, 0.0)["hausdorff"];
        let grown = between(&large, &small);
        prop_assert!((grown - diagonal).abs() < 1e-9, "{grown}, not {diagonal}");
        if truth.iter().any(|&label| label != 0) {
            let change = between(&large, &truth) - between(&small, &truth);
            prop_assert!(change.abs() <= diagonal + 1e-9, "by {change}");
        }
    }

    #[test]
    fn distances_are_ordered((prediction, truth) in pairs(), spacing in spacings()) {
        let found = values(prediction.view(), truth.view(), spacing, 0.0);
        let [hausdorff, hd95, assd] = DISTANCES.map(|name| found[name]);
        prop_assert!(hd95 <= hausdorff && assd <= hausdorff + 1e-12);
        let within = values(prediction.view(), truth.view(), spacing, hausdorff.min(1e6))["nsd"];
        prop_assert_eq!(within, if hausdorff.is_finite() { 1.0 } else { 0.0 });
    }
}
