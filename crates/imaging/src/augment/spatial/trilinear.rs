//! Reading an image, and a mask of 0 and 1, between voxels.

use multiversion::multiversion;

use super::frame::Layout;
use super::lanes::{LANES, split};

/// An image, and what lies outside it.
pub(super) struct Image<'a> {
    pub(super) values: &'a [f32],
    pub(super) layout: &'a Layout,
    pub(super) air: f32,
}

/// Reads an image and a mask of 0 and 1 at the positions `at`. There may be more positions than voxels to fill.
///
/// Here and below: no closures. They would be compiled without this function's instruction set.
#[multiversion(targets = "simd")]
pub(super) fn read_row(
    image: &Image,
    mask: &[u8],
    at: &[Vec<f32>; 3],
    values: &mut [f32],
    labels: &mut [u8],
) {
    let (xs, ys, zs) = (chunks(&at[0]), chunks(&at[1]), chunks(&at[2]));
    let (pairs, mask_pairs) = (pairs(image.values, image.layout), pairs(mask, image.layout));
    let out = values.chunks_mut(LANES).zip(labels.chunks_mut(LANES));
    for (((x, y), z), (values, labels)) in xs.iter().zip(ys).zip(zs).zip(out) {
        let at = [x, y, z];
        match place(image.layout, at) {
            Place::Outside => {
                values.fill(image.air);
                labels.fill(0);
            }
            Place::Inside => {
                let (read, read_labels) = read_inside(&pairs, &mask_pairs, image.layout, at);
                values.copy_from_slice(&read[..values.len()]);
                labels.copy_from_slice(&read_labels[..labels.len()]);
            }
            Place::Edge => {
                for (lane, (value, label)) in values.iter_mut().zip(labels).enumerate() {
                    let at = [x[lane], y[lane], z[lane]];
                    match cell(image.layout, at) {
                        Some((first, part)) => {
                            *value = value_in_cell(&pairs, first, part);
                            *label = label_in_cell(&mask_pairs, first, part);
                        }
                        None => {
                            *value = value_at_edge(image, at);
                            *label = label_at_edge(mask, image.layout, at);
                        }
                    }
                }
            }
        }
    }
}

