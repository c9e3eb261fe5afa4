//! Convolutions of 3x3x3 with a stride and a padding of 1, and their input gradients, in a
//! quarter of the products.
//!
//! Winograd's F(4, 3) along depth and height (Lavin and Gray, "Fast algorithms for convolutional
//! neural networks", 2016), the plain sum along the width: what would take 9 x 16 products for
//! 4x4 rows takes 36. Rows stay whole, so that vectors run along them as in
//! [`super::correlate`], and no channel count wastes lanes.
//!
//! Rounding errors, of the largest value of a result, are below 4e-6 up to 128 channels and below
//! 8e-6 with 512, about twice those of the direct sum. A value that is not finite spreads over all of its tiles
//! instead of over its neighbours.

mod grid;
mod outer;
mod products;
mod transforms;
pub(super) mod weight_gradient;

use super::ConvShape;
use super::input::{Channels, Input};
use super::simd::{Isa, MAX_LANES};
use crate::shared::{SharedOutput, with_scratch};
use grid::{Block, Grid, spread};
use products::{Product, WIDEST_GROUP, channel_group, multiply, widest_group};
use rayon::prelude::*;
use std::ops::Range;
use transforms::{POINTS, TILE, transform_output, transform_weights};

/// Transformed values of a block, before and after they are multiplied: what stays near the core.
const BLOCK_BUDGET: usize = 320 * 1024;
/// Transformed weights that are kept at a time.
const WEIGHT_BUDGET: usize = 1 << 20;
/// Tasks that a big enough problem is cut into at least.
const TASKS: usize = 32;
/// Channels of the destination that are worth transforming the input again.
const SHARE: usize = 32;
/// Source channels that are transformed together.
const PART: usize = 32;
/// Source channels whose weights are transformed together.
const WEIGHT_CHANNELS: usize = 16;
/// Blocks of a tensor for each of which the weights are transformed again.
const FEW_BLOCKS: usize = 2;

/// Whether a convolution can be computed this way.
pub(super) fn applies(shape: &ConvShape) -> bool {
    shape.kernel == [3; 3] && shape.stride == [1; 3] && shape.padding == [1; 3]
}

/// Whether a convolution, or its input gradient, is computed sooner this way.
///
/// The two sides are times, for each pair of channels, as measured; the constant is what
/// transforming the weights takes. What tiles have outside of the volume is computed too.
pub(super) fn pays(shape: &ConvShape) -> bool {
    let [depth, height, width] = shape.input;
    let row = shape.batch * (width + 1);
    let tiles = depth.div_ceil(TILE) * height.div_ceil(TILE);
    applies(shape) && 6 * tiles * row + 128 <= depth * height * row
}

/// See [`super::forward`].
pub(super) fn forward(
    isa: Isa,
    shape: &ConvShape,
    input: Input,
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    assert_eq!(input.len(), shape.input_len(), "length of the input");
    assert_eq!(weight.len(), shape.weight_len(), "length of the weights");
    Winograd {
        isa,
        batch: shape.batch,
        source_channels: shape.in_channels,
        channels: shape.out_channels,
        way: Way::new(shape, [shape.in_channels, shape.out_channels]),
        weight,
        source_stride: 27,
        channel_stride: shape.in_channels * 27,
        mirrored: false,
        bias,
    }
    .run(input)
}

/// See [`super::input_gradient`].
pub(super) fn input_gradient(
    isa: Isa,
    shape: &ConvShape,
    channels: Range<usize>,
    output_grad: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    assert_eq!(
        output_grad.len(),
        shape.output_len(),
        "length of the output gradient"
    );
    assert_eq!(weight.len(), shape.weight_len(), "length of the weights");
    Winograd {
        isa,
        batch: shape.batch,
        source_channels: shape.out_channels,
        channels: channels.len(),
        way: Way::new(shape, [shape.out_channels, channels.len()]),
        weight: &weight[channels.start * 27..],
        source_stride: shape.in_channels * 27,
        channel_stride: 27,
        mirrored: true,
        bias,
    }
    .run(output_grad.into())
}

