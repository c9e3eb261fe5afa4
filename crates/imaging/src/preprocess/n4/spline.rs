//! Smooth fields: uniform B-splines over a box, read at and fitted to a regular grid of samples
//! (Lee, Wolberg and Shin 1997, "Scattered Data Interpolation with Multilevel B-Splines"; with a
//! weight per sample: Tustison and Gee 2005, "N-D C^k B-Spline Scattered Data Approximation").
//!
//! On a regular grid the weight of a control point at a sample is a product of one weight per
//! axis, so both directions go axis by axis instead of over 64 control points per voxel.
//!
//! `REACH` is the number of control points that reach a sample along one axis: the spline's order
//! plus 1.

use std::ops::Range;

use multiversion::multiversion;
use rayon::prelude::*;

/// The weights of the control points `first..first + REACH` at one sample of one axis.
struct Taps<const REACH: usize> {
    first: usize,
    weights: [f64; REACH],
}

impl<const REACH: usize> Taps<REACH> {
    /// At position `u` (0 to 1) of the span to which `first` belongs, by the recursion of Cox and
    /// de Boor for knots at whole numbers.
    fn new(first: usize, u: f64) -> Self {
        let mut weights = [0.0; REACH];
        weights[0] = 1.0;
        for order in 1..REACH {
            // From the last down: each takes from the one before it, which is still of the order
            // below.
            for i in (0..=order).rev() {
                let before = if i > 0 { weights[i - 1] } else { 0.0 };
                let (rising, falling) = (u + (order - i) as f64, 1.0 - u + i as f64);
                weights[i] = (rising * before + falling * weights[i]) / order as f64;
            }
        }
        Self { first, weights }
    }

    /// Adds to `out` the weighted sum of the blocks of `out.len()` values in `blocks`.
    fn gather(&self, blocks: &[f64], out: &mut [f64]) {
        let blocks = blocks.chunks_exact(out.len()).skip(self.first);
        for (weight, block) in self.weights.iter().zip(blocks) {
            for (out, value) in out.iter_mut().zip(block) {
                *out += weight * value;
            }
        }
    }

    /// Adds `block`, weighted, to the blocks of `block.len()` values in `blocks`: the transpose of
    /// [`Taps::gather`].
    fn scatter(&self, block: &[f64], blocks: &mut [f64]) {
        let blocks = blocks.chunks_exact_mut(block.len()).skip(self.first);
        for (weight, out) in self.weights.iter().zip(blocks) {
            for (out, value) in out.iter_mut().zip(block) {
                *out += weight * value;
            }
        }
    }
}

/// The taps of the last axis, ordered for work on whole rows.
struct Along<const REACH: usize> {
    spans: Vec<Span>,
    /// The weight of each tap at every sample.
    weights: [Vec<f64>; REACH],
}

/// Samples that the same control points reach.
struct Span {
    /// The first of these control points.
    first: usize,
    samples: Range<usize>,
}

impl<const REACH: usize> Along<REACH> {
    fn new(taps: &[Taps<REACH>]) -> Self {
        let mut spans: Vec<Span> = Vec::new();
        for (sample, taps) in taps.iter().enumerate() {
            match spans.last_mut() {
                Some(span) if span.first == taps.first => span.samples.end = sample + 1,
                _ => spans.push(Span {
                    first: taps.first,
                    samples: sample..sample + 1,
                }),
            }
        }
        let weights =
            std::array::from_fn(|tap| taps.iter().map(|taps| taps.weights[tap]).collect());
        Self { spans, weights }
    }
}

/// The field at the samples of a row, of its control points.
#[multiversion(targets = "simd")]
fn gather_row<const REACH: usize>(along: &Along<REACH>, points: &[f64], out: &mut [f64]) {
    for Span { first, samples } in &along.spans {
        let out = &mut out[samples.clone()];
        out.fill(0.0);
        for (tap, weights) in along.weights.iter().enumerate() {
            let (point, weights) = (points[first + tap], &weights[samples.clone()]);
            for (out, weight) in out.iter_mut().zip(weights) {
                *out += point * weight;
            }
        }
    }
}

