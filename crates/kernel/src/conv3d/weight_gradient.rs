//! The weight gradient: for every tap the product of the output gradient with the shifted input,
//! added up over all positions.
//!
//! The input lies in blocks as for the convolution itself; the output gradient lies in blocks
//! with rows of the same distance and zeros between them, so that both are read as long lines.
//! Vectors run along the positions, and a tile of (channel, tap) pairs stays in registers.

use super::ConvShape;
use super::block::{Layout, Tiling, product};
use super::correlate::source_axis;
use super::input::Input;
use super::simd::{Isa, MAX_LANES, prefetch};
use super::weight_gradient_kernel::{Args, accumulate, channel_group};
use crate::shared::{SharedOutput, with_scratch};
use rayon::prelude::*;
use std::ops::Range;

/// Values in a block: half of a common L2 cache.
const BLOCK_BUDGET: usize = 128 * 1024;
/// Tasks that a big enough problem is cut into at least.
const TASKS: usize = 32;
/// Positions that are worth a task.
const TASK_POSITIONS: usize = 512;
/// Values in all partial sums together.
const PARTIAL_BUDGET: usize = 1 << 20;
/// Input channels that a task handles at most.
const TASK_CHANNELS: usize = 32;
/// Positions of one pass: their gradients, for a group of channels, fit in the L1 cache.
const PASS: usize = 2048;

/// See [`super::weight_gradient`].
pub(super) fn weight_gradient(
    isa: Isa,
    shape: &ConvShape,
    input: Input,
    output_grad: &[f32],
) -> Vec<f32> {
    assert_eq!(input.len(), shape.input_len(), "length of the input");
    assert_eq!(
        output_grad.len(),
        shape.output_len(),
        "length of the output gradient"
    );
    let len = shape.weight_len();
    let size = shape.output();
    let axes = std::array::from_fn(|i| source_axis(shape, i));

    // Few weights: share out the positions, and add up the partial sums. Many weights: share out
    // the input channels.
    let positions = shape.batch * size.iter().product::<usize>();
    let most_parts = (PARTIAL_BUDGET / len).clamp(1, TASKS);
    let tiling = Tiling::new(
        size,
        &axes,
        shape.in_channels.min(TASK_CHANNELS),
        positions.div_ceil(most_parts).max(TASK_POSITIONS),
        BLOCK_BUDGET,
    );
    let tiles = shape.batch * tiling.len();
    let share = tiles.div_ceil(most_parts);
    let parts = tiles.div_ceil(share);
    let channels = (shape.in_channels * parts)
        .div_ceil(TASKS)
        .clamp(1, TASK_CHANNELS);
    let groups = shape.in_channels.div_ceil(channels);

    let layout = Layout::new(axes, &tiling);
    let plan = Plan {
        isa,
        shape,
        layout,
        gradient: Lines::new(&layout, tiling.tile),
        tiling,
        offsets: offsets(shape, &layout, channels),
        input,
        output_grad,
    };
    let fill = |partial: &SharedOutput| {
        (0..parts * groups)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|task| {
                let (part, group) = (task / groups, task % groups);
                let first = group * channels;
                let last = shape.in_channels.min(first + channels);
                plan.run(
                    part * share..tiles.min((part + 1) * share),
                    first..last,
                    partial,
                    part * len,
                );
            });
    };
    // SAFETY: the tasks cover every part and every input channel once.
    let partial = unsafe { SharedOutput::collect(parts * len, fill) };
    add_parts(partial, len)
}

/// The sum of parts of `len` values.
pub(super) fn add_parts(parts: Vec<f32>, len: usize) -> Vec<f32> {
    if parts.len() == len {
        return parts;
    }
    let mut total = parts[..len].to_vec();
    total
        .par_chunks_mut(1 << 12)
        .enumerate()
        .for_each(|(i, total)| {
            for part in parts.chunks_exact(len).skip(1) {
                for (total, value) in total.iter_mut().zip(&part[i << 12..]) {
                    *total += value;
                }
            }
        });
    total
}

/// Where each tap of each channel begins in a block.
fn offsets(shape: &ConvShape, layout: &Layout, channels: usize) -> Vec<u32> {
    let [z, y, x] = shape.kernel;
    (0..channels)
        .flat_map(|c| {
            product(z, y, x).map(move |(z, y, x)| {
                let tap = [z, y, x];
                let phase = std::array::from_fn(|i| tap[i] % shape.stride[i]);
                let shift = std::array::from_fn(|i| tap[i] / shape.stride[i]);
                layout.offset(c, phase, shift) as u32
            })
        })
        .collect()
}

/// The output gradient of a tile: for each channel, and each plane, one line of positions at the
/// same distances as in the input's block.
struct Lines {
    layout: Layout,
    /// Length of a line, a multiple of `MAX_LANES`.
    line: usize,
    tile: [usize; 3],
}

impl Lines {
    fn new(layout: &Layout, tile: [usize; 3]) -> Lines {
        Lines {
            layout: *layout,
            line: ((tile[1] - 1) * layout.row() + tile[2]).next_multiple_of(MAX_LANES),
            tile,
        }
    }

