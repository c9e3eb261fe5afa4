//! A sketch says what the whole says, and only what helps is chosen.

use std::sync::Arc;

use ndarray::Array3;
use proptest::prelude::*;

use super::*;
use crate::experiment::{Postprocess, StructurePostprocess};
use crate::metric::overlaps;
use crate::predict::Probabilities;
use crate::predict::decide::decide;
use crate::volume::{Affine, Named, Structures, Undeclared, Volume};

const SHAPE: [usize; 3] = [7, 6, 8];

fn volume<T>(voxels: Array3<T>) -> Volume<T> {
    Volume {
        voxels,
        affine: Affine::diagonal([1.0, 2.0, 1.5], [0.0; 3]),
    }
}

fn tasks() -> [Structures; 3] {
    let named: Vec<Named> = [("whole", vec![1, 2]), ("core", vec![2])]
        .map(|(name, labels)| (name.to_owned(), labels))
        .into();
    let apart: Vec<Named> = [("a", vec![1]), ("b", vec![2])]
        .map(|(name, labels)| (name.to_owned(), labels))
        .into();
    [
        Structures::Mask,
        Structures::labels(&apart, None, Undeclared::Refused).unwrap(),
        Structures::regions(&named, None, None, Undeclared::Refused).unwrap(),
    ]
}

/// What a network says, so that the channels fit the structures.
fn said(structures: &Structures, values: &[f32]) -> Vec<Volume<f32>> {
    let count: usize = SHAPE.iter().product();
    let channels = values.chunks_exact(count).take(structures.outputs());
    channels
        .map(|of| volume(Array3::from_shape_vec(SHAPE, of.to_vec()).unwrap()))
        .collect()
}

fn start(structures: &Structures, of: StructurePostprocess) -> Postprocess {
    Postprocess {
        smooth_mm: 0.0,
        largest_foreground: false,
        structures: vec![of; structures.count()],
    }
}

const PLAIN: StructurePostprocess = StructurePostprocess {
    threshold: 0.5,
    largest_component: false,
    minimum_ml: 0.0,
    fill_holes: false,
};

/// The Dice of each structure by the way that predictions take.
fn whole(
    channels: &[Volume<f32>],
    truth: &Volume<u8>,
    structures: &Arc<Structures>,
    settings: &Postprocess,
) -> (Vec<f64>, Probabilities) {
    let (mask, probabilities) = decide(channels.to_vec(), &truth.grid(), structures, settings);
    let overlaps = overlaps(mask.voxels.view(), truth.voxels.view(), structures);
    let dice = overlaps.iter().map(|of| of.dice()).collect();
    (dice, probabilities)
}

proptest! {
    #[test]
    fn a_sketch_has_the_dice_of_the_whole(
        values in prop::collection::vec(prop_oneof![3 => 0.0_f32..0.1, 1 => 0.0_f32..1.0], 3 * 7 * 6 * 8),
        truth in prop::collection::vec(prop_oneof![8 => Just(0_u8), 1 => 1_u8..3], 7 * 6 * 8),
        task in 0_usize..3,
        smoothing in 0_usize..4,
        foreground in any::<bool>(),
        each in prop::collection::vec((0_usize..5, any::<bool>(), 0_usize..4, any::<bool>()), 2),
    ) {
        let structures = Arc::new(tasks()[task].clone());
        let truth = match structures.is_mask() {
            true => truth.iter().map(|of| of.min(&1)).copied().collect(),
            false => truth,
        };
        let truth = volume(Array3::from_shape_vec(SHAPE, truth).unwrap());
        let channels = said(&structures, &values);
        let mut settings = start(&structures, PLAIN);
        let sketching = Sketching::of(&settings, &structures, 1.44);
        let (_, probabilities) = whole(&channels, &truth, &structures, &settings);
        let sketch = Sketch::of(&probabilities, &truth, &sketching);
        settings.smooth_mm = sketching.smooth_mm[smoothing];
        settings.largest_foreground = foreground && !structures.is_mask();
        for (at, (of, (threshold, largest, voxels, holes))) in
            settings.structures.iter_mut().zip(each).enumerate()
        {
            let thresholds = sketching.thresholds.get(at);
            *of = StructurePostprocess {
                threshold: thresholds.map_or(0.5, |all| all[threshold]),
                largest_component: largest,
                minimum_ml: 0.003 * voxels as f64,
                fill_holes: holes,
            };
        }
        let (expected, _) = whole(&channels, &truth, &structures, &settings);
        prop_assert_eq!(sketch.dice(&settings, &sketching, &structures), expected);
    }
}

