//! Moving the voxels of a sample: any number of spatial changes as one resampling.
//!
//! A change is described by where a voxel of its output comes from in its input. [`Map`] composes such
//! descriptions from the last change back to the first; image and mask are then read once.

mod copy;
mod interpolate;
mod lanes;
mod lattice;
mod map;
mod sampling_map;

use multiversion::multiversion;
use ndarray::Array3;
use rayon::prelude::*;

use super::Sample;

pub(super) use lattice::Lattice;
pub use map::Map;

/// A drawn change that moves voxels.
pub trait Spatial {
    /// Composes `map`, which holds what comes before, with this change.
    fn compose(&self, map: &mut Map);
}

/// Changes `sample` by all of `changes`, the first one first.
pub(super) fn resample<'a>(changes: impl Iterator<Item = &'a dyn Spatial>, sample: &mut Sample) {
    let mut map = Map::new(sample.grid());
    changes.for_each(|change| change.compose(&mut map));
    if map.is_identity() {
        return;
    }
    // Values are read in the order of the indices, however they lie in memory.
    let (image, mask) = (
        sample.image.as_standard_layout(),
        sample.mask.as_standard_layout(),
    );
    let (Some(image), Some(mask)) = (image.as_slice(), mask.as_slice()) else {
        return;
    };
    let source = Source {
        image,
        mask,
        shape: sample.shape(),
    };
    let grid = map.grid().clone();
    let mut moved = Sample {
        image: Array3::zeros(grid.shape),
        mask: Array3::zeros(grid.shape),
        affine: grid.affine,
    };
    if let (Some(image), Some(mask)) = (moved.image.as_slice_mut(), moved.mask.as_slice_mut()) {
        let target = Target {
            image,
            mask,
            shape: grid.shape,
        };
        match map.whole_voxels() {
            Some(lines) => copy::copy(&source, lines, target),
            None => interpolate::interpolate(&source, &map, target),
        }
    }
    *sample = moved;
}

/// Image and mask before, in the order of the indices.
struct Source<'a> {
    image: &'a [f32],
    mask: &'a [u8],
    shape: [usize; 3],
}

impl Source<'_> {
    /// What lies outside: the image's lowest value.
    fn lowest(&self) -> f32 {
        let parts = self.image.par_chunks(1 << 16).map(lowest);
        parts.reduce(|| f32::INFINITY, f32::min)
    }
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

/// Image and mask to be written, in the order of the indices.
struct Target<'a> {
    image: &'a mut [f32],
    mask: &'a mut [u8],
    shape: [usize; 3],
}
