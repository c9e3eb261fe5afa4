//! Convolution and its input gradient, both as stride-1 correlations over blocks.
//!
//! The convolution reads its input in phases of the stride; the input gradient writes its result
//! in phases of the stride; each phase needs only some of the taps. What remains is the same
//! for both: at every position add up `taps x source channels` products, for some destination
//! channels at a time. Vectors run along the positions, so that no channel count wastes lanes.

use super::ConvShape;
use super::block::{Axis, Layout, Tiling, product};
use super::correlate_kernel::{Args, channel_group, correlate};
use super::input::{Channels, Input};
use super::simd::{Isa, MAX_LANES};
use crate::shared::{SharedOutput, with_scratch};
use rayon::prelude::*;
use std::ops::Range;

/// Values in a block: half of a common L2 cache.
const BLOCK_BUDGET: usize = 128 * 1024;
/// Tasks that a big enough problem is cut into at least.
const TASKS: usize = 32;
/// Positions that are worth a task.
const TASK_POSITIONS: usize = 512;

/// One tap along one axis.
#[derive(Clone, Copy)]
struct Tap {
    /// Index in the kernel.
    kernel: usize,
    /// Phase of the source that it reads.
    phase: usize,
    /// Shift in that phase.
    shift: usize,
}

/// The correlation along one axis.
struct AxisPlan {
    source: Axis,
    /// Number of positions.
    positions: usize,
    /// Length of the destination.
    size: usize,
    /// The taps of each phase of the destination.
    taps: Vec<Vec<Tap>>,
    /// Destination of position 0 in phase 0.
    origin: isize,
}

impl AxisPlan {
    /// The axis of the convolution itself.
    fn forward(shape: &ConvShape, i: usize) -> AxisPlan {
        let (kernel, stride, output) = (shape.kernel[i], shape.stride[i], shape.output()[i]);
        let taps = (0..kernel).map(|k| Tap {
            kernel: k,
            phase: k % stride,
            shift: k / stride,
        });
        AxisPlan {
            source: source_axis(shape, i),
            positions: output,
            size: output,
            taps: vec![taps.collect()],
            origin: 0,
        }
    }

    /// The axis of the input gradient. Input `stride * q + r - padding` gets its share of output
    /// `q - m` through tap `stride * m + r`.
    fn input_gradient(shape: &ConvShape, i: usize) -> AxisPlan {
        let (kernel, stride, padding) = (shape.kernel[i], shape.stride[i], shape.padding[i]);
        let halo = (kernel - 1) / stride;
        let first = padding / stride;
        let last = (shape.input[i] - 1 + padding) / stride;
        let taps = |r: usize| {
            (r..kernel).step_by(stride).enumerate().map(|(m, k)| Tap {
                kernel: k,
                phase: 0,
                shift: halo - m,
            })
        };
        AxisPlan {
            source: Axis {
                size: shape.output()[i],
                step: 1,
                phases: 1,
                origin: first as isize - halo as isize,
                halo,
            },
            positions: last + 1 - first,
            size: shape.input[i],
            taps: (0..stride).map(|r| taps(r).collect()).collect(),
            origin: (first * stride) as isize - padding as isize,
        }
    }

    /// Distance of two positions in the destination.
    fn step(&self) -> usize {
        self.taps.len()
    }

    /// The destination of a position, if there is one.
    fn destination(&self, position: usize, phase: usize) -> Option<usize> {
        let to = (position * self.step() + phase) as isize + self.origin;
        usize::try_from(to).ok().filter(|&to| to < self.size)
    }
}

/// How blocks of the input of a convolution are laid out.
pub(super) fn source_axis(shape: &ConvShape, i: usize) -> Axis {
    Axis {
        size: shape.input[i],
        step: shape.stride[i],
        phases: shape.stride[i].min(shape.kernel[i]),
        origin: -(shape.padding[i] as isize),
        halo: (shape.kernel[i] - 1) / shape.stride[i],
    }
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
    Correlation {
        isa,
        batch: shape.batch,
        source_channels: shape.in_channels,
        channels: shape.out_channels,
        axes: std::array::from_fn(|i| AxisPlan::forward(shape, i)),
        kernel: shape.kernel,
        weight,
        source_stride: shape.taps(),
        channel_stride: shape.in_channels * shape.taps(),
        bias,
    }
    .run(input)
}

/// See [`super::input_gradient`]; `bias` is added to the result, one value for each of the channels.
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
    Correlation {
        isa,
        batch: shape.batch,
        source_channels: shape.out_channels,
        channels: channels.len(),
        axes: std::array::from_fn(|i| AxisPlan::input_gradient(shape, i)),
        kernel: shape.kernel,
        weight: &weight[channels.start * shape.taps()..],
        source_stride: shape.in_channels * shape.taps(),
        channel_stride: shape.taps(),
        bias,
    }
    .run(output_grad.into())
}

