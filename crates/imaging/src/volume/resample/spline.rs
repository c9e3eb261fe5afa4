//! Cubic B-splines.

use ndarray::{Array2, Array3};
use rayon::prelude::*;

use super::{mirror, slabs, weighted};

/// The value at a position, in voxels, within the volume.
pub(super) fn cubic_at(coefficients: &Array3<f64>, at: [f64; 3]) -> f64 {
    let shape = coefficients.shape();
    let indices = std::array::from_fn(|a| {
        let low = at[a] as isize;
        std::array::from_fn(|tap| mirror(low + tap as isize - 1, shape[a]))
    });
    let weights = std::array::from_fn(|a| {
        let t = at[a].fract();
        let u = 1.0 - t;
        [
            u * u * u / 6.0,
            (4.0 + 3.0 * t * t * (t - 2.0)) / 6.0,
            (4.0 + 3.0 * u * u * (u - 2.0)) / 6.0,
            t * t * t / 6.0,
        ]
    });
    weighted(|index| coefficients[index], indices, weights)
}

/// The coefficients of the cubic B-spline through the voxels (Unser 1999, "Splines: a perfect fit
/// for signal and image processing"), mirrored at the edges.
pub(super) fn spline_coefficients(voxels: &Array3<f32>) -> Array3<f64> {
    let mut coefficients = voxels.mapv(f64::from);
    for axis in 0..3 {
        filter_lines(&mut coefficients, axis, spline_filter);
    }
    coefficients
}

fn spline_filter(line: &mut [f64]) {
    const POLE: f64 = -0.267_949_192_431_122_7; // sqrt(3) - 2
    let n = line.len();
    if n < 2 {
        return;
    }
    for value in line.iter_mut() {
        *value *= 6.0;
    }
    // The start of the causal recursion is the sum over the endlessly mirrored line.
    let far = POLE.powi(n as i32 - 1);
    let mut first = line[0] + far * line[n - 1];
    let mut power = POLE;
    for i in 1..n - 1 {
        first += power * (line[i] + far * line[n - 1 - i]);
        power *= POLE;
    }
    line[0] = first / (1.0 - far * far);
    for i in 1..n {
        line[i] += POLE * line[i - 1];
    }
    line[n - 1] = (POLE * line[n - 2] + line[n - 1]) * POLE / (POLE * POLE - 1.0);
    for i in (0..n - 1).rev() {
        line[i] = POLE * (line[i + 1] - line[i]);
    }
}

/// Applies `filter` to every line along `axis`.
fn filter_lines(array: &mut Array3<f64>, axis: usize, filter: impl Fn(&mut [f64]) + Sync) {
    // Planes that hold whole lines, and the lines' axis within such a plane.
    let (across, along) = [(1, 0), (0, 0), (0, 1)][axis];
    slabs(array, across).into_par_iter().for_each(|mut slab| {
        let mut lines: Array2<f64> = match along {
            0 => slab.t().as_standard_layout().into_owned(),
            _ => slab.to_owned(),
        };
        for mut line in lines.rows_mut() {
            // Rows of an array in standard layout are contiguous.
            if let Some(line) = line.as_slice_mut() {
                filter(line);
            }
        }
        match along {
            0 => slab.assign(&lines.t()),
            _ => slab.assign(&lines),
        }
    });
}