/// Reads an image alone.
#[multiversion(targets = "simd")]
pub(super) fn read_image_row(image: &Image, at: &[Vec<f32>; 3], values: &mut [f32]) {
    let (xs, ys, zs) = (chunks(&at[0]), chunks(&at[1]), chunks(&at[2]));
    let pairs = pairs(image.values, image.layout);
    let out = values.chunks_mut(LANES);
    for (((x, y), z), values) in xs.iter().zip(ys).zip(zs).zip(out) {
        let at = [x, y, z];
        match place(image.layout, at) {
            Place::Outside => values.fill(image.air),
            Place::Inside => {
                let read = read_image_inside(&pairs, image.layout, at);
                values.copy_from_slice(&read[..values.len()]);
            }
            Place::Edge => {
                for (lane, value) in values.iter_mut().enumerate() {
                    let at = [x[lane], y[lane], z[lane]];
                    *value = match cell(image.layout, at) {
                        Some((first, part)) => value_in_cell(&pairs, first, part),
                        None => value_at_edge(image, at),
                    };
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn chunks(values: &[f32]) -> &[[f32; LANES]] {
    values.as_chunks().0
}

/// Where positions lie.
pub(super) enum Place {
    /// All with voxels on all sides, which are held.
    Inside,
    /// All with none on any.
    Outside,
    /// Anything else. Positions behind the last voxel to fill may lie where none are held.
    Edge,
}

#[inline(always)]
pub(super) fn place(layout: &Layout, at: [&[f32; LANES]; 3]) -> Place {
    let (mut inside, mut outside) = ([true; LANES], [false; LANES]);
    for axis in 0..3 {
        let (low, high, end) = (
            layout.low[axis],
            layout.high[axis],
            layout.shape[axis] as f32,
        );
        for lane in 0..LANES {
            let at = at[axis][lane];
            inside[lane] &= (at >= low) & (at < high);
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

/// An array as seen from the first of the eight voxels around a position: the four pairs of neighbours
/// along z. They are of one length, so that one check of an index does for all.
pub(super) type Pairs<'a, T> = [&'a [T]; 4];

#[inline(always)]
pub(super) fn pairs<'a, T>(values: &'a [T], layout: &Layout) -> Pairs<'a, T> {
    let [_, ny, nz] = layout.held;
    // A source of a single plane or row has no position with voxels on all sides.
    let reach = (ny * nz + nz).min(values.len());
    let len = values.len() - reach;
    let (a, b, c, d) = (0, nz.min(reach), (ny * nz).min(reach), reach);
    [
        &values[a..a + len],
        &values[b..b + len],
        &values[c..c + len],
        &values[d..d + len],
    ]
}

/// The first of the voxels around each position, and how far beyond it that lies along each axis.
#[inline(always)]
pub(super) fn cells(at: [&[f32; LANES]; 3]) -> ([[u32; LANES]; 3], [[f32; LANES]; 3]) {
    let mut part = [[0.0; LANES]; 3];
    let mut cell = [[0; LANES]; 3];
    for axis in 0..3 {
        for lane in 0..LANES {
            (cell[axis][lane], part[axis][lane]) = split(at[axis][lane]);
        }
    }
    (cell, part)
}

/// The position in memory of the first of the voxels around the position of a lane.
#[inline(always)]
pub(super) fn first(cell: &[[u32; LANES]; 3], lane: usize, layout: &Layout) -> usize {
    let [x, y, z] = [cell[0][lane], cell[1][lane], cell[2][lane]];
    layout.index([x as usize, y as usize, z as usize])
}

/// The same of one position; `None` where it has not voxels on all sides.
#[inline(always)]
pub(super) fn cell(layout: &Layout, at: [f32; 3]) -> Option<(usize, [f32; 3])> {
    let (mut first, mut part) = ([0; 3], [0.0; 3]);
    for axis in 0..3 {
        if !(at[axis] >= 0.0 && at[axis] < layout.shape[axis] as f32 - 1.0) {
            return None;
        }
        let whole;
        (whole, part[axis]) = split(at[axis]);
        first[axis] = whole as usize;
    }
    Some((layout.index(first), part))
}

/// The image and the mask at positions with a voxel on all sides.
#[inline(always)]
fn read_inside(
    pairs: &Pairs<f32>,
    mask_pairs: &Pairs<u8>,
    layout: &Layout,
    at: [&[f32; LANES]; 3],
) -> ([f32; LANES], [u8; LANES]) {
    let (cell, part) = cells(at);
    let (mut values, mut labels) = ([0.0; LANES], [0; LANES]);
    for lane in 0..LANES {
        let first = first(&cell, lane, layout);
        let part = [part[0][lane], part[1][lane], part[2][lane]];
        values[lane] = value_in_cell(pairs, first, part);
        labels[lane] = label_in_cell(mask_pairs, first, part);
    }
    (values, labels)
}

/// The image at positions with a voxel on all sides.
#[inline(always)]
fn read_image_inside(pairs: &Pairs<f32>, layout: &Layout, at: [&[f32; LANES]; 3]) -> [f32; LANES] {
    let (cell, part) = cells(at);
    let mut values = [0.0; LANES];
    for lane in 0..LANES {
        let first = first(&cell, lane, layout);
        let part = [part[0][lane], part[1][lane], part[2][lane]];
        values[lane] = value_in_cell(pairs, first, part);
    }
    values
}

/// The image at a position with voxels on all sides, the `first` of them in memory.
#[inline(always)]
fn value_in_cell([a, b, c, d]: &Pairs<f32>, first: usize, part: [f32; 3]) -> f32 {
    let second = first + 1;
    let near = [a[first], a[second], b[first], b[second]];
    let far = [c[first], c[second], d[first], d[second]];
    between(near, far, part)
}

/// The mask at such a position.
#[inline(always)]
fn label_in_cell([a, b, c, d]: &Pairs<u8>, first: usize, part: [f32; 3]) -> u8 {
    let second = first + 1;
    let near = [[a[first], a[second]], [b[first], b[second]]];
    let far = [[c[first], c[second]], [d[first], d[second]]];
    // Most cells lie wholly outside or wholly inside of what is labelled.
    let (a, b) = (u16::from_ne_bytes(near[0]), u16::from_ne_bytes(near[1]));
    let (c, d) = (u16::from_ne_bytes(far[0]), u16::from_ne_bytes(far[1]));
    if a | b | c | d == 0 {
        0
    } else if a & b & c & d == BOTH {
        1
    } else {
        label(near, far, part)
    }
}

/// Two voxels of label 1.
const BOTH: u16 = u16::from_ne_bytes([1; 2]);

/// The eight voxels around a position. Some of them may lie outside.
pub(super) struct Around<T> {
    pub(super) near: [T; 4],
    pub(super) far: [T; 4],
    /// How far the position lies beyond the first of them along each axis.
    pub(super) part: [f32; 3],
}

/// What lies around a position, `outside` beyond the grid; `None` where that is all.
#[inline(always)]
pub(super) fn around<T: Copy>(
    values: &[T],
    layout: &Layout,
    at: [f32; 3],
    outside: T,
) -> Option<Around<T>> {
    let (mut cell, mut part) = ([0; 3], [0.0; 3]);
    for axis in 0..3 {
        if at[axis] <= -1.0 || at[axis] >= layout.shape[axis] as f32 {
            return None;
        }
        // Above -1, so that cutting off rounds down.
        cell[axis] = (at[axis] + 1.0) as i32 - 1;
        part[axis] = at[axis] - cell[axis] as f32;
    }
    let mut found = [[outside; 4]; 2];
    for x in 0..2 {
        for corner in 0..4 {
            let voxel = [cell[0] + x, cell[1] + corner / 2, cell[2] + corner % 2];
            let mut inside = true;
            for (at, end) in voxel.iter().zip(layout.shape) {
                inside &= 0 <= *at && *at < end as i32;
            }
            if inside {
                let [i, j, k] = [voxel[0] as usize, voxel[1] as usize, voxel[2] as usize];
                found[x as usize][corner as usize] = values[layout.index([i, j, k])];
            }
        }
    }
    let [near, far] = found;
    Some(Around { near, far, part })
}

/// The image at a position that has air on some sides.
#[inline(always)]
fn value_at_edge(image: &Image, at: [f32; 3]) -> f32 {
    match around(image.values, image.layout, at, image.air) {
        Some(around) => between(around.near, around.far, around.part),
        None => image.air,
    }
}

/// The mask at such a position.
#[inline(always)]
fn label_at_edge(mask: &[u8], layout: &Layout, at: [f32; 3]) -> u8 {
    let Some(Around { near, far, part }) = around(mask, layout, at, 0) else {
        return 0;
    };
    let [near, far] = [near, far].map(|[a, b, c, d]| [[a, b], [c, d]]);
    label(near, far, part)
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
