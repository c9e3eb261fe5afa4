//! The operations on the CPU with gradients: Burn's tape remembers them, ours compute them.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, FloatTensor};
use burn::tensor::{Tensor, TensorPrimitive};

use super::flex::{self, PlainAffine, contiguous};
use super::normalise::{Moments, Sets};
use super::{Affine, BatchNormed, Kernels};

type Tracked<C> = FloatTensor<Autodiff<Flex, C>>;

fn primitive<C: CheckpointStrategy, const D: usize>(
    tensor: Tensor<Autodiff<Flex, C>, D>,
) -> Tracked<C> {
    let mut tracked = tensor.into_primitive().tensor();
    tracked.primitive = contiguous(tracked.primitive);
    tracked
}

fn wrap<C: CheckpointStrategy, const D: usize>(
    primitive: Tracked<C>,
) -> Tensor<Autodiff<Flex, C>, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// A constant on the tape.
fn constant<C: CheckpointStrategy, const D: usize>(
    primitive: FlexTensor,
) -> Tensor<Autodiff<Flex, C>, D> {
    let plain: Tensor<Flex, D> = Tensor::from_primitive(TensorPrimitive::Float(primitive));
    Tensor::from_inner(plain)
}

/// How an operation's gradients come about: with respect to each of its parents for which one is
/// wanted, given the gradient with respect to the output.
trait Differentiable: Clone + Send + std::fmt::Debug + 'static {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>>;
}

/// The step that the tape takes back over an operation.
#[derive(Debug)]
struct Step<T>(std::marker::PhantomData<T>);

impl<T: Differentiable, const N: usize> Backward<Flex, N> for Step<T> {
    type State = T;

    fn backward(self, ops: Ops<T, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = ops.state.gradients(&gradient, &wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Puts an operation on the tape.
fn record<C: CheckpointStrategy, T: Differentiable, const N: usize>(
    parents: [&Tracked<C>; N],
    output: FlexTensor,
    operation: impl FnOnce() -> T,
) -> Tracked<C> {
    let nodes = parents.map(|parent| parent.node.clone());
    let step = Step(std::marker::PhantomData);
    match Backward::<Flex, N>::prepare::<C>(step, nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prepared) => prepared.finish(operation(), output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

#[derive(Clone, Debug)]
struct Convolution {
    x: FlexTensor,
    weight: FlexTensor,
    options: ConvOptions<3>,
}

impl Differentiable for Convolution {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Self { x, weight, options } = self;
        let of = |parent: usize| match parent {
            0 => flex::convolve_input_gradient(x, weight, gradient, options),
            1 => flex::convolve_weight_gradient(x, weight, gradient, options),
            _ => flex::convolve_bias_gradient(x, weight, gradient, options),
        };
        each_wanted(wanted, of)
    }
}

#[derive(Clone, Debug)]
struct TransposedConvolution {
    x: FlexTensor,
    weight: FlexTensor,
    options: ConvTransposeOptions<3>,
}

impl Differentiable for TransposedConvolution {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Self { x, weight, options } = self;
        let of = |parent: usize| match parent {
            0 => flex::transposed_input_gradient(x, weight, gradient, options),
            1 => flex::transposed_weight_gradient(x, weight, gradient, options),
            _ => flex::transposed_bias_gradient(x, weight, gradient, options),
        };
        each_wanted(wanted, of)
    }
}

#[derive(Clone, Debug)]
struct Joining {
    shapes: [[usize; 5]; 2],
}

impl Differentiable for Joining {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |part| {
            flex::join_gradient(self.shapes, gradient, part)
        })
    }
}

#[derive(Clone, Debug)]
struct MaxPool {
    x: FlexTensor,
}

impl Differentiable for MaxPool {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| flex::max_pool_gradient(&self.x, gradient))
    }
}

#[derive(Clone, Debug)]
struct AvgPool {
    shape: [usize; 5],
}

impl Differentiable for AvgPool {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| flex::avg_pool_gradient(self.shape, gradient))
    }
}

#[derive(Clone, Debug)]
struct Upsampling {
    shape: [usize; 5],
}

impl Differentiable for Upsampling {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| flex::upsample_gradient(self.shape, gradient))
    }
}

#[derive(Clone, Debug)]
struct Normalisation {
    x: FlexTensor,
    sets: Sets,
    moments: Moments,
    affine: PlainAffine,
}

impl Differentiable for Normalisation {
    fn gradients(&self, gradient: &FlexTensor, wanted: &[bool]) -> Vec<Option<FlexTensor>> {
        let Self {
            x,
            sets,
            moments,
            affine,
        } = self;
        // All three come out of the same passes.
        let all = flex::normalise_gradients(x, gradient, *sets, moments, affine);
        let pairs = all.into_iter().zip(wanted);
        pairs
            .map(|(gradient, wanted)| wanted.then_some(gradient))
            .collect()
    }
}

