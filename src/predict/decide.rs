//! From probabilities on the network's grid to a class map on the scan's.

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::{Array3, Zip};

use super::Probabilities;
use super::clean::Cleaning;
use crate::experiment::Postprocess;
use crate::volume::{Grid, Structures, Volume};

/// The class map that the channels of a network say: of a mask and of regions those voxels that reach the threshold,
/// of labels the most probable class. Probabilities are moved onto the scan's grid, and smoothed, before anything is
/// decided; those that are returned are not smoothed.
pub(super) fn decide(
    channels: Vec<Volume<f32>>,
    scan: &Grid,
    structures: &Arc<Structures>,
    settings: &Postprocess,
) -> (Volume<u8>, Probabilities) {
    let mut probabilities = Probabilities {
        maps: channels,
        scan: scan.clone(),
        structures: Arc::clone(structures),
    };
    // It is needed again for every score.
    if structures.is_mask()
        && let Cow::Owned(moved) = probabilities.of(0)
    {
        probabilities.maps = vec![moved];
    }
    let cleaning = Cleaning {
        settings,
        structures,
        voxel_ml: scan.voxel_volume_ml(),
    };
    let classes = match structures.is_exclusive() {
        true => {
            let mut classes = most_probable(&probabilities, settings.smooth_mm);
            cleaning.of_classes(&mut classes);
            classes
        }
        false => cleaning.of_masks(scan.shape, |structure| {
            let threshold = settings.structures[structure].threshold as f32;
            let probability = probabilities.smoothed(structure, settings.smooth_mm);
            probability.at_least(threshold)
        }),
    };
    let mask = Volume {
        voxels: classes,
        affine: scan.affine,
    };
    (mask, probabilities)
}

