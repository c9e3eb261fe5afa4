//! Metrics against MONAI, numpy and segmentation_models.

use std::collections::BTreeMap;

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use calvaria::metric::{self, Counts, Overlap, iou_soft, soft_counts};
use ndarray::ArrayView3;
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics");

#[derive(Deserialize)]
struct Expected {
    pairs: BTreeMap<String, BTreeMap<String, Value>>,
    soft: Soft,
}

#[derive(Deserialize)]
struct Soft {
    probabilities: Vec<f32>,
    target: Vec<u8>,
    iou_score: f64,
    iou_score_per_image: f64,
    iou_score_empty_target: f64,
    iou_score_empty_both: f64,
}

fn expected() -> Expected {
    let text = std::fs::read_to_string(format!("{FOLDER}/expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn for_each_pair(check: impl Fn(&str, ArrayView3<u8>, ArrayView3<u8>, &BTreeMap<String, Value>)) {
    let bytes = std::fs::read(format!("{FOLDER}/masks.safetensors")).unwrap();
    let masks = SafeTensors::deserialize(&bytes).unwrap();
    for (name, values) in expected().pairs {
        let mask = |side: &str| masks.tensor(&format!("{name}.{side}")).unwrap();
        let view = |mask: &safetensors::tensor::TensorView<'_>| {
            let shape: [usize; 3] = mask.shape().try_into().unwrap();
            ndarray::Array3::from_shape_vec(shape, mask.data().to_vec()).unwrap()
        };
        check(
            &name,
            view(&mask("pred")).view(),
            view(&mask("ref")).view(),
            &values,
        );
    }
}

#[test]
fn counts_and_ratios_are_those_of_the_references() {
    for_each_pair(|name, prediction, truth, expected| {
        let overlap = Overlap::of(prediction, truth);
        let counts = [overlap.tp, overlap.fp, overlap.fn_, overlap.tn];
        assert_eq!(
            counts,
            ["tp", "fp", "fn", "tn"].map(|key| expected[key].as_u64().unwrap()),
            "{name}"
        );
        for (metric, value) in metric::all(prediction, truth, None) {
            // Where the plain quotient is 0 / 0, the next test says what ours is.
            if let Some(reference) = expected[metric].as_f64() {
                assert!(
                    (value - reference).abs() < 1e-9,
                    "{name}: {metric} {value}, not {reference}"
                );
            }
        }
        assert_eq!(
            Some(overlap.dice() as f32),
            expected["monai_dice"].as_f64().map(|v| v as f32)
        );
        assert_eq!(
            Some(overlap.iou() as f32),
            expected["monai_iou"].as_f64().map(|v| v as f32)
        );
    });
}

#[test]
fn empty_masks_agree_with_each_other_and_with_nothing_else() {
    let (empty, full) = ([0; 4], [1; 4]);
    let values = |prediction: &[u8], truth: &[u8]| {
        let o = Overlap::of(prediction, truth);
        [
            o.iou(),
            o.dice(),
            o.precision(),
            o.recall(),
            o.volume_similarity(),
            o.specificity(),
        ]
    };
    assert_eq!(values(&empty, &empty), [1.0; 6]);
    assert_eq!(values(&full, &full), [1.0; 6]);
    assert_eq!(values(&empty, &full), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(values(&full, &empty), [0.0; 6]);
}

#[test]
fn the_soft_iou_is_the_published_one() {
    let soft = expected().soft;
    let (p, t) = (&soft.probabilities, &soft.target);
    let (none, nowhere) = (vec![0.0; p.len()], vec![0; p.len()]);
    assert!((iou_soft(p, t) - soft.iou_score).abs() < 1e-9);
    assert!((iou_soft(p, &nowhere) / soft.iou_score_empty_target - 1.0).abs() < 1e-6);
    assert_eq!(iou_soft(&none, &nowhere), soft.iou_score_empty_both);
    let half = p.len() / 2;
    let per_image = (iou_soft(&p[..half], &t[..half]) + iou_soft(&p[half..], &t[half..])) / 2.0;
    assert!((per_image - soft.iou_score_per_image).abs() < 1e-9);
}

#[test]
fn counts_on_the_device_give_what_the_masks_give() {
    for_each_pair(|name, prediction, truth, _| {
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
        let rows = soft_counts(logits, Tensor::cat(vec![target.clone(), target], 0));
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
fn the_table_has_the_listed_columns_in_order() {
    let mask = ndarray::Array3::<u8>::zeros((2, 2, 2));
    let probability = mask.mapv(f32::from);
    let all = metric::all(mask.view(), mask.view(), Some(probability.view()));
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        metric::NAMES
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
    );
    let without = metric::all(mask.view(), mask.view(), None);
    assert!(without.iter().all(|(name, _)| *name != "iou_soft"));
}
