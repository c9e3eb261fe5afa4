//! Moving a volume onto another grid, wherever the two lie in the world.
//!
//! The conventions are those of nilearn's `resample_img` (scipy's `mode="constant"`): a voxel is a
//! point at its centre, and a target voxel outside the box of the source's voxel *centres* is 0.
//! [`resample_covered`] alone has ITK's: a voxel covers half a voxel around its centre.
//! Every target voxel is computed alone and in float64, so the result has the same bits at any
//! number of threads.

mod linear;
mod smooth;
mod spline;

use std::borrow::Cow;

use ndarray::{Array3, ArrayViewMut2, Axis};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Affine, Grid, Volume};
use crate::statistics::intensities::percentiles;
use linear::{linear, linear_at};
use smooth::antialiased;
use spline::{cubic_at, spline_coefficients};

/// How a value between voxels is made from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The nearest voxel's value; of two equally near ones, the one with the higher index.
    #[default]
    Nearest,
    /// Trilinear.
    Linear,
    /// Cubic B-spline through all voxels, mirrored at the edges. Overshoot is clipped to the source's
    /// range, to which the value outside is counted.
    Cubic,
}

/// Positions are trusted to this many voxels. Rounding in the affines' product (about 1e-14 voxel)
/// then decides neither a tie of [`Interpolation::Nearest`] nor whether an edge voxel is inside;
/// what float32 headers leave (1e-6 voxel and more) does, as it does in nilearn. (In nilearn
/// rounding decides as well: it may drop an edge plane that lies exactly on the source's.)
const ROUNDING: f64 = 1e-9;

/// Positions that differ by this many voxels are the same place where headers are in float32 and each puts the same
/// voxels elsewhere: theirs differ by 1e-6 to 1e-4 voxel.
const HEADERS: f64 = 1e-3;

/// Moves an image onto `grid`; 0 outside the source (see the module's conventions).
///
/// With `antialias`, the source is first smoothed along each axis on which `grid` is coarser, by a
/// Gaussian that widens the point spread function from the source's spacing to the target's:
/// `sigma = sqrt(r² - 1) / 2.355` source voxels, for a step of `r` source voxels between target
/// voxels (Cardoso et al., "Scale factor point spread function matching", MICCAI 2015).
///
/// A source without an invertible affine lies nowhere: the result is 0. Volumes read from files
/// always have one.
pub fn resample(
    source: &Volume<f32>,
    grid: &Grid,
    interpolation: Interpolation,
    antialias: bool,
) -> Volume<f32> {
    resample_filled(source, grid, interpolation, antialias, 0.0)
}

/// As [`resample`], with `fill` instead of 0 outside the source.
pub fn resample_filled(
    source: &Volume<f32>,
    grid: &Grid,
    interpolation: Interpolation,
    antialias: bool,
    fill: f32,
) -> Volume<f32> {
    if source.grid() == *grid {
        return source.clone();
    }
    if interpolation == Interpolation::Linear {
        return linear(source, grid, antialias, fill);
    }
    let smoothed = antialias.then(|| antialiased(source, grid));
    let source = smoothed.as_ref().unwrap_or(source);
    match interpolation {
        Interpolation::Nearest | Interpolation::Linear => nearest(source, grid, fill),
        Interpolation::Cubic => {
            let coefficients = spline_coefficients(&source.voxels);
            let low = source.voxels.iter().copied().fold(fill, f32::min);
            let high = source.voxels.iter().copied().fold(fill, f32::max);
            sample(source, grid, ROUNDING, fill, |at| {
                (cubic_at(&coefficients, at) as f32).clamp(low, high)
            })
        }
    }
}

