//! Reading image and mask between voxels.
//!
//! A row of the target (along z) at a time: where its voxels come from, then their values. Each value is
//! computed alone, so the result has the same bits at any number of threads.

use multiversion::multiversion;
use rayon::prelude::*;

use super::lattice::{Lattice, Table};
use super::map::{Map, Step};
use super::{Source, Target};
use crate::volume::Affine;

/// Voxels that are worked on together.
pub(super) const LANES: usize = 8;

/// Fills `target` with what `source` holds where `map` leads; air outside.
pub(super) fn interpolate(source: &Source, map: &Map, target: Target) {
    let [nx, ny, nz] = target.shape;
    if nx * ny * nz == 0 {
        return;
    }
    let way = Way::new(map, target.shape);
    let air = source.lowest();
    let planes = target.image.par_chunks_mut(ny * nz);
    let masks = target.mask.par_chunks_mut(ny * nz);
    planes.zip(masks).enumerate().for_each_init(
        || Row::new(nz),
        |row, (x, (image, mask))| {
            way.start_plane(x, row);
            let rows = image.chunks_exact_mut(nz).zip(mask.chunks_exact_mut(nz));
            for (y, (image, mask)) in rows.enumerate() {
                way.walk(x, y, row);
                read_row(source, air, &row.at, image, mask);
            }
        },
    );
}

/// The way from the target's voxels to the source's, ready to be walked row by row.
struct Way<'a> {
    /// The way without displacements.
    affine: Affine,
    /// The displacements in the order in which the way meets them.
    bends: Vec<Bend<'a>>,
}

/// A displacement on the way.
struct Bend<'a> {
    lattice: &'a Lattice,
    /// From the target to here, without the displacements before.
    before: Affine,
    /// The first displacement, where the axes have not turned.
    table: Option<Table<'a>>,
    /// What becomes of an offset from here to the next displacement or the source, unless it stays.
    after: Option<[[f32; 3]; 3]>,
}

/// The row being worked on; its length is a multiple of [`LANES`].
struct Row {
    /// Positions along x, y and z.
    at: [Vec<f32>; 3],
    /// By how much displacements have changed them.
    offset: [Vec<f32>; 3],
    /// The control points of a plane and of a row.
    plane: Vec<[f32; 4]>,
    line: Vec<[f32; 4]>,
}

impl Row {
    fn new(voxels: usize) -> Self {
        let values = || [(); 3].map(|()| vec![0.0; voxels.next_multiple_of(LANES)]);
        Self {
            at: values(),
            offset: values(),
            plane: Vec::new(),
            line: Vec::new(),
        }
    }
}

