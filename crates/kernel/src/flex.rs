//! The operations on the CPU, from tensors to slices and back: in single precision, whatever the tensors'.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, FloatDType, Tensor, TensorData, TensorPrimitive};
use burn::tensor::{activation, module};

use super::cast::cast;
use super::concat_channels::{self, SampleLengths};
use super::conv_transpose3d::{self, ConvTransposeShape};
use super::conv3d::{self, ConvShape, Input};
use super::crop::Crop;
use super::normalise::{self, Extent, Gradients, Moments, Sets};
use super::{AdamStep, BatchNormed, Entropy, Kernels, ScaleShift, adam, pool, softmax, upsample};

impl Kernels for Flex {
    fn cast<const D: usize>(x: Tensor<Self, D>, dtype: DType) -> Tensor<Self, D> {
        wrap(x.into_primitive().tensor(), dtype)
    }

    fn adam<const D: usize>(
        state: [Tensor<Self, D>; 3],
        gradient: Tensor<Self, D>,
        step: &AdamStep,
    ) -> [Tensor<Self, D>; 3] {
        let state = adam::step(step, state.map(primitive), &primitive(gradient));
        state.map(|tensor| wrap(tensor, DType::F32))
    }

    fn conv3d(
        x: Tensor<Self, 5>,
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvOptions<3>,
    ) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        if !is_ours(options.groups, options.dilation) {
            return module::conv3d(x, weight, bias, options);
        }
        let (x, weight, bias) = (primitive(x), primitive(weight), bias.map(primitive));
        wrap(convolve(&[x], &weight, bias.as_ref(), &options), dtype)
    }

    fn conv3d_joined(
        x: [Tensor<Self, 5>; 2],
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvOptions<3>,
    ) -> Tensor<Self, 5> {
        let dtype = x[0].dtype();
        if !is_ours(options.groups, options.dilation) {
            let [first, second] = x;
            let joined = Self::concat_channels(first, second);
            return module::conv3d(joined, weight, bias, options);
        }
        let (x, weight, bias) = (x.map(primitive), primitive(weight), bias.map(primitive));
        wrap(convolve(&x, &weight, bias.as_ref(), &options), dtype)
    }

    fn conv_transpose3d(
        x: Tensor<Self, 5>,
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvTransposeOptions<3>,
    ) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        if !is_ours(options.groups, options.dilation) {
            return module::conv_transpose3d(x, weight, bias, options);
        }
        let (x, weight, bias) = (primitive(x), primitive(weight), bias.map(primitive));
        wrap(
            convolve_transposed(&x, &weight, bias.as_ref(), &options),
            dtype,
        )
    }

    fn gelu(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        activation::gelu(x)
    }

    fn concat_channels(first: Tensor<Self, 5>, second: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = first.dtype();
        wrap(
            concat_channels(&primitive(first), &primitive(second)),
            dtype,
        )
    }

    fn crop_and_activate(x: Tensor<Self, 5>, size: [usize; 3], slope: f64) -> Tensor<Self, 5> {
        let (dtype, slope) = (x.dtype(), slope as f32);
        wrap(Crop { size, slope }.apply(&primitive(x)), dtype)
    }

    fn max_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        wrap(max_pool(&primitive(x)), dtype)
    }

    fn avg_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        wrap(avg_pool(&primitive(x)), dtype)
    }

    fn upsample_trilinear(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        wrap(upsample(&primitive(x)), dtype)
    }

    fn group_norm(
        x: Tensor<Self, 5>,
        groups: usize,
        scale_shift: ScaleShift<Self>,
    ) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        let (x, sets) = (primitive(x), Sets::Groups(groups));
        let moments = moments(&x, sets);
        wrap(
            normalise(&x, sets, &moments, &PlainScaleShift::of(scale_shift)),
            dtype,
        )
    }

    fn batch_norm(x: Tensor<Self, 5>, scale_shift: ScaleShift<Self>) -> BatchNormed<Self> {
        let dtype = x.dtype();
        let (x, sets) = (primitive(x), Sets::Channels);
        let moments = moments(&x, sets);
        let (mean, variance) = moment_tensors(&moments);
        BatchNormed {
            output: wrap(
                normalise(&x, sets, &moments, &PlainScaleShift::of(scale_shift)),
                dtype,
            ),
            mean: wrap(mean, DType::F32),
            variance: wrap(variance, DType::F32),
        }
    }

    fn scale_and_shift(
        x: Tensor<Self, 5>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        slope: f64,
    ) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        let (x, scale, shift) = (primitive(x), primitive(scale), primitive(shift));
        let extent = extent(&x);
        let [scale, shift] = [&scale, &shift].map(values);
        let line = |map: usize| (scale[map % extent.channels], shift[map % extent.channels]);
        let out = normalise::scale_and_shift(values(&x), extent, line, slope as f32);
        wrap(tensor(out, dims::<5>(&x)), dtype)
    }

    fn softmax_overlap(
        logits: Tensor<Self, 5>,
        classes: Tensor<Self, 5>,
        squared: bool,
    ) -> Tensor<Self, 3> {
        let (logits, classes) = (primitive(logits), primitive(classes));
        wrap(softmax::overlap(&logits, &classes, squared), DType::F32)
    }

    fn softmax_entropy(
        logits: Tensor<Self, 5>,
        classes: Tensor<Self, 5>,
        entropy: &Entropy,
    ) -> Tensor<Self, 5> {
        let (logits, classes) = (primitive(logits), primitive(classes));
        wrap(softmax::entropy(&logits, &classes, entropy), DType::F32)
    }

    fn softmax_counts(logits: Tensor<Self, 5>, classes: Tensor<Self, 5>) -> Tensor<Self, 3> {
        let (logits, classes) = (primitive(logits), primitive(classes));
        wrap(softmax::counts(&logits, &classes), DType::F32)
    }
}

