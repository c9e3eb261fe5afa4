//! Reading image and mask between voxels.
//!
//! Works on one row of the target (along z) at a time: first the positions of its voxels in the source, then
//! their values. Each value is computed alone, so the result has the same bits at any number of threads.

use multiversion::multiversion;
use rayon::prelude::*;

use super::lanes::{LANES, split};
use super::map::Map;
use super::sampling_map::{Row, SamplingMap};
use super::{Source, Target};

/// Fills `target` with what `source` holds where `map` leads; air outside.
pub(super) fn interpolate(source: &Source, map: &Map, target: Target) {
    let [nx, ny, nz] = target.shape;
    if nx * ny * nz == 0 {
        return;
    }
    let sampling_map = SamplingMap::new(map, target.shape);
    let air = source.lowest();
    let planes = target.image.par_chunks_mut(ny * nz);
    let masks = target.mask.par_chunks_mut(ny * nz);
    planes.zip(masks).enumerate().for_each_init(
        || Row::new(nz),
        |row, (x, (image, mask))| {
            sampling_map.start_plane(x, row);
            let rows = image.chunks_exact_mut(nz).zip(mask.chunks_exact_mut(nz));
            for (y, (image, mask)) in rows.enumerate() {
                sampling_map.fill_row(x, y, row);
                read_row(source, air, &row.at, image, mask);
            }
        },
    );
}

/// Reads image and mask at the positions `at`. There may be more positions than voxels to fill.
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

/// The image and the mask at a position with voxels on all sides; `cell` is the first of them.
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
