//! Displacements by cubic B-splines over a coarse lattice of control points.

use std::ops::Range;

use multiversion::multiversion;

use super::lanes::{LANES, split};
use crate::volume::Affine;

/// A displacement in voxels, smooth and everywhere defined. Along an axis of n voxels, c control points
/// stand n / (c - 3) voxels apart, the second one where the first voxel's box begins: c - 3 spacings span
/// the grid. There are none further out: there the displacement fades to 0.
pub(in crate::augment) struct Lattice {
    /// Displacement along x, y and z, and a 0 that fills the vector up, of each control point and of
    /// `MARGIN` more at either end that stay.
    points: Vec<[f32; 4]>,
    /// Points along each axis, margins included.
    side: usize,
    /// Spacings of control points per voxel.
    scale: [f32; 3],
}

/// A position is reached by four control points: beyond this many more, by none that moves.
const MARGIN: usize = 4;

impl Lattice {
    /// Over a grid of `shape` voxels, with `control_points` (at least 4) along each axis; `displacement`
    /// is asked for each in voxels, the last axis' neighbours after one another.
    pub(in crate::augment) fn new(
        shape: [usize; 3],
        control_points: usize,
        displacement: impl Fn(usize) -> [f64; 3],
    ) -> Self {
        let side = control_points + 2 * MARGIN;
        let mut points = vec![[0.0; 4]; side * side * side];
        for index in 0..control_points.pow(3) {
            let n = control_points;
            let [x, y, z] = [index / (n * n), index / n % n, index % n].map(|i| i + MARGIN);
            let [dx, dy, dz] = displacement(index).map(|voxels| voxels as f32);
            points[(x * side + y) * side + z] = [dx, dy, dz, 0.0];
        }
        Self {
            points,
            side,
            scale: shape.map(|n| ((control_points as f64 - 3.0) / n.max(1) as f64) as f32),
        }
    }

    /// The first of the four control points along `axis` that reach the position, and how far it lies
    /// between the second and the third.
    #[inline(always)]
    fn place(&self, axis: usize, voxel: f32) -> (u32, f32) {
        let last = (self.side - MARGIN) as f32;
        let at = ((voxel + 0.5) * self.scale[axis] + MARGIN as f32).clamp(0.0, last);
        split(at)
    }

    /// The smallest and the largest displacement that there may be anywhere, along each axis: a displacement is a mean of
    /// control points.
    pub(super) fn range(&self) -> [[f32; 3]; 2] {
        let mut range = [[0.0f32; 3]; 2];
        for point in &self.points {
            for axis in 0..3 {
                range[0][axis] = range[0][axis].min(point[axis]);
                range[1][axis] = range[1][axis].max(point[axis]);
            }
        }
        range
    }

    /// Adds the displacement at each of the positions `at` to `offset`.
    pub(super) fn add(&self, at: &[Vec<f32>; 3], offset: &mut [Vec<f32>; 3]) {
        add(self, at, offset);
    }
}

/// What the four control points around a position weigh, `t` of the way from the second to the third.
#[inline(always)]
fn weights(t: f32) -> [f32; 4] {
    let u = 1.0 - t;
    [
        u * u * u * (1.0 / 6.0),
        2.0 / 3.0 + t * t * (0.5 * t - 1.0),
        2.0 / 3.0 + u * u * (0.5 * u - 1.0),
        t * t * t * (1.0 / 6.0),
    ]
}

#[multiversion(targets = "simd")]
fn add(lattice: &Lattice, at: &[Vec<f32>; 3], offset: &mut [Vec<f32>; 3]) {
    let points = lattice.points.as_flattened();
    for chunk in 0..at[0].len() / LANES {
        let mut first = [[0; LANES]; 3];
        let mut along = [[[0.0; 4]; LANES]; 3];
        for axis in 0..3 {
            for lane in 0..LANES {
                let (place, part) = lattice.place(axis, at[axis][chunk * LANES + lane]);
                first[axis][lane] = place;
                along[axis][lane] = weights(part);
            }
        }
        for lane in 0..LANES {
            let [i, j, k] = [first[0][lane], first[1][lane], first[2][lane]].map(|n| n as usize);
            // Four neighbours along z, of four numbers each.
            let mut line = [0.0; 16];
            for x in 0..4 {
                for y in 0..4 {
                    let start = 4 * (((i + x) * lattice.side + j + y) * lattice.side + k);
                    let weight = along[0][lane][x] * along[1][lane][y];
                    if let Some(points) = points[start..].first_chunk::<16>() {
                        for (sum, value) in line.iter_mut().zip(points) {
                            *sum += weight * value;
                        }
                    }
                }
            }
            for axis in 0..3 {
                let mut sum = 0.0;
                for z in 0..4 {
                    sum += along[2][lane][z] * line[4 * z + axis];
                }
                offset[axis][chunk * LANES + lane] += sum;
            }
        }
    }
}

