//! The operations on the CPU with gradients: Burn's tape remembers them, ours compute them.

use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, FloatDType, Tensor, TensorPrimitive};
use burn::tensor::{activation, module};

use super::cast::Cast;
use super::checkpointing::{is_on, keeping, recomputing};
use super::crop::Crop;
use super::dropout::{self, Dropout};
use super::flex::{self, PlainScaleShift, contiguous, is_ours};
use super::normalise::{Moments, Sets};
use super::tape::{Operation, Recomputed, Tracked, each_wanted, record};
use super::{BatchNormed, Entropy, Kernels, ScaleShift, softmax};

pub(super) fn primitive<const D: usize>(tensor: Tensor<Autodiff<Flex>, D>) -> Tracked {
    let mut tracked = cast(tensor.into_primitive().tensor(), FloatDType::F32);
    tracked.primitive = contiguous(tracked.primitive);
    tracked
}

pub(super) fn wrap<const D: usize>(primitive: Tracked, dtype: DType) -> Tensor<Autodiff<Flex>, D> {
    let primitive = cast(primitive, dtype.into());
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

fn cast(tracked: Tracked, to: FloatDType) -> Tracked {
    let from = FloatDType::from(tracked.primitive.dtype());
    if from == to {
        return tracked;
    }
    if DType::from(from).size() < DType::from(to).size() {
        record([&tracked], Cast::<true> { from, to })
    } else {
        record([&tracked], Cast::<false> { from, to })
    }
}

/// A constant on the tape.
pub(super) fn constant<const D: usize>(primitive: FlexTensor) -> Tensor<Autodiff<Flex>, D> {
    let plain: Tensor<Flex, D> = Tensor::from_primitive(TensorPrimitive::Float(primitive));
    Tensor::from_inner(plain)
}

/// Of the first `inputs` parents, one tensor or two, by the weight and bias that follow.
#[derive(Clone, Debug)]
struct Convolution {
    inputs: usize,
    options: ConvOptions<3>,
}

impl Operation for Convolution {
    const RECOMPUTED: Recomputed = Recomputed::Never;
    const NEEDS_INPUTS: bool = true;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        let (x, rest) = parents.split_at(self.inputs);
        flex::convolve(x, &rest[0], rest.get(1), &self.options)
    }

    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let (x, rest) = parents.split_at(self.inputs);
        let (weight, options) = (&rest[0], &self.options);
        let of = |parent: usize| match parent.checked_sub(self.inputs) {
            None => flex::convolve_input_gradient(x, parent, weight, gradient, options),
            Some(0) => flex::convolve_weight_gradient(x, weight, gradient, options),
            Some(_) => flex::convolve_bias_gradient(x, weight, gradient, options),
        };
        each_wanted(wanted, of)
    }
}

#[derive(Clone, Debug)]
struct TransposedConvolution {
    options: ConvTransposeOptions<3>,
}

impl Operation for TransposedConvolution {
    const RECOMPUTED: Recomputed = Recomputed::Never;
    const NEEDS_INPUTS: bool = true;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        flex::convolve_transposed(&parents[0], &parents[1], parents.get(2), &self.options)
    }

    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let (x, weight, options) = (&parents[0], &parents[1], &self.options);
        let of = |parent: usize| match parent {
            0 => flex::transposed_input_gradient(x, weight, gradient, options),
            1 => flex::transposed_weight_gradient(x, weight, gradient, options),
            _ => flex::transposed_bias_gradient(x, weight, gradient, options),
        };
        each_wanted(wanted, of)
    }
}

#[derive(Clone, Debug)]
struct ConcatChannels {
    shapes: [[usize; 5]; 2],
}

impl Operation for ConcatChannels {
    const RECOMPUTED: Recomputed = Recomputed::Checkpointing;
    const NEEDS_INPUTS: bool = false;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        flex::concat_channels(&parents[0], &parents[1])
    }

    fn gradients(
        &self,
        _: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |part| {
            flex::concat_channels_gradient(self.shapes, gradient, part)
        })
    }
}