/// In which order the work is done.
#[derive(Clone, Copy, Debug)]
struct Way {
    grid: Grid,
    /// Whether the weights are transformed once, for all blocks. A small volume with many channels
    /// has few blocks and many weights: there each task transforms what it needs of both, some
    /// source channels at a time, which takes little memory and leaves no core without work.
    shared: bool,
}

impl Way {
    fn new(shape: &ConvShape, [source_channels, channels]: [usize; 2]) -> Way {
        let parts = Grid::new(shape.input, WEIGHT_CHANNELS + SHARE, BLOCK_BUDGET);
        if shape.batch * parts.len() <= FEW_BLOCKS {
            Way {
                grid: parts,
                shared: false,
            }
        } else {
            Way {
                grid: Grid::new(
                    shape.input,
                    source_channels.min(PART) + channels.min(SHARE),
                    BLOCK_BUDGET,
                ),
                shared: true,
            }
        }
    }

    /// Source channels that a task takes at a time.
    fn part(&self) -> usize {
        if self.shared { PART } else { WEIGHT_CHANNELS }
    }
}

/// A correlation with a kernel of 3x3x3 of a source tensor into a destination tensor.
struct Winograd<'a> {
    isa: Isa,
    batch: usize,
    source_channels: usize,
    /// Channels of the destination.
    channels: usize,
    way: Way,
    weight: &'a [f32],
    /// Distance in `weight` of two source channels.
    source_stride: usize,
    /// Distance in `weight` of two destination channels.
    channel_stride: usize,
    /// Whether the taps are taken in the opposite order.
    mirrored: bool,
    bias: Option<&'a [f32]>,
}