/// A correlation of a source tensor with weights into a destination tensor.
struct Correlation<'a> {
    isa: Isa,
    batch: usize,
    source_channels: usize,
    /// Channels of the destination.
    channels: usize,
    axes: [AxisPlan; 3],
    kernel: [usize; 3],
    weight: &'a [f32],
    /// Distance in `weight` of two source channels.
    source_stride: usize,
    /// Distance in `weight` of two destination channels.
    channel_stride: usize,
    bias: Option<&'a [f32]>,
}

/// One phase of the destination, with the taps that it needs.
struct Class {
    phase: [usize; 3],
    /// Where each product finds its source in the block.
    offsets: Vec<u32>,
    /// Where it finds its weight, for destination channel 0.
    weights: Vec<u32>,
    /// The largest of the offsets and of the weights.
    last: [usize; 2],
}

impl Correlation<'_> {
    fn run(&self, source: Input) -> Vec<f32> {
        if let Some(bias) = self.bias {
            assert_eq!(bias.len(), self.channels, "length of the bias");
        }
        assert!(u32::try_from(self.weight.len()).is_ok(), "too many weights");
        let sources = self.axes.each_ref().map(|axis| axis.source);
        let size = self.axes.each_ref().map(|axis| axis.positions);
        let volume: usize = self.axes.iter().map(|axis| axis.size).product();
        let positions = (self.batch * size.iter().product::<usize>()).div_ceil(TASKS);
        let tiling = Tiling::new(
            size,
            &sources,
            self.source_channels,
            positions.max(TASK_POSITIONS),
            BLOCK_BUDGET,
        );
        let layout = Layout::new(sources, &tiling);
        let classes = self.classes(&layout);
        // Few tiles (the deep layers) leave the channels to share out.
        let tiles = self.batch * tiling.len();
        let groups = TASKS.div_ceil(tiles);
        // Every share gathers the block again, which must not take longer than its sums.
        let phases: usize = sources.iter().map(|axis| axis.phases).product();
        let least = if phases > 1 { 64 } else { 8 };
        let share = self.channels.div_ceil(groups).next_multiple_of(least);
        let groups = self.channels.div_ceil(share);

        let fill = |output: &SharedOutput| {
            (0..tiles * groups)
                .into_par_iter()
                .with_max_len(1)
                .for_each(|task| {
                    let (tile, group) = (task / groups, task % groups);
                    let (n, tile) = (tile / tiling.len(), tile % tiling.len());
                    let length = sources.iter().map(|axis| axis.size).product();
                    Task {
                        plan: self,
                        layout: &layout,
                        classes: &classes,
                        output,
                        first_channel: n * self.channels,
                        tile: tiling.get(tile),
                    }
                    .run(
                        source.sample(n, self.batch, length),
                        group * share..self.channels.min((group + 1) * share),
                    );
                });
        };
        // SAFETY: the tiles, in all phases of the destination, cover every position of every
        // channel once, and each channel of a tile belongs to one task.
        unsafe { SharedOutput::collect(self.batch * self.channels * volume, fill) }
    }

    fn classes(&self, layout: &Layout) -> Vec<Class> {
        let [z, y, x] = &self.axes;
        let class = |(rz, ry, rx): (usize, usize, usize)| {
            let (z, y, x) = (&z.taps[rz][..], &y.taps[ry][..], &x.taps[rx][..]);
            let taps = (0..self.source_channels).flat_map(|c| {
                product(z.len(), y.len(), x.len()).map(move |(i, j, k)| (c, [z[i], y[j], x[k]]))
            });
            let (offsets, weights): (Vec<u32>, Vec<u32>) = taps
                .map(|(c, taps)| {
                    let offset = layout.offset(c, taps.map(|t| t.phase), taps.map(|t| t.shift));
                    let [a, b, k] = taps.map(|t| t.kernel);
                    let tap = (a * self.kernel[1] + b) * self.kernel[2] + k;
                    (offset as u32, (c * self.source_stride + tap) as u32)
                })
                .unzip();
            let last = [&offsets, &weights].map(|all| all.iter().max().map_or(0, |&i| i as usize));
            Class {
                phase: [rz, ry, rx],
                last,
                offsets,
                weights,
            }
        };
        product(z.step(), y.step(), x.step()).map(class).collect()
    }
}