/// A tensor's primitive, contiguous and in single precision.
pub(super) fn primitive<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    contiguous(cast(tensor.into_primitive().tensor(), FloatDType::F32))
}

/// The same tensor with its values in order.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() {
        return tensor;
    }
    tensor.to_contiguous()
}

/// The tensor of a primitive, in a type of its own.
fn wrap<const D: usize>(primitive: FlexTensor, dtype: DType) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(cast(primitive, dtype.into())))
}

/// The values of a contiguous tensor.
///
/// # Panics
///
/// If they are not float32: [`primitive`] and [`contiguous`] see to it.
pub(super) fn values(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice()
        .expect("a contiguous tensor of float32, which `contiguous` gives")
}

pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

pub(super) fn dims_of(tensor: &FlexTensor) -> Vec<usize> {
    tensor.layout().shape().iter().copied().collect()
}

pub(super) fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.layout().shape().dims()
}

pub(super) fn extent(x: &FlexTensor) -> Extent {
    let [batch, channels, depth, height, width] = dims(x);
    Extent {
        batch,
        channels,
        voxels: depth * height * width,
    }
}

/// Number of volumes, and their depth, height and width.
fn volumes(x: &FlexTensor) -> (usize, [usize; 3]) {
    let [batch, channels, depth, height, width] = dims(x);
    (batch * channels, [depth, height, width])
}

/// Whether a convolution is one that we have a kernel for; grouped and dilated ones are left to Burn's.
pub(super) fn is_ours(groups: usize, dilation: [usize; 3]) -> bool {
    groups == 1 && dilation == [1; 3]
}

fn conv_shape(x: &[FlexTensor], weight: &FlexTensor, options: &ConvOptions<3>) -> ConvShape {
    let [batch, _, depth, height, width] = dims(&x[0]);
    let [
        out_channels,
        in_channels,
        kernel_depth,
        kernel_height,
        kernel_width,
    ] = dims(weight);
    ConvShape {
        batch,
        in_channels,
        out_channels,
        input: [depth, height, width],
        kernel: [kernel_depth, kernel_height, kernel_width],
        stride: options.stride,
        padding: options.padding,
    }
}

/// What a convolution of one tensor, or of the channels of two, reads.
fn input(x: &[FlexTensor]) -> Input<'_> {
    match x {
        [first, second] => Input::joined(values(first), values(second)),
        _ => values(&x[0]).into(),
    }
}

/// The convolution of one tensor, or of the channels of two.
pub(super) fn convolve(
    x: &[FlexTensor],
    weight: &FlexTensor,
    bias: Option<&FlexTensor>,
    options: &ConvOptions<3>,
) -> FlexTensor {
    let shape = conv_shape(x, weight, options);
    let [depth, height, width] = shape.output();
    let out = conv3d::forward(&shape, input(x), values(weight), bias.map(values));
    tensor(out, [shape.batch, shape.out_channels, depth, height, width])
}