/// Adds the samples of a row, weighted, to its control points: the transpose of [`gather_row`].
#[multiversion(targets = "simd")]
fn scatter_row<const REACH: usize>(along: &Along<REACH>, values: &[f64], points: &mut [f64]) {
    for Span { first, samples } in &along.spans {
        let mut sums = [0.0; REACH];
        sums.copy_from_slice(&points[*first..first + REACH]);
        for at in samples.clone() {
            let value = values[at];
            for (sum, weights) in sums.iter_mut().zip(&along.weights) {
                *sum += weights[at] * value;
            }
        }
        points[*first..first + REACH].copy_from_slice(&sums);
    }
}

/// The weights at all samples of a grid that spans the box from its first to its last sample.
pub(super) struct Basis<const REACH: usize> {
    control_points: usize,
    axes: [Vec<Taps<REACH>>; 3],
    along: Along<REACH>,
}

impl<const REACH: usize> Basis<REACH> {
    /// For a grid of `shape` samples, at least 2 along each axis, and `control_points` (at least
    /// `REACH`) along each axis.
    pub(super) fn new(shape: [usize; 3], control_points: usize) -> Self {
        let spans = control_points + 1 - REACH;
        let taps = |sample: usize, last: usize| {
            let position = (sample * spans) as f64 / last as f64;
            // The last sample is the end of the last span, not the start of the one beyond.
            let first = (position as usize).min(spans - 1);
            Taps::new(first, position - first as f64)
        };
        let axes = shape.map(|n| (0..n).map(|sample| taps(sample, n - 1)).collect());
        Self::of(control_points, axes)
    }

    fn of(control_points: usize, axes: [Vec<Taps<REACH>>; 3]) -> Self {
        Self {
            control_points,
            along: Along::new(&axes[2]),
            axes,
        }
    }

    /// The same reach with other weights: `f` maps those of a sample.
    fn map(&self, f: impl Fn(&[f64; REACH]) -> [f64; REACH]) -> Self {
        let map = |taps: &Taps<REACH>| Taps {
            first: taps.first,
            weights: f(&taps.weights),
        };
        let axes = self.axes.each_ref();
        Self::of(
            self.control_points,
            axes.map(|axis| axis.iter().map(map).collect()),
        )
    }

    /// Sums over all samples, for each control point, its weight times the sample's value.
    /// `fill` is given the index of a row's first sample in C order, and the row to be filled with its values: 0 for a
    /// sample that does not count.
    ///
    /// Each plane is summed by itself and the planes in their order, so the result does not
    /// depend on the number of threads.
    fn sum(&self, fill: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f64> {
        let n = self.control_points;
        let [xs, ys, zs] = &self.axes;
        let sum_plane = |x: usize| {
            let mut plane = vec![0.0; n * n];
            let mut row = vec![0.0; n];
            let mut values = vec![0.0; zs.len()];
            for (y, y_taps) in ys.iter().enumerate() {
                fill((x * ys.len() + y) * zs.len(), &mut values);
                row.fill(0.0);
                scatter_row(&self.along, &values, &mut row);
                y_taps.scatter(&row, &mut plane);
            }
            plane
        };
        let planes: Vec<_> = (0..xs.len()).into_par_iter().map(sum_plane).collect();
        let mut lattice = vec![0.0; n * n * n];
        for (plane, x_taps) in planes.iter().zip(xs) {
            x_taps.scatter(plane, &mut lattice);
        }
        lattice
    }
}

/// A smooth field: `size` control points along each axis, in C order.
pub(super) struct Lattice<const REACH: usize> {
    size: usize,
    points: Vec<f64>,
}

impl<const REACH: usize> Lattice<REACH> {
    /// The field that is 0 everywhere.
    pub(super) fn zero(size: usize) -> Self {
        Self {
            size,
            points: vec![0.0; size.pow(3)],
        }
    }

    /// Weights for the samples of a grid of `shape`, stretched over this field's box.
    pub(super) fn basis(&self, shape: [usize; 3]) -> Basis<REACH> {
        Basis::new(shape, self.size)
    }

    /// The same field with twice as many spans along each axis.
    pub(super) fn refined(&self) -> Self {
        let size = 2 * self.size + 1 - REACH;
        // Splits the rows of an array, then makes the last axis the first: three times over,
        // every axis has been split and all are back in place.
        let mut points = self.points.clone();
        for _ in 0..3 {
            let rows: Vec<_> = points
                .chunks_exact(self.size)
                .map(|row| split::<REACH>(row, size))
                .collect();
            points = (0..size)
                .flat_map(|i| rows.iter().map(move |row| row[i]))
                .collect();
        }
        Self { size, points }
    }

