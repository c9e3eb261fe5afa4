//! How a volume is cut up, and its parts are transformed.

use super::super::input::Channels;
use super::super::simd::{Isa, MAX_LANES, prefetch};
use super::transforms::{POINTS, SPAN, TILE, transform_gradient, transform_input};
use std::ops::Range;

/// How a volume is cut up: into rows of tiles, and blocks of some of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    size: [usize; 3],
    /// Rows of tiles along the depth and the height.
    tiles: [usize; 2],
    /// Rows of tiles in a block; the last block may have fewer.
    rows: usize,
    /// Positions along the width in a block; the last may have fewer.
    width: usize,
    /// Distance of two rows of tiles in a block.
    pitch: usize,
}

/// A block.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Rows of tiles, counted along the height, then along the depth.
    pub(super) tiles: Range<usize>,
    /// Positions along the width.
    pub(super) columns: Range<usize>,
}

impl Grid {
    /// Cuts a volume into blocks that have, of `channels` channels, at most about `budget`
    /// transformed values.
    pub(super) fn new(size: [usize; 3], channels: usize, budget: usize) -> Grid {
        let tiles = [size[0].div_ceil(TILE), size[1].div_ceil(TILE)];
        let most = (budget / (POINTS * channels)).max(2 * MAX_LANES);
        let even = |size: usize, part: usize| size.div_ceil(size.div_ceil(part));
        let width = even(size[2], size[2].min(most - 2));
        // The zeros after a row that is whole are those before the next.
        let pitch = width + if width == size[2] { 1 } else { 2 };
        let total = tiles[0] * tiles[1];
        let lanes = |rows: usize| (rows * pitch).next_multiple_of(MAX_LANES);
        // What is computed in all blocks, and what a block itself takes.
        let cost = |rows: usize| total.div_ceil(rows) * (lanes(rows) + MAX_LANES / 2);
        let fits = |&rows: &usize| rows == 1 || lanes(rows) <= most;
        let rows = (1..=total).take_while(fits).min_by_key(|&rows| cost(rows));
        Grid {
            size,
            tiles,
            rows: rows.unwrap_or(1),
            width,
            pitch,
        }
    }

    /// Number of blocks of a volume.
    pub(super) fn len(&self) -> usize {
        (self.tiles[0] * self.tiles[1]).div_ceil(self.rows) * self.chunks()
    }

    /// Parts of the width.
    fn chunks(&self) -> usize {
        self.size[2].div_ceil(self.width)
    }

    /// Lanes of a block.
    pub(super) fn line(&self) -> usize {
        (self.rows * self.pitch).next_multiple_of(MAX_LANES)
    }

    /// Distance of two channels in a block, with some room for a vector to overrun.
    pub(super) fn stride(&self) -> usize {
        self.line() + MAX_LANES
    }

    /// Distance of two points in a block of `channels` channels.
    pub(super) fn point(&self, channels: usize) -> usize {
        spread(channels * self.stride())
    }

    /// Distance of two rows of tiles in a block.
    pub(super) fn pitch(&self) -> usize {
        self.pitch
    }

    /// Depth, height and width of the volume.
    pub(super) fn size(&self) -> [usize; 3] {
        self.size
    }

    /// A block.
    pub(super) fn get(&self, index: usize) -> Block {
        let (block, chunk) = (index / self.chunks(), index % self.chunks());
        let total = self.tiles[0] * self.tiles[1];
        let (row, x) = (block * self.rows, chunk * self.width);
        Block {
            tiles: row..total.min(row + self.rows),
            columns: x..self.size[2].min(x + self.width),
        }
    }

    /// The first position, along depth and height, of a row of tiles.
    pub(super) fn first(&self, row: usize) -> [usize; 2] {
        [row / self.tiles[1] * TILE, row % self.tiles[1] * TILE]
    }

    /// Length of the scratch memory that gathering takes.
    pub(super) fn scratch(&self) -> usize {
        POINTS * MAX_LANES + self.width + 2
    }