/// The gradient with respect to one of the tensors of `x`.
pub(super) fn convolve_input_gradient(
    x: &[FlexTensor],
    part: usize,
    weight: &FlexTensor,
    gradient: &FlexTensor,
    options: &ConvOptions<3>,
) -> FlexTensor {
    let shape = conv_shape(x, weight, options);
    let channels = |x: &FlexTensor| dims::<5>(x)[1];
    let first = x[..part].iter().map(channels).sum();
    let channels = first..first + channels(&x[part]);
    let out = conv3d::input_gradient(&shape, channels, values(gradient), values(weight));
    tensor(out, dims::<5>(&x[part]))
}

pub(super) fn convolve_weight_gradient(
    x: &[FlexTensor],
    weight: &FlexTensor,
    gradient: &FlexTensor,
    options: &ConvOptions<3>,
) -> FlexTensor {
    let shape = conv_shape(x, weight, options);
    let out = conv3d::weight_gradient(&shape, input(x), values(gradient));
    tensor(out, dims::<5>(weight))
}

pub(super) fn convolve_bias_gradient(
    x: &[FlexTensor],
    weight: &FlexTensor,
    gradient: &FlexTensor,
    options: &ConvOptions<3>,
) -> FlexTensor {
    let shape = conv_shape(x, weight, options);
    let out = conv3d::bias_gradient(&shape, values(gradient));
    tensor(out, [shape.out_channels])
}

fn transposed_shape(
    x: &FlexTensor,
    weight: &FlexTensor,
    options: &ConvTransposeOptions<3>,
) -> ConvTransposeShape {
    let [batch, in_channels, depth, height, width] = dims(x);
    let [_, out_channels, kernel_depth, kernel_height, kernel_width] = dims(weight);
    ConvTransposeShape {
        batch,
        in_channels,
        out_channels,
        input: [depth, height, width],
        kernel: [kernel_depth, kernel_height, kernel_width],
        stride: options.stride,
        padding: options.padding,
        out_padding: options.padding_out,
    }
}

pub(super) fn convolve_transposed(
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: Option<&FlexTensor>,
    options: &ConvTransposeOptions<3>,
) -> FlexTensor {
    let shape = transposed_shape(x, weight, options);
    let [depth, height, width] = shape.output();
    let out = conv_transpose3d::forward(&shape, values(x), values(weight), bias.map(values));
    tensor(out, [shape.batch, shape.out_channels, depth, height, width])
}

pub(super) fn transposed_input_gradient(
    x: &FlexTensor,
    weight: &FlexTensor,
    gradient: &FlexTensor,
    options: &ConvTransposeOptions<3>,
) -> FlexTensor {
    let shape = transposed_shape(x, weight, options);
    let out = conv_transpose3d::input_gradient(&shape, values(gradient), values(weight));
    tensor(out, dims::<5>(x))
}

pub(super) fn transposed_weight_gradient(
    x: &FlexTensor,
    weight: &FlexTensor,
    gradient: &FlexTensor,
    options: &ConvTransposeOptions<3>,
) -> FlexTensor {
    let shape = transposed_shape(x, weight, options);
    let out = conv_transpose3d::weight_gradient(&shape, values(x), values(gradient));
    tensor(out, dims::<5>(weight))
}

pub(super) fn transposed_bias_gradient(
    x: &FlexTensor,
    weight: &FlexTensor,
    gradient: &FlexTensor,
    options: &ConvTransposeOptions<3>,
) -> FlexTensor {
    let shape = transposed_shape(x, weight, options);
    let out = conv_transpose3d::bias_gradient(&shape, values(gradient));
    tensor(out, [shape.out_channels])
}

pub(super) fn concat_channels(first: &FlexTensor, second: &FlexTensor) -> FlexTensor {
    let [shape, other] = [first, second].map(dims::<5>);
    let mut joined = shape;
    joined[1] += other[1];
    let out = concat_channels::forward(values(first), values(second), lengths(shape, other));
    tensor(out, joined)
}

/// The gradient of [`concat_channels`] with respect to its first (`part` 0) or second tensor, of these shapes.
pub(super) fn concat_channels_gradient(
    shapes: [[usize; 5]; 2],
    gradient: &FlexTensor,
    part: usize,
) -> FlexTensor {
    let [first, second] = shapes;
    let out = concat_channels::part(values(gradient), first[0], lengths(first, second), part);
    tensor(out, shapes[part])
}

