//! The part of a sample that is in memory.

use multiversion::multiversion;
use rayon::prelude::*;

use crate::volume::{Grid, Region};

/// Which voxels of a grid a sample's arrays hold, and what lies outside of the grid.
pub(in crate::augment) struct Frame<'a> {
    /// The whole grid.
    pub(in crate::augment) grid: Grid,
    /// The first voxel that is held.
    pub(in crate::augment) start: [usize; 3],
    /// The lowest value of each whole image; `None` if the arrays are whole.
    pub(in crate::augment) lowest: Option<&'a [f32]>,
}

impl Frame<'_> {
    /// Of arrays that hold the whole grid.
    pub(in crate::augment) fn whole(grid: Grid) -> Self {
        Self {
            grid,
            start: [0; 3],
            lowest: None,
        }
    }

    /// The value outside the image at `place`: its lowest. `values` are those in memory.
    pub(super) fn air(&self, place: usize, values: &[f32]) -> f32 {
        match self.lowest {
            Some(lowest) => lowest[place],
            None => lowest_of(values),
        }
    }

    /// How arrays of `held` voxels along each axis lie in memory.
    pub(super) fn layout(&self, held: [usize; 3]) -> Layout {
        let region = Region {
            start: self.start,
            shape: held,
        };
        Layout {
            shape: self.grid.shape,
            low: region.start.map(|n| n as f32),
            high: region.end().map(|n| n as f32 - 1.0),
            held,
            before: (region.start[0] * held[1] + region.start[1]) * held[2] + region.start[2],
        }
    }
}

/// Where the voxels of a grid lie in arrays that hold a box of them.
pub(super) struct Layout {
    /// Voxels of the grid along each axis.
    pub(super) shape: [usize; 3],
    /// The first voxel that is held, and the last one.
    pub(super) low: [f32; 3],
    pub(super) high: [f32; 3],
    /// Voxels that are held along each axis.
    pub(super) held: [usize; 3],
    /// How far before the arrays the grid's first voxel would lie.
    before: usize,
}

impl Layout {
    /// The place in memory of a voxel that is held, by its indices in the grid.
    #[inline(always)]
    pub(super) fn index(&self, [x, y, z]: [usize; 3]) -> usize {
        (x * self.held[1] + y) * self.held[2] + z - self.before
    }
}

/// The lowest of an image's values.
pub(in crate::augment) fn lowest_of(image: &[f32]) -> f32 {
    let parts = image.par_chunks(1 << 16).map(lowest);
    parts.reduce(|| f32::INFINITY, f32::min)
}

#[multiversion(targets = "simd")]
fn lowest(values: &[f32]) -> f32 {
    let mut lanes = [f32::INFINITY; 16];
    let (lines, rest) = values.as_chunks::<16>();
    for line in lines {
        for (lane, value) in lanes.iter_mut().zip(line) {
            *lane = if value < lane { *value } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::INFINITY, f32::min)
}
