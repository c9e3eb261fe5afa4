//! From probabilities on the network's grid to a class map on the scan's.

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::{Array3, Zip};

use crate::experiment::Prediction;
use crate::volume::resample::{Interpolation, resample, resample_filled};
use crate::volume::{Grid, Structures, Volume, keep_largest};

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
            if structures.is_mask() {
                // It is needed again for every score.
                probabilities.maps = vec![probabilities.of(0).into_owned()];
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
    for structure in 0..structures.count() {
        if settings.keeps_largest(structures, structure) {
            let class = structures.written(structure);
            let mut kept = classes.mapv(|of| u8::from(of == class));
            keep_largest(&mut kept);
            Zip::from(&mut classes).and(&kept).for_each(|of, kept| {
                if *of == class && *kept == 0 {
                    *of = 0;
                }
            });
        }
    }
    classes
}

/// Every structure where it reaches the threshold, later ones over earlier ones.
fn above_threshold(probabilities: &Probabilities, settings: &Prediction) -> Array3<u8> {
    let structures = &probabilities.structures;
    let threshold = settings.threshold as f32;
    let mut classes = Array3::zeros(probabilities.scan.shape);
    for structure in 0..structures.count() {
        let class = structures.written(structure);
        let probability = probabilities.of(structure);
        let mut mask = probability.voxels.mapv(|p| u8::from(p >= threshold));
        if settings.keeps_largest(structures, structure) {
            keep_largest(&mut mask);
        }
        Zip::from(&mut classes).and(&mask).for_each(|of, inside| {
            if *inside != 0 {
                *of = class;
            }
        });
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::LargestComponent;
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
            largest_component: Some(LargestComponent::Of(vec!["b".into()])),
            ..usual.clone()
        };
        assert_eq!(decided(labels.clone(), &split, &keeping), [0, 0, 20, 20, 0]);
        assert_eq!(decided(labels, &split, &usual), [20, 0, 20, 20, 0]);
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