fn each_wanted(wanted: &[bool], of: impl Fn(usize) -> FlexTensor) -> Vec<Option<FlexTensor>> {
    let parents = wanted.iter().enumerate();
    parents
        .map(|(parent, wanted)| wanted.then(|| of(parent)))
        .collect()
}

impl<C: CheckpointStrategy> Kernels for Autodiff<Flex, C> {
    fn conv3d(
        x: Tensor<Self, 5>,
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvOptions<3>,
    ) -> Tensor<Self, 5> {
        let (x, weight, bias) = (primitive(x), primitive(weight), bias.map(primitive));
        let plain_bias = bias.as_ref().map(|bias| &bias.primitive);
        let output = flex::convolve(&x.primitive, &weight.primitive, plain_bias, &options);
        let operation = || Convolution {
            x: x.primitive.clone(),
            weight: weight.primitive.clone(),
            options,
        };
        wrap(match &bias {
            Some(bias) => record::<C, _, _>([&x, &weight, bias], output, operation),
            None => record::<C, _, _>([&x, &weight], output, operation),
        })
    }

    fn conv_transpose3d(
        x: Tensor<Self, 5>,
        weight: Tensor<Self, 5>,
        bias: Option<Tensor<Self, 1>>,
        options: ConvTransposeOptions<3>,
    ) -> Tensor<Self, 5> {
        let (x, weight, bias) = (primitive(x), primitive(weight), bias.map(primitive));
        let plain_bias = bias.as_ref().map(|bias| &bias.primitive);
        let output =
            flex::convolve_transposed(&x.primitive, &weight.primitive, plain_bias, &options);
        let operation = || TransposedConvolution {
            x: x.primitive.clone(),
            weight: weight.primitive.clone(),
            options,
        };
        wrap(match &bias {
            Some(bias) => record::<C, _, _>([&x, &weight, bias], output, operation),
            None => record::<C, _, _>([&x, &weight], output, operation),
        })
    }

    fn join(first: Tensor<Self, 5>, second: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let shapes = [first.dims(), second.dims()];
        let (first, second) = (primitive(first), primitive(second));
        let output = flex::join(&first.primitive, &second.primitive);
        wrap(record::<C, _, _>([&first, &second], output, || Joining {
            shapes,
        }))
    }

    fn max_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let x = primitive(x);
        let output = flex::max_pool(&x.primitive);
        wrap(record::<C, _, _>([&x], output, || MaxPool {
            x: x.primitive.clone(),
        }))
    }

    fn avg_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let shape = x.dims();
        let x = primitive(x);
        let output = flex::avg_pool(&x.primitive);
        wrap(record::<C, _, _>([&x], output, || AvgPool { shape }))
    }

    fn upsample_trilinear(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        let shape = x.dims();
        let x = primitive(x);
        let output = flex::upsample(&x.primitive);
        wrap(record::<C, _, _>([&x], output, || Upsampling { shape }))
    }

    fn group_norm(x: Tensor<Self, 5>, groups: usize, affine: Affine<Self>) -> Tensor<Self, 5> {
        wrap(normalised(x, Sets::Groups(groups), affine).0)
    }

    fn batch_norm(x: Tensor<Self, 5>, affine: Affine<Self>) -> BatchNormed<Self> {
        let (output, moments) = normalised(x, Sets::Channels, affine);
        let (mean, variance) = flex::moment_tensors(&moments);
        BatchNormed {
            output: wrap(output),
            mean: constant(mean),
            variance: constant(variance),
        }
    }
}

fn normalised<C: CheckpointStrategy>(
    x: Tensor<Autodiff<Flex, C>, 5>,
    sets: Sets,
    affine: Affine<Autodiff<Flex, C>>,
) -> (Tracked<C>, Moments) {
    let (x, weight, bias) = (
        primitive(x),
        primitive(affine.weight),
        primitive(affine.bias),
    );
    let affine = PlainAffine {
        weight: weight.primitive.clone(),
        bias: bias.primitive.clone(),
        epsilon: affine.epsilon,
        slope: affine.slope,
    };
    let (output, moments) = flex::normalise(&x.primitive, sets, &affine);
    let operation = || Normalisation {
        x: x.primitive.clone(),
        sets,
        moments: moments.clone(),
        affine,
    };
    (
        record::<C, _, _>([&x, &weight, &bias], output, operation),
        moments,
    )
}
