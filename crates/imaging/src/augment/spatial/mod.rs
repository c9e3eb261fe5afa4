//! Moving the voxels of a sample: any number of spatial changes as one resampling.
//!
//! A change is described by where a voxel of its output comes from in its input. [`Map`] composes such
//! descriptions from the last change back to the first; images and mask are then read once.

mod classes;
mod copy;
mod interpolate;
mod lanes;
mod lattice;
mod map;
mod sampling_map;
mod trilinear;

use multiversion::multiversion;
use rayon::prelude::*;

use super::Sample;
use crate::volume::Structures;

pub(super) use lattice::Lattice;
pub use map::Map;

/// A drawn change that moves voxels.
pub trait Spatial {
    /// Composes `map`, which holds what comes before, with this change.
    fn compose(&self, map: &mut Map);

    /// What becomes of each class of `structures`, if some become others.
    fn relabel(&self, _structures: &Structures) -> Option<[u8; 256]> {
        None
    }
}

/// Changes `sample` by all of `changes`, the first one first.
pub(super) fn resample<'a>(
    changes: impl Iterator<Item = &'a dyn Spatial> + Clone,
    sample: &mut Sample,
) {
    let mut map = Map::new(sample.grid());
    changes.clone().for_each(|change| change.compose(&mut map));
    if map.is_identity() {
        return;
    }
    move_voxels(&map, sample);
    for table in changes.filter_map(|change| change.relabel(&sample.structures)) {
        sample.mask.mapv_inplace(|class| table[usize::from(class)]);
    }
}

/// Reads all images and the mask where `map` leads.
fn move_voxels(map: &Map, sample: &mut Sample) {
    match map.whole_voxels() {
        Some(lines) => copy::copy(sample, lines, map.grid().shape),
        None => interpolate::interpolate(sample, map),
    }
    sample.affine = map.grid().affine;
}

/// What lies outside an image: its lowest value.
fn air(image: &[f32]) -> f32 {
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
