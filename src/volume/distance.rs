//! The Euclidean distance transform.

use ndarray::{Array3, ArrayView3, ArrayViewMut2, Axis};
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
    let mut squared = foreground.mapv(|is| if is { 0.0 } else { f64::INFINITY });
    if squared.is_empty() {
        return squared;
    }
    let mut axes = [0, 1, 2];
    axes.sort_by_key(|&axis| std::cmp::Reverse(squared.strides()[axis].unsigned_abs()));
    let [slow, middle, fast] = axes;
    // The squared distance is a sum over the axes, so its minimum is taken one axis at a time.
    for (axis, apart) in [(fast, slow), (middle, slow), (slow, middle)] {
        let step = spacing[axis].powi(2);
        let planes: Vec<_> = squared.axis_iter_mut(Axis(apart)).collect();
        planes.into_par_iter().for_each(|mut plane| {
            // The two axes that are left keep their order.
            let across = 3 - axis - apart;
            if across < axis {
                plane.swap_axes(0, 1);
            }
            transform_lines(plane, step);
        });
    }
    squared
}

/// Takes the minimum along the first axis of `plane`, line by line; `step` is the squared distance
/// between neighbours.
fn transform_lines(mut plane: ArrayViewMut2<'_, f64>, step: f64) {
    let length = plane.nrows();
    let mut lines = vec![0.0; length * TOGETHER];
    let mut envelope = Vec::with_capacity(length);
    for mut columns in plane.axis_chunks_iter_mut(Axis(1), TOGETHER) {
        for (i, row) in columns.rows().into_iter().enumerate() {
            for (k, &value) in row.iter().enumerate() {
                lines[k * length + i] = value;
            }
        }
        for line in lines.chunks_exact_mut(length).take(columns.ncols()) {
            transform_line(line, step, &mut envelope);
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
/// with its vertex at each finite value.
fn transform_line(line: &mut [f64], step: f64, envelope: &mut Vec<Parabola>) {
    envelope.clear();
    for (i, &height) in line.iter().enumerate() {
        if height.is_infinite() {
            continue;
        }
        let vertex = i as f64;
        let mut from = f64::NEG_INFINITY;
        while let Some(last) = envelope.last() {
            // Where both are equal.
            let apart = vertex - last.vertex;
            from = ((height - last.height) / (step * apart) + vertex + last.vertex) / 2.0;
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