#[derive(Clone, Debug)]
struct MaxPool;

impl Operation for MaxPool {
    const RECOMPUTED: Recomputed = Recomputed::Checkpointing;
    const NEEDS_INPUTS: bool = true;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        flex::max_pool(&parents[0])
    }

    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| flex::max_pool_gradient(&parents[0], gradient))
    }
}

#[derive(Clone, Debug)]
struct AvgPool {
    shape: [usize; 5],
}

impl Operation for AvgPool {
    const RECOMPUTED: Recomputed = Recomputed::Checkpointing;
    const NEEDS_INPUTS: bool = false;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        flex::avg_pool(&parents[0])
    }

    fn gradients(
        &self,
        _: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| flex::avg_pool_gradient(self.shape, gradient))
    }
}

#[derive(Clone, Debug)]
struct Upsampling {
    shape: [usize; 5],
}

impl Operation for Upsampling {
    const RECOMPUTED: Recomputed = Recomputed::Checkpointing;
    const NEEDS_INPUTS: bool = false;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        flex::upsample(&parents[0])
    }

    fn gradients(
        &self,
        _: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| flex::upsample_gradient(self.shape, gradient))
    }
}

/// Of a tensor whose moments are known, by the weight and bias that are its other parents.
#[derive(Clone, Debug)]
struct Normalisation {
    sets: Sets,
    moments: Moments,
    epsilon: f64,
    slope: f64,
}

impl Normalisation {
    fn scale_shift(&self, parents: &[FlexTensor]) -> PlainScaleShift {
        PlainScaleShift {
            weight: parents[1].clone(),
            bias: parents[2].clone(),
            epsilon: self.epsilon,
            slope: self.slope,
        }
    }
}

impl Operation for Normalisation {
    // Half of all that a U-Net would keep, and one pass over memory.
    const RECOMPUTED: Recomputed = Recomputed::Always;
    const NEEDS_INPUTS: bool = true;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        let scale_shift = self.scale_shift(parents);
        flex::normalise(&parents[0], self.sets, &self.moments, &scale_shift)
    }

    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let scale_shift = self.scale_shift(parents);
        // All three come out of the same passes.
        let all = flex::normalise_gradients(
            &parents[0],
            gradient,
            self.sets,
            &self.moments,
            &scale_shift,
        );
        let pairs = all.into_iter().zip(wanted);
        pairs
            .map(|(gradient, wanted)| wanted.then_some(gradient))
            .collect()
    }
}

impl Kernels for Autodiff<Flex> {
    fn cast<const D: usize>(x: Tensor<Self, D>, dtype: DType) -> Tensor<Self, D> {
        wrap(x.into_primitive().tensor(), dtype)
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
        let operation = Convolution { inputs: 1, options };
        wrap(
            match &bias {
                Some(bias) => record([&x, &weight, bias], operation),
                None => record([&x, &weight], operation),
            },
            dtype,
        )
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
        let ([first, second], weight) = (x.map(primitive), primitive(weight));
        let operation = Convolution { inputs: 2, options };
        wrap(
            match &bias.map(primitive) {
                Some(bias) => record([&first, &second, &weight, bias], operation),
                None => record([&first, &second, &weight], operation),
            },
            dtype,
        )
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
        let operation = TransposedConvolution { options };
        wrap(
            match &bias {
                Some(bias) => record([&x, &weight, bias], operation),
                None => record([&x, &weight], operation),
            },
            dtype,
        )
    }

    fn gelu(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        match is_on() {
            false => activation::gelu(x),
            true => keeping(activation::gelu(recomputing(x))),
        }
    }

    fn concat_channels(first: Tensor<Self, 5>, second: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = first.dtype();
        let shapes = [first.dims(), second.dims()];
        let (first, second) = (primitive(first), primitive(second));
        wrap(record([&first, &second], ConcatChannels { shapes }), dtype)
    }