fn lengths(first: [usize; 5], second: [usize; 5]) -> SampleLengths {
    let size = |shape: [usize; 5]| shape[1..].iter().product();
    SampleLengths(size(first), size(second))
}

pub(super) fn max_pool(x: &FlexTensor) -> FlexTensor {
    let (maps, shape) = volumes(x);
    let out = pool::max_forward(values(x), maps, shape);
    tensor(out, resized(x, pool::pooled(shape)))
}

pub(super) fn max_pool_gradient(x: &FlexTensor, gradient: &FlexTensor) -> FlexTensor {
    let (maps, shape) = volumes(x);
    let out = pool::max_backward(values(x), values(gradient), maps, shape);
    tensor(out, dims::<5>(x))
}

pub(super) fn avg_pool(x: &FlexTensor) -> FlexTensor {
    let (maps, shape) = volumes(x);
    let out = pool::avg_forward(values(x), maps, shape);
    tensor(out, resized(x, pool::pooled(shape)))
}

/// `shape` is the pooled tensor's input's.
pub(super) fn avg_pool_gradient(shape: [usize; 5], gradient: &FlexTensor) -> FlexTensor {
    let [batch, channels, depth, height, width] = shape;
    let out = pool::avg_backward(values(gradient), batch * channels, [depth, height, width]);
    tensor(out, shape)
}

pub(super) fn upsample(x: &FlexTensor) -> FlexTensor {
    let (maps, shape) = volumes(x);
    let out = upsample::forward(values(x), maps, shape);
    tensor(out, resized(x, shape.map(|n| 2 * n)))
}

/// `shape` is the upsampled tensor's input's.
pub(super) fn upsample_gradient(shape: [usize; 5], gradient: &FlexTensor) -> FlexTensor {
    let [batch, channels, depth, height, width] = shape;
    let out = upsample::backward(values(gradient), batch * channels, [depth, height, width]);
    tensor(out, shape)
}

fn resized(x: &FlexTensor, [depth, height, width]: [usize; 3]) -> [usize; 5] {
    let [batch, channels, ..] = dims::<5>(x);
    [batch, channels, depth, height, width]
}

/// [`ScaleShift`] without Burn's wrapping.
#[derive(Clone, Debug)]
pub(super) struct PlainScaleShift {
    pub(super) weight: FlexTensor,
    pub(super) bias: FlexTensor,
    pub(super) epsilon: f64,
    pub(super) slope: f64,
}

impl PlainScaleShift {
    fn of(scale_shift: ScaleShift<Flex>) -> Self {
        Self {
            weight: primitive(scale_shift.weight),
            bias: primitive(scale_shift.bias),
            epsilon: scale_shift.epsilon,
            slope: scale_shift.slope,
        }
    }

    fn values(&self) -> normalise::ScaleShift<'_> {
        normalise::ScaleShift {
            weight: values(&self.weight),
            bias: values(&self.bias),
            slope: self.slope as f32,
        }
    }
}

pub(super) fn moments(x: &FlexTensor, sets: Sets) -> Moments {
    normalise::moments(values(x), extent(x), sets)
}

pub(super) fn normalise(
    x: &FlexTensor,
    sets: Sets,
    moments: &Moments,
    scale_shift: &PlainScaleShift,
) -> FlexTensor {
    let out = normalise::forward(
        values(x),
        extent(x),
        sets,
        moments,
        scale_shift.epsilon,
        scale_shift.values(),
    );
    tensor(out, dims::<5>(x))
}

/// The gradients with respect to the input, the weight and the bias.
pub(super) fn normalise_gradients(
    x: &FlexTensor,
    gradient: &FlexTensor,
    sets: Sets,
    moments: &Moments,
    scale_shift: &PlainScaleShift,
) -> [FlexTensor; 3] {
    let extent = extent(x);
    let Gradients {
        input,
        weight,
        bias,
    } = normalise::backward(
        values(x),
        values(gradient),
        extent,
        sets,
        moments,
        scale_shift.epsilon,
        scale_shift.values(),
    );
    [
        tensor(input, dims::<5>(x)),
        tensor(weight, [extent.channels]),
        tensor(bias, [extent.channels]),
    ]
}

/// Mean and variance of each set.
pub(super) fn moment_tensors(moments: &Moments) -> (FlexTensor, FlexTensor) {
    let of = |values: &[f64]| {
        let single: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        tensor(single, [values.len()])
    };
    (of(&moments.mean), of(&moments.variance))
}