impl<'a> Way<'a> {
    fn new(map: &'a Map, shape: [usize; 3]) -> Self {
        let mut affine = Affine::identity();
        let mut since = Affine::identity();
        let mut bends: Vec<Bend> = Vec::new();
        let close = |bends: &mut Vec<Bend<'a>>, since: Affine| {
            if let Some(bend) = bends.last_mut()
                && since != Affine::identity()
            {
                bend.after = Some([0, 1, 2].map(|r| [0, 1, 2].map(|c| since.0[r][c] as f32)));
            }
        };
        for step in map.steps().iter().rev() {
            match step {
                Step::Affine(step) => {
                    affine = step.mul(&affine);
                    since = step.mul(&since);
                }
                Step::Elastic(lattice) => {
                    close(&mut bends, since);
                    since = Affine::identity();
                    let first = bends.is_empty();
                    bends.push(Bend {
                        lattice,
                        before: affine,
                        table: first.then(|| Table::new(lattice, &affine, shape)).flatten(),
                        after: None,
                    });
                }
            }
        }
        close(&mut bends, since);
        Self { affine, bends }
    }

    fn start_plane(&self, x: usize, row: &mut Row) {
        if let Some(table) = self.bends.first().and_then(|bend| bend.table.as_ref()) {
            table.plane(x, &mut row.plane);
        }
    }

    /// Puts the positions of row `y` of plane `x` into `row.at`.
    fn walk(&self, x: usize, y: usize, row: &mut Row) {
        let none = self.bends.is_empty();
        for (index, bend) in self.bends.iter().enumerate() {
            if let Some(table) = &bend.table {
                table.row(&row.plane, y, &mut row.line, &mut row.offset);
            } else {
                if index == 0 {
                    row.offset.iter_mut().for_each(|offset| offset.fill(0.0));
                }
                straight(&bend.before, [x, y], &row.offset, &mut row.at);
                bend.lattice.add(&row.at, &mut row.offset);
            }
            if let Some(after) = &bend.after {
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

/// Reads image and mask at the positions `at`, of which there may be more than voxels to fill.
///
/// Here and below: no closures. They would be compiled without this function's instruction set.
#[multiversion(targets = "simd")]
fn read_row(source: &Source, air: f32, at: &[Vec<f32>; 3], image: &mut [f32], mask: &mut [u8]) {
    let (xs, ys, zs) = (chunks(&at[0]), chunks(&at[1]), chunks(&at[2]));
    let pairs = Pairs::new(source);
    let out = image.chunks_mut(LANES).zip(mask.chunks_mut(LANES));
    for (((x, y), z), (image, mask)) in xs.iter().zip(ys).zip(zs).zip(out) {
        let at = [x, y, z];
        match place(source.shape, at) {
            Place::Outside => {
                image.fill(air);
                mask.fill(0);
            }
            Place::Inside => {
                let (values, labels) = read_inside(&pairs, source.shape, at);
                image.copy_from_slice(&values[..image.len()]);
                mask.copy_from_slice(&labels[..mask.len()]);
            }
            Place::Edge => {
                for (lane, (image, mask)) in image.iter_mut().zip(mask).enumerate() {
                    (*image, *mask) =
                        read_at_edge(source, &pairs, air, [x[lane], y[lane], z[lane]]);
                }
            }
        }
    }
}

#[inline(always)]
fn chunks(values: &[f32]) -> &[[f32; LANES]] {
    values.as_chunks().0
}

/// Where positions lie.
enum Place {
    /// All with voxels on all sides.
    Inside,
    /// All with none on any.
    Outside,
    /// Anything else.
    Edge,
}

#[inline(always)]
fn place(shape: [usize; 3], at: [&[f32; LANES]; 3]) -> Place {
    let (mut inside, mut outside) = ([true; LANES], [false; LANES]);
    for axis in 0..3 {
        let end = shape[axis] as f32;
        for lane in 0..LANES {
            let at = at[axis][lane];
            inside[lane] &= (at >= 0.0) & (at < end - 1.0);
            outside[lane] |= (at <= -1.0) | (at >= end);
        }
    }
    if inside == [true; LANES] {
        Place::Inside
    } else if outside == [true; LANES] {
        Place::Outside
    } else {
        Place::Edge
    }
}

/// The whole part of `at`, from 0 to 2^23, and what is left of it. Unlike a cast, this takes only
/// instructions that work on vectors.
#[inline(always)]
pub(super) fn split(at: f32) -> (u32, f32) {
    /// From here to twice this, a float32 is its last bits and has no others.
    const WHOLE: f32 = (1 << 23) as f32;
    let whole = at.floor();
    ((whole + WHOLE).to_bits() - WHOLE.to_bits(), at - whole)
}

/// The source as seen from the first of the eight voxels around a position: the four pairs of neighbours
/// along z. They are of one length, so that one check of an index does for all.
struct Pairs<'a> {
    image: [&'a [f32]; 4],
    mask: [&'a [u8]; 4],
}

impl<'a> Pairs<'a> {
    #[inline(always)]
    fn new(source: &Source<'a>) -> Self {
        let [_, ny, nz] = source.shape;
        // A source of a single plane or row has no position with voxels on all sides.
        let reach = (ny * nz + nz).min(source.image.len());
        let len = source.image.len() - reach;
        let (a, b, c, d) = (0, nz.min(reach), (ny * nz).min(reach), reach);
        let (image, mask) = (source.image, source.mask);
        Self {
            image: [
                &image[a..a + len],
                &image[b..b + len],
                &image[c..c + len],
                &image[d..d + len],
            ],
            mask: [
                &mask[a..a + len],
                &mask[b..b + len],
                &mask[c..c + len],
                &mask[d..d + len],
            ],
        }
    }
}

/// The image and the mask at positions with a voxel on all sides.
#[inline(always)]
fn read_inside(
    pairs: &Pairs,
    shape: [usize; 3],
    at: [&[f32; LANES]; 3],
) -> ([f32; LANES], [u8; LANES]) {
    let mut part = [[0.0; LANES]; 3];
    let mut cell = [[0; LANES]; 3];
    for axis in 0..3 {
        for lane in 0..LANES {
            (cell[axis][lane], part[axis][lane]) = split(at[axis][lane]);
        }
    }
    let (mut values, mut labels) = ([0.0; LANES], [0; LANES]);
    for lane in 0..LANES {
        let cell = [cell[0][lane], cell[1][lane], cell[2][lane]];
        let part = [part[0][lane], part[1][lane], part[2][lane]];
        (values[lane], labels[lane]) = read_cell(pairs, shape, cell, part);
    }
    (values, labels)
}

/// The image and the mask at a position with a voxel on all sides, the first of which is `cell`.
#[inline(always)]
fn read_cell(
    pairs: &Pairs,
    [_, ny, nz]: [usize; 3],
    [x, y, z]: [u32; 3],
    part: [f32; 3],
) -> (f32, u8) {
    let first = (x as usize * ny + y as usize) * nz + z as usize;
    let second = first + 1;
    let [a, b, c, d] = pairs.image;
    let near = [a[first], a[second], b[first], b[second]];
    let far = [c[first], c[second], d[first], d[second]];
    let value = between(near, far, part);
    let [a, b, c, d] = pairs.mask;
    let near = [[a[first], a[second]], [b[first], b[second]]];
    let far = [[c[first], c[second]], [d[first], d[second]]];
    // Most cells lie wholly outside or wholly inside of what is labelled.
    let (a, b) = (u16::from_ne_bytes(near[0]), u16::from_ne_bytes(near[1]));
    let (c, d) = (u16::from_ne_bytes(far[0]), u16::from_ne_bytes(far[1]));
    let label = if a | b | c | d == 0 {
        0
    } else if a & b & c & d == BOTH {
        1
    } else {
        label(near, far, part)
    };
    (value, label)
}

/// Two voxels of label 1.
const BOTH: u16 = u16::from_ne_bytes([1; 2]);

/// The image and the mask at a position that may have air on some sides.
#[inline(always)]
fn read_at_edge(source: &Source, pairs: &Pairs, air: f32, at: [f32; 3]) -> (f32, u8) {
    let shape = source.shape;
    let (mut cell, mut part) = ([0; 3], [0.0; 3]);
    let mut inside = true;
    for axis in 0..3 {
        let end = shape[axis] as f32;
        if at[axis] <= -1.0 || at[axis] >= end {
            return (air, 0);
        }
        inside &= at[axis] >= 0.0 && at[axis] < end - 1.0;
        // Above -1, so that cutting off rounds down.
        cell[axis] = (at[axis] + 1.0) as i32 - 1;
        part[axis] = at[axis] - cell[axis] as f32;
    }
    if inside {
        let cell = [cell[0] as u32, cell[1] as u32, cell[2] as u32];
        return read_cell(pairs, shape, cell, part);
    }
    let (mut values, mut labels) = ([[air; 4]; 2], [[[0; 2]; 2]; 2]);
    for x in 0..2 {
        for corner in 0..4 {
            let voxel = [cell[0] + x, cell[1] + corner / 2, cell[2] + corner % 2];
            let mut index = 0;
            let mut inside = true;
            for axis in 0..3 {
                inside &= 0 <= voxel[axis] && voxel[axis] < shape[axis] as i32;
                index = index * shape[axis] as isize + voxel[axis] as isize;
            }
            if inside {
                let (x, corner) = (x as usize, corner as usize);
                values[x][corner] = source.image[index as usize];
                labels[x][corner / 2][corner % 2] = source.mask[index as usize];
            }
        }
    }
    let [near, far] = values;
    let [near_labels, far_labels] = labels;
    (
        between(near, far, part),
        label(near_labels, far_labels, part),
    )
}

/// Trilinear interpolation between four voxels and the four next to them along x; the four are two pairs
/// along y of pairs along z.
#[inline(always)]
fn between(near: [f32; 4], far: [f32; 4], [x, y, z]: [f32; 3]) -> f32 {
    let mut four = [0.0; 4];
    for lane in 0..4 {
        four[lane] = mix(near[lane], far[lane], x);
    }
    mix(mix(four[0], four[2], y), mix(four[1], four[3], y), z)
}

#[inline(always)]
fn mix(low: f32, high: f32, part: f32) -> f32 {
    low + part * (high - low)
}

/// The label that prevails between eight voxels, in the same order.
#[inline(always)]
fn label(near: [[u8; 2]; 2], far: [[u8; 2]; 2], part: [f32; 3]) -> u8 {
    let (near, far) = (near.as_flattened(), far.as_flattened());
    let (mut near_values, mut far_values) = ([0.0; 4], [0.0; 4]);
    for lane in 0..4 {
        near_values[lane] = f32::from(near[lane]);
        far_values[lane] = f32::from(far[lane]);
    }
    u8::from(between(near_values, far_values, part) >= 0.5)
}