    fn crop_and_activate(x: Tensor<Self, 5>, size: [usize; 3], slope: f64) -> Tensor<Self, 5> {
        let (dtype, slope) = (x.dtype(), slope as f32);
        wrap(record([&primitive(x)], Crop { size, slope }), dtype)
    }

    fn seed_dropout(_: &Self::Device, seed: u64) {
        dropout::seed(seed);
    }

    fn dropout(x: Tensor<Self, 5>, probability: f64) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        let [batch, sample @ ..] = x.dims();
        let dropout = Dropout::draw(batch, sample.iter().product(), probability);
        wrap(record([&primitive(x)], dropout), dtype)
    }

    fn dropout_joined(x: [Tensor<Self, 5>; 2], probability: f64) -> [Tensor<Self, 5>; 2] {
        let dtype = x[0].dtype();
        let [batch, _, size @ ..] = x[0].dims();
        let size: usize = size.iter().product();
        let [first, second] = x.each_ref().map(|x| x.dims()[1] * size);
        let dropout = Dropout::draw(batch, first + second, probability);
        let [a, b] = x.map(primitive);
        [(a, 0), (b, first)].map(|(x, first)| wrap(record([&x], dropout.part(first)), dtype))
    }

    fn max_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        wrap(record([&primitive(x)], MaxPool), dtype)
    }

    fn avg_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        let shape = x.dims();
        wrap(record([&primitive(x)], AvgPool { shape }), dtype)
    }

    fn upsample_trilinear(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        let shape = x.dims();
        wrap(record([&primitive(x)], Upsampling { shape }), dtype)
    }

    fn group_norm(
        x: Tensor<Self, 5>,
        groups: usize,
        scale_shift: ScaleShift<Self>,
    ) -> Tensor<Self, 5> {
        let dtype = x.dtype();
        wrap(normalised(x, Sets::Groups(groups), scale_shift).0, dtype)
    }

    fn batch_norm(x: Tensor<Self, 5>, scale_shift: ScaleShift<Self>) -> BatchNormed<Self> {
        let dtype = x.dtype();
        let (output, moments) = normalised(x, Sets::Channels, scale_shift);
        let (mean, variance) = flex::moment_tensors(&moments);
        BatchNormed {
            output: wrap(output, dtype),
            mean: constant(mean),
            variance: constant(variance),
        }
    }

    fn softmax_overlap(
        logits: Tensor<Self, 5>,
        classes: Tensor<Self, 5>,
        squared: bool,
    ) -> Tensor<Self, 3> {
        let operation = softmax::Overlap {
            classes: primitive(classes).primitive,
            squared,
        };
        wrap(record([&primitive(logits)], operation), DType::F32)
    }

    fn softmax_entropy(
        logits: Tensor<Self, 5>,
        classes: Tensor<Self, 5>,
        entropy: &Entropy,
    ) -> Tensor<Self, 5> {
        let operation = softmax::CrossEntropy {
            classes: primitive(classes).primitive,
            entropy: entropy.clone(),
        };
        wrap(record([&primitive(logits)], operation), DType::F32)
    }

    fn softmax_counts(logits: Tensor<Self, 5>, classes: Tensor<Self, 5>) -> Tensor<Self, 3> {
        let (logits, classes) = (primitive(logits), primitive(classes));
        constant(softmax::counts(&logits.primitive, &classes.primitive))
    }
}

fn normalised(
    x: Tensor<Autodiff<Flex>, 5>,
    sets: Sets,
    scale_shift: ScaleShift<Autodiff<Flex>>,
) -> (Tracked, Moments) {
    let x = primitive(x);
    let (weight, bias) = (primitive(scale_shift.weight), primitive(scale_shift.bias));
    let moments = flex::moments(&x.primitive, sets);
    let operation = Normalisation {
        sets,
        moments: moments.clone(),
        epsilon: scale_shift.epsilon,
        slope: scale_shift.slope,
    };
    (record([&x, &weight, &bias], operation), moments)
}
