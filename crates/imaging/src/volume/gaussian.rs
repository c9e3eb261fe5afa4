//! A Gaussian filter, one axis after the other. As scipy's `gaussian_filter` with its defaults: cut off
//! beyond 4 standard deviations, and mirrored at the edges (`d c b a | a b c d | d c b a`), so that the
//! image's mean stays.

use multiversion::multiversion;
use ndarray::{Array3, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::Volume;

/// Columns that one task filters along the first axis.
const COLUMNS: usize = 512;

impl Volume<f32> {
    /// Smooths with a Gaussian of the standard deviation `std` in mm, the same along every axis: as scipy's
    /// `gaussian_filter` with `std / spacing`. Axes on which it is below 1/8 voxel are left as they are.
    pub fn smooth(&mut self, std: f64) {
        let spacing = self.spacing();
        blur(&mut self.voxels, spacing.map(|spacing| std / spacing));
    }
}

/// The values, z fastest and x slowest, whatever the layout in memory was.
pub(crate) fn in_order(image: &mut Array3<f32>) -> &mut [f32] {
    if !image.is_standard_layout() {
        *image = image.as_standard_layout().into_owned();
    }
    image
        .as_slice_mut()
        .expect("an array in standard layout is one slice")
}

/// Blurs with the standard deviations `std`, in voxels along each axis. Below 1/8 voxel an axis is
/// left as it is: the next voxel is then already beyond the cut.
pub(crate) fn blur(image: &mut Array3<f32>, std: [f64; 3]) {
    let (x, y, z) = image.dim();
    if image.is_empty() {
        return;
    }
    let [along_x, along_y, along_z] = std.map(weights);
    in_order(image).par_chunks_mut(y * z).for_each(|plane| {
        let mut scratch = Vec::new();
        for row in plane.chunks_exact_mut(z).filter(|_| along_z.len() > 1) {
            blur_row(row, &along_z, &mut scratch);
        }
        if let Ok(plane) = ArrayViewMut2::from_shape((y, z), plane) {
            blur_columns(plane, &along_y, &mut scratch);
        }
    });
    if let Ok(mut planes) = ArrayViewMut2::from_shape((x, y * z), in_order(image)) {
        let blocks: Vec<_> = planes.axis_chunks_iter_mut(Axis(1), COLUMNS).collect();
        blocks
            .into_par_iter()
            .for_each(|block| blur_columns(block, &along_x, &mut Vec::new()));
    }
}

/// The weights of a voxel and of those 1, 2, … away.
fn weights(std: f64) -> Vec<f32> {
    let radius = (4.0 * std + 0.5) as usize;
    let weights = (0..=radius).map(|i| match i {
        0 => 1.0,
        _ => (-0.5 * (i as f64 / std).powi(2)).exp(),
    });
    let weights: Vec<f64> = weights.collect();
    let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
    weights.iter().map(|weight| (weight / sum) as f32).collect()
}

/// Blurs a row along itself.
fn blur_row(row: &mut [f32], weights: &[f32], padded: &mut Vec<f32>) {
    let (n, radius) = (row.len(), weights.len() - 1);
    padded.clear();
    padded.extend((0..radius).map(|i| row[mirrored(i as isize - radius as isize, n)]));
    padded.extend_from_slice(row);
    padded.extend((0..radius).map(|i| row[mirrored((n + i) as isize, n)]));
    let shifted: Vec<&[f32]> = (0..=2 * radius).map(|by| &padded[by..by + n]).collect();
    weigh(row, &shifted, weights);
}

/// Blurs each column.
fn blur_columns(mut columns: ArrayViewMut2<f32>, weights: &[f32], scratch: &mut Vec<f32>) {
    let (n, width) = columns.dim();
    let radius = weights.len() as isize - 1;
    if radius == 0 {
        return;
    }
    scratch.clear();
    for row in columns.rows() {
        match row.to_slice() {
            Some(row) => scratch.extend_from_slice(row),
            None => scratch.extend(row),
        }
    }
    let row = |index: isize| &scratch[mirrored(index, n) * width..][..width];
    for (i, mut out) in (0..).zip(columns.rows_mut()) {
        let rows: Vec<&[f32]> = (i - radius..=i + radius).map(row).collect();
        // Rows of a volume in order are slices.
        if let Some(out) = out.as_slice_mut() {
            weigh(out, &rows, weights);
        }
    }
}

/// The index on an axis of `n` voxels that `index` has after reflection at the edges.
fn mirrored(index: isize, n: usize) -> usize {
    let wrapped = index.rem_euclid(2 * n as isize) as usize;
    wrapped.min(2 * n - 1 - wrapped)
}

/// The weighted sum of `rows`: the middle row has the first weight, the rows on both sides have the next ones.
#[multiversion(targets = "simd")]
fn weigh(out: &mut [f32], rows: &[&[f32]], weights: &[f32]) {
    const LANES: usize = 32;
    let middle = weights.len() - 1;
    let n = out.len();
    let mut at = 0;
    while at + LANES <= n {
        let lanes = |row: usize| &rows[row][at..at + LANES];
        let mut sums = [0.0; LANES];
        for (sum, value) in sums.iter_mut().zip(lanes(middle)) {
            *sum = weights[0] * value;
        }
        for (distance, weight) in weights.iter().enumerate().skip(1) {
            let pairs = lanes(middle - distance)
                .iter()
                .zip(lanes(middle + distance));
            for (sum, (a, b)) in sums.iter_mut().zip(pairs) {
                *sum += weight * (a + b);
            }
        }
        out[at..at + LANES].copy_from_slice(&sums);
        at += LANES;
    }
    for i in at..n {
        let pair = |distance: usize| rows[middle - distance][i] + rows[middle + distance][i];
        let sides = (1..weights.len()).map(|distance| weights[distance] * pair(distance));
        out[i] = sides.fold(weights[0] * rows[middle][i], |sum, side| sum + side);
    }
}