/// Some destination channels of one tile.
struct Task<'a> {
    plan: &'a Correlation<'a>,
    layout: &'a Layout,
    classes: &'a [Class],
    output: &'a SharedOutput<'a>,
    /// Index of the volume's channel 0 among the channels of the destination tensor.
    first_channel: usize,
    /// First position and size.
    tile: ([usize; 3], [usize; 3]),
}

impl Task<'_> {
    fn run(&self, source: Channels, channels: Range<usize>) {
        let (first, [depth, height, width]) = self.tile;
        let block_len = self.layout.len(self.plan.source_channels);
        let line = ((height - 1) * self.layout.row() + width).next_multiple_of(MAX_LANES);
        let step = self.plan.axes[2].step();
        let lengths = [block_len, step * line * 8, step * width];
        with_scratch(lengths, |[block, sums, row]| {
            self.layout.gather(source, first, block);
            let mut channel = channels.start;
            while channel < channels.end {
                let group = channel_group(self.plan.isa, channels.end - channel);
                let real = group.min(channels.end - channel);
                // A group that is not full computes its last channel again.
                let of_group = std::array::from_fn(|c| channel + c.min(real - 1));
                let bias = of_group.map(|c| self.plan.bias.map_or(0.0, |bias| bias[c]));
                let rows = of_group.map(|c| &self.plan.weight[c * self.plan.channel_stride..]);
                // The phases along x share the rows of the destination.
                for classes in self.classes.chunks_exact(step) {
                    for z in 0..depth {
                        for (class, sums) in classes.iter().zip(sums.chunks_exact_mut(line * 8)) {
                            let args = Args {
                                block: &block[z * self.layout.plane()..],
                                offsets: &class.offsets,
                                weights: &class.weights,
                                last: class.last,
                                rows,
                                bias,
                                line,
                            };
                            correlate(self.plan.isa, group, &args, sums);
                        }
                        let channels = channel..channel + real;
                        self.scatter(classes[0].phase, z, channels, sums, line, row);
                    }
                }
                channel += group;
            }
        });
    }

    /// Writes the sums of a plane, `[phases along x][channels][line]`, to the destination.
    fn scatter(
        &self,
        [rz, ry, _]: [usize; 3],
        z: usize,
        channels: Range<usize>,
        sums: &[f32],
        line: usize,
        row: &mut [f32],
    ) {
        let (first, [_, height, width]) = self.tile;
        let [az, ay, ax] = &self.plan.axes;
        let Some(z) = az.destination(first[0] + z, rz) else {
            return;
        };
        // Where a row of sums begins in the destination, and which part of it is inside.
        let start = (first[2] * ax.step()) as isize + ax.origin;
        let begin = start.min(0).unsigned_abs();
        let x = start.max(0) as usize;
        let inside = begin..row.len().min(begin + ax.size.saturating_sub(x));
        if inside.is_empty() {
            return;
        }
        let pitch = self.layout.row();
        // Rows without a halo follow one another in the destination as well.
        let whole = [pitch, width] == [ax.size; 2] && ax.step() == 1 && ay.step() == 1;
        for (c, channel) in channels.enumerate() {
            let channel = (self.first_channel + channel) * az.size + z;
            let sums = &sums[c * line..];
            if whole {
                let to = (channel * ay.size + first[1]) * ax.size;
                // SAFETY: no other tile, phase or group of channels has these positions.
                unsafe { self.output.write(to, &sums[..height * pitch]) };
                continue;
            }
            for i in 0..height {
                let Some(y) = ay.destination(first[1] + i, ry) else {
                    continue;
                };
                let values = if ax.step() == 1 {
                    &sums[i * pitch..][..width]
                } else {
                    interleave(&sums[i * pitch..], line * 8, ax.step(), row);
                    &*row
                };
                let to = (channel * ay.size + y) * ax.size + x;
                // SAFETY: no other tile, phase or group of channels has these positions.
                unsafe { self.output.write(to, &values[inside.clone()]) };
            }
        }
    }
}

/// `row[i * step + phase] = phases[phase * distance + i]`.
fn interleave(phases: &[f32], distance: usize, step: usize, row: &mut [f32]) {
    if step == 2 {
        // A constant step vectorises.
        let (pairs, _) = row.as_chunks_mut::<2>();
        let (even, odd) = (&phases[..pairs.len()], &phases[distance..][..pairs.len()]);
        for ((pair, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
            *pair = [*even, *odd];
        }
    } else {
        for phase in 0..step {
            let values = row.iter_mut().skip(phase).step_by(step);
            for (value, from) in values.zip(&phases[phase * distance..]) {
                *value = *from;
            }
        }
    }
}