    /// Hands `visit` the field along each row of plane `x` of the basis' grid, with the index of the row's first sample in
    /// the plane.
    pub(super) fn visit_plane(
        &self,
        basis: &Basis<REACH>,
        x: usize,
        mut visit: impl FnMut(usize, &[f64]),
    ) {
        let [xs, ys, zs] = &basis.axes;
        let mut plane = vec![0.0; self.size.pow(2)];
        let mut row = vec![0.0; self.size];
        let mut field = vec![0.0; zs.len()];
        xs[x].gather(&self.points, &mut plane);
        for (y, y_taps) in ys.iter().enumerate() {
            row.fill(0.0);
            y_taps.gather(&plane, &mut row);
            gather_row(&basis.along, &row, &mut field);
            visit(y * zs.len(), &field);
        }
    }
}

/// A row of control points split at the middle of every span, into `size`: each new one is the mean
/// of the old around it, with the binomial weights of the spline's order (1 4 6 4 1 for a cubic).
fn split<const REACH: usize>(row: &[f64], size: usize) -> Vec<f64> {
    let mut binomials = vec![1.0];
    for _ in 0..REACH {
        let shifted = std::iter::once(0.0).chain(binomials.iter().copied());
        let padded = binomials.iter().copied().chain(std::iter::once(0.0));
        binomials = shifted.zip(padded).map(|(a, b)| a + b).collect();
    }
    let order = REACH - 1;
    let scale = 1.0 / (1 << order) as f64;
    let weight = |i: usize, j: usize| {
        let at = (i + order).checked_sub(2 * j);
        at.and_then(|at| binomials.get(at))
            .map_or(0.0, |b| b * scale)
    };
    (0..size)
        .map(|i| row.iter().enumerate().map(|(j, v)| weight(i, j) * v).sum())
        .collect()
}

/// Fits fields to values at the same samples again and again.
pub(super) struct Approximation<const REACH: usize> {
    pub(super) basis: Basis<REACH>,
    numerator: Basis<REACH>,
    denominator: Vec<f64>,
}

impl<const REACH: usize> Approximation<REACH> {
    /// Over the grid of `basis`, at samples of these `weights` (in C order); those of weight 0 do
    /// not count.
    pub(super) fn new(basis: Basis<REACH>, weights: &[f32]) -> Self {
        let squares = basis.map(|w| w.map(|w| w * w));
        let numerator = basis.map(|w| {
            let norm: f64 = w.iter().map(|w| w * w).sum();
            w.map(|w| w.powi(3) / norm)
        });
        Self {
            basis,
            numerator,
            denominator: squares.sum(|start, row| {
                for (value, weight) in row.iter_mut().zip(&weights[start..]) {
                    *value = f64::from(*weight);
                }
            }),
        }
    }