    /// Fills `values`, which is `[point][channel][position]`, with the transformed input of a
    /// block: for each row of tiles a zero or the position before it, and so at its end.
    pub(super) fn gather_input(
        &self,
        isa: Isa,
        source: Channels,
        block: &Block,
        values: &mut [f32],
        scratch: &mut [f32],
    ) {
        let width = self.size[2];
        let point = self.point(source.len());
        let columns = &block.columns;
        // All of it that is inside the volume is transformed, the rest is zero.
        let inside = columns.start.saturating_sub(1)..width.min(columns.end + 1);
        let before = usize::from(columns.start == 0);
        let after = columns.end == width;
        let (narrow, zeros) = scratch.split_at_mut(POINTS * MAX_LANES);
        zeros.fill(0.0);
        for (c, volume) in source.iter().enumerate() {
            for (r, tile) in block.tiles.clone().enumerate() {
                let [z, y] = self.first(tile);
                self.fetch(source.get(c + 1), z..z + SPAN, y..y + SPAN, 1);
                let to = &mut values[c * self.stride() + r * self.pitch..];
                self.with_rows(volume, [z, y], 1, inside.clone(), (narrow, zeros), |rows| {
                    transform_input(isa, rows, &mut to[before..], point);
                });
                for to in to.chunks_mut(point).take(POINTS) {
                    if before == 1 {
                        to[0] = 0.0;
                    }
                    if after {
                        to[before + inside.len()] = 0.0;
                    }
                }
            }
        }
    }

    /// Fills `values`, which is `[point][channel][position]`, with the transformed output
    /// gradient of a block.
    pub(super) fn gather_gradient(
        &self,
        isa: Isa,
        source: Channels,
        block: &Block,
        values: &mut [f32],
        scratch: &mut [f32],
    ) {
        let point = self.point(source.len());
        let (narrow, zeros) = scratch.split_at_mut(POINTS * MAX_LANES);
        zeros.fill(0.0);
        for (c, volume) in source.iter().enumerate() {
            for (r, tile) in block.tiles.clone().enumerate() {
                let [z, y] = self.first(tile);
                self.fetch(source.get(c + 1), z..z + TILE, y..y + TILE, 0);
                let to = &mut values[c * self.stride() + r * self.pitch..];
                let columns = block.columns.clone();
                self.with_rows(volume, [z, y], 0, columns, (narrow, zeros), |rows| {
                    transform_gradient(isa, rows, to, point);
                });
            }
        }
    }

    /// Calls `task` with the `columns` of `N` rows of a tile (a square of them along depth and height) that
    /// begins at `first - before`. What is outside the volume is zero, and rows that are shorter
    /// than a vector are made longer.
    fn with_rows<const N: usize>(
        &self,
        volume: &[f32],
        first: [usize; 2],
        before: usize,
        columns: Range<usize>,
        (narrow, zeros): (&mut [f32], &[f32]),
        task: impl FnOnce(&[&[f32]; N]),
    ) {
        let [depth, height, width] = self.size;
        let side = N.isqrt();
        let row = |i: usize| {
            let z = (first[0] + i / side).wrapping_sub(before);
            let y = (first[1] + i % side).wrapping_sub(before);
            let inside = z < depth && y < height;
            inside.then(|| &volume[(z * height + y) * width..][columns.clone()])
        };
        if columns.len() < MAX_LANES {
            for (i, to) in narrow.chunks_exact_mut(MAX_LANES).take(N).enumerate() {
                to.fill(0.0);
                if let Some(row) = row(i) {
                    to[..row.len()].copy_from_slice(row);
                }
            }
            task(&std::array::from_fn(|i| {
                &narrow[i * MAX_LANES..][..MAX_LANES]
            }));
        } else {
            let zeros = &zeros[..columns.len()];
            task(&std::array::from_fn(|i| row(i).unwrap_or(zeros)));
        }
    }

    /// Asks for some rows, counted from `before`, of the channel to come, if there is one.
    fn fetch(&self, channel: Option<&[f32]>, z: Range<usize>, y: Range<usize>, before: usize) {
        let Some(channel) = channel else { return };
        let [depth, height, width] = self.size;
        let inside = |range: Range<usize>, size: usize| {
            range.start.saturating_sub(before)..size.min(range.end - before)
        };
        let rows = inside(y, height);
        for z in inside(z, depth) {
            let start = (z * height + rows.start) * width;
            prefetch(channel, start, rows.len() * width);
        }
    }
}

/// A distance of at least `len` values at which the points of a tile do not compete for the same
/// lines of the L1 cache.
pub(super) fn spread(len: usize) -> usize {
    len.next_multiple_of(2 * MAX_LANES) + MAX_LANES
}
