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

/// For each `true` voxel of `at`, in the order of their indices, the squared distance of [`squared_distance`].
///
/// Where they are near to `foreground` each is looked for by itself, which takes a small part of the time.
///
/// # Panics
///
/// When the shapes differ.
pub fn squared_distances_at(
    at: ArrayView3<'_, bool>,
    foreground: ArrayView3<'_, bool>,
    spacing: [f64; 3],
) -> Vec<f64> {
    assert_eq!(at.dim(), foreground.dim(), "one shape");
    let voxels = at.iter().enumerate().filter(|(_, is)| **is);
    let voxels: Vec<usize> = voxels.map(|(index, _)| index).collect();
    let nearby = Nearby::new(foreground, spacing);
    if let Some(nearby) = nearby.filter(|nearby| nearby.is_quick(&voxels)) {
        let distances = voxels.par_iter().map(|voxel| nearby.look(*voxel).0);
        return distances.collect();
    }
    let squared = squared_distance(foreground, spacing);
    let on = at.iter().zip(&squared).filter(|(is, _)| **is);
    on.map(|(_, squared)| *squared).collect()
}

/// Foreground that is looked for around voxels.
struct Nearby {
    /// Steps along the last axis to the nearest foreground, [`Self::NONE`] where there is none.
    steps: Vec<u16>,
    shape: [usize; 3],
    /// The squared distance of neighbours along each axis.
    squares: [f64; 3],
}

impl Nearby {
    const NONE: u16 = u16::MAX;

    /// Voxels that can be looked at in the time in which the distance transform deals with one.
    const WORTH: usize = 6;

    /// Voxels that are tried to tell how long all take.
    const SAMPLE: usize = 256;

    /// None where a line is too long, or nothing is foreground.
    fn new(foreground: ArrayView3<'_, bool>, spacing: [f64; 3]) -> Option<Self> {
        let (nx, ny, nz) = foreground.dim();
        if nz >= usize::from(Self::NONE) || !foreground.iter().any(|is| *is) {
            return None;
        }
        let foreground = foreground.as_standard_layout();
        let foreground = foreground.as_slice()?;
        let mut steps = vec![0; foreground.len()];
        let lines = steps.par_chunks_mut(nz).zip(foreground.par_chunks(nz));
        lines.for_each(|(line, foreground)| {
            let mut since = Self::NONE;
            for (steps, is) in line.iter_mut().zip(foreground) {
                since = if *is { 0 } else { since.saturating_add(1) };
                *steps = since;
            }
            for steps in line.iter_mut().rev() {
                since = since.saturating_add(1).min(*steps);
                *steps = since;
            }
        });
        Some(Self {
            steps,
            shape: [nx, ny, nz],
            squares: spacing.map(|of| of.powi(2)),
        })
    }

    /// Whether it takes less time to look around each of these voxels than to transform all: by a sample of them.
    fn is_quick(&self, voxels: &[usize]) -> bool {
        let step = (voxels.len() / Self::SAMPLE).max(1);
        let sample = voxels.iter().step_by(step);
        let mut left = Self::WORTH * self.steps.len() * sample.len() / voxels.len().max(1);
        sample.into_iter().all(|voxel| {
            let (_, looked) = self.look(*voxel);
            let is_enough = looked <= left;
            left = left.saturating_sub(looked);
            is_enough
        })
    }

    /// The squared distance of a voxel to the nearest foreground, and how many voxels were looked at.
    ///
    /// Terms are summed in the order of [`squared_distance`], so that rounding is the same.
    fn look(&self, voxel: usize) -> (f64, usize) {
        let [nx, ny, nz] = self.shape;
        let (x, y, z) = (voxel / nz / ny, voxel / nz % ny, voxel % nz);
        let (mut nearest, mut looked) = (f64::INFINITY, 0);
        for dx in 0..nx {
            let along_x = self.squares[0] * (dx as f64).powi(2);
            if along_x >= nearest {
                break;
            }
            for x in both_sides(x, dx, nx) {
                for dy in 0..ny {
                    let along_y = self.squares[1] * (dy as f64).powi(2);
                    if along_x + along_y >= nearest {
                        break;
                    }
                    for y in both_sides(y, dy, ny) {
                        looked += 1;
                        let steps = self.steps[(x * ny + y) * nz + z];
                        if steps != Self::NONE {
                            let along_z = self.squares[2] * f64::from(steps).powi(2);
                            nearest = nearest.min(along_x + (along_y + along_z));
                        }
                    }
                }
            }
        }
        (nearest, looked)
    }
}

/// The places `apart` from `at` on an axis of `length`: two, or one where that is the same or an end is near.
fn both_sides(at: usize, apart: usize, length: usize) -> impl Iterator<Item = usize> {
    let before = at.checked_sub(apart);
    let after = (apart > 0 && at + apart < length).then_some(at + apart);
    before.into_iter().chain(after)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_of_some_voxels_are_those_of_the_transform(
            at in prop::collection::vec(any::<bool>(), 7 * 5 * 9),
            is_rare in any::<bool>(),
            foreground in prop::collection::vec(0_u8..100, 7 * 5 * 9),
            spacing in prop::array::uniform3(0.3..4.0),
        ) {
            let shape = (7, 5, 9);
            let at = Array3::from_shape_vec(shape, at).unwrap();
            let most = if is_rare { 1 } else { 30 };
            let foreground = Array3::from_shape_vec(shape, foreground).unwrap().mapv(|of| of < most);
            let all = squared_distance(foreground.view(), spacing);
            let expected: Vec<f64> = at.iter().zip(&all).filter(|(is, _)| **is).map(|(_, of)| *of).collect();
            let found = squared_distances_at(at.view(), foreground.view(), spacing);
            let alike = |a: f64, b: f64| a == b || (a - b).abs() <= 1e-12 * a;
            prop_assert_eq!(found.len(), expected.len());
            prop_assert!(found.iter().zip(&expected).all(|(a, b)| alike(*a, *b)));
            // Looked for one by one, however long it takes.
            if let Some(nearby) = Nearby::new(foreground.view(), spacing) {
                for (voxel, expected) in all.iter().enumerate() {
                    let (found, _) = nearby.look(voxel);
                    prop_assert!(alike(found, *expected), "{found} {expected}");
                }
            } else {
                prop_assert!(all.iter().all(|of| of.is_infinite()));
            }
        }
    }

    #[test]
    fn what_is_far_is_not_looked_for_voxel_by_voxel() {
        let mut foreground = Array3::from_elem((40, 40, 40), false);
        foreground[[0, 0, 0]] = true;
        let nearby = Nearby::new(foreground.view(), [1.0; 3]).unwrap();
        let all: Vec<usize> = (0..foreground.len()).collect();
        assert!(!nearby.is_quick(&all));
        assert!(nearby.is_quick(&[1, 2, 3]));
    }
}