impl Winograd<'_> {
    fn run(&self, source: Input) -> Vec<f32> {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), self.channels, "length of the bias");
        }
        let grid = &self.way.grid;
        let blocks = self.batch * grid.len();
        let volume: usize = grid.size().iter().product();
        let task =
            |output: &SharedOutput, block: usize, channels: Range<usize>, weights: &[f32]| {
                let n = block / grid.len();
                let task = Task {
                    plan: self,
                    output,
                    first_channel: n * self.channels,
                    block: grid.get(block % grid.len()),
                };
                let source = source.sample(n, self.batch, volume);
                task.run(source, channels, weights);
            };
        let fill = |output: &SharedOutput| {
            let [kept, share] = self.shares(blocks);
            for first in (0..self.channels).step_by(kept) {
                let last = self.channels.min(first + kept);
                let weights = if self.way.shared {
                    self.transform_weights(first..last)
                } else {
                    Vec::new()
                };
                let shares = (last - first).div_ceil(share);
                (0..blocks * shares)
                    .into_par_iter()
                    .with_max_len(1)
                    .for_each(|i| {
                        let at = i % shares * share;
                        let weights = &weights[self.weights_before(at).min(weights.len())..];
                        let channels = first + at..last.min(first + at + share);
                        task(output, i / shares, channels, weights);
                    });
            }
        };
        // SAFETY: the blocks cover every position once, and each channel of a block belongs to
        // one task.
        unsafe { SharedOutput::collect(self.batch * self.channels * volume, fill) }
    }

    /// Channels whose weights are kept at a time, and those of a task.
    fn shares(&self, blocks: usize) -> [usize; 2] {
        if !self.way.shared {
            let share = self.channels.next_multiple_of(widest_group(self.isa));
            return [self.channels, share.min(SHARE)];
        }
        let widest = widest_group(self.isa);
        let kept = (WEIGHT_BUDGET / self.weights_before(widest)).max(1) * widest;
        // Few blocks leave the channels to share out.
        let share = self.channels.div_ceil(TASKS.div_ceil(blocks));
        let share = share.next_multiple_of(widest).min(SHARE).min(kept);
        [kept / share * share, share]
    }

    /// Transformed weights of some whole groups of channels.
    fn weights_before(&self, channels: usize) -> usize {
        let widest = widest_group(self.isa);
        channels / widest * self.transformed_len(widest)
    }

    /// Distance of two points in the weights of a group of channels.
    fn point_len(&self, group: usize) -> usize {
        spread(self.source_channels * 3 * group)
    }

    /// Transformed weights of a group of channels.
    fn transformed_len(&self, group: usize) -> usize {
        POINTS * self.point_len(group)
    }

    /// For each group of channels, `[point][source channel][tap along the width][group]`.
    fn transform_weights(&self, channels: Range<usize>) -> Vec<f32> {
        let widest = widest_group(self.isa);
        let (whole, rest) = (channels.len() / widest, channels.len() % widest);
        let last = if rest > 0 {
            self.transformed_len(channel_group(self.isa, rest))
        } else {
            0
        };
        let len = self.transformed_len(widest);
        let mut weights = vec![0.0; whole * len + last];
        weights
            .par_chunks_mut(len)
            .enumerate()
            .for_each(|(i, weights)| {
                let first = channels.start + i * widest;
                let group = first..channels.end.min(first + widest);
                let stride = self.point_len(channel_group(self.isa, group.len()));
                self.transform_group(group, 0..self.source_channels, weights, stride);
            });
        weights
    }

    /// The weights of a group of channels for some source channels, as in [`Self::transform_weights`], the
    /// points `stride` apart.
    fn transform_group(
        &self,
        channels: Range<usize>,
        sources: Range<usize>,
        to: &mut [f32],
        stride: usize,
    ) {
        let group = channel_group(self.isa, channels.len());
        let mut taps = [0.0; 9 * WEIGHT_CHANNELS * 3 * WIDEST_GROUP];
        let start = sources.start;
        for first in sources.clone().step_by(WEIGHT_CHANNELS) {
            let sources = first..sources.end.min(first + WEIGHT_CHANNELS);
            let len = (sources.len() * 3 * group).next_multiple_of(MAX_LANES);
            taps.fill(0.0);
            for (c, channel) in channels.clone().enumerate() {
                for (s, source) in sources.clone().enumerate() {
                    let from = channel * self.channel_stride + source * self.source_stride;
                    let mut kernel = [0.0; 27];
                    kernel.copy_from_slice(&self.weight[from..][..27]);
                    if self.mirrored {
                        kernel.reverse();
                    }
                    let to = &mut taps[s * 3 * group + c..];
                    for (tap, row) in kernel.as_chunks::<3>().0.iter().enumerate() {
                        for (k, &value) in row.iter().enumerate() {
                            to[tap * len + k * group] = value;
                        }
                    }
                }
            }
            let to = &mut to[(first - start) * 3 * group..];
            transform_weights(self.isa, &taps, len, to, stride);
        }
    }
}

/// Some destination channels of one block.
struct Task<'a> {
    plan: &'a Winograd<'a>,
    output: &'a SharedOutput<'a>,
    /// Index of the volume's channel 0 among the channels of the destination tensor.
    first_channel: usize,
    block: Block,
}

