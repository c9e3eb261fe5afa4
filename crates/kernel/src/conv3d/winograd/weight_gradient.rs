//! The weight gradient of a convolution of 3x3x3 with a stride and a padding of 1.
//!
//! The transpose of [`super`]: the output gradient of a tile takes the way of the sums in the
//! opposite direction, the products of the transformed gradient and the transformed input are added up over all
//! tiles, and what comes out takes the way of the weights back.

use super::super::ConvShape;
use super::super::input::Input;
use super::super::simd::{Isa, MAX_LANES};
use super::super::weight_gradient::add_parts;
use super::grid::{Grid, spread};
use super::outer::{Outer, accumulate, transpose};
use super::transforms::{POINTS, transform_weight_gradient};
use crate::shared::{SharedOutput, with_scratch};
use rayon::prelude::*;
use std::ops::Range;

/// Transformed values of input and gradient in a block, which stay in the L2 cache.
const BLOCK_BUDGET: usize = 256 * 1024;
/// Tasks that a big enough problem is cut into at least.
const TASKS: usize = 32;
/// Values in all partial sums together.
const PARTIAL_BUDGET: usize = 1 << 20;
/// Input channels, and output channels, that a task handles at most.
const TASK_CHANNELS: [usize; 2] = [32, 64];

/// Whether the gradient is computed sooner this way: few channels are not worth the transforms.
pub(in super::super) fn pays(shape: &ConvShape) -> bool {
    let (inputs, outputs) = (shape.in_channels, shape.out_channels);
    super::pays(shape) && 2 * inputs * outputs >= 7 * (inputs + outputs)
}

/// See [`super::super::weight_gradient`].
pub(in super::super) fn weight_gradient(
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
    let [inputs, outputs] = [
        shape.in_channels.min(TASK_CHANNELS[0]),
        shape.out_channels.min(TASK_CHANNELS[1]),
    ];
    let groups = [
        shape.in_channels.div_ceil(inputs),
        shape.out_channels.div_ceil(outputs),
    ];
    let grid = Grid::new(shape.input, inputs + outputs, BLOCK_BUDGET);
    let blocks = shape.batch * grid.len();
    let most_parts = TASKS.div_ceil(groups[0] * groups[1]);
    let share = blocks.div_ceil(most_parts.min((PARTIAL_BUDGET / len).max(1)));
    let parts = blocks.div_ceil(share);
    let plan = Plan {
        isa,
        shape,
        grid,
        input,
        output_grad,
    };
    let fill = |partial: &SharedOutput| {
        (0..parts * groups[0] * groups[1])
            .into_par_iter()
            .with_max_len(1)
            .for_each(|task| {
                let (part, group) = (
                    task / (groups[0] * groups[1]),
                    task % (groups[0] * groups[1]),
                );
                let (i, o) = (group % groups[0] * inputs, group / groups[0] * outputs);
                plan.run(
                    part * share..blocks.min((part + 1) * share),
                    i..shape.in_channels.min(i + inputs),
                    o..shape.out_channels.min(o + outputs),
                    partial,
                    part * len,
                );
            });
    };
    // SAFETY: the tasks cover every part and, in it, every pair of channels once.
    let partial = unsafe { SharedOutput::collect(parts * len, fill) };
    add_parts(partial, len)
}

/// What all tasks share.
struct Plan<'a> {
    isa: Isa,
    shape: &'a ConvShape,
    grid: Grid,
    input: Input<'a>,
    output_grad: &'a [f32],
}

impl Plan<'_> {
    /// Adds up some blocks for some input and output channels, and writes the sums into the weight
    /// tensor that begins at `start` of `partial`.
    fn run(
        &self,
        blocks: Range<usize>,
        inputs: Range<usize>,
        outputs: Range<usize>,
        partial: &SharedOutput,
        start: usize,
    ) {
        let (isa, shape, grid) = (self.isa, self.shape, &self.grid);
        let volume: usize = shape.input.iter().product();
        let stride = grid.stride();
        let points = [&inputs, &outputs].map(|channels| grid.point(channels.len()));
        let sums_stride = Outer::stride(inputs.len());
        let sums_point = spread(outputs.len() * sums_stride);
        let lengths = [
            POINTS * points[0],
            POINTS * points[1],
            stride * inputs.len() + sums_stride,
            stride * outputs.len() + MAX_LANES,
            POINTS * sums_point,
            grid.scratch(),
            9 * sums_stride,
            inputs.len() * 27,
        ];
        with_scratch(
            lengths,
            |[input, gradient, x, g, sums, scratch, taps, row]| {
                let first = blocks.start;
                for block in blocks {
                    let add = block > first;
                    let (n, block) = (block / grid.len(), grid.get(block % grid.len()));
                    let source = self.input.sample(n, shape.batch, volume);
                    let source = source.part(inputs.clone());
                    grid.gather_input(isa, source, &block, input, scratch);
                    let source = Input::from(self.output_grad).sample(n, shape.batch, volume);
                    let source = source.part(outputs.clone());
                    grid.gather_gradient(isa, source, &block, gradient, scratch);
                    for p in 0..POINTS {
                        let input = &input[p * points[0]..];
                        transpose(isa, input, stride, inputs.len(), stride, x);
                        let gradient = &gradient[p * points[1]..];
                        transpose(isa, gradient, stride, outputs.len(), stride, g);
                        let outer = Outer {
                            input: x,
                            inputs: inputs.len(),
                            gradient: g,
                            outputs: outputs.len(),
                            rows: block.tiles.len(),
                            width: block.columns.len(),
                            pitch: grid.pitch(),
                            add,
                        };
                        accumulate(isa, &outer, &mut sums[p * sums_point..]);
                    }
                }
                for (c, channel) in outputs.enumerate() {
                    let sums = &sums[c * sums_stride..];
                    transform_weight_gradient(isa, sums, sums_point, sums_stride, taps);
                    for (i, row) in row.chunks_exact_mut(27).enumerate() {
                        for (tap, value) in row.iter_mut().enumerate() {
                            *value = taps[tap / 3 * sums_stride + tap % 3 * inputs.len() + i];
                        }
                    }
                    let to = (channel * shape.in_channels + inputs.start) * 27;
                    // SAFETY: no other task has this part and these channels.
                    unsafe { partial.write(start + to, row) };
                }
            },
        );
    }
}
