//! Blocks: zero-padded copies of a small box of a volume, on which every convolution is a
//! stride-1 correlation.
//!
//! A block has, for each channel, one small volume for each *phase* of the stride: phase `p` of
//! an axis with stride `s` holds the source positions `p`, `p + s`, `p + 2 s`, ... of the box.
//! Tap `k` of a convolution then reads phase `k % s` at a constant shift of `k / s`. In a block a
//! row follows the row before, with its padding, so that a kernel may run over a whole plane as
//! over one long row; the few values that it computes in the padding are thrown away.

use super::input::Channels;
use super::simd::{MAX_LANES, prefetch};
use std::ops::Range;

/// How one axis of a source volume is laid out in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Length of the source.
    pub(crate) size: usize,
    /// Distance in the source of two neighbours in the block.
    pub(crate) step: usize,
    /// Number of phases, at most `step`.
    pub(crate) phases: usize,
    /// Source position of position 0 in phase 0; negative inside the padding.
    pub(crate) origin: isize,
    /// How much longer a block is than the positions it serves.
    pub(crate) halo: usize,
}

/// Where the values of a source lie in a block that serves `tile` positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    axes: [Axis; 3],
    extent: [usize; 3],
    /// Zeros after each row that are at the same time zeros before the next.
    shared: usize,
}

impl Layout {
    /// The blocks of the tiles of `tiling`.
    pub(crate) fn new(axes: [Axis; 3], tiling: &Tiling) -> Layout {
        let mut extent = std::array::from_fn(|i| tiling.tile[i] + axes[i].halo);
        let x = axes[2];
        let before = x.origin.min(0).unsigned_abs();
        let after = extent[2].saturating_sub(before + x.size);
        let whole_rows = x.step == 1 && tiling.count[2] == 1;
        let shared = if whole_rows { before.min(after) } else { 0 };
        extent[2] -= shared;
        Layout {
            axes,
            extent,
            shared,
        }
    }

    /// Distance of two rows.
    pub(crate) fn row(&self) -> usize {
        self.extent[2]
    }

    /// Distance of two planes.
    pub(crate) fn plane(&self) -> usize {
        self.extent[1] * self.extent[2]
    }

    fn volume(&self) -> usize {
        self.extent.iter().product()
    }

    /// Distance of two channels.
    pub(crate) fn channel(&self) -> usize {
        self.volume() * self.axes.iter().map(|axis| axis.phases).product::<usize>()
    }

    /// Length of a block of `channels` channels, with some room for a vector to overrun.
    pub(crate) fn len(&self, channels: usize) -> usize {
        channels * self.channel() + self.shared + MAX_LANES
    }

    /// Where a channel begins in the phase `phase` and at the position `shift`.
    pub(crate) fn offset(&self, channel: usize, phase: [usize; 3], shift: [usize; 3]) -> usize {
        let [pz, py, px] = phase;
        let phase = (pz * self.axes[1].phases + py) * self.axes[2].phases + px;
        let position = shift[0] * self.plane() + shift[1] * self.row() + shift[2];
        channel * self.channel() + phase * self.volume() + position
    }

    /// Fills `block` with the box of `source` that serves the positions from `first` on; what lies outside the
    /// source is zero.
    pub(super) fn gather(&self, source: Channels, first: [usize; 3], block: &mut [f32]) {
        let [z, y, x] = self.axes;
        let (block, overrun) = block.split_at_mut(source.len() * self.channel());
        // Vectors run over the end, where they must not find an old infinity.
        overrun.fill(0.0);
        let mut planes = block.chunks_exact_mut(self.plane());
        for (c, values) in source.iter().enumerate() {
            for (pz, py, px) in product(z.phases, y.phases, x.phases) {
                let span = |i: usize, phase| self.axes[i].span(first[i], phase, self.extent[i]);
                let (spans, starts) = (span(1, py), span(2, px));
                let (inside, mut plane) = span(0, pz);
                for a in 0..self.extent[0] {
                    let to = planes.next().expect("a block of the right length");
                    if inside.contains(&a) {
                        let from = &values[plane * y.size * x.size..][..y.size * x.size];
                        plane += z.step;
                        // The plane to come, or the next channel's first.
                        let (next, plane) = if inside.contains(&(a + 1)) {
                            (Some(values), plane)
                        } else {
                            (source.get(c + 1), plane - inside.len() * z.step)
                        };
                        if let Some(next) = next {
                            let rows = spans.0.len() * y.step * x.size;
                            prefetch(next, (plane * y.size + spans.1) * x.size, rows);
                        }
                        self.gather_plane(from, &spans, &starts, to);
                    } else {
                        to.fill(0.0);
                    }
                }
            }
        }
    }

