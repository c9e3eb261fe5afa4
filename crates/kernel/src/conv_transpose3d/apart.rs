//! Kernels as large as the stride: every value of the output comes from one position of the input, so the layer is a
//! matrix product and a rearrangement.
//!
//! One line of positions for each channel and tap is made in the cache, and then goes to its places; the gradients
//! take the same way back.

use std::ops::Range;

use rayon::prelude::*;

use super::ConvTransposeShape;
use crate::conv3d::correlate_kernel::{self, channel_group, correlate};
use crate::conv3d::shared::{SharedOutput, with_scratch};
use crate::conv3d::simd::{Isa, MAX_LANES};
use crate::conv3d::weight_gradient_kernel::{self, accumulate};

/// Output channels that a task of the forward pass handles: deep levels have few planes to share out.
const TASK_CHANNELS: usize = 16;
/// Values in a block of lines: half of a common L2 cache.
const LINES_BUDGET: usize = 128 * 1024;
/// Parts that the sum over all planes is cut into, if there are as many.
const PARTS: usize = 8;

/// A layer whose kernels lie side by side.
pub(super) struct Apart<'a> {
    shape: &'a ConvTransposeShape,
    isa: Isa,
    /// Taps of a kernel.
    taps: usize,
    /// Lines of an output: one for each channel and tap.
    lines: usize,
}

/// Some rows of a plane of the input, with what they fill in the output.
struct Rows {
    batch: usize,
    plane: usize,
    rows: Range<usize>,
    /// Positions.
    len: usize,
    /// The same, up to a whole vector.
    line: usize,
}

impl<'a> Apart<'a> {
    /// None of a layer whose kernels overlap, or leave gaps or edges.
    pub(super) fn of(shape: &'a ConvTransposeShape, isa: Isa) -> Option<Self> {
        let is_apart = shape.kernel == shape.stride;
        let is_whole = shape.padding == [0; 3] && shape.out_padding == [0; 3];
        let taps = shape.kernel.iter().product();
        (is_apart && is_whole).then_some(Self {
            shape,
            isa,
            taps,
            lines: shape.out_channels * taps,
        })
    }

    /// See [`super::forward`].
    pub(super) fn forward(&self, input: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (shape, channels) = (self.shape, self.shape.in_channels);
        self.check(Some(input), Some(weight), None);
        // `[lines, in_channels]`, so that the products of a line read their weights in order.
        let mut weights = vec![0.0; weight.len()];
        for (c, of_channel) in weight.chunks_exact(self.lines).enumerate() {
            for (line, value) in of_channel.iter().enumerate() {
                weights[line * channels + c] = *value;
            }
        }
        let numbers: Vec<u32> = (0..channels as u32).collect();
        let groups = shape.out_channels.div_ceil(TASK_CHANNELS);
        let blocks = self.rows(self.block_rows(channels + self.taps));
        let fill = |output: &SharedOutput| {
            let tasks = (0..blocks.len() * groups).into_par_iter().with_max_len(1);
            tasks.for_each(|task| {
                let (rows, first) = (&blocks[task / groups], task % groups * TASK_CHANNELS);
                let own = first..shape.out_channels.min(first + TASK_CHANNELS);
                let offsets: Vec<u32> = numbers.iter().map(|c| c * rows.line as u32).collect();
                // Lines are made eight at a time, whether there are as many or not.
                let lines = self.taps.next_multiple_of(8);
                let sizes = [channels * rows.line, lines * rows.line, self.row()];
                with_scratch(sizes, |[block, sums, row]| {
                    self.gather(input, rows, block);
                    for channel in own {
                        for tap in (0..self.taps).step_by(8) {
                            let of_tap = |i: usize| {
                                let line = channel * self.taps + self.taps.min(tap + i + 1) - 1;
                                &weights[line * channels..][..channels]
                            };
                            self.products(
                                block,
                                (&offsets, &numbers),
                                std::array::from_fn(of_tap),
                                bias.map_or(0.0, |bias| bias[channel]),
                                self.taps.min(tap + 8) - tap,
                                &mut sums[tap * rows.line..],
                            );
                        }
                        self.spread(sums, rows, channel, row, output);
                    }
                });
            });
        };
        let len = shape.batch * shape.out_channels * shape.output().iter().product::<usize>();
        // SAFETY: every row of every channel of the output belongs to one row of the input and one group.
        unsafe { SharedOutput::collect(len, fill) }
    }

