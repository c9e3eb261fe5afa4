//! Metrics of several structures against MONAI and nnU-Net, and against those of one mask.

use std::borrow::Cow;
use std::collections::BTreeMap;

use calvaria::metric::{
    self, Better, Evaluation, METRICS, Values, by_structure, mean_of_structures,
};
use calvaria::volume::{Affine, Marked, MaskRule, Named, Structures, Undeclared, Volume};
use ndarray::{Array3, Axis, ShapeBuilder, s};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;

use crate::common::amount;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics");

#[derive(Deserialize)]
struct Expected {
    spacing: [f64; 3],
    cases: BTreeMap<String, Case>,
}

/// Other programs' values; "nan" or "inf" where they give no number.
#[derive(Deserialize)]
struct Case {
    structures: Vec<Named>,
    regions: bool,
    ignored: bool,
    monai: BTreeMap<String, BTreeMap<String, Value>>,
    monai_mean: BTreeMap<String, Value>,
    nnunet: BTreeMap<String, BTreeMap<String, Value>>,
    nnunet_nan_mean: BTreeMap<String, Value>,
}

impl Case {
    fn structures(&self) -> Structures {
        let ignored = self.ignored.then_some(255);
        let others = Undeclared::Refused;
        let order: Vec<u16> = self
            .structures
            .iter()
            .map(|(_, labels)| labels[0])
            .collect();
        match self.regions {
            false => Structures::labels(&self.structures, ignored, others),
            true => Structures::regions(&self.structures, Some(&order), ignored, others),
        }
        .unwrap()
    }
}

fn volume<T>(voxels: Array3<T>, spacing: [f64; 3]) -> Volume<T> {
    let affine = Affine::diagonal(spacing, [0.0; 3]);
    Volume { voxels, affine }
}

/// Scores of each structure by name.
type Scores = Vec<BTreeMap<&'static str, f64>>;

