//! Pieces of cases to train on.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::preprocess::cache::VoxelOf;
use crate::settings::Fault;
use crate::volume::Structures;

/// Trains on pieces of the cases, which may then be of different shapes. In validation and prediction a window of this
/// size slides over whole cases (`validate.window`, `predict.window`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Voxels along each axis.
    pub size: [usize; 3],
    /// How often a patch is centred on a voxel of the mask (drawn uniformly) instead of anywhere; of several structures,
    /// on a voxel of one of those that the case has, each equally likely, so that small ones are seen.
    #[serde(default = "default_foreground")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub foreground: f64,
    /// Patches that are taken from a case each time it is read; an epoch shows this many of each.
    #[serde(default = "default_samples")]
    #[schemars(range(min = 1))]
    pub samples: usize,
}

/// nnU-Net's (Isensee et al., 2021).
fn default_foreground() -> f64 {
    0.33
}

fn default_samples() -> usize {
    1
}

impl Patch {
    /// What is wrong with the values that the ranges of the fields do not show.
    pub fn rules(&self) -> Vec<Fault> {
        if self.size.contains(&0) {
            return vec![Fault::new(
                "size",
                "size must be at least 1 along each axis",
            )];
        }
        Vec::new()
    }

    /// Draws a patch's first voxel in a case of this shape, whose classes have so many voxels; `find` tells where one of
    /// them lies. A patch stays inside the case along every axis that is long enough, and lies about its middle along the
    /// others.
    ///
    /// Of several `structures`, as in nnU-Net 2.8, first one that the case has is drawn, each equally likely, and then
    /// a voxel of it. Where voxels may be ignored, every patch is centred on one that is not, whatever its class.
    ///
    /// # Errors
    ///
    /// Those of `find`.
    pub fn draw<E>(
        &self,
        shape: [usize; 3],
        counts: &[u64; 256],
        structures: &Structures,
        rng: &mut ChaCha8Rng,
        find: impl FnOnce(&VoxelOf) -> Result<Option<[usize; 3]>, E>,
    ) -> Result<[isize; 3], E> {
        let room = |axis: usize| shape[axis] as isize - self.size[axis] as isize;
        let inside = |axis: usize, start: isize| {
            let room = room(axis);
            if room < 0 {
                // Half of what is missing before, the rest behind.
                return room / 2;
            }
            start.clamp(0, room)
        };
        // Drawn whether or not they are used, so that one choice does not shift the next.
        let on_mask = rng.random::<f64>() < self.foreground;
        let anywhere =
            [0, 1, 2].map(|axis| rng.random_range(0..=room(axis).max(0) as i64) as isize);
        let which: f64 = rng.random();
        let classes = match structures.is_mask() {
            true => on_mask.then(foreground),
            false => {
                let structure = on_mask.then(|| rng.random());
                centres(counts, structures, structure)
            }
        };
        let centre = classes.map(|classes| find(&voxel_of(classes, counts, which)));
        let start = match centre.transpose()?.flatten() {
            Some(centre) => {
                [0, 1, 2].map(|axis| centre[axis] as isize - self.size[axis] as isize / 2)
            }
            None => anywhere,
        };
        Ok([0, 1, 2].map(|axis| inside(axis, start[axis])))
    }
}

/// All classes but the background.
fn foreground() -> [bool; 256] {
    std::array::from_fn(|class| class > 0)
}

/// The voxel at `part` (0 to below 1) of all of these classes.
fn voxel_of(classes: [bool; 256], counts: &[u64; 256], part: f64) -> VoxelOf {
    let of_classes = counts.iter().zip(classes).filter(|(_, wanted)| *wanted);
    let count: u64 = of_classes.map(|(count, _)| count).sum();
    VoxelOf {
        classes,
        nth: (part * count as f64) as u64,
    }
}