/// A lattice made ready for the voxels of a grid whose axes are its own: along each axis alone.
pub(super) struct Table<'a> {
    lattice: &'a Lattice,
    /// The first control point and the weights of four, for each voxel along x and y.
    taps: [Vec<(usize, [f32; 4])>; 2],
    /// The weights along z, those of all first points before those of all second ones.
    weights: [Vec<f32>; 4],
    /// The voxels along z that share their control points, and the first of these.
    runs: Vec<(Range<usize>, usize)>,
}

impl<'a> Table<'a> {
    /// For the grid of `shape` voxels that `to_lattice` brings to the lattice's; `None` if that turns axes.
    pub(super) fn new(
        lattice: &'a Lattice,
        to_lattice: &Affine,
        shape: [usize; 3],
    ) -> Option<Self> {
        let straight = |a: usize| (0..3).all(|b| a == b || to_lattice.0[a][b] == 0.0);
        if !(0..3).all(straight) {
            return None;
        }
        let taps = |axis: usize| -> Vec<(usize, [f32; 4])> {
            let row = to_lattice.0[axis];
            let tap = |voxel: usize| {
                let (first, part) = lattice.place(axis, (row[axis] * voxel as f64 + row[3]) as f32);
                (first as usize, weights(part))
            };
            (0..shape[axis]).map(tap).collect()
        };
        let along_z = taps(2);
        let runs = along_z.chunk_by(|(a, _), (b, _)| a == b);
        let mut start = 0;
        let runs = runs.map(|run| {
            let range = start..start + run.len();
            start = range.end;
            (range, run[0].0)
        });
        Some(Self {
            lattice,
            taps: [taps(0), taps(1)],
            runs: runs.collect(),
            weights: [0, 1, 2, 3].map(|tap| along_z.iter().map(|(_, w)| w[tap]).collect()),
        })
    }

    /// The control points of plane `x`: those around it, weighed.
    pub(super) fn plane(&self, x: usize, plane: &mut Vec<[f32; 4]>) {
        let side = self.lattice.side * self.lattice.side;
        weigh(&self.lattice.points, side, self.taps[0][x], plane);
    }

    /// Puts the displacements of row `y` of a plane into `offset`. `line` is room to work in.
    pub(super) fn row(
        &self,
        plane: &[[f32; 4]],
        y: usize,
        line: &mut Vec<[f32; 4]>,
        offset: &mut [Vec<f32>; 3],
    ) {
        weigh(plane, self.lattice.side, self.taps[1][y], line);
        for (range, first) in &self.runs {
            for (axis, offset) in offset.iter_mut().enumerate() {
                let points = [0, 1, 2, 3].map(|tap| line[first + tap][axis]);
                let weights = self.weights.each_ref().map(|w| &w[range.clone()]);
                run(weights, points, &mut offset[range.clone()]);
            }
        }
    }
}

/// The sum of four neighbours of `size` points each, weighed.
fn weigh(
    points: &[[f32; 4]],
    size: usize,
    (first, weights): (usize, [f32; 4]),
    sum: &mut Vec<[f32; 4]>,
) {
    sum.clear();
    sum.resize(size, [0.0; 4]);
    let layers = points[first * size..].chunks_exact(size);
    for (layer, weight) in layers.zip(weights) {
        for (sum, point) in sum.iter_mut().zip(layer) {
            for (sum, point) in sum.iter_mut().zip(point) {
                *sum += weight * point;
            }
        }
    }
}

#[multiversion(targets = "simd")]
fn run(weights: [&[f32]; 4], points: [f32; 4], out: &mut [f32]) {
    let [w0, w1, w2, w3] = weights;
    let weights = w0.iter().zip(w1).zip(w2).zip(w3);
    for (out, (((w0, w1), w2), w3)) in out.iter_mut().zip(weights) {
        *out = w0 * points[0] + w1 * points[1] + w2 * points[2] + w3 * points[3];
    }
}