    /// Distance of two channels.
    fn channel(&self) -> usize {
        self.tile[0] * self.line
    }

    /// Copies the gradient of the tile at `first` from `source` (whole channels of `volume`).
    fn gather(&self, source: &[f32], volume: [usize; 3], first: [usize; 3], lines: &mut [f32]) {
        let row = self.layout.row();
        let size: [usize; 3] = std::array::from_fn(|i| self.tile[i].min(volume[i] - first[i]));
        let mut lines = lines.chunks_exact_mut(self.line);
        let channel: usize = volume.iter().product();
        for (c, values) in source.chunks_exact(channel).enumerate() {
            for z in 0..self.tile[0] {
                let line = lines.next().expect("a line for each plane");
                if z >= size[0] {
                    line.fill(0.0);
                    continue;
                }
                let height = size[1];
                let start = ((first[0] + z) * volume[1] + first[1]) * volume[2] + first[2];
                // The plane to come, or the next channel's first.
                let next = if z + 1 < size[0] {
                    c * channel + start + volume[1] * volume[2]
                } else {
                    (c + 1) * channel + start - z * volume[1] * volume[2]
                };
                prefetch(source, next, height * volume[2]);
                if row == volume[2] {
                    // No padding between the rows (kernels of one voxel).
                    line[..height * row].copy_from_slice(&values[start..][..height * row]);
                } else {
                    for y in 0..height {
                        let from = &values[start + y * volume[2]..][..size[2]];
                        line[y * row..][..size[2]].copy_from_slice(from);
                    }
                }
                // Column by column, as a call for each short gap is slow.
                for x in size[2]..row {
                    for value in line.iter_mut().skip(x).step_by(row).take(height) {
                        *value = 0.0;
                    }
                }
                line[(height * row).min(self.line)..].fill(0.0);
            }
        }
    }
}

/// What all tasks share.
struct Plan<'a> {
    isa: Isa,
    shape: &'a ConvShape,
    tiling: Tiling,
    layout: Layout,
    gradient: Lines,
    offsets: Vec<u32>,
    input: Input<'a>,
    output_grad: &'a [f32],
}

impl Plan<'_> {
    /// Adds up some tiles for some input channels, and writes the sums into the weight tensor
    /// that begins at `start` of `partial`.
    fn run(
        &self,
        tiles: Range<usize>,
        channels: Range<usize>,
        partial: &SharedOutput,
        start: usize,
    ) {
        let shape = self.shape;
        let inputs = channels.len();
        let products = inputs * shape.taps();
        let lengths = [
            self.layout.len(inputs),
            shape.out_channels * self.gradient.channel(),
            shape.out_channels * products,
        ];
        with_scratch(lengths, |[block, lines, sums]| {
            sums.fill(0.0);
            for tile in tiles {
                let (n, tile) = (tile / self.tiling.len(), tile % self.tiling.len());
                let (first, _) = self.tiling.get(tile);
                let volume: usize = shape.input.iter().product();
                let input = self.input.sample(n, shape.batch, volume);
                self.layout
                    .gather(input.part(channels.clone()), first, block);
                let length = self.output_grad.len() / shape.batch;
                let gradient = &self.output_grad[n * length..][..length];
                self.gradient.gather(gradient, shape.output(), first, lines);
                self.accumulate(block, lines, sums);
            }
            for (co, sums) in sums.chunks_exact(products).enumerate() {
                let to = (co * shape.in_channels + channels.start) * shape.taps();
                // SAFETY: no other task has this part and these input channels.
                unsafe { partial.write(start + to, sums) };
            }
        });
    }

    /// Adds the products of one tile to `sums`, which is `[output channels][products]`.
    fn accumulate(&self, block: &[f32], lines: &[f32], sums: &mut [f32]) {
        let gradient = &self.gradient;
        let (depth, line) = (gradient.tile[0], gradient.line);
        let outputs = self.shape.out_channels;
        let products = sums.len() / outputs;
        let offsets = &self.offsets[..products];
        // One pass takes several short lines, or a part of a long one.
        let planes = (PASS / line).clamp(1, depth);
        let passes = line.div_ceil(PASS);
        let length = line.div_ceil(passes).next_multiple_of(MAX_LANES);
        for z in (0..depth).step_by(planes) {
            for at in (0..line).step_by(length) {
                let mut channel = 0;
                while channel < outputs {
                    let group = channel_group(outputs - channel);
                    let args = Args {
                        block: &block[z * self.layout.plane() + at..],
                        plane: self.layout.plane(),
                        offsets,
                        lines: &lines[channel * gradient.channel() + z * line + at..],
                        line,
                        channel: gradient.channel(),
                        planes: planes.min(depth - z),
                        length: length.min(line - at),
                    };
                    accumulate(self.isa, group, &args, &mut sums[channel * products..]);
                    channel += group;
                }
            }
        }
    }
}