    /// Fills one plane of a phase, given what is inside the source along both axes.
    fn gather_plane(
        &self,
        from: &[f32],
        (rows, first): &(Range<usize>, usize),
        (columns, start): &(Range<usize>, usize),
        to: &mut [f32],
    ) {
        let [_, y, x] = self.axes;
        let row = self.row();
        to[rows.end * row..].fill(0.0);
        to[..rows.start * row].fill(0.0);
        let to = &mut to[rows.start * row..rows.end * row];
        if to.is_empty() || columns.is_empty() {
            to.fill(0.0);
            return;
        }
        if row == x.size && x.step == 1 && y.step == 1 {
            // The rows follow one another in the source just as here.
            let to = &mut to[columns.start..row * (rows.len() - 1) + columns.end];
            to.copy_from_slice(&from[first * row + start..][..to.len()]);
        } else {
            for (i, to) in to.chunks_exact_mut(row).enumerate() {
                let from = &from[(first + i * y.step) * x.size..][*start..x.size];
                gather_row(from, x.step, &mut to[columns.clone()]);
            }
        }
        // Column by column, as there are only a few, and a call for each short gap is slow.
        for column in (0..columns.start).chain(columns.end..row) {
            for value in to.iter_mut().skip(column).step_by(row) {
                *value = 0.0;
            }
        }
    }
}

impl Axis {
    /// Which of the `extent` positions of a block that begins at `first` are inside the source, and where the
    /// first of them lies in it.
    fn span(&self, first: usize, phase: usize, extent: usize) -> (Range<usize>, usize) {
        let start = (first * self.step + phase) as isize + self.origin;
        let before = start.min(0).unsigned_abs().div_ceil(self.step).min(extent);
        let start = (start + (before * self.step) as isize).max(0) as usize;
        let inside = self
            .size
            .saturating_sub(start)
            .div_ceil(self.step)
            .min(extent - before);
        (before..before + inside, start.min(self.size))
    }
}

/// Every triple of the three ranges, the last the fastest.
pub(crate) fn product(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
}

/// `to[i] = from[i * step]`.
fn gather_row(from: &[f32], step: usize, to: &mut [f32]) {
    match step {
        1 => to.copy_from_slice(&from[..to.len()]),
        // A constant step vectorises; an odd row ends with half a pair.
        2 => {
            let (pairs, rest) = from.as_chunks::<2>();
            let whole = to.len().min(pairs.len());
            let (to, last) = to.split_at_mut(whole);
            for (to, pair) in to.iter_mut().zip(pairs) {
                *to = pair[0];
            }
            last.copy_from_slice(&rest[..last.len()]);
        }
        _ => {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(step)) {
                *to = *from;
            }
        }
    }
}

/// How much more it takes to compute a lane, for all channels, than to gather a value.
const LANE_COST: usize = 8;

/// A box of positions, cut into equal tiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    size: [usize; 3],
    /// Positions in a tile along each axis; the last tile may stick out of the box.
    pub(crate) tile: [usize; 3],
    count: [usize; 3],
}

impl Tiling {
    /// Cuts a box of `size` positions into tiles of about `positions` positions at most, that
    /// need a block (see [`Layout`]) of about `budget` values at most, and that waste as little
    /// as can be.
    pub(crate) fn new(
        size: [usize; 3],
        axes: &[Axis; 3],
        channels: usize,
        positions: usize,
        budget: usize,
    ) -> Tiling {
        let halo = axes.map(|axis| axis.halo);
        let channels = channels * axes.iter().map(|axis| axis.phases).product::<usize>();
        let even = |size: usize, tile: usize| size.div_ceil(size.div_ceil(tile));
        let x = even(size[2], size[2].min(512));
        let fits = |z: usize, y: usize| {
            let block = channels * (z + halo[0]) * (y + halo[1]) * (x + halo[2]);
            z * y * x <= positions && block <= budget
        };
        let mut best = (usize::MAX, [1, 1, x]);
        for z in 1..=size[0] {
            let y = (1..=size[1]).take_while(|&y| fits(z, y)).last();
            let Some(y) = y else { break };
            let (z, y) = (even(size[0], z), even(size[1], y));
            // Lanes to compute, those in the padding included, and values to gather.
            let tiles = size[0].div_ceil(z) * size[1].div_ceil(y);
            let line = ((y - 1) * (x + halo[2]) + x).next_multiple_of(MAX_LANES);
            let gather = (z + halo[0]) * (y + halo[1]) * (x + halo[2]);
            let cost = tiles * (LANE_COST * z * line + gather);
            if cost < best.0 {
                best = (cost, [z, y, x]);
            }
        }
        let tile = best.1;
        Tiling {
            size,
            tile,
            count: std::array::from_fn(|i| size[i].div_ceil(tile[i])),
        }
    }

    /// The number of tiles.
    pub(crate) fn len(&self) -> usize {
        self.count.iter().product()
    }

    /// The first position of a tile, and how many of its positions are in the box.
    pub(crate) fn get(&self, index: usize) -> ([usize; 3], [usize; 3]) {
        let [_, y, x] = self.count;
        let index = [index / (y * x), index / x % y, index % x];
        let first: [usize; 3] = std::array::from_fn(|i| index[i] * self.tile[i]);
        (
            first,
            std::array::from_fn(|i| self.tile[i].min(self.size[i] - first[i])),
        )
    }
}