fn for_each_case(mut check: impl FnMut(&str, &Case, &[Values], Scores, f64)) {
    let text = std::fs::read_to_string(format!("{FOLDER}/structures.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let bytes = std::fs::read(format!("{FOLDER}/structures.safetensors")).unwrap();
    let maps = SafeTensors::deserialize(&bytes).unwrap();
    assert!(expected.cases.len() >= 10);
    for (name, case) in &expected.cases {
        let structures = case.structures();
        let rule = MaskRule {
            marked: Marked::Structures(structures.clone()),
            ..MaskRule::ANY_PART
        };
        let map = |side: &str| {
            let map = maps.tensor(&format!("{name}.{side}")).unwrap();
            let shape: [usize; 3] = map.shape().try_into().unwrap();
            let labels = map.data().iter().map(|label| f32::from(*label)).collect();
            let labels = Array3::from_shape_vec(shape, labels).unwrap();
            volume(rule.apply(&labels).unwrap(), expected.spacing)
        };
        let settings = Evaluation {
            nsd_tolerance: 1.0,
            ..Evaluation::default()
        };
        let scored = by_structure(&map("pred"), &map("ref"), &structures, None, &settings);
        assert_eq!(scored.len(), case.structures.len());
        let found = scored.iter().map(|of| of.iter().copied().collect());
        let voxel_ml = expected.spacing.iter().product::<f64>() / 1000.0;
        check(name, case, &scored, found.collect(), voxel_ml);
    }
}

#[test]
fn each_structure_has_monais_and_nnunets_numbers() {
    let (mut numbers, mut differ) = (0, 0);
    for_each_case(|name, case, _, found, voxel_ml| {
        for ((structure, _), found) in case.structures.iter().zip(&found) {
            let empty = [found["volume_ml"], found["true_volume_ml"]].map(|ml| ml == 0.0);
            for (metric, of) in &case.monai {
                let (value, reference) = (found[metric.as_str()], &of[structure]);
                let same = match reference.as_f64() {
                    Some(reference) => (value - reference).abs() < 1e-5,
                    None if reference == "inf" => value == f64::INFINITY,
                    // MONAI's NaN; the next test defines ours.
                    None => empty.contains(&true),
                };
                assert!(
                    same,
                    "{name}: {metric} of {structure} is {value}, not {reference}"
                );
                numbers += usize::from(reference.is_number());
                differ += usize::from(reference == "nan");
            }
            let nnunet = &case.nnunet[structure];
            for metric in ["dice", "iou"] {
                let (value, reference) = (found[metric], &nnunet[metric]);
                let same = match reference.as_f64() {
                    Some(reference) => (value - reference).abs() < 1e-12,
                    None => empty == [true, true],
                };
                assert!(
                    same,
                    "{name}: {metric} of {structure} is {value}, not {reference}"
                );
            }
            let count = |of: &str| nnunet[of].as_f64().unwrap();
            let specificity = count("tn") / (count("tn") + count("fp"));
            assert!(
                (found["specificity"] - specificity).abs() < 1e-12,
                "{name}: {structure}"
            );
            for (of, voxels) in [("volume_ml", "n_pred"), ("true_volume_ml", "n_ref")] {
                assert!(
                    (found[of] - count(voxels) * voxel_ml).abs() < 1e-9,
                    "{name}: {of}"
                );
            }
        }
    });
    assert!(
        numbers > 100 && differ > 10,
        "{numbers} numbers, {differ} NaN"
    );
}

/// Where MONAI and nnU-Net have NaN, ours has the best value if both maps lack the structure, and the worst if one does.
#[test]
fn what_is_in_neither_map_is_right_and_what_is_in_one_alone_is_missed() {
    for_each_case(|name, case, scored, found, _| {
        for ((structure, _), found) in case.structures.iter().zip(&found) {
            let missing = |of: &str| found[of] == 0.0;
            let value = match (missing("volume_ml"), missing("true_volume_ml")) {
                (true, true) => [1.0, 0.0],
                (true, false) | (false, true) => [0.0, f64::INFINITY],
                (false, false) => continue,
            };
            for metric in METRICS.iter().filter(|metric| metric.unit != "pieces") {
                let expected = match metric.better {
                    Better::Lower => value[1],
                    Better::Higher
                        if !["accuracy", "specificity", "iou_soft"].contains(&metric.name) =>
                    {
                        value[0]
                    }
                    _ => continue,
                };
                assert_eq!(
                    found[metric.name], expected,
                    "{name}: {} of {structure}",
                    metric.name
                );
            }
        }
        let means: BTreeMap<&str, f64> = mean_of_structures(scored).into_iter().collect();
        let number = |of: &BTreeMap<String, Value>, metric: &str| of[metric].as_f64();
        match name {
            // What was not found: the mean of MONAI's 95th percentile leaves it out, ours is infinite.
            "label_missed" => {
                assert_eq!(number(&case.monai_mean, "hd95"), Some(1.5));
                assert_eq!(
                    (means["hd95"], means["hausdorff"]),
                    (f64::INFINITY, f64::INFINITY)
                );
                assert!(
                    (means["dice"] - number(&case.nnunet_nan_mean, "dice").unwrap()).abs() < 1e-12
                );
            }
            // What only the prediction has: the mean of MONAI's Dice leaves it out, nnU-Net's and ours do not.
            "label_invented" => {
                let nnunet = number(&case.nnunet_nan_mean, "dice").unwrap();
                assert!((means["dice"] - nnunet).abs() < 1e-12);
                assert!(number(&case.monai_mean, "dice").unwrap() > nnunet + 0.4);
            }
            // What is in neither: both leave it out, ours is 1 there.
            "label_in_neither" => {
                let nnunet = number(&case.nnunet_nan_mean, "dice").unwrap();
                assert!((means["dice"] - (3.0 * nnunet + 1.0) / 4.0).abs() < 1e-12);
            }
            "nothing" => {
                assert_eq!((means["dice"], means["assd"]), (1.0, 0.0));
                assert_eq!(
                    number(&case.monai_mean, "dice"),
                    Some(0.0),
                    "MONAI's mean of nothing"
                );
            }
            _ => {
                for (metric, reference) in case.monai_mean.iter().filter(|(_, of)| of.is_number()) {
                    let (value, reference) = (means[metric.as_str()], reference.as_f64().unwrap());
                    let missed = case.monai[metric].values().any(|of| !of.is_number());
                    assert!(
                        missed || (value - reference).abs() < 1e-5,
                        "{name}: mean {metric} {value}, not {reference}"
                    );
                }
            }
        }
    });
}

#[test]
fn one_label_has_every_bit_of_the_mask_of_its_voxels() {
    let named = [("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])];
    let structures = Structures::labels(&named, None, Undeclared::Refused).unwrap();
    let class = |x: usize, y: usize, z: usize, shift: usize| match (x + shift, y, z) {
        (3..=8, 2..=9, 1..=5) if !(x * 7 + y * 5 + z * 3).is_multiple_of(11) => 1,
        (9..=12, 4..=7, 3..=8) => 2,
        _ => 0,
    };
    let map = |shift| Array3::from_shape_fn((16, 12, 10), |(x, y, z)| class(x, y, z, shift));
    let probability = |structure: usize| {
        Array3::from_shape_fn((16, 12, 10), |(x, y, z)| {
            ((x * 3 + y * 5 + z * 7 + structure) % 17) as f32 / 17.0
        })
    };
    let spacing = [0.7, 1.3, 2.1];
    let settings = Evaluation::default();
    // As arrays lie in memory, and turned and mirrored.
    let turned = |map: Array3<u8>| {
        let mut turned = Array3::zeros(map.raw_dim().f());
        turned.assign(&map);
        turned.invert_axis(Axis(1));
        turned
    };
    for turn in [false, true] {
        let place = |map| volume(if turn { turned(map) } else { map }, spacing);
        let (prediction, truth) = (place(map(1)), place(map(0)));
        let probabilities = [0, 1].map(|of| volume(probability(of), spacing));
        let of = |structure: usize| Cow::Borrowed(&probabilities[structure]);
        let found = by_structure(&prediction, &truth, &structures, Some(&of), &settings);
        for (structure, found) in found.iter().enumerate() {
            let mask = |of| structures.mask_of(structure, of);
            let alone = metric::all(
                &mask(&prediction),
                &mask(&truth),
                Some(&probabilities[structure]),
                &settings,
            );
            assert_eq!(*found, alone, "structure {structure}");
        }
        let mask = structures.mask_of(0, &prediction);
        let true_mask = structures.mask_of(0, &truth);
        let found = by_structure(&mask, &true_mask, &Structures::Mask, Some(&of), &settings);
        let alone = metric::all(&mask, &true_mask, Some(&probabilities[0]), &settings);
        assert_eq!(found, [alone]);
    }
}

#[test]
fn what_nobody_looked_at_is_in_no_score() {
    let named = [("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])];
    let structures = Structures::labels(&named, Some(255), Undeclared::Refused).unwrap();
    let shape = (10, 8, 6);
    let map = |shift: usize| {
        Array3::from_shape_fn(shape, |(x, y, _)| match (x + shift, y) {
            (2..=4, 2..=5) => 1,
            (5..=7, 2..=5) => 2,
            _ => 0,
        })
    };
    let probability = Array3::from_shape_fn(shape, |(x, y, z)| ((x + 2 * y + z) % 9) as f32 / 9.0);
    let mut truth = map(0);
    truth.slice_mut(s![.., .., 4..]).fill(Structures::IGNORED);
    let settings = Evaluation::default();
    let scores = |prediction: Array3<u8>, truth: Array3<u8>, probability: Array3<f32>| {
        let [prediction, truth] = [prediction, truth].map(|map| volume(map, [1.0; 3]));
        let probability = volume(probability, [1.0; 3]);
        let of = |_: usize| Cow::Borrowed(&probability);
        by_structure(&prediction, &truth, &structures, Some(&of), &settings)
    };
    let found = scores(map(1), truth.clone(), probability.clone());
    // As if there were no such voxels.
    let cut = s![.., .., ..4];
    let alone = scores(
        map(1).slice(cut).to_owned(),
        map(0).slice(cut).to_owned(),
        probability.slice(cut).to_owned(),
    );
    assert_eq!(found, alone);
    // Whatever is predicted there.
    let mut other = map(1);
    other.slice_mut(s![.., .., 4..]).fill(2);
    assert_eq!(scores(other, truth, probability), found);
}

/// As many as the labels of a whole brain, in blocks.
#[test]
fn very_many_structures_are_scored_together_as_each_alone() {
    const COUNT: u16 = 148;
    let named: Vec<Named> = (1..=COUNT)
        .map(|label| (format!("structure {label}"), vec![label]))
        .collect();
    let structures = Structures::labels(&named, None, Undeclared::Refused).unwrap();
    let (x, y, z) = amount((60, 60, 45), (120, 120, 90));
    let map = |shift: usize| {
        let class = |(i, j, k): (usize, usize, usize)| {
            let block = [7 * (i + shift) / x, 7 * j / y, 4 * k / z];
            ((block[0] * 28 + block[1] * 4 + block[2]) % 149) as u8
        };
        volume(Array3::from_shape_fn((x, y, z), class), [1.0, 1.2, 1.5])
    };
    let (prediction, truth) = (map(1), map(0));
    let settings = Evaluation::default();
    let found = by_structure(&prediction, &truth, &structures, None, &settings);
    assert_eq!(found.len(), usize::from(COUNT));
    for structure in [0, 73, 147] {
        let mask = |of| structures.mask_of(structure, of);
        let alone = metric::all(&mask(&prediction), &mask(&truth), None, &settings);
        assert_eq!(found[structure], alone);
    }
}
