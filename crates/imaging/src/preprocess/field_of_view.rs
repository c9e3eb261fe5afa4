//! Whether the grid that a case is moved onto holds what matters of it.

use super::{CaseVolumes, otsu};
use crate::volume::{Grid, Volume};

/// Parts outside the grid from which a case is worth a word. The neck is foreground and may be missing.
const WORTH_A_WORD_OF_MASK: f64 = 0.001;
const WORTH_A_WORD_OF_FOREGROUND: f64 = 0.1;

/// The part outside the grid from which a case is of no use.
const TOO_MUCH: f64 = 0.5;

/// The most voxels that are looked at for the foreground.
const MOST_VOXELS: usize = 1 << 20;

/// What matters of a case: its mask where it is known, or the foreground of its first image (what Otsu's threshold
/// parts from air).
pub(super) struct Content {
    what: &'static str,
    worth_a_word: f64,
    grid: Grid,
    voxels: Vec<[u32; 3]>,
}

/// What a grid does not hold.
pub(super) struct Missing {
    /// Whether it is so much that the case is of no use.
    pub(super) is_most: bool,
    pub(super) message: String,
}

impl Content {
    pub(super) fn of(case: &CaseVolumes) -> Self {
        match &case.mask {
            Some(mask) => Self {
                what: "mask",
                worth_a_word: WORTH_A_WORD_OF_MASK,
                grid: mask.grid(),
                voxels: marked(mask, 1, |value| value != 0),
            },
            None => Self {
                what: "foreground",
                worth_a_word: WORTH_A_WORD_OF_FOREGROUND,
                grid: case.grid(),
                voxels: foreground(case.first()),
            },
        }
    }

    /// What is missing, if a part of it lies outside `grid`; `remedy` says what to do.
    pub(super) fn missing_in(&self, grid: &Grid, remedy: &str) -> Option<Missing> {
        let part = self.part_outside(grid);
        (part > self.worth_a_word).then(|| Missing {
            is_most: part > TOO_MUCH,
            message: format!(
                "{:.1} % of the {} lies outside the grid onto which the scan is moved. {remedy}",
                100.0 * part,
                self.what
            ),
        })
    }

    fn part_outside(&self, grid: &Grid) -> f64 {
        let to_grid = grid.affine.inverse();
        let Some(to_grid) = to_grid.filter(|_| !self.voxels.is_empty() && *grid != self.grid)
        else {
            return 0.0;
        };
        let to_grid = to_grid.mul(&self.grid.affine);
        let outside = |voxel: &&[u32; 3]| {
            let at = to_grid.apply(voxel.map(f64::from));
            // Outside by less than half a voxel is no loss: a voxel is as large as that.
            (0..3).any(|a| !(-1.0..=grid.shape[a] as f64).contains(&at[a]))
        };
        self.voxels.iter().filter(outside).count() as f64 / self.voxels.len() as f64
    }
}

/// The foreground, thinned out evenly.
fn foreground(image: &Volume<f32>) -> Vec<[u32; 3]> {
    let mut step = 1;
    while image.voxels.len() > MOST_VOXELS * step * step * step {
        step += 1;
    }
    let thin = image.voxels.slice(ndarray::s![..;step, ..;step, ..;step]);
    let values: Vec<f32> = thin
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    if values.is_empty() {
        return Vec::new();
    }
    let threshold = otsu::threshold(&values);
    marked(image, step, |value| f64::from(value) > threshold)
}

/// Every `step`-th voxel along each axis that `is` something.
fn marked<T: Copy>(volume: &Volume<T>, step: usize, is: impl Fn(T) -> bool) -> Vec<[u32; 3]> {
    let thin = volume.voxels.slice(ndarray::s![..;step, ..;step, ..;step]);
    let marked = thin.indexed_iter().filter(|(_, value)| is(**value));
    marked
        .map(|((x, y, z), _)| [x, y, z].map(|index| (index * step) as u32))
        .collect()
}
