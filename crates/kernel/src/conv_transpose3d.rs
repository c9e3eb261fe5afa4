//! 3-D transposed convolution: the convolution's input gradient as a layer of its own.
//!
//! Tensors are contiguous: inputs and outputs `[batch, channels, depth, height, width]`, weights
//! `[in_channels, out_channels, depth, height, width]`.

use super::conv3d::{self, ConvShape};

/// Geometry of a 3-D transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTransposeShape {
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
    /// Distance in the output of two neighbours in the input, 1 or more.
    pub stride: [usize; 3],
    /// Values that are cut off the output, on both sides of each axis.
    pub padding: [usize; 3],
    /// Values that are added to the output at the end of each axis, fewer than the stride.
    pub out_padding: [usize; 3],
}

impl ConvTransposeShape {
    /// Depth, height and width of the output.
    ///
    /// # Panics
    /// Panics if the input is empty or the padding leaves nothing of the output.
    pub fn output(&self) -> [usize; 3] {
        std::array::from_fn(|i| {
            let full = (self.input[i] - 1) * self.stride[i] + self.kernel[i] + self.out_padding[i];
            assert!(full > 2 * self.padding[i], "the padding leaves no output");
            full - 2 * self.padding[i]
        })
    }

    /// The convolution whose input gradient this is.
    fn convolution(&self) -> ConvShape {
        let shape = ConvShape {
            batch: self.batch,
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            input: self.output(),
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
        };
        assert_eq!(
            shape.output(),
            self.input,
            "an output padding below the stride"
        );
        shape
    }
}

/// Convolves `input` with `weight` and adds `bias` (one value for each output channel).
///
/// # Panics
/// Panics if the length of a slice does not fit the shape.
pub fn forward(
    shape: &ConvTransposeShape,
    input: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    conv3d::input_gradient_with_bias(&shape.convolution(), input, weight, bias)
}

/// The gradient with respect to the input, given that with respect to the output.
///
/// # Panics
/// Panics if the length of a slice does not fit the shape.
pub fn input_gradient(shape: &ConvTransposeShape, output_grad: &[f32], weight: &[f32]) -> Vec<f32> {
    conv3d::forward(&shape.convolution(), output_grad.into(), weight, None)
}

/// The gradient with respect to the weights, given that with respect to the output.
///
/// # Panics
/// Panics if the length of a slice does not fit the shape.
pub fn weight_gradient(shape: &ConvTransposeShape, input: &[f32], output_grad: &[f32]) -> Vec<f32> {
    conv3d::weight_gradient(&shape.convolution(), output_grad.into(), input)
}

/// The gradient with respect to the bias: the sum of `output_grad` over each output channel.
///
/// # Panics
/// Panics if the length of `output_grad` does not fit the shape.
pub fn bias_gradient(shape: &ConvTransposeShape, output_grad: &[f32]) -> Vec<f32> {
    let volume: usize = shape.output().iter().product();
    let len = shape.batch * shape.out_channels * volume;
    assert_eq!(output_grad.len(), len, "length of the output gradient");
    conv3d::sum_channels(shape.batch, shape.out_channels, output_grad)
}