    /// See [`super::input_gradient`].
    pub(super) fn input_gradient(&self, output_grad: &[f32], weight: &[f32]) -> Vec<f32> {
        let shape = self.shape;
        self.check(None, Some(weight), Some(output_grad));
        let numbers: Vec<u32> = (0..self.lines as u32).collect();
        let blocks = self.rows(self.block_rows(self.lines));
        let volume: usize = shape.input.iter().product();
        let fill = |gradient: &SharedOutput| {
            blocks.par_iter().with_max_len(1).for_each(|rows| {
                let offsets: Vec<u32> = numbers.iter().map(|k| k * rows.line as u32).collect();
                with_scratch([self.lines * rows.line, 8 * rows.line], |[lines, sums]| {
                    self.collect(output_grad, rows, lines);
                    for first in (0..shape.in_channels).step_by(8) {
                        let count = shape.in_channels.min(first + 8) - first;
                        let of_channel = |i: usize| {
                            let channel = first + i.min(count - 1);
                            &weight[channel * self.lines..][..self.lines]
                        };
                        let weights = std::array::from_fn(of_channel);
                        self.products(lines, (&offsets, &numbers), weights, 0.0, count, sums);
                        for (i, line) in sums.chunks_exact(rows.line).take(count).enumerate() {
                            let map = rows.batch * shape.in_channels + first + i;
                            let at = map * volume + rows.first(shape);
                            // SAFETY: these positions of this channel belong to these rows alone.
                            unsafe { gradient.write(at, &line[..rows.len]) };
                        }
                    }
                });
            });
        };
        // SAFETY: every position of every channel belongs to one block of rows.
        unsafe { SharedOutput::collect(shape.batch * shape.in_channels * volume, fill) }
    }

    /// See [`super::weight_gradient`].
    pub(super) fn weight_gradient(&self, input: &[f32], output_grad: &[f32]) -> Vec<f32> {
        let (channels, lines_of_output) = (self.shape.in_channels, self.lines);
        self.check(Some(input), None, Some(output_grad));
        let blocks = self.rows(self.block_rows(self.lines));
        let share = blocks.len().div_ceil(PARTS);
        let parts = blocks.par_chunks(share).map(|blocks| {
            let mut sums = vec![0.0; channels * lines_of_output];
            for rows in blocks {
                let offsets: Vec<u32> = (0..lines_of_output)
                    .map(|line| (line * rows.line) as u32)
                    .collect();
                let sizes = [lines_of_output * rows.line, channels * rows.line];
                with_scratch(sizes, |[lines, block]| {
                    self.collect(output_grad, rows, lines);
                    self.gather(input, rows, block);
                    let mut first = 0;
                    while first < channels {
                        let group = weight_gradient_kernel::channel_group(channels - first);
                        let args = weight_gradient_kernel::Args {
                            block: lines,
                            plane: 0,
                            offsets: &offsets,
                            lines: &block[first * rows.line..],
                            line: 0,
                            channel: rows.line,
                            planes: 1,
                            length: rows.line,
                        };
                        let sums = &mut sums[first * lines_of_output..];
                        accumulate(self.isa, group, &args, sums);
                        first += group;
                    }
                });
            }
            sums
        });
        let parts: Vec<Vec<f32>> = parts.collect();
        let mut parts = parts.into_iter();
        let mut total = parts.next().unwrap_or_default();
        for part in parts {
            for (total, value) in total.iter_mut().zip(part) {
                *total += value;
            }
        }
        total
    }

    /// Checks the lengths of what is given.
    fn check(&self, input: Option<&[f32]>, weight: Option<&[f32]>, output: Option<&[f32]>) {
        let shape = self.shape;
        let volume = |channels: usize, size: [usize; 3]| {
            shape.batch * channels * size.iter().product::<usize>()
        };
        for (values, len, what) in [
            (input, volume(shape.in_channels, shape.input), "input"),
            (weight, shape.in_channels * self.lines, "weight"),
            (
                output,
                volume(shape.out_channels, shape.output()),
                "output gradient",
            ),
        ] {
            assert!(
                values.is_none_or(|of| of.len() == len),
                "length of the {what}"
            );
        }
    }

    /// All blocks of at most so many rows.
    fn rows(&self, most: usize) -> Vec<Rows> {
        let [depth, height, width] = self.shape.input;
        let mut all = Vec::new();
        for (batch, plane) in (0..self.shape.batch).flat_map(|n| (0..depth).map(move |d| (n, d))) {
            for first in (0..height).step_by(most) {
                let rows = first..height.min(first + most);
                let len = rows.len() * width;
                all.push(Rows {
                    batch,
                    plane,
                    rows,
                    len,
                    line: len.next_multiple_of(MAX_LANES),
                });
            }
        }
        all
    }

    /// Rows of a block of so many lines that fits into the cache.
    fn block_rows(&self, lines: usize) -> usize {
        let [_, height, width] = self.shape.input;
        (LINES_BUDGET / (lines * width)).clamp(1, height)
    }

    /// Values in a row of the output.
    fn row(&self) -> usize {
        self.shape.input[2] * self.shape.kernel[2]
    }

    /// Where in a map of the output the row lies that tap `z`, `y` of row `row` fills.
    fn place(&self, rows: &Rows, row: usize, [z, y]: [usize; 2]) -> usize {
        let ([kernel_z, kernel_y, _], height) = (self.shape.kernel, self.shape.input[1]);
        let plane = rows.plane * kernel_z + z;
        (plane * height * kernel_y + row * kernel_y + y) * self.row()
    }

