//! 3-D convolution: values and gradients.
//!
//! All tensors are contiguous: inputs and outputs `[batch, channels, depth, height, width]`,
//! weights `[out_channels, in_channels, depth, height, width]`. Results are the same bit for bit
//! for any number of threads, because the shape alone decides how the work is cut up, and whether
//! a convolution is computed directly or in fewer products ([`winograd`]).

mod block;
mod correlate;
mod correlate_kernel;
mod input;
mod simd;
#[cfg(test)]
mod tests;
mod weight_gradient;
mod weight_gradient_kernel;
mod winograd;

use std::ops::Range;
use std::sync::OnceLock;

use rayon::prelude::*;
use simd::Isa;

pub use input::Input;

/// The instructions that are used, and whether convolutions are [direct](is_direct).
pub(super) fn instruction_set() -> &'static str {
    match (Isa::detect(), is_direct()) {
        (isa, false) => isa.name(),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, true) => "avx512, direct convolutions",
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, true) => "avx2, direct convolutions",
        (Isa::Portable, true) => "portable, direct convolutions",
    }
}

/// Whether all convolutions are plain sums: where `CALVARIA_CONVOLUTIONS` is `direct`, to repeat older results. A step
/// then takes about twice as long.
fn is_direct() -> bool {
    static DIRECT: OnceLock<bool> = OnceLock::new();
    let asked = || std::env::var("CALVARIA_CONVOLUTIONS").is_ok_and(|asked| asked == "direct");
    *DIRECT.get_or_init(asked)
}

/// Geometry of a 3-D convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Number of volumes.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Depth, height and width of the input.
    pub input: [usize; 3],
    /// Size of the kernel along each axis, 1 or more.
    pub kernel: [usize; 3],
    /// Distance of neighbouring kernel positions along each axis, 1 or more.
    pub stride: [usize; 3],
    /// Zeros that surround the input, on both sides of each axis.
    pub padding: [usize; 3],
}

impl ConvShape {
    /// Depth, height and width of the output.
    ///
    /// # Panics
    /// Panics if the kernel is larger than the padded input, or if anything but the padding is 0.
    pub fn output(&self) -> [usize; 3] {
        let channels = [self.batch, self.in_channels, self.out_channels];
        let sizes = [channels, self.input, self.kernel, self.stride];
        assert!(
            sizes.iter().flatten().all(|&size| size > 0),
            "an empty shape: {self:?}"
        );
        std::array::from_fn(|i| {
            let padded = self.input[i] + 2 * self.padding[i];
            assert!(
                self.kernel[i] <= padded,
                "the kernel is larger than the padded input"
            );
            (padded - self.kernel[i]) / self.stride[i] + 1
        })
    }

    /// Values in the input tensor.
    pub(crate) fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.input.iter().product::<usize>()
    }

    /// Values in the output tensor.
    pub(crate) fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.output().iter().product::<usize>()
    }

    /// Values in the weight tensor.
    pub(crate) fn weight_len(&self) -> usize {
        self.out_channels * self.in_channels * self.taps()
    }

    /// Values in one kernel.
    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }
}

/// Convolves `input` with `weight` and adds `bias` (one value for each output channel).
///
/// # Panics
/// Panics if the length of a slice does not fit the shape, or as [`ConvShape::output`].
pub fn forward(shape: &ConvShape, input: Input, weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
    forward_with(Isa::detect(), shape, input, weight, bias)
}

/// The gradient with respect to some `channels` of the input, given that with respect to the output.
///
/// # Panics
/// Panics if the length of a slice does not fit the shape, or as [`ConvShape::output`].
pub fn input_gradient(
    shape: &ConvShape,
    channels: Range<usize>,
    output_grad: &[f32],
    weight: &[f32],
) -> Vec<f32> {
    input_gradient_with(Isa::detect(), shape, channels, output_grad, weight, None)
}

/// The gradient with respect to the weights, given that with respect to the output.
///
/// # Panics
/// Panics if the length of a slice does not fit the shape, or as [`ConvShape::output`].
pub fn weight_gradient(shape: &ConvShape, input: Input, output_grad: &[f32]) -> Vec<f32> {
    weight_gradient_with(Isa::detect(), shape, input, output_grad)
}

/// The gradient with respect to the bias: the sum of `output_grad` over each output channel.
///
/// # Panics
/// Panics if the length of `output_grad` does not fit the shape.
pub fn bias_gradient(shape: &ConvShape, output_grad: &[f32]) -> Vec<f32> {
    assert_eq!(
        output_grad.len(),
        shape.output_len(),
        "length of the output gradient"
    );
    sum_channels(shape.batch, shape.out_channels, output_grad)
}

/// [`input_gradient`] of all channels plus a bias for each input channel, which is what a transposed convolution
/// computes.
pub(crate) fn input_gradient_with_bias(
    shape: &ConvShape,
    output_grad: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let channels = 0..shape.in_channels;
    input_gradient_with(Isa::detect(), shape, channels, output_grad, weight, bias)
}

fn forward_with(
    isa: Isa,
    shape: &ConvShape,
    input: Input,
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    if is_direct() || !winograd::pays(shape) {
        correlate::forward(isa, shape, input, weight, bias)
    } else {
        winograd::forward(isa, shape, input, weight, bias)
    }
}

fn input_gradient_with(
    isa: Isa,
    shape: &ConvShape,
    channels: Range<usize>,
    output_grad: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    if is_direct() || !winograd::pays(shape) {
        correlate::input_gradient(isa, shape, channels, output_grad, weight, bias)
    } else {
        winograd::input_gradient(isa, shape, channels, output_grad, weight, bias)
    }
}

fn weight_gradient_with(
    isa: Isa,
    shape: &ConvShape,
    input: Input,
    output_grad: &[f32],
) -> Vec<f32> {
    if is_direct() || !winograd::weight_gradient::pays(shape) {
        weight_gradient::weight_gradient(isa, shape, input, output_grad)
    } else {
        winograd::weight_gradient::weight_gradient(isa, shape, input, output_grad)
    }
}

/// The sum over each channel of a `[batch, channels, volume]` tensor.
pub(crate) fn sum_channels(batch: usize, channels: usize, values: &[f32]) -> Vec<f32> {
    /// Values that one task adds up.
    const PART: usize = 1 << 15;
    /// Partial sums in flight, for the vector units.
    const LANES: usize = 32;
    let volume = values.len() / (batch * channels);
    let parts = volume.div_ceil(PART);
    let sum_part = |part: &[f32]| {
        let (lines, rest) = part.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for line in lines {
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += value;
            }
        }
        sums.iter()
            .chain(rest)
            .map(|&value| f64::from(value))
            .sum::<f64>()
    };
    let sums: Vec<f64> = (0..batch * channels * parts)
        .into_par_iter()
        .map(|i| {
            let channel = &values[i / parts * volume..][..volume];
            let first = i % parts * PART;
            sum_part(&channel[first..volume.min(first + PART)])
        })
        .collect();
    (0..channels)
        .map(|c| {
            let of_volume = |n: usize| sums[(n * channels + c) * parts..][..parts].iter();
            (0..batch).flat_map(of_volume).sum::<f64>() as f32
        })
        .collect()
}
