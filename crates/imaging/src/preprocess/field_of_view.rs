//! Whether the grid that a case is moved onto holds what matters of it.

use super::{CaseVolumes, otsu};
use crate::volume::{Grid, Structures, Volume};

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

/// The classes that occur in a case's mask.
pub(super) struct Classes(Vec<u8>);

impl Classes {
    /// Those of which nothing is left in `case`, while others are. Voxels that nobody looked at are no class.
    pub(super) fn vanished_from(self, case: &CaseVolumes) -> Vec<u8> {
        let left = Self::of(case.mask.as_ref());
        if left.0.is_empty() || left.0 == self.0 {
            return Vec::new();
        }
        let is_left = |class: &u8| left.0.contains(class);
        self.0.into_iter().filter(|class| !is_left(class)).collect()
    }

    pub(super) fn of(mask: Option<&Volume<u8>>) -> Self {
        let counts = mask.map(|mask| Structures::count_voxels(&mask.voxels));
        let counts = counts.iter().flatten().zip(0..=u8::MAX);
        let occurring = counts.filter(|(count, _)| **count > 0);
        let classes = occurring.map(|(_, class)| class);
        Self(classes.filter(is_class).collect())
    }
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
                voxels: marked(mask, 1, |class| is_class(&class)),
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
        let told = self.told(part)?;
        Some(Missing {
            is_most: part > TOO_MUCH,
            message: format!("{told} lies outside the grid onto which the scan is moved. {remedy}"),
        })
    }

    /// How much of it lies outside `grid`, in words, if that is worth a word.
    pub(super) fn beyond(&self, grid: &Grid) -> Option<String> {
        self.told(self.part_outside(grid))
    }

    fn told(&self, part: f64) -> Option<String> {
        (part > self.worth_a_word).then(|| format!("{:.1} % of the {}", 100.0 * part, self.what))
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

/// Whether a voxel of a class map belongs to something: neither background nor a voxel that nobody looked at.
pub(super) fn is_class(class: &u8) -> bool {
    ![0, Structures::IGNORED].contains(class)
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
