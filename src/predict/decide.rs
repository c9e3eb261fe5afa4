//! From probabilities on the network's grid to a class map on the scan's.

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::{Array3, Zip};

use crate::experiment::Prediction;
use crate::volume::resample::{Interpolation, resample, resample_filled};
use crate::volume::{Grid, Structures, Volume, drop_small, fill_holes, keep_largest};

/// The probability of each structure. Those of several are kept on the network's grid, which is mostly the coarser
/// one, and moved onto the scan's when they are asked for.
#[derive(Clone, Debug)]
pub struct Probabilities {
    /// One for each channel of the network.
    maps: Vec<Volume<f32>>,
    scan: Grid,
    structures: Arc<Structures>,
}

impl Probabilities {
    /// The probability of a structure at each voxel of the scan; 0 outside the network's field of view.
    ///
    /// # Panics
    ///
    /// If there is no such structure.
    pub fn of(&self, structure: usize) -> Cow<'_, Volume<f32>> {
        let map = &self.maps[self.structures.channel(structure)];
        match map.grid() == self.scan {
            true => Cow::Borrowed(map),
            false => Cow::Owned(resample(map, &self.scan, Interpolation::Linear, false)),
        }
    }
}

/// The class map that the channels of a network say: of a mask and of regions those voxels that reach the threshold,
/// of labels the most probable class. Probabilities are moved onto the scan's grid before anything is decided.
pub(super) fn decide(
    channels: Vec<Volume<f32>>,
    scan: &Grid,
    structures: &Arc<Structures>,
    settings: &Prediction,
) -> (Volume<u8>, Probabilities) {
    let mut probabilities = Probabilities {
        maps: channels,
        scan: scan.clone(),
        structures: Arc::clone(structures),
    };
    let classes = match structures.is_exclusive() {
        true => most_probable(&probabilities, settings),
        false => {
            // It is needed again for every score.
            if structures.is_mask()
                && let Cow::Owned(moved) = probabilities.of(0)
            {
                probabilities.maps = vec![moved];
            }
            above_threshold(&probabilities, settings)
        }
    };
    let mask = Volume {
        voxels: classes,
        affine: scan.affine,
    };
    (mask, probabilities)
}

/// Of the background and all structures the most probable; of equally probable ones the first.
fn most_probable(probabilities: &Probabilities, settings: &Prediction) -> Array3<u8> {
    let (scan, structures) = (&probabilities.scan, &probabilities.structures);
    // What the network does not see is background.
    let background = &probabilities.maps[0];
    let mut best = resample_filled(background, scan, Interpolation::Linear, false, 1.0).voxels;
    let mut classes = Array3::zeros(scan.shape);
    for structure in 0..structures.count() {
        let class = structures.written(structure);
        Zip::from(&mut best)
            .and(&mut classes)
            .and(&probabilities.of(structure).voxels)
            .for_each(|best, of, p| {
                if *p > *best {
                    (*best, *of) = (*p, class);
                }
            });
    }
    let cleaning = Cleaning::of(settings, structures, scan);
    for structure in (0..structures.count()).filter(|structure| cleaning.changes(*structure)) {
        let class = structures.written(structure);
        let mut kept = classes.mapv(|of| u8::from(of == class));
        cleaning.clean(structure, &mut kept);
        Zip::from(&mut classes).and(&kept).for_each(|of, kept| {
            if *of == class && *kept == 0 {
                *of = 0;
            } else if *of == 0 && *kept != 0 {
                *of = class;
            }
        });
    }
    classes
}

/// Every structure where it reaches the threshold, later ones over earlier ones.
fn above_threshold(probabilities: &Probabilities, settings: &Prediction) -> Array3<u8> {
    let structures = &probabilities.structures;
    let cleaning = Cleaning::of(settings, structures, &probabilities.scan);
    let mut classes = Array3::zeros(probabilities.scan.shape);
    for structure in 0..structures.count() {
        let class = structures.written(structure);
        let threshold = settings.threshold_of(structures, structure) as f32;
        let probability = probabilities.of(structure);
        let mut mask = probability.voxels.mapv(|p| u8::from(p >= threshold));
        cleaning.clean(structure, &mut mask);
        Zip::from(&mut classes).and(&mask).for_each(|of, inside| {
            if *inside != 0 {
                *of = class;
            }
        });
    }
    classes
}

/// What is done to the mask of each structure.
struct Cleaning<'a> {
    settings: &'a Prediction,
    structures: &'a Structures,
    /// The fewest voxels of a piece.
    least: usize,
}

impl<'a> Cleaning<'a> {
    fn of(settings: &'a Prediction, structures: &'a Structures, scan: &Grid) -> Self {
        let least = settings.minimum_ml.unwrap_or(0.0) / scan.voxel_volume_ml();
        Self {
            settings,
            structures,
            // A piece of the very size stays, whatever rounding does.
            least: (least - 1e-6).ceil().max(0.0) as usize,
        }
    }

    fn changes(&self, structure: usize) -> bool {
        self.settings.keeps_largest(self.structures, structure)
            || self.settings.fills_holes(self.structures, structure)
            || self.least > 1
    }

    fn clean(&self, structure: usize, mask: &mut Array3<u8>) {
        if self.settings.keeps_largest(self.structures, structure) {
            keep_largest(mask);
        }
        if self.least > 1 {
            drop_small(mask, self.least);
        }
        if self.settings.fills_holes(self.structures, structure) {
            fill_holes(mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Which;
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
        let (mask, _) = decide(channels, &grid, &structures, settings);
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
    fn small_pieces_are_left_out_and_holes_are_filled_where_there_is_background() {
        let names = named(&[("a", &[10]), ("b", &[20])]);
        let labels = Structures::labels(&names, None, Undeclared::Refused).unwrap();
        // Voxels of 1 mm, so of a thousandth of a mL.
        let settings = Prediction {
            minimum_ml: Some(0.002),
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
            decide(channels, &grid, &structures, &settings).0.voxels[[2, 2, 2]]
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
        let (mask, probabilities) = decide(channels, &scan, &structures, &Prediction::default());
        assert_eq!(
            mask.voxels.iter().copied().collect::<Vec<u8>>(),
            [1, 1, 1, 1, 1, 0, 0]
        );
        assert_eq!(probabilities.of(0).voxels[[6, 0, 0]], 0.0);
    }
}