impl Task<'_> {
    /// `shared` are the transformed weights of the channels, where all tasks share them.
    fn run(&self, source: Channels, channels: Range<usize>, shared: &[f32]) {
        let plan = self.plan;
        let grid = &plan.way.grid;
        let (line, stride) = (grid.line(), grid.stride());
        let widest = widest_group(plan.isa);
        let sums_point = grid.point(channels.len().next_multiple_of(widest));
        let part = plan.source_channels.min(plan.way.part());
        let row = self.block.columns.len().max(MAX_LANES);
        let own = if plan.way.shared {
            0
        } else {
            POINTS * spread(part * 3 * widest)
        };
        let lengths = [
            POINTS * grid.point(part),
            own,
            POINTS * sums_point,
            TILE * TILE * row,
            grid.scratch(),
        ];
        with_scratch(lengths, |[block, own, sums, rows, scratch]| {
            for first in (0..plan.source_channels).step_by(part) {
                let sources = first..plan.source_channels.min(first + part);
                let of_part = source.part(sources.clone());
                grid.gather_input(plan.isa, of_part, &self.block, block, scratch);
                let point = grid.point(sources.len());
                let groups = (0..channels.len()).step_by(widest);
                let of_group = |at: usize| at..channels.len().min(at + widest);
                let mut add_up = |p: usize, at: usize, weights: &[f32]| {
                    let product = Product {
                        source: &block[p * point..],
                        stride,
                        weights,
                        channels: sources.len(),
                        group: channel_group(plan.isa, of_group(at).len()),
                        line,
                        add: first > 0,
                    };
                    let sums = &mut sums[p * sums_point + at * stride..];
                    multiply(plan.isa, &product, sums, stride);
                };
                if plan.way.shared {
                    // A point's source stays in the L1 cache for all groups.
                    for p in 0..POINTS {
                        for at in groups.clone() {
                            let group = channel_group(plan.isa, of_group(at).len());
                            let of_point = plan.weights_before(at) + p * plan.point_len(group);
                            add_up(p, at, &shared[of_point + first * 3 * group..]);
                        }
                    }
                } else {
                    for at in groups {
                        let of_group = of_group(at);
                        let group = channel_group(plan.isa, of_group.len());
                        let of_group = channels.start + at..channels.start + of_group.end;
                        let point = spread(sources.len() * 3 * group);
                        plan.transform_group(of_group, sources.clone(), own, point);
                        for p in 0..POINTS {
                            add_up(p, at, &own[p * point..]);
                        }
                    }
                }
            }
            for (c, channel) in channels.enumerate() {
                self.scatter(channel, &sums[c * stride..], sums_point, rows);
            }
        });
    }

    /// Transforms the sums of a channel back and writes them to the destination.
    fn scatter(&self, channel: usize, sums: &[f32], point: usize, rows: &mut [f32]) {
        let grid = &self.plan.way.grid;
        let [depth, height, width] = grid.size();
        let Block { tiles, columns } = &self.block;
        let bias = self.plan.bias.map_or(0.0, |bias| bias[channel]);
        let len = columns.len().max(MAX_LANES);
        let wide = columns.len() >= MAX_LANES;
        for (r, tile) in tiles.clone().enumerate() {
            let [z, y] = grid.first(tile);
            let sums = &sums[r * grid.pitch()..];
            let position = |i: usize| {
                let (z, y) = (z + i / TILE, y + i % TILE);
                let channel = (self.first_channel + channel) * depth + z;
                let to = (channel * height + y) * width + columns.start;
                (z < depth && y < height).then_some(to)
            };
            // Rows that are outside, or too short for a vector, go to the scratch memory.
            let scratch = rows[..TILE * TILE * len].as_mut_ptr();
            let to: [*mut f32; TILE * TILE] = std::array::from_fn(|i| match position(i) {
                Some(to) if wide => self.output.part(to, len),
                _ => scratch.wrapping_add(i * len),
            });
            // The rows of the next channel, to be there when they are written.
            for to in (0..TILE * TILE).filter_map(position) {
                self.output.fetch(to + depth * height * width, len);
            }
            // SAFETY: all rows have `len` values, and no other block or share of channels has
            // these positions.
            unsafe { transform_output(self.plan.isa, sums, point, bias, len, &to) };
            if !wide {
                for (i, row) in rows.chunks_exact(len).take(TILE * TILE).enumerate() {
                    if let Some(to) = position(i) {
                        // SAFETY: as above.
                        unsafe { self.output.write(to, &row[..columns.len()]) };
                    }
                }
            }
        }
    }
}