/// Moves an image onto `grid` linearly, by ITK's rule of where an image ends: each of its voxels covers half a voxel
/// around its centre. A target voxel has a value up to half a voxel beyond the outermost centres, that of the nearest
/// place between them; `fill` only farther out. A thousandth of a voxel is allowed for what headers round.
///
/// A grid of which all voxels lie on voxels of the source, such as the same one in another orientation, gets the
/// source's numbers as they are.
pub fn resample_covered(source: &Volume<f32>, grid: &Grid, fill: f32) -> Volume<f32> {
    if source.grid() == *grid {
        return source.clone();
    }
    let reach = 0.5 + HEADERS;
    match falls_on_voxels(source, grid) {
        true => sample(source, grid, reach, fill, |at| {
            source.voxels[at.map(|x| x.round() as usize)]
        }),
        false => sample(source, grid, reach, fill, |at| {
            linear_at(&source.voxels, at) as f32
        }),
    }
}

/// Whether all positions of the grid's voxels are whole numbers of source voxels, up to [`HEADERS`].
fn falls_on_voxels(source: &Volume<f32>, grid: &Grid) -> bool {
    let Some(to_source) = target_to_source(source, grid) else {
        return false;
    };
    let whole = Affine(to_source.0.map(|row| row.map(f64::round)));
    let positions = Grid {
        affine: to_source,
        ..*grid
    };
    positions.largest_offset(&whole) <= HEADERS
}

/// The most voxels that [`extremes`] looks at.
const MOST_VOXELS: usize = 1 << 17;

/// The 0.5th and the 99.5th percentile of an image's finite voxels, if there are any. Large images are thinned out
/// evenly.
pub(crate) fn extremes(image: &Volume<f32>) -> Option<[f64; 2]> {
    let step = image.voxels.len().div_ceil(MOST_VOXELS).max(1);
    // Odd, so that an even number of rows does not hide most of an axis.
    let thin = image.voxels.iter().copied().step_by(step | 1);
    let values: Vec<f32> = thin.filter(|value| value.is_finite()).collect();
    (!values.is_empty()).then(|| percentiles(Cow::Owned(values), [0.5, 99.5]))
}

/// What an image has outside its edges: 0, unless its dark voxels are far from 0 (CT in Hounsfield units, an
/// offset). Then it is their value: the 0.5th percentile, if 0 is farther from it than a tenth of the range up to the
/// 99.5th.
pub fn background(image: &Volume<f32>) -> f32 {
    match extremes(image) {
        Some([low, high]) if low.abs() > 0.1 * (high - low) => low as f32,
        _ => 0.0,
    }
}

/// Moves a mask onto `grid` by nearest neighbour; 0 outside the source.
pub fn resample_mask(source: &Volume<u8>, grid: &Grid) -> Volume<u8> {
    if source.grid() == *grid {
        return source.clone();
    }
    nearest(source, grid, 0)
}

/// Moves a class map onto `grid`: each voxel gets the class that weighs most among the eight voxels around it,
/// trilinearly, and of equally heavy ones the highest. 0 outside the source.
///
/// It is what a class of its own for each, moved by [`Interpolation::Linear`], and the largest of all give, without a
/// volume a class.
pub fn resample_classes(source: &Volume<u8>, grid: &Grid) -> Volume<u8> {
    if source.grid() == *grid {
        return source.clone();
    }
    sample(source, grid, ROUNDING, 0, |at| {
        heaviest_at(&source.voxels, at)
    })
}

fn heaviest_at(voxels: &Array3<u8>, at: [f64; 3]) -> u8 {
    let between = Between::each(at, voxels.shape());
    let mut classes = [0; 8];
    let mut weight_of = [0.0; 8];
    for corner in 0..8 {
        let ends: [usize; 3] = std::array::from_fn(|axis| corner >> axis & 1);
        classes[corner] = voxels[std::array::from_fn(|axis| between[axis].indices[ends[axis]])];
        weight_of[corner] = (0..3)
            .map(|axis| between[axis].weights[ends[axis]])
            .product();
    }
    if classes.iter().all(|class| *class == classes[0]) {
        return classes[0];
    }
    let total = |class: u8| -> f64 {
        let corners = classes.iter().zip(weight_of);
        corners
            .filter(|(of, _)| **of == class)
            .map(|(_, weight)| weight)
            .sum()
    };
    let heavier = |best: (u8, f64), class: &u8| {
        let weight = total(*class);
        // Rounding decides no tie.
        let is_tie = (weight - best.1).abs() <= ROUNDING;
        match is_tie && *class > best.0 || !is_tie && weight > best.1 {
            true => (*class, weight),
            false => best,
        }
    };
    classes.iter().fold((0, 0.0), heavier).0
}