/// Of the background and all structures the most probable, smoothed with the standard deviation `std` in mm; of equally
/// probable ones the first.
pub(super) fn most_probable(probabilities: &Probabilities, std: f64) -> Array3<u8> {
    let (scan, structures) = (&probabilities.scan, &probabilities.structures);
    let mut best = probabilities.background(std).voxels;
    let mut classes = Array3::zeros(scan.shape);
    for structure in 0..structures.count() {
        let class = structures.written(structure);
        Zip::from(&mut best)
            .and(&mut classes)
            .and(&probabilities.smoothed(structure, std).voxels)
            .for_each(|best, of, p| {
                if *p > *best {
                    (*best, *of) = (*p, class);
                }
            });
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Amount, Prediction, Which};
    use crate::volume::resample::{Interpolation, resample_filled};
    use crate::volume::{Affine, Named, Undeclared};

    const N: usize = 5;

    fn line(values: [f32; N]) -> Volume<f32> {
        Volume {
            voxels: Array3::from_shape_fn((N, 1, 1), |(x, ..)| values[x]),
            affine: Affine::identity(),
        }
    }

    fn named(names: &[(&str, &[u16])]) -> Vec<Named> {
        let named = names.iter();
        named
            .map(|(name, labels)| ((*name).to_owned(), labels.to_vec()))
            .collect()
    }

    fn decided(structures: Structures, channels: &[[f32; N]], settings: &Prediction) -> Vec<u16> {
        let channels: Vec<Volume<f32>> = channels.iter().map(|values| line(*values)).collect();
        let grid = channels[0].grid();
        let structures = Arc::new(structures);
        let (mask, _) = decide(
            channels,
            &grid,
            &structures,
            &settings.postprocess_of(&structures),
        );
        mask.voxels
            .iter()
            .map(|class| structures.value_of(*class))
            .collect()
    }

    #[test]
    fn of_labels_the_most_probable_is_taken_and_the_first_of_equal_ones() {
        let labels = Structures::labels(
            &named(&[("b", &[20]), ("a", &[10])]),
            None,
            Undeclared::Refused,
        )
        .unwrap();
        let channels = [
            [0.5, 0.2, 0.4, 0.1, 0.3],
            [0.3, 0.5, 0.4, 0.4, 0.1],
            [0.2, 0.3, 0.2, 0.5, 0.6],
        ];
        let usual = Prediction::default();
        assert_eq!(
            decided(labels.clone(), &channels, &usual),
            [0, 20, 0, 10, 10]
        );
        let split = [
            [0.0, 1.0, 0.0, 0.0, 1.0],
            [1.0, 0.0, 1.0, 1.0, 0.0],
            [0.0; N],
        ];
        let keeping = Prediction {
            largest_component: Some(Which::Of(vec!["b".into()])),
            ..usual.clone()
        };
        assert_eq!(decided(labels.clone(), &split, &keeping), [0, 0, 20, 20, 0]);
        assert_eq!(decided(labels, &split, &usual), [20, 0, 20, 20, 0]);
    }

    #[test]
    fn smoothing_acts_before_the_decision_on_every_channel() {
        let labels = named(&[("a", &[7]), ("b", &[8])]);
        let labels = Structures::labels(&labels, None, Undeclared::Refused).unwrap();
        let structures = Arc::new(labels);
        let a = [0.0, 1.0, 0.0, 1.0, 1.0];
        let channels = [a.map(|p| 1.0 - p), a, [0.0; N]].map(line);
        let settings = Prediction {
            smooth_mm: Some(0.9),
            ..Prediction::default()
        };
        let settings = settings.postprocess_of(&structures);
        let mut scan = channels[0].grid();
        // Beyond its end nothing was seen, which is background.
        scan.shape = [N + 3, 1, 1];
        let smoothed = channels.clone().map(|mut map| {
            let outside = 1.0 - f32::from(u8::from(map == channels[1] || map == channels[2]));
            map = resample_filled(&map, &scan, Interpolation::Linear, false, outside);
            map.smooth(0.9);
            map
        });
        let plain = Prediction::default().postprocess_of(&structures);
        let (expected, _) = decide(smoothed.to_vec(), &scan, &structures, &plain);
        let (found, kept) = decide(channels.to_vec(), &scan, &structures, &settings);
        assert_eq!(found, expected);
        let classes: Vec<u8> = found.voxels.iter().copied().collect();
        assert_eq!(classes, [0, 0, 1, 1, 1, 0, 0, 0]);
        // The probabilities that are told are the network's own.
        assert_eq!(kept.of(0).voxels[[1, 0, 0]], 1.0);
        // Of a mask the same.
        let mask = Arc::new(Structures::Mask);
        let settings = Prediction {
            largest_component: Some(Which::All(false)),
            ..Prediction::default()
        };
        let smooth = Prediction {
            smooth_mm: Some(0.9),
            ..settings.clone()
        };
        let [settings, smooth] = [settings, smooth].map(|of| of.postprocess_of(&mask));
        let (expected, _) = decide(vec![smoothed[1].clone()], &scan, &mask, &settings);
        let (found, kept) = decide(vec![channels[1].clone()], &scan, &mask, &smooth);
        assert_eq!(found, expected);
        assert_eq!(kept.of(0).voxels[[1, 0, 0]], 1.0);
    }

    #[test]
    fn small_pieces_are_left_out_and_holes_are_filled_where_there_is_background() {
        let names = named(&[("a", &[10]), ("b", &[20])]);
        let labels = Structures::labels(&names, None, Undeclared::Refused).unwrap();
        // Voxels of 1 mm, so of a thousandth of a mL.
        let settings = Prediction {
            minimum_ml: Some(Amount::Each(0.002)),
            ..Prediction::default()
        };
        let channels = [
            [0.0, 0.0, 1.0, 0.0, 1.0],
            [1.0, 1.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0, 0.0],
        ];
        assert_eq!(
            decided(labels.clone(), &channels, &settings),
            [10, 10, 0, 0, 0]
        );
        // A shell of a about a voxel of background, and one about a voxel of b.
        let shell = |inner: u8| {
            let inside = |x: usize, y: usize, z: usize| (x, y, z) == (2, 2, 2);
            let of = |class: u8| Volume {
                voxels: Array3::from_shape_fn((5, 5, 5), |(x, y, z)| {
                    let is = if inside(x, y, z) { inner } else { 1 };
                    f32::from(u8::from(is == class))
                }),
                affine: Affine::identity(),
            };
            let channels = vec![of(0), of(1), of(2)];
            let grid = channels[0].grid();
            let settings = Prediction {
                fill_holes: Some(Which::Of(vec!["a".into()])),
                ..Prediction::default()
            };
            let structures = Arc::new(labels.clone());
            decide(
                channels,
                &grid,
                &structures,
                &settings.postprocess_of(&structures),
            )
            .0
            .voxels[[2, 2, 2]]
        };
        assert_eq!((shell(0), shell(2)), (1, 2));
    }

    #[test]
    fn regions_are_written_one_over_the_other() {
        let named = named(&[
            ("whole", &[1, 2, 4]),
            ("core", &[1, 4]),
            ("enhancing", &[4]),
        ]);
        let regions = Structures::regions(&named, None, None, Undeclared::Refused).unwrap();
        let channels = [
            [0.4, 0.5, 0.9, 0.9, 0.1],
            [0.1, 0.1, 0.6, 0.6, 0.7],
            [0.1, 0.1, 0.1, 0.9, 0.1],
        ];
        assert_eq!(
            decided(regions, &channels, &Prediction::default()),
            [0, 2, 1, 4, 1]
        );
        let careful = Prediction {
            thresholds: serde_yaml::from_str("{core: 0.65}").unwrap(),
            ..Prediction::default()
        };
        let named = [("whole", vec![1, 2]), ("core", vec![1])];
        let named: Vec<Named> = named.map(|(name, labels)| (name.to_owned(), labels)).into();
        let regions = Structures::regions(&named, None, None, Undeclared::Refused).unwrap();
        assert_eq!(decided(regions, &channels[..2], &careful), [0, 2, 2, 2, 1]);
    }

    #[test]
    fn what_the_network_does_not_see_is_background() {
        let labels = Structures::labels(&named(&[("a", &[7])]), None, Undeclared::Refused).unwrap();
        let structures = Arc::new(labels);
        let channels = vec![line([0.0; N]), line([1.0; N])];
        let mut scan = channels[0].grid();
        scan.shape = [N + 2, 1, 1];
        let (mask, probabilities) = decide(
            channels,
            &scan,
            &structures,
            &Prediction::default().postprocess_of(&structures),
        );
        assert_eq!(
            mask.voxels.iter().copied().collect::<Vec<u8>>(),
            [1, 1, 1, 1, 1, 0, 0]
        );
        assert_eq!(probabilities.of(0).voxels[[6, 0, 0]], 0.0);
    }
}