    /// Copies the rows of each channel of the input to `[in_channels, line]`.
    fn gather(&self, input: &[f32], rows: &Rows, block: &mut [f32]) {
        let volume: usize = self.shape.input.iter().product();
        for (c, line) in block.chunks_exact_mut(rows.line).enumerate() {
            let map = rows.batch * self.shape.in_channels + c;
            let (values, rest) = line.split_at_mut(rows.len);
            values.copy_from_slice(&input[map * volume + rows.first(self.shape)..][..rows.len]);
            rest.fill(0.0);
        }
    }

    /// Adds up, for `count` lines, the products of all lines of the block with the line's weights.
    fn products(
        &self,
        block: &[f32],
        (offsets, numbers): (&[u32], &[u32]),
        weights: [&[f32]; 8],
        bias: f32,
        count: usize,
        sums: &mut [f32],
    ) {
        let line = block.len() / offsets.len();
        let mut first = 0;
        while first < count {
            let group = channel_group(self.isa, count - first).min(8);
            // A group may be larger than what is left: its last lines are then computed in vain.
            let args = correlate_kernel::Args {
                block,
                offsets,
                weights: numbers,
                last: [(offsets.len() - 1) * line, numbers.len() - 1],
                rows: std::array::from_fn(|i| weights[7.min(first + i)]),
                bias: [bias; 8],
                line,
            };
            correlate(self.isa, group, &args, &mut sums[first * line..]);
            first += group;
        }
    }

    /// Writes the lines of a channel, one for each tap, to their places in the output.
    fn spread(
        &self,
        sums: &[f32],
        rows: &Rows,
        channel: usize,
        row: &mut [f32],
        output: &SharedOutput,
    ) {
        let ([depth, height, width], size) = (self.shape.kernel, self.shape.output());
        let map = (rows.batch * self.shape.out_channels + channel) * size.iter().product::<usize>();
        for (z, y) in (0..depth).flat_map(|z| (0..height).map(move |y| (z, y))) {
            let taps = &sums[(z * height + y) * width * rows.line..][..width * rows.line];
            for (i, number) in rows.rows.clone().enumerate() {
                let lines = |x: usize| {
                    &taps[x * rows.line..][i * self.shape.input[2]..][..self.shape.input[2]]
                };
                interleave(width, lines, row);
                // SAFETY: the row belongs to this row of the input, this channel and these taps alone.
                unsafe { output.write(map + self.place(rows, number, [z, y]), row) };
            }
        }
    }

    /// The way back: the lines of an output's gradient, `[out_channels, taps, line]`.
    fn collect(&self, gradient: &[f32], rows: &Rows, lines: &mut [f32]) {
        let ([depth, height, width], size) = (self.shape.kernel, self.shape.output());
        let volume: usize = size.iter().product();
        for (channel, lines) in lines.chunks_exact_mut(self.taps * rows.line).enumerate() {
            let map = (rows.batch * self.shape.out_channels + channel) * volume;
            for (z, y) in (0..depth).flat_map(|z| (0..height).map(move |y| (z, y))) {
                let taps = &mut lines[(z * height + y) * width * rows.line..][..width * rows.line];
                for (i, number) in rows.rows.clone().enumerate() {
                    let row = &gradient[map + self.place(rows, number, [z, y])..][..self.row()];
                    for (x, line) in taps.chunks_exact_mut(rows.line).enumerate() {
                        let line = &mut line[i * self.shape.input[2]..][..self.shape.input[2]];
                        every(width, x, row, line);
                    }
                }
                for line in taps.chunks_exact_mut(rows.line) {
                    line[rows.len..].fill(0.0);
                }
            }
        }
    }
}

impl Rows {
    /// Where in a map of the input they begin.
    fn first(&self, shape: &ConvTransposeShape) -> usize {
        let [_, height, width] = shape.input;
        (self.plane * height + self.rows.start) * width
    }
}

/// Puts `width` lines into one, a value of each in turn.
fn interleave<'a>(width: usize, line: impl Fn(usize) -> &'a [f32], to: &mut [f32]) {
    // The usual width, as pairs that become vectors.
    if width == 2 {
        let (pairs, _) = to.as_chunks_mut::<2>();
        for (pair, (first, second)) in pairs.iter_mut().zip(line(0).iter().zip(line(1))) {
            *pair = [*first, *second];
        }
        return;
    }
    for x in 0..width {
        for (to, value) in to[x..].iter_mut().step_by(width).zip(line(x)) {
            *to = *value;
        }
    }
}

/// Takes every `width`th value from `first` on.
fn every(width: usize, first: usize, from: &[f32], to: &mut [f32]) {
    if width == 2 {
        let (pairs, _) = from.as_chunks::<2>();
        for (to, pair) in to.iter_mut().zip(pairs) {
            *to = pair[first];
        }
        return;
    }
    for (to, value) in to.iter_mut().zip(from[first..].iter().step_by(width)) {
        *to = *value;
    }
}
