//! Moving the voxels of a sample: any number of spatial changes as one resampling.
//!
//! A change is described by where a voxel of its output comes from in its input. [`Map`] composes such
//! descriptions from the last change back to the first; images and mask are then read once.

mod classes;
mod copy;
mod frame;
mod interpolate;
mod lanes;
mod lattice;
mod map;
mod sampling_map;
mod trilinear;

use super::Sample;
use crate::volume::{Grid, Region, Structures};

pub(super) use frame::Frame;
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

/// Changes `sample`, which holds what `frame` says, by all of `changes`, the first one first.
pub(super) fn resample<'a>(
    changes: impl Iterator<Item = &'a dyn Spatial> + Clone,
    sample: &mut Sample,
    frame: &Frame,
) {
    let map = composed(changes.clone(), frame.grid.clone());
    if map.is_identity() {
        return;
    }
    move_voxels(&map, sample, frame);
    for table in changes.filter_map(|change| change.relabel(&sample.structures)) {
        sample.mask.mapv_inplace(|class| table[usize::from(class)]);
    }
}

/// The voxels of a sample on `grid` that [`resample`] looks at.
pub(super) fn reach<'a>(changes: impl Iterator<Item = &'a dyn Spatial>, grid: &Grid) -> Region {
    composed(changes, grid.clone()).reach(grid.shape)
}

fn composed<'a>(changes: impl Iterator<Item = &'a dyn Spatial>, grid: Grid) -> Map {
    let mut map = Map::new(grid);
    changes.for_each(|change| change.compose(&mut map));
    map
}

/// Reads all images and the mask where `map` leads.
fn move_voxels(map: &Map, sample: &mut Sample, frame: &Frame) {
    match map.whole_voxels() {
        Some(lines) => copy::copy(sample, frame, lines, map.grid().shape),
        None => interpolate::interpolate(sample, frame, map),
    }
    sample.affine = map.grid().affine;
}
