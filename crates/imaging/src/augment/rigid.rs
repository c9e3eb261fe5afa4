//! A rigidly moved copy of an image, by trilinear interpolation.

use std::ops::Range;

use multiversion::multiversion;
use ndarray::Array3;
use rayon::prelude::*;

use super::math::ROUND;

/// What is seen after the head moved, by a movement's `degrees` and `translation`; `outside` where that lay
/// outside the box of the voxels' centres. The image must be in standard layout.
pub(super) fn moved(
    image: &Array3<f32>,
    spacing: [f64; 3],
    degrees: [f64; 3],
    translation: [f64; 3],
    outside: f32,
) -> Array3<f32> {
    let (nx, ny, nz) = image.dim();
    let shape = [nx, ny, nz];
    let (turn, centre) = (rotation(degrees), shape.map(|n| (n as f64 - 1.0) / 2.0));
    // From voxels to mm about the centre, turned, moved, and back to voxels.
    let matrix = [0, 1, 2].map(|a| [0, 1, 2].map(|b| turn[a][b] * spacing[b] / spacing[a]));
    let offset = [0, 1, 2].map(|a| {
        let turned: f64 = (0..3).map(|b| matrix[a][b] * centre[b]).sum();
        centre[a] - turned + translation[a] / spacing[a]
    });
    let mut copy = Array3::from_elem(image.dim(), outside);
    let (Some(source), Some(target)) = (image.as_slice(), copy.as_slice_mut()) else {
        return copy;
    };
    let rows = target
        .par_chunks_mut(nz)
        .enumerate()
        .with_min_len(ny.min(16));
    rows.for_each(|(row, values)| {
        let (x, y) = ((row / ny) as f64, (row % ny) as f64);
        let start = [0, 1, 2].map(|a| matrix[a][0] * x + matrix[a][1] * y + offset[a]);
        let step = [0, 1, 2].map(|a| matrix[a][2]);
        match nz {
            1 => interpolate::<0>(source, shape, start, step, values),
            _ => interpolate::<1>(source, shape, start, step, values),
        }
    });
    copy
}

/// Values at `start`, `start + step`, …; those outside stay. `TO_Z` is the stride to the next voxel
/// along z: 1, or 0 where there is but one voxel.
fn interpolate<const TO_Z: usize>(
    source: &[f32],
    [nx, ny, nz]: [usize; 3],
    start: [f64; 3],
    step: [f64; 3],
    values: &mut [f32],
) {
    let [to_x, to_y] = [(nx, ny * nz), (ny, nz)].map(|(n, stride)| if n > 1 { stride } else { 0 });
    let lines = [(0, nx), (1, ny), (2, nz)].map(|(a, voxels)| Line {
        start: start[a],
        step: step[a],
        voxels,
    });
    let within = inside(&lines, values.len());
    let mut cells = Cells::default();
    for first in within.clone().step_by(ROW) {
        let values = &mut values[first..within.end.min(first + ROW)];
        locate(&lines, first, &mut cells);
        let parts = cells.x.iter().zip(&cells.y).zip(&cells.z);
        for (value, (corner, ((x, y), z))) in values.iter_mut().zip(cells.corners.iter().zip(parts))
        {
            // The two voxels of each of the cell's four edges along z are worked on side by side.
            let edge = |beyond: usize| {
                let edge = &source[*corner as usize + beyond..][..TO_Z + 1];
                [edge[0], edge[TO_Z]]
            };
            let near = mix(edge(0), edge(to_y), *y);
            let far = mix(edge(to_x), edge(to_x + to_y), *y);
            let [low, high] = mix(near, far, *x);
            *value = low + (high - low) * z;
        }
    }
}

#[inline(always)]
fn mix(a: [f32; 2], b: [f32; 2], part: f32) -> [f32; 2] {
    [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part]
}

/// Positions along an axis of the source.
#[derive(Clone, Copy)]
struct Line {
    start: f64,
    step: f64,
    voxels: usize,
}

/// Positions that are worked on together.
const ROW: usize = 64;

/// Between which voxels positions lie.
struct Cells {
    /// The voxel with the lowest indices around each, as a position in memory.
    corners: [u32; ROW],
    /// How far beyond it each lies along each axis, in voxels.
    x: [f32; ROW],
    y: [f32; ROW],
    z: [f32; ROW],
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            corners: [0; ROW],
            x: [0.0; ROW],
            y: [0.0; ROW],
            z: [0.0; ROW],
        }
    }
}

/// The cells from the `first` position on. Those outside the grid get its nearest cell.
fn locate(lines: &[Line; 3], first: usize, cells: &mut Cells) {
    let near = lines.map(|line| {
        let start = line.start + first as f64 * line.step;
        // Counted from a voxel nearby, float32 is fine enough.
        let voxel = start.floor();
        Near {
            voxel: voxel as i32,
            start: (start - voxel) as f32,
            step: line.step as f32,
            voxels: line.voxels as i32,
        }
    });
    locate_near(&near, cells);
}

/// Positions along an axis, counted from a voxel.
struct Near {
    voxel: i32,
    start: f32,
    step: f32,
    voxels: i32,
}

impl Near {
    /// The voxel before position `i`, and how far that is beyond it.
    #[inline(always)]
    fn find(&self, i: usize) -> (i32, f32) {
        let at = self.start + i as i32 as f32 * self.step;
        // Rounds down, or up to what is whole anyway. The last voxel is the end of the last cell.
        let down = ((at - 0.5 + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
        let cell = (self.voxel + down).min(self.voxels - 2).max(0);
        (cell, (at - (cell - self.voxel) as f32).clamp(0.0, 1.0))
    }
}

#[multiversion(targets = "simd")]
fn locate_near([x, y, z]: &[Near; 3], cells: &mut Cells) {
    for i in 0..ROW {
        let (in_x, in_y, in_z);
        (in_x, cells.x[i]) = x.find(i);
        (in_y, cells.y[i]) = y.find(i);
        (in_z, cells.z[i]) = z.find(i);
        cells.corners[i] = ((in_x * y.voxels + in_y) * z.voxels + in_z) as u32;
    }
}

/// Which of the first `n` positions lie between the first and the last voxel of every line.
fn inside(lines: &[Line; 3], n: usize) -> Range<usize> {
    // What rounding leaves of a position on the very edge.
    const ROUNDING: f64 = 1e-9;
    let (mut from, mut to) = (0.0f64, n as f64 - 1.0);
    for line in lines {
        let last = line.voxels as f64 - 1.0;
        let (low, high) = (-ROUNDING - line.start, last + ROUNDING - line.start);
        if line.step == 0.0 {
            if low > 0.0 || high < 0.0 {
                return 0..0;
            }
            continue;
        }
        let (one, other) = (low / line.step, high / line.step);
        from = from.max(one.min(other));
        to = to.min(one.max(other));
    }
    if from > to {
        return 0..0;
    }
    // Both lie from 0 to n - 1.
    let (from, to) = (from.ceil() as usize, to.floor() as usize + 1);
    from.min(to)..to
}

/// Rotations about the first, then the second, then the third axis.
fn rotation(degrees: [f64; 3]) -> [[f64; 3]; 3] {
    let [(sx, cx), (sy, cy), (sz, cz)] = degrees.map(|angle| angle.to_radians().sin_cos());
    [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
}