    /// Adds to `lattice` the field fitted to the values with which `fill` fills a row, each times its weight: see
    /// [`Basis::sum`]. Control points that no sample reaches stay as they are.
    pub(super) fn add_fit(
        &self,
        lattice: &mut Lattice<REACH>,
        fill: impl Fn(usize, &mut [f64]) + Sync,
    ) {
        let numerator = self.numerator.sum(fill);
        let fit = numerator.iter().zip(&self.denominator);
        for (point, (numerator, denominator)) in lattice.points.iter_mut().zip(fit) {
            if *denominator > 0.0 {
                *point += numerator / denominator;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<const REACH: usize>(lattice: &Lattice<REACH>, shape: [usize; 3]) -> Vec<f64> {
        let basis = lattice.basis(shape);
        let mut field = Vec::new();
        for x in 0..shape[0] {
            lattice.visit_plane(&basis, x, |_, row| field.extend(row));
        }
        field
    }

    /// Control points without any symmetry that could hide a swapped axis.
    fn rough<const REACH: usize>(size: usize) -> Lattice<REACH> {
        Lattice {
            size,
            points: (0..size.pow(3)).map(|i| (i as f64 * 0.7).sin()).collect(),
        }
    }

    fn check_refinement<const REACH: usize>() {
        let coarse = rough::<REACH>(6);
        let fine = coarse.refined();
        assert_eq!(fine.size, 13 - REACH);
        let pairs = field(&coarse, [9, 6, 11])
            .into_iter()
            .zip(field(&fine, [9, 6, 11]));
        for (a, b) in pairs {
            assert!((a - b).abs() < 1e-13);
        }
    }

    #[test]
    fn refining_does_not_change_the_field() {
        check_refinement::<3>();
        check_refinement::<4>();
        check_refinement::<5>();
    }

    #[test]
    fn weights_are_those_of_the_b_spline() {
        let u: f64 = 0.3;
        let cubic = [
            (1.0 - u).powi(3) / 6.0,
            ((3.0 * u - 6.0) * u * u + 4.0) / 6.0,
            (((3.0 - 3.0 * u) * u + 3.0) * u + 1.0) / 6.0,
            u.powi(3) / 6.0,
        ];
        for (ours, expected) in Taps::<4>::new(0, u).weights.iter().zip(cubic) {
            assert!((ours - expected).abs() < 1e-15);
        }
        assert_eq!(Taps::<2>::new(0, u).weights, [1.0 - u, u]);
    }

    #[test]
    fn control_points_on_a_plane_give_that_plane() {
        // Uniform B-splines reproduce linear functions: control point i lies at i - 1.
        let points = (0..216).map(|i| {
            let (x, y, z) = (i / 36, i / 6 % 6, i % 6);
            2.0 * x as f64 - 3.0 * y as f64 + 0.5 * z as f64 - 4.0
        });
        let lattice = Lattice::<4> {
            size: 6,
            points: points.collect(),
        };
        let values = field(&lattice, [4, 7, 2]);
        for (i, value) in values.iter().enumerate() {
            let (x, y, z) = (i / 14, i / 2 % 7, i % 2);
            let at = |n: usize, last: usize| 1.0 + 3.0 * n as f64 / last as f64;
            let expected = 2.0 * at(x, 3) - 3.0 * at(y, 6) + 0.5 * at(z, 1) - 4.0;
            assert!((value - expected).abs() < 1e-12, "{value} {expected}");
        }
    }

    #[test]
    fn a_fit_is_the_weighted_mean_of_the_paper() {
        // Lee et al., equations 3 to 5, over all samples and control points as they stand there.
        let shape = [6, 5, 7];
        let outside = |i: usize| i % 7 == 3 || i <= 60;
        let weights: Vec<f32> = (0..210)
            .map(|i| {
                if outside(i) {
                    0.0
                } else {
                    0.25 + (i % 4) as f32
                }
            })
            .collect();
        let value = |i: usize| (!outside(i)).then(|| (i as f64 * 1.3).sin());
        let unit = |axis: usize, sample: usize, point: usize| {
            let taps = &Basis::<4>::new(shape, 5).axes[axis][sample];
            let reached = point.checked_sub(taps.first);
            reached
                .and_then(|k| taps.weights.get(k))
                .copied()
                .unwrap_or(0.0)
        };
        let samples = || (0..210).map(|i| (i, [i / 35, i / 7 % 5, i % 7]));
        let points = || (0..125).map(|i| [i / 25, i / 5 % 5, i % 5]);
        let weight = |sample: [usize; 3], point: [usize; 3]| -> f64 {
            (0..3)
                .map(|axis| unit(axis, sample[axis], point[axis]))
                .product()
        };
        let mut sums = [(0.0, 0.0); 125];
        for (i, sample) in samples() {
            let Some(value) = value(i) else { continue };
            let norm: f64 = points().map(|point| weight(sample, point).powi(2)).sum();
            for (sum, point) in sums.iter_mut().zip(points()) {
                let w = weight(sample, point);
                sum.0 += f64::from(weights[i]) * w * w * (w * value / norm);
                sum.1 += f64::from(weights[i]) * w * w;
            }
        }
        let mut lattice = Lattice::<4>::zero(5);
        Approximation::new(lattice.basis(shape), &weights).add_fit(&mut lattice, |start, row| {
            for (out, i) in row.iter_mut().zip(start..) {
                *out = value(i).map_or(0.0, |value| value * f64::from(weights[i]));
            }
        });
        for (point, (numerator, denominator)) in lattice.points.iter().zip(sums) {
            let expected = if denominator > 0.0 {
                numerator / denominator
            } else {
                0.0
            };
            assert!((point - expected).abs() < 1e-12, "{point} {expected}");
        }
    }
}
