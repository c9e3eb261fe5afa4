//! Smoothing before the grid becomes coarser.

use ndarray::{Array3, ArrayView1, Axis, Zip};
use rayon::prelude::*;

use super::{ROUNDING, mirror, target_to_source};
use crate::volume::{Affine, Grid, Volume};

/// What each axis of a volume is smoothed with, if it is.
pub(super) type Kernels = [Option<Vec<f64>>; 3];

/// The source as it is before `grid`, where that is coarser.
pub(super) fn antialiased(source: &Volume<f32>, grid: &Grid) -> Volume<f32> {
    let Some(to_source) = target_to_source(source, grid) else {
        return source.clone();
    };
    let all = source.shape().map(|n| (0..n).collect());
    Volume {
        voxels: smoothed(&source.voxels, &kernels(&to_source), &all),
        affine: source.affine,
    }
}

/// The kernel for each axis of the source, of which `to_source` takes target voxels to source voxels; `None` where the
/// target is not coarser.
pub(super) fn kernels(to_source: &Affine) -> Kernels {
    std::array::from_fn(|axis| {
        let row = &to_source.0[axis][..3];
        let step = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        (step > 1.0 + ROUNDING).then(|| gaussian((step * step - 1.0).sqrt() / 2.355))
    })
}

/// A normalised Gaussian, cut at four standard deviations; the middle is the peak.
fn gaussian(sigma: f64) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as i32;
    let bell = |x: i32| (-0.5 * (f64::from(x) / sigma).powi(2)).exp();
    let total: f64 = (-radius..=radius).map(bell).sum();
    (-radius..=radius).map(|x| bell(x) / total).collect()
}

/// The voxels smoothed along each axis that has a kernel; lines are mirrored at their ends. Of each axis the indices in
/// `wanted` alone, in this order.
pub(super) fn smoothed(
    voxels: &Array3<f32>,
    kernels: &Kernels,
    wanted: &[Vec<usize>; 3],
) -> Array3<f32> {
    let mut smoothed: Option<Array3<f64>> = None;
    for axis in 0..3 {
        let (kernel, wanted) = (kernels[axis].as_deref(), &wanted[axis]);
        if kernel.is_none() && wanted.len() == voxels.len_of(Axis(axis)) {
            continue;
        }
        smoothed = Some(match smoothed {
            None => along(voxels, axis, kernel, wanted),
            Some(before) => along(&before, axis, kernel, wanted),
        });
    }
    smoothed.map_or_else(
        || voxels.clone(),
        |smoothed| smoothed.mapv(|value| value as f32),
    )
}

/// The wanted planes across `axis`, each the sum of those around it with the kernel's weights.
fn along<T: Copy + Into<f64> + Sync>(
    voxels: &Array3<T>,
    axis: usize,
    kernel: Option<&[f64]>,
    wanted: &[usize],
) -> Array3<f64> {
    let kernel = kernel.unwrap_or(&[1.0]);
    let radius = (kernel.len() / 2) as isize;
    let length = voxels.len_of(Axis(axis));
    let tap = |index: usize, t: usize| mirror(index as isize + t as isize - radius, length);
    let mut shape = [0, 1, 2].map(|axis| voxels.len_of(Axis(axis)));
    shape[axis] = wanted.len();
    let mut result = Array3::zeros(shape);
    // Work is shared out along the first axis.
    let planes: Vec<_> = result.outer_iter_mut().collect();
    planes
        .into_par_iter()
        .enumerate()
        .for_each(|(i, mut plane)| {
            let add = |mut to: ndarray::ArrayViewMut1<f64>, from: ArrayView1<T>, weight: f64| {
                Zip::from(&mut to)
                    .and(&from)
                    .for_each(|to, from| *to += weight * (*from).into());
            };
            for (j, mut row) in plane.outer_iter_mut().enumerate() {
                match axis {
                    0 => {
                        for (t, weight) in kernel.iter().enumerate() {
                            let from = voxels.slice(ndarray::s![tap(wanted[i], t), j, ..]);
                            add(row.view_mut(), from, *weight);
                        }
                    }
                    1 => {
                        for (t, weight) in kernel.iter().enumerate() {
                            let from = voxels.slice(ndarray::s![i, tap(wanted[j], t), ..]);
                            add(row.view_mut(), from, *weight);
                        }
                    }
                    _ => {
                        let from = voxels.slice(ndarray::s![i, j, ..]);
                        for (value, index) in row.iter_mut().zip(wanted) {
                            let taps = kernel.iter().enumerate();
                            *value = taps
                                .map(|(t, weight)| weight * from[tap(*index, t)].into())
                                .sum();
                        }
                    }
                }
            }
        });
    result
}
