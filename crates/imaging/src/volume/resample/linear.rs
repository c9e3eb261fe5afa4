//! Linear interpolation.

use std::borrow::Cow;

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use super::smooth::{self, Kernels};
use super::{Between, ROUNDING, sample, target_to_source, weighted};
use crate::volume::{Affine, Grid, Volume};

/// Moves an image onto `grid` linearly, smoothed before where `antialias`; voxels outside are `fill`.
pub(super) fn linear(source: &Volume<f32>, grid: &Grid, antialias: bool, fill: f32) -> Volume<f32> {
    if let Some(to_source) = target_to_source(source, grid)
        && let Some(axes) = axes_of(&to_source, grid.shape)
    {
        let kernels = antialias.then(|| smooth::kernels(&to_source));
        return along_axes(source, grid, (&to_source, axes), kernels.as_ref(), fill);
    }
    oblique(source, grid, antialias, fill)
}

/// As [`linear`], however the two lie to each other.
fn oblique(source: &Volume<f32>, grid: &Grid, antialias: bool, fill: f32) -> Volume<f32> {
    let smoothed = antialias.then(|| smooth::antialiased(source, grid));
    let source = smoothed.as_ref().unwrap_or(source);
    sample(source, grid, ROUNDING, fill, |at| {
        linear_at(&source.voxels, at) as f32
    })
}

/// The value at a position, in voxels, within the volume.
pub(super) fn linear_at(voxels: &Array3<f32>, at: [f64; 3]) -> f64 {
    let between = Between::each(at, voxels.shape());
    let (indices, weights) = (between.map(|of| of.indices), between.map(|of| of.weights));
    weighted(|index| f64::from(voxels[index]), indices, weights)
}

/// For each axis of the source the axis of a target of this shape along which it runs, if every one runs along one.
fn axes_of(to_source: &Affine, shape: [usize; 3]) -> Option<[usize; 3]> {
    // What the product of two oblique affines leaves of a 0 moves no voxel.
    let counts =
        |row: &[f64; 4], column: usize| row[column].abs() * shape[column] as f64 > 0.1 * ROUNDING;
    let mut axes = [0; 3];
    for (row, axis) in to_source.0.iter().zip(&mut axes) {
        let mut along = (0..3).filter(|column| counts(row, *column));
        *axis = along.next()?;
        if along.next().is_some() {
            return None;
        }
    }
    (0..3).all(|axis| axes.contains(&axis)).then_some(axes)
}

/// As [`linear`], where each axis of the source runs along one of the target's: places and weights are those of the axis,
/// and voxels that are not looked at are not smoothed. Every number is made in the same order, so it has the same bits.
fn along_axes(
    source: &Volume<f32>,
    grid: &Grid,
    (to_source, axes): (&Affine, [usize; 3]),
    kernels: Option<&Kernels>,
    fill: f32,
) -> Volume<f32> {
    let shape = source.shape();
    // Of each source axis, by the index along the target's; none outside.
    let mut places: [Vec<Option<Between>>; 3] = std::array::from_fn(|axis| {
        let last = shape[axis] as f64 - 1.0;
        let place = |index: usize| {
            let mut point = [0.0; 3];
            point[axes[axis]] = index as f64;
            let at = to_source.apply(point)[axis];
            let inside = (-ROUNDING..=last + ROUNDING).contains(&at);
            inside.then(|| Between::of(at.clamp(0.0, last), shape[axis]))
        };
        (0..grid.shape[axes[axis]]).map(place).collect()
    });
    let mut voxels = Cow::Borrowed(&source.voxels);
    if let Some(kernels) = kernels {
        let wanted: [Vec<usize>; 3] = std::array::from_fn(|axis| {
            let mut wanted: Vec<usize> = places[axis]
                .iter()
                .flatten()
                .flat_map(|of| of.indices)
                .collect();
            wanted.sort_unstable();
            wanted.dedup();
            wanted
        });
        voxels = Cow::Owned(smooth::smoothed(&source.voxels, kernels, &wanted));
        for (places, wanted) in places.iter_mut().zip(&wanted) {
            for index in places.iter_mut().flatten().flat_map(|of| &mut of.indices) {
                *index = wanted.partition_point(|other| other < index);
            }
        }
    }
    let voxels = voxels.as_standard_layout();
    let Some(values) = voxels.as_slice() else {
        unreachable!("an array in standard layout is a slice");
    };
    let strides = [
        voxels.len_of(Axis(1)) * voxels.len_of(Axis(2)),
        voxels.len_of(Axis(2)),
        1,
    ];
    for (places, stride) in places.iter_mut().zip(strides) {
        for index in places.iter_mut().flatten().flat_map(|of| &mut of.indices) {
            *index *= stride;
        }
    }
    let mut result = Array3::from_elem(grid.shape, fill);
    let planes: Vec<_> = result.outer_iter_mut().collect();
    planes
        .into_par_iter()
        .enumerate()
        .for_each(|(x, mut plane)| {
            for ((y, z), voxel) in plane.indexed_iter_mut() {
                let target = [x, y, z];
                if let [Some(a), Some(b), Some(c)] =
                    [0, 1, 2].map(|axis| places[axis][target[axes[axis]]])
                {
                    let value = |[i, j, k]: [usize; 3]| f64::from(values[i + j + k]);
                    *voxel = weighted(
                        value,
                        [a.indices, b.indices, c.indices],
                        [a.weights, b.weights, c.weights],
                    ) as f32;
                }
            }
        });
    Volume {
        voxels: result,
        affine: grid.affine,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Affines that exchange and mirror axes, with steps from finer to coarser and parts that lie outside.
        #[test]
        fn along_axes_every_number_is_that_of_the_oblique_way(
            order in Just([0, 1, 2]).prop_shuffle(),
            signs in prop::array::uniform3(prop_oneof![Just(1.0), Just(-1.0)]),
            steps in prop::array::uniform3(0.3_f64..3.7),
            offsets in prop::array::uniform3(-3.0_f64..9.0),
            antialias: bool,
            seed: u32,
        ) {
            let value = |i: usize| (seed.wrapping_add(i as u32).wrapping_mul(2_654_435_761) >> 16) as f32;
            let voxels: Vec<f32> = (0..7 * 9 * 8).map(value).collect();
            let source = Volume {
                voxels: Array3::from_shape_vec((7, 9, 8), voxels).unwrap(),
                affine: Affine::diagonal([2.0, -1.5, 1.0], [4.0, 3.0, -2.0]),
            };
            let mut to_source = Affine::identity();
            for axis in 0..3 {
                to_source.0[axis] = [0.0; 4];
                to_source.0[axis][order[axis]] = signs[axis] * steps[axis];
                to_source.0[axis][3] = offsets[axis];
            }
            let grid = Grid { shape: [6, 5, 9], affine: source.affine.mul(&to_source) };
            prop_assert!(axes_of(&target_to_source(&source, &grid).unwrap(), grid.shape).is_some());
            let [fast, slow] = [linear, oblique].map(|way| way(&source, &grid, antialias, -7.0).voxels.mapv(f32::to_bits));
            prop_assert_eq!(fast, slow);
        }
    }
}