fn chosen(
    structures: Structures,
    cases: &[(Vec<Volume<f32>>, Volume<u8>)],
    from: &Postprocess,
) -> Choosing {
    let structures = Arc::new(structures);
    let sketching = Sketching::of(from, &structures, 1.44);
    let sketches = cases.iter().map(|(channels, truth)| {
        let (_, probabilities) = whole(channels, truth, &structures, from);
        Sketch::of(&probabilities, truth, &sketching)
    });
    let sketches: Vec<Sketch> = sketches.collect();
    // Nothing is chosen by half.
    let tries = std::cell::Cell::new(0);
    let stops_soon = || {
        tries.set(tries.get() + 1);
        tries.get() > 2
    };
    assert!(choose(&sketches, from, &sketching, &structures, &stops_soon).is_none());
    choose(&sketches, from, &sketching, &structures, &|| false).unwrap()
}

#[test]
fn pieces_that_are_wrong_are_left_out_of_the_structure_that_has_them() {
    // Of `a` a block and a crumb that is not true; of `b` two true pieces of different size.
    let class = |x: usize, y: usize, z: usize, crumb: u8| match (x, y, z) {
        (0..=2, 0..=3, 0..=3) => 1,
        (6, 5, 7) => crumb,
        (5..=6, 0..=1, 0..=2) | (5, 0, 5) => 2,
        _ => 0,
    };
    let map = |crumb| {
        volume(Array3::from_shape_fn(SHAPE, |(x, y, z)| {
            class(x, y, z, crumb)
        }))
    };
    let (truth, predicted) = (map(0), map(1));
    let channels: Vec<Volume<f32>> = (0..3_u8)
        .map(|of| {
            volume(
                predicted
                    .voxels
                    .mapv(|class| f32::from(u8::from(class == of))),
            )
        })
        .collect();
    let [_, labels, _] = tasks();
    let from = start(&labels, PLAIN);
    let done = chosen(labels.clone(), &[(channels.clone(), truth.clone())], &from);
    let what: Vec<&str> = done.steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(what, ["the largest piece of a alone"]);
    assert!(done.settings.structures[0].largest_component);
    assert_eq!(done.settings.structures[1], from.structures[1]);
    assert_eq!(done.dice[1], 1.0);
    let dice_of_a = 2.0 * 48.0 / (48.0 + 49.0);
    assert!((done.dice[0] - (dice_of_a + 1.0) / 2.0).abs() < 1e-12);
    assert!((done.steps[0].gain - (done.dice[1] - done.dice[0])).abs() < 1e-12);
    assert!(done.tried > 6, "{}", done.tried);
    // Where the largest piece of all is kept and should not be, that ends.
    let largest = StructurePostprocess {
        largest_component: true,
        ..PLAIN
    };
    let done = chosen(
        labels,
        &[(channels, truth)],
        &start(&done_labels(), largest),
    );
    let what: Vec<&str> = done.steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(what, ["all pieces of b, not the largest alone"]);
}

