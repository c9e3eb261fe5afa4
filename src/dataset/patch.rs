//! Pieces of cases to train on.

use ndarray::ArrayView3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Fault;

/// Trains on pieces of the cases, which may then be of different shapes. Validation and prediction still see
/// whole cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// Voxels along each axis.
    pub size: [usize; 3],
    /// How often a patch is centred on a voxel of the mask (drawn uniformly) instead of anywhere.
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

    /// Draws a patch's first voxel. A patch stays inside the case along every axis that is long enough,
    /// and lies about its middle along the others.
    pub fn draw(&self, mask: ArrayView3<'_, u8>, rng: &mut ChaCha8Rng) -> [isize; 3] {
        let (x, y, z) = mask.dim();
        let room = |axis: usize| [x, y, z][axis] as isize - self.size[axis] as isize;
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
        let start = match nth_foreground(mask, which).filter(|_| on_mask) {
            Some(centre) => [0, 1, 2].map(|axis| centre[axis] - self.size[axis] as isize / 2),
            None => anywhere,
        };
        [0, 1, 2].map(|axis| inside(axis, start[axis]))
    }
}

/// The voxel of the mask at `part` (0 to below 1) of all its voxels.
fn nth_foreground(mask: ArrayView3<'_, u8>, part: f64) -> Option<[isize; 3]> {
    let count = mask.iter().filter(|&&label| label != 0).count();
    let mut foreground = mask.indexed_iter().filter(|(_, label)| **label != 0);
    let ((x, y, z), _) = foreground.nth((part * count as f64) as usize)?;
    Some([x as isize, y as isize, z as isize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use ndarray::Array3;

    fn patch(foreground: f64) -> Patch {
        Patch {
            size: [4, 6, 8],
            foreground,
            samples: 1,
        }
    }

    fn starts(patch: &Patch, mask: &Array3<u8>) -> Vec<[isize; 3]> {
        (0..500)
            .map(|index| patch.draw(mask.view(), &mut random::stream(1, &["test"], &[index])))
            .collect()
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
}
