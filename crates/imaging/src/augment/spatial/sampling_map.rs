//! Where in the source the voxels of a row come from.

use multiversion::multiversion;

use super::lanes::LANES;
use super::lattice::{Lattice, Table};
use super::map::{Map, Step};
use crate::volume::Affine;

/// The map from the target's voxels to positions in the source, ready to be evaluated row by row.
pub(super) struct SamplingMap<'a> {
    /// The map without displacements.
    affine: Affine,
    /// The displacements, in order from the target to the source.
    displacements: Vec<Displacement<'a>>,
}

/// A displacement between target and source.
struct Displacement<'a> {
    lattice: &'a Lattice,
    /// From the target to here, without the displacements before.
    before: Affine,
    /// The first displacement, where the axes have not turned.
    table: Option<Table<'a>>,
    /// How an offset changes from here to the next displacement or the source; none if it stays.
    after: Option<[[f32; 3]; 3]>,
}

/// The row being worked on; its length is a multiple of [`LANES`].
pub(super) struct Row {
    /// Positions along x, y and z.
    pub(super) at: [Vec<f32>; 3],
    /// How far the displacements have moved them.
    offset: [Vec<f32>; 3],
    /// The control points of a plane and of a row.
    plane: Vec<[f32; 4]>,
    line: Vec<[f32; 4]>,
}

impl Row {
    pub(super) fn new(voxels: usize) -> Self {
        let values = || [(); 3].map(|()| vec![0.0; voxels.next_multiple_of(LANES)]);
        Self {
            at: values(),
            offset: values(),
            plane: Vec::new(),
            line: Vec::new(),
        }
    }
}

impl<'a> SamplingMap<'a> {
    pub(super) fn new(map: &'a Map, shape: [usize; 3]) -> Self {
        let mut affine = Affine::identity();
        let mut since = Affine::identity();
        let mut displacements: Vec<Displacement> = Vec::new();
        let close = |displacements: &mut Vec<Displacement<'a>>, since: Affine| {
            if let Some(displacement) = displacements.last_mut()
                && since != Affine::identity()
            {
                displacement.after =
                    Some([0, 1, 2].map(|r| [0, 1, 2].map(|c| since.0[r][c] as f32)));
            }
        };
        for step in map.steps().iter().rev() {
            match step {
                Step::Affine(step) => {
                    affine = step.mul(&affine);
                    since = step.mul(&since);
                }
                Step::Elastic(lattice) => {
                    close(&mut displacements, since);
                    since = Affine::identity();
                    let first = displacements.is_empty();
                    displacements.push(Displacement {
                        lattice,
                        before: affine,
                        table: first.then(|| Table::new(lattice, &affine, shape)).flatten(),
                        after: None,
                    });
                }
            }
        }
        close(&mut displacements, since);
        Self {
            affine,
            displacements,
        }
    }

    /// Prepares `row` for the rows of plane `x`.
    pub(super) fn start_plane(&self, x: usize, row: &mut Row) {
        if let Some(table) = self
            .displacements
            .first()
            .and_then(|displacement| displacement.table.as_ref())
        {
            table.plane(x, &mut row.plane);
        }
    }

    /// Puts the positions of row `y` of plane `x` into `row.at`.
    pub(super) fn fill_row(&self, x: usize, y: usize, row: &mut Row) {
        let none = self.displacements.is_empty();
        for (index, displacement) in self.displacements.iter().enumerate() {
            if let Some(table) = &displacement.table {
                table.row(&row.plane, y, &mut row.line, &mut row.offset);
            } else {
                if index == 0 {
                    row.offset.iter_mut().for_each(|offset| offset.fill(0.0));
                }
                straight(&displacement.before, [x, y], &row.offset, &mut row.at);
                displacement.lattice.add(&row.at, &mut row.offset);
            }
            if let Some(after) = &displacement.after {
                turn(after, &mut row.offset);
            }
        }
        if none {
            line(&self.affine, [x, y], &mut row.at);
        } else {
            straight(&self.affine, [x, y], &row.offset, &mut row.at);
        }
    }
}

/// Where the first voxel of row `y` of plane `x` lies along `axis`, and how far the next one is.
fn start(affine: &Affine, [x, y]: [usize; 2], axis: usize) -> (f32, f32) {
    let [per_x, per_y, per_z, origin] = affine.0[axis];
    let start = per_x * x as f64 + per_y * y as f64 + origin;
    (start as f32, per_z as f32)
}

fn line(affine: &Affine, place: [usize; 2], at: &mut [Vec<f32>; 3]) {
    for (axis, at) in at.iter_mut().enumerate() {
        let (start, step) = start(affine, place, axis);
        along(start, step, at);
    }
}

fn straight(affine: &Affine, place: [usize; 2], offset: &[Vec<f32>; 3], at: &mut [Vec<f32>; 3]) {
    for (axis, (at, offset)) in at.iter_mut().zip(offset).enumerate() {
        let (start, step) = start(affine, place, axis);
        along_with(start, step, offset, at);
    }
}

#[multiversion(targets = "simd")]
fn along(start: f32, step: f32, at: &mut [f32]) {
    for (z, at) in at.iter_mut().enumerate() {
        *at = start + z as u32 as f32 * step;
    }
}

#[multiversion(targets = "simd")]
fn along_with(start: f32, step: f32, offset: &[f32], at: &mut [f32]) {
    for (z, (at, offset)) in at.iter_mut().zip(offset).enumerate() {
        *at = start + z as u32 as f32 * step + offset;
    }
}

#[multiversion(targets = "simd")]
fn turn(by: &[[f32; 3]; 3], offset: &mut [Vec<f32>; 3]) {
    let [xs, ys, zs] = offset;
    let [a, b, c] = by;
    for ((x, y), z) in xs.iter_mut().zip(ys).zip(zs) {
        let from = [*x, *y, *z];
        *x = a[0] * from[0] + a[1] * from[1] + a[2] * from[2];
        *y = b[0] * from[0] + b[1] * from[1] + b[2] * from[2];
        *z = c[0] * from[0] + c[1] * from[1] + c[2] * from[2];
    }
}
