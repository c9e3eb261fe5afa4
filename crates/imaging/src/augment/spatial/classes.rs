//! Reading a map of classes between voxels: as nnU-Net does, each class is interpolated linearly on its own, and the
//! one with the largest part wins. Only the classes of the eight voxels around a position take part, so no
//! volume is made for each class.

use multiversion::multiversion;

use super::frame::Layout;
use super::lanes::LANES;
use super::trilinear::{Around, Pairs, Place, around, cell, cells, chunks, first, pairs, place};

/// Reads the classes at the positions `at`; background lies outside. There may be more positions than voxels to
/// fill.
///
/// No closures here: they would be compiled without this function's instruction set.
#[multiversion(targets = "simd")]
pub(super) fn read_row(classes: &[u8], layout: &Layout, at: &[Vec<f32>; 3], out: &mut [u8]) {
    let (xs, ys, zs) = (chunks(&at[0]), chunks(&at[1]), chunks(&at[2]));
    let pairs = pairs(classes, layout);
    let out = out.chunks_mut(LANES);
    for (((x, y), z), out) in xs.iter().zip(ys).zip(zs).zip(out) {
        let at = [x, y, z];
        match place(layout, at) {
            Place::Outside => out.fill(0),
            Place::Inside => {
                let (cell, part) = cells(at);
                for (lane, out) in out.iter_mut().enumerate() {
                    let first = first(&cell, lane, layout);
                    *out = in_cell(&pairs, first, [part[0][lane], part[1][lane], part[2][lane]]);
                }
            }
            Place::Edge => {
                for (lane, out) in out.iter_mut().enumerate() {
                    let at = [x[lane], y[lane], z[lane]];
                    *out = match cell(layout, at) {
                        Some((first, part)) => in_cell(&pairs, first, part),
                        None => at_edge(classes, layout, at),
                    };
                }
            }
        }
    }
}

/// The class at a position that has background on some sides.
#[inline(always)]
fn at_edge(classes: &[u8], layout: &Layout, at: [f32; 3]) -> u8 {
    match around(classes, layout, at, 0) {
        Some(Around { near, far, part }) => winner(near, far, part),
        None => 0,
    }
}

/// The class at a position with voxels on all sides, the `first` of them in memory.
#[inline(always)]
fn in_cell([a, b, c, d]: &Pairs<u8>, first: usize, part: [f32; 3]) -> u8 {
    let second = first + 1;
    let near = [a[first], a[second], b[first], b[second]];
    let far = [c[first], c[second], d[first], d[second]];
    // Most cells lie wholly in one class.
    let (low, high) = (u32::from_ne_bytes(near), u32::from_ne_bytes(far));
    if low == high && low == u32::from_ne_bytes([near[0]; 4]) {
        return near[0];
    }
    winner(near, far, part)
}

/// The class with the largest part of a position between eight voxels; of equal parts the higher class. The voxels
/// are four, and the four next to them along x; the four are two pairs along y of pairs along z.
#[inline(always)]
fn winner(near: [u8; 4], far: [u8; 4], [x, y, z]: [f32; 3]) -> u8 {
    let [a, b, c, d] = near;
    let [e, f, g, h] = far;
    let classes = [a, b, c, d, e, f, g, h];
    let mut weights = [0.0f32; 8];
    for (corner, weight) in weights.iter_mut().enumerate() {
        let along_x = if corner & 4 == 0 { 1.0 - x } else { x };
        let along_y = if corner & 2 == 0 { 1.0 - y } else { y };
        let along_z = if corner & 1 == 0 { 1.0 - z } else { z };
        *weight = along_x * along_y * along_z;
    }
    let (mut best, mut most) = (0, -1.0);
    for class in classes {
        // All voxels of a class come to the same sum, whichever is asked for it.
        let mut sum = 0.0;
        for corner in 0..8 {
            sum += if classes[corner] == class {
                weights[corner]
            } else {
                0.0
            };
        }
        if sum > most || sum == most && class > best {
            (best, most) = (class, sum);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_part_wins_and_of_equal_ones_the_higher_class() {
        // Along z alone: class 3 and class 2, half way and a little before.
        let (near, far) = ([3, 2, 3, 2], [3, 2, 3, 2]);
        assert_eq!(winner(near, far, [0.2, 0.7, 0.5]), 3);
        assert_eq!(winner(near, far, [0.2, 0.7, 0.51]), 2);
        // Three classes meet: none has half, and none is invented between them.
        let (near, far) = ([1, 1, 5, 5], [9, 9, 9, 9]);
        assert_eq!(winner(near, far, [0.4, 0.5, 0.5]), 9);
        assert_eq!(winner(near, far, [0.3, 0.5, 0.5]), 5);
        assert_eq!(winner(near, far, [0.3, 0.4, 0.5]), 1);
        // What is ignored is a class like others, and so is the background.
        assert_eq!(winner([0, 255, 0, 255], [0, 255, 0, 255], [0.5; 3]), 255);
        assert_eq!(winner([0, 1, 0, 255], [0, 1, 0, 255], [0.5, 0.5, 0.6]), 0);
    }
}