#[test]
fn the_largest_piece_of_all_together_is_kept_where_crumbs_of_each_are_wrong() {
    // A block of `a` and `b` side by side, and a crumb of each; a true piece of `b` is larger than that beside `a`.
    let class = |x: usize, y: usize, z: usize, crumbs: [u8; 2]| match (x, y, z) {
        (0..=2, 0..=3, 0..=3) => 1,
        (3, 0..=1, 0..=1) => 2,
        (6, 5, 7) => crumbs[0],
        (6, 0..=2, 5..=6) => crumbs[1],
        _ => 0,
    };
    let map = |crumbs| {
        volume(Array3::from_shape_fn(SHAPE, |(x, y, z)| {
            class(x, y, z, crumbs)
        }))
    };
    let (truth, predicted) = (map([0, 0]), map([1, 2]));
    let [_, labels, regions] = tasks();
    for (structures, channels) in [
        (
            labels,
            vec![[0], [1], [2]].into_iter().map(Vec::from).collect(),
        ),
        (regions, vec![vec![1, 2], vec![2]]),
    ] {
        let channels: Vec<Vec<u8>> = channels;
        let of = |classes: &Vec<u8>| {
            let inside = |class: u8| f32::from(u8::from(classes.contains(&class)));
            volume(predicted.voxels.mapv(inside))
        };
        let channels: Vec<Volume<f32>> = channels.iter().map(of).collect();
        let case = (channels, truth.clone());
        let from = start(&structures, PLAIN);
        let done = chosen(structures.clone(), std::slice::from_ref(&case), &from);
        let what: Vec<&str> = done.steps.iter().map(|step| step.what.as_str()).collect();
        assert_eq!(what, ["the largest piece of all structures together"]);
        assert_eq!(done.dice[1], 1.0);
        // Each by itself would keep the crumb of `b`.
        let each = StructurePostprocess {
            largest_component: true,
            ..PLAIN
        };
        let structures = Arc::new(structures);
        let (alone, _) = whole(&case.0, &case.1, &structures, &start(&structures, each));
        assert!(alone[1] < 0.5, "{alone:?}");
        let again = chosen((*structures).clone(), &[case], &done.settings);
        assert!(again.steps.is_empty());
    }
}

fn done_labels() -> Structures {
    let [_, labels, _] = tasks();
    labels
}

#[test]
fn thresholds_move_where_the_truth_is_and_nothing_moves_for_nothing() {
    // The truth is where the probability is at least 0.35.
    let probability = Array3::from_shape_fn(SHAPE, |(x, y, z)| {
        let distance = [x as f32 - 3.0, y as f32 - 2.5, z as f32 - 3.5];
        (1.0 - 0.2 * distance.iter().map(|d| d * d).sum::<f32>().sqrt()).max(0.0)
    });
    let truth = volume(probability.mapv(|p| u8::from(p >= 0.35)));
    let case = (vec![volume(probability)], truth);
    let done = chosen(
        Structures::Mask,
        std::slice::from_ref(&case),
        &start(&Structures::Mask, PLAIN),
    );
    let what: Vec<&str> = done.steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(what.len(), 1, "{what:?}");
    assert!(
        what[0].starts_with("threshold 0.") && what[0].ends_with("instead of 0.5"),
        "{what:?}"
    );
    let ours = done.settings.structures[0].threshold;
    assert!(ours < 0.5);
    // From there on nothing helps.
    let again = chosen(Structures::Mask, &[case], &done.settings);
    assert!(again.steps.is_empty());
    assert_eq!((again.dice[0], again.dice[1]), (done.dice[1], done.dice[1]));
}

#[test]
fn a_change_that_harms_another_structure_is_not_made() {
    // Smoothing would fill the gaps of `a`, and take away `b`, which is single voxels.
    let is_noise = |x: usize, y: usize, z: usize| (x * 5 + y * 3 + z * 7).is_multiple_of(11);
    let truth = Array3::from_shape_fn(SHAPE, |(x, y, z)| match (x, y, z) {
        (0..=3, ..) => 1,
        (5, 0 | 3, 1 | 5) => 2,
        _ => 0_u8,
    });
    let predicted = Array3::from_shape_fn(SHAPE, |(x, y, z)| match truth[[x, y, z]] {
        1 if is_noise(x, y, z) => 0,
        0 if is_noise(x, y, z) && x == 4 => 1,
        class => class,
    });
    let channels: Vec<Volume<f32>> = (0..3_u8)
        .map(|of| volume(predicted.mapv(|class| f32::from(u8::from(class == of)))))
        .collect();
    let labels = done_labels();
    let from = start(&labels, PLAIN);
    let done = chosen(
        labels.clone(),
        &[(channels.clone(), volume(truth.clone()))],
        &from,
    );
    assert_eq!(done.settings.smooth_mm, 0.0);
    let of = |std: f64| {
        let settings = Postprocess {
            smooth_mm: std,
            ..from.clone()
        };
        whole(
            &channels,
            &volume(truth.clone()),
            &Arc::new(labels.clone()),
            &settings,
        )
        .0
    };
    let (plain, smooth) = (of(0.0), of(0.72));
    assert!(
        smooth[0] > plain[0] && smooth[1] < plain[1],
        "{plain:?} {smooth:?}"
    );
}
