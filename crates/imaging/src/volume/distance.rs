//! The Euclidean distance transform.

use std::cmp::Reverse;

use ndarray::{Array3, ArrayView1, ArrayView3, ArrayViewMut1, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Lines that are worked on together: as many `f64` as two cache lines hold, so that lines across
/// memory are read in whole cache lines.
const TOGETHER: usize = 16;

/// For each voxel the squared Euclidean distance in mm² to the nearest `true` voxel: 0 on it, and
/// infinite everywhere where there is none. `spacing` is the distance between neighbouring voxels
/// along each axis in mm, above 0. Centre to centre, exact, in linear time.
///
/// Reference: Felzenszwalb and Huttenlocher, Distance transforms of sampled functions, Theory of
/// Computing, 2012.
pub fn squared_distance(foreground: ArrayView3<'_, bool>, spacing: [f64; 3]) -> Array3<f64> {
    // The axes as they lie in memory, neighbours last.
    let mut axes = [0, 1, 2];
    axes.sort_by_key(|&axis| Reverse(foreground.stride_of(Axis(axis)).unsigned_abs()));
    let foreground = foreground.permuted_axes(axes);
    let [slow, middle, fast] = axes.map(|axis| spacing[axis].powi(2));
    let mut squared = Array3::zeros(foreground.dim());
    // The squared distance is a sum over the axes, so its minimum is taken one axis at a time.
    let planes = squared.axis_iter_mut(Axis(0)).zip(foreground.outer_iter());
    let planes: Vec<_> = planes.collect();
    planes.into_par_iter().for_each(|(mut plane, foreground)| {
        for (line, foreground) in plane.rows_mut().into_iter().zip(foreground.rows()) {
            measure_line(line, foreground, fast);
        }
        transform_lines(plane, middle);
    });
    let planes: Vec<_> = squared.axis_iter_mut(Axis(1)).collect();
    planes
        .into_par_iter()
        .for_each(|plane| transform_lines(plane, slow));
    let mut back = [0; 3];
    for (place, axis) in axes.into_iter().enumerate() {
        back[axis] = place;
    }
    squared.permuted_axes(back)
}

/// The squared distance to the nearest foreground on a line; `step` is that between neighbours.
fn measure_line(mut line: ArrayViewMut1<'_, f64>, foreground: ArrayView1<'_, bool>, step: f64) {
    let mut since = f64::INFINITY;
    for (value, &is) in line.iter_mut().zip(foreground) {
        since = if is { 0.0 } else { since + 1.0 };
        *value = since;
    }
    for value in line.iter_mut().rev() {
        since = (since + 1.0).min(*value);
        *value = step * since.powi(2);
    }
}

/// Takes the minimum along the first axis of `plane`, line by line; `step` is the squared distance
/// between neighbours.
fn transform_lines(mut plane: ArrayViewMut2<'_, f64>, step: f64) {
    let length = plane.nrows();
    let mut lines = vec![0.0; length * TOGETHER];
    // Products are faster than quotients.
    let slopes: Vec<f64> = (0..length)
        .map(|apart| 0.5 / (step * apart as f64))
        .collect();
    let mut envelope = Vec::with_capacity(length);
    for mut columns in plane.axis_chunks_iter_mut(Axis(1), TOGETHER) {
        for (i, row) in columns.rows().into_iter().enumerate() {
            for (k, &value) in row.iter().enumerate() {
                lines[k * length + i] = value;
            }
        }
        for line in lines.chunks_mut(length.max(1)).take(columns.ncols()) {
            transform_line(line, step, &slopes, &mut envelope);
        }
        for (i, mut row) in columns.rows_mut().into_iter().enumerate() {
            for (k, value) in row.iter_mut().enumerate() {
                *value = lines[k * length + i];
            }
        }
    }
}

/// A parabola of the lower envelope.
struct Parabola {
    /// Where it is lowest.
    vertex: f64,
    /// How low that is.
    height: f64,
    /// From where on it is the lowest of all.
    from: f64,
}

/// Replaces each value by the minimum over all parabolas `step * (position - vertex)² + height`, one
/// with its vertex at each finite value. `slopes[n]` is `1 / (2 * step * n)`.
fn transform_line(line: &mut [f64], step: f64, slopes: &[f64], envelope: &mut Vec<Parabola>) {
    envelope.clear();
    for (i, &height) in line.iter().enumerate() {
        if height.is_infinite() {
            continue;
        }
        let vertex = i as f64;
        let mut from = f64::NEG_INFINITY;
        while let Some(last) = envelope.last() {
            // Where both are equal.
            let apart = (vertex - last.vertex) as usize;
            from = (height - last.height) * slopes[apart] + (vertex + last.vertex) / 2.0;
            if from > last.from {
                break;
            }
            envelope.pop();
            from = f64::NEG_INFINITY;
        }
        envelope.push(Parabola {
            vertex,
            height,
            from,
        });
    }
    let mut parabolas = envelope.iter().peekable();
    let Some(mut lowest) = parabolas.next() else {
        return;
    };
    for (i, value) in line.iter_mut().enumerate() {
        let position = i as f64;
        while let Some(next) = parabolas.next_if(|next| next.from <= position) {
            lowest = next;
        }
        *value = step * (position - lowest.vertex).powi(2) + lowest.height;
    }
}