/// The classes that a patch may be centred on: those of the structure at the part `structure` of those that the case
/// has, or any that are not ignored. `None` where any place will do.
fn centres(
    counts: &[u64; 256],
    structures: &Structures,
    structure: Option<f64>,
) -> Option<[bool; 256]> {
    let is_there = |class: &u8| counts[usize::from(*class)] > 0;
    let of_structure = |structure: usize| -> Vec<u8> {
        let classes = 1..Structures::IGNORED;
        let own = classes.filter(|class| structures.contains(structure, *class));
        own.filter(is_there).collect()
    };
    let of_each = (0..structures.count()).map(of_structure);
    let there: Vec<Vec<u8>> = of_each.filter(|own| !own.is_empty()).collect();
    let drawn = structure.and_then(|part| there.get((part * there.len() as f64) as usize));
    let wanted: Vec<u8> = match drawn {
        Some(own) => own.clone(),
        None if structures.has_ignored() => (0..Structures::IGNORED).filter(is_there).collect(),
        None => return None,
    };
    Some(std::array::from_fn(|class| wanted.contains(&(class as u8))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use crate::volume::{Named, Undeclared};
    use ndarray::Array3;
    use std::convert::Infallible;

    fn patch(foreground: f64) -> Patch {
        Patch {
            size: [4, 6, 8],
            foreground,
            samples: 1,
        }
    }

    fn starts(patch: &Patch, mask: &Array3<u8>) -> Vec<[isize; 3]> {
        (0..500)
            .map(|index| first_voxel(patch, mask, &Structures::Mask, index))
            .collect()
    }

    fn first_voxel(
        patch: &Patch,
        mask: &Array3<u8>,
        structures: &Structures,
        index: u64,
    ) -> [isize; 3] {
        let mut stream = random::stream(1, &["test"], &[index]);
        let (x, y, z) = mask.dim();
        let counts = Structures::count_voxels(mask);
        let find = |voxel: &VoxelOf| {
            let wanted = |class: u8| voxel.classes[usize::from(class)];
            let mut found = mask.indexed_iter().filter(|(_, class)| wanted(**class));
            let found = found.nth(voxel.nth as usize);
            Ok::<_, Infallible>(found.map(|((x, y, z), _)| [x, y, z]))
        };
        let start = patch.draw([x, y, z], &counts, structures, &mut stream, find);
        start.unwrap()
    }

    #[test]
    fn patches_lie_inside_the_case_and_reach_all_of_it() {
        let mut mask = Array3::zeros((10, 7, 30));
        mask[[9, 6, 29]] = 1;
        for foreground in [0.0, 0.5, 1.0] {
            let starts = starts(&patch(foreground), &mask);
            assert!(starts.iter().all(|[x, y, z]| {
                (0..=6).contains(x) && (0..=1).contains(y) && (0..=22).contains(z)
            }));
            let corners = [[0, 0, 0], [6, 1, 22]];
            let reached = corners.map(|corner| {
                [0, 1, 2].map(|axis| starts.iter().any(|start| start[axis] == corner[axis]))
            });
            assert_eq!(reached, [[foreground < 1.0; 3], [true; 3]]);
        }
    }

    #[test]
    fn a_patch_on_the_mask_is_centred_on_any_of_its_voxels() {
        let mut mask = Array3::zeros((40, 40, 40));
        mask.slice_mut(ndarray::s![20..24, 20, 20]).fill(1);
        let mut found = starts(&patch(1.0), &mask);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, [18, 19, 20, 21].map(|x| [x, 17, 16]));
        let on_mask = |start: &&[isize; 3]| found.contains(start);
        let third = starts(&patch(0.33), &mask).iter().filter(on_mask).count();
        // Four standard deviations of a binomial.
        assert!(third.abs_diff(165) < 42, "{third} of 500");
    }

    #[test]
    fn a_patch_larger_than_the_case_has_it_in_the_middle() {
        let mask = Array3::from_elem((2, 6, 5), 1);
        let starts = starts(&patch(0.5), &mask);
        assert!(starts.iter().all(|start| *start == [-1, 0, -1]));
    }

    #[test]
    fn a_case_without_a_mask_has_patches_too() {
        assert_eq!(starts(&patch(1.0), &Array3::zeros((8, 8, 8))).len(), 500);
    }

    fn structures(named: &[(&str, &[u16])], ignored: Option<u16>) -> Structures {
        let named: Vec<Named> = named
            .iter()
            .map(|(name, labels)| ((*name).to_owned(), labels.to_vec()))
            .collect();
        let overlap = named.len() > 1 && named[0].1.contains(&named[1].1[0]);
        match overlap {
            true => Structures::regions(&named, None, ignored, Undeclared::Refused).unwrap(),
            false => Structures::labels(&named, ignored, Undeclared::Refused).unwrap(),
        }
    }

    /// The class in the middle of each of 2000 patches of a single voxel.
    fn centres(mask: &Array3<u8>, structures: &Structures, foreground: f64) -> [u64; 256] {
        let patch = Patch {
            size: [1; 3],
            foreground,
            samples: 1,
        };
        let centres = (0..2000).map(|index| {
            let at = first_voxel(&patch, mask, structures, index);
            mask[at.map(|n| n as usize)]
        });
        Structures::count_voxels(&centres.collect::<Vec<u8>>())
    }

    #[test]
    fn small_structures_are_seen_as_often_as_large_ones() {
        let labels = structures(&[("liver", &[1]), ("vessel", &[2]), ("spleen", &[3])], None);
        let mut mask = Array3::zeros((20, 20, 20));
        mask.slice_mut(ndarray::s![..15, .., ..]).fill(1);
        mask[[17, 3, 3]] = 2;
        let counts = centres(&mask, &labels, 1.0);
        // A half each; the spleen is not in the case. Four standard deviations of a binomial are 89.
        assert!(counts[1].abs_diff(1000) < 89, "{:?}", &counts[..4]);
        assert_eq!(counts[1] + counts[2], 2000);
        // Half of the patches lie anywhere: 3 of 4 voxels are liver.
        let counts = centres(&mask, &labels, 0.5);
        assert!(counts[1].abs_diff(500 + 750) < 89, "{:?}", &counts[..4]);
        assert!(counts[2].abs_diff(500) < 89, "{:?}", &counts[..4]);
    }

    #[test]
    fn of_overlapping_structures_each_is_drawn_equally_often() {
        let regions = structures(&[("whole", &[1, 2]), ("core", &[2])], None);
        let mut mask = Array3::zeros((10, 10, 10));
        mask.slice_mut(ndarray::s![..6, .., ..]).fill(1);
        mask.slice_mut(ndarray::s![..2, .., ..]).fill(2);
        let counts = centres(&mask, &regions, 1.0);
        // Half of the draws are of the core, and a third of the others.
        assert!(counts[2].abs_diff(1333) < 85, "{:?}", &counts[..3]);
        assert_eq!(counts[1] + counts[2], 2000);
    }

    #[test]
    fn no_patch_is_centred_on_what_nobody_looked_at() {
        let labels = structures(&[("lesion", &[1])], Some(9));
        let mut mask = Array3::from_elem((12, 12, 12), Structures::IGNORED);
        mask.slice_mut(ndarray::s![..3, .., ..]).fill(0);
        mask[[1, 1, 1]] = 1;
        for foreground in [0.0, 0.5, 1.0] {
            assert_eq!(centres(&mask, &labels, foreground)[255], 0);
        }
        // Without a lesion the background that was looked at is left.
        mask[[1, 1, 1]] = 0;
        assert_eq!(centres(&mask, &labels, 1.0)[0], 2000);
        mask.fill(Structures::IGNORED);
        assert_eq!(
            centres(&mask, &labels, 1.0)[255],
            2000,
            "there is nothing else"
        );
    }

    #[test]
    fn patches_of_a_mask_lie_where_they_always_did() {
        let mut mask = Array3::zeros((21, 17, 30));
        mask.slice_mut(ndarray::s![5..12, 4..9, 10..25]).fill(1);
        let starts: Vec<[isize; 3]> = (0..4)
            .map(|index| first_voxel(&patch(0.5), &mask, &Structures::Mask, index))
            .collect();
        assert_eq!(starts, BEFORE);
    }

    /// Made before there were several structures.
    const BEFORE: [[isize; 3]; 4] = [[14, 4, 21], [8, 2, 6], [8, 5, 18], [7, 5, 18]];
}