/// Two voxels along an axis.
#[derive(Clone, Copy)]
struct Between {
    indices: [usize; 2],
    weights: [f64; 2],
}

impl Between {
    /// Those between which a position lies on an axis of `length` voxels.
    fn of(at: f64, length: usize) -> Self {
        let low = at as usize;
        Self {
            indices: [low, (low + 1).min(length - 1)],
            weights: [1.0 - at.fract(), at.fract()],
        }
    }

    /// Those between which a position lies along each axis.
    fn each(at: [f64; 3], shape: &[usize]) -> [Self; 3] {
        std::array::from_fn(|axis| Self::of(at[axis], shape[axis]))
    }
}

fn nearest<T: Copy + Send + Sync>(source: &Volume<T>, grid: &Grid, fill: T) -> Volume<T> {
    sample(source, grid, ROUNDING, fill, |at| {
        source.voxels[at.map(|x| (x + 0.5 + ROUNDING).floor() as usize)]
    })
}

/// Fills `grid` with `value` of each voxel's position in the source, in source voxels within
/// `0..=n-1`; voxels more than `reach` source voxels outside are `fill`.
fn sample<T, U>(
    source: &Volume<T>,
    grid: &Grid,
    reach: f64,
    fill: U,
    value: impl Fn([f64; 3]) -> U + Sync,
) -> Volume<U>
where
    T: Sync,
    U: Copy + Send,
{
    let mut voxels = Array3::from_elem(grid.shape, fill);
    if let Some(to_source) = target_to_source(source, grid) {
        let last = source.shape().map(|n| n as f64 - 1.0);
        let inside = |at: [f64; 3]| (0..3).all(|a| (-reach..=last[a] + reach).contains(&at[a]));
        slabs(&mut voxels, 0)
            .into_par_iter()
            .enumerate()
            .for_each(|(i, mut slab)| {
                for ((j, k), voxel) in slab.indexed_iter_mut() {
                    let at = to_source.apply([i as f64, j as f64, k as f64]);
                    if inside(at) {
                        *voxel = value(std::array::from_fn(|a| at[a].clamp(0.0, last[a])));
                    }
                }
            });
    }
    Volume {
        voxels,
        affine: grid.affine,
    }
}

fn target_to_source<T>(source: &Volume<T>, grid: &Grid) -> Option<Affine> {
    let occupied = source.shape().iter().all(|&n| n > 0);
    let inverse = source.affine.inverse().filter(|_| occupied)?;
    Some(inverse.mul(&grid.affine))
}

/// The array cut into its planes across `axis`, each to be worked on by one thread.
fn slabs<T>(array: &mut Array3<T>, axis: usize) -> Vec<ArrayViewMut2<'_, T>> {
    array.axis_iter_mut(Axis(axis)).collect()
}

/// The index that `index` has after reflection at the first and last voxel's centre.
fn mirror(index: isize, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let last = len as isize - 1;
    let wrapped = index.rem_euclid(2 * last);
    wrapped.min(2 * last - wrapped) as usize
}

/// The product of the one-dimensional weights of `N` neighbours along each axis.
fn weighted<const N: usize>(
    voxel: impl Fn([usize; 3]) -> f64,
    indices: [[usize; N]; 3],
    weights: [[f64; N]; 3],
) -> f64 {
    let mut sum = 0.0;
    for (&i, wi) in indices[0].iter().zip(weights[0]) {
        for (&j, wj) in indices[1].iter().zip(weights[1]) {
            let mut line = 0.0;
            for (&k, wk) in indices[2].iter().zip(weights[2]) {
                line += wk * voxel([i, j, k]);
            }
            sum += wi * wj * line;
        }
    }
    sum
}
