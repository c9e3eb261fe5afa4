//! The same operations made of Burn's: what a GPU uses, and what ours are tested against.

use burn::nn::DropoutConfig;
use burn::tensor::activation::{leaky_relu, log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::module::{self, avg_pool2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{FloatDType, Tensor, TensorData, s};

use super::{AdamStep, BatchNormed, Entropy, ScaleShift};

/// [`super::Kernels::adam`].
pub fn adam<B: Backend, const D: usize>(
    [weights, mean, squares]: [Tensor<B, D>; 3],
    gradient: Tensor<B, D>,
    step: &AdamStep,
) -> [Tensor<B, D>; 3] {
    let [first, second] = step.betas;
    let mean = mean * first + gradient.clone() * (1.0 - first);
    let squares = squares * second + gradient.square() * (1.0 - second);
    let [scale, epsilon] = step.correction();
    let direction = mean.clone() * scale / (squares.clone().sqrt() + epsilon);
    [weights - direction * step.rate, mean, squares]
}

/// [`super::Kernels::conv3d`].
pub fn conv3d<B: Backend>(
    x: Tensor<B, 5>,
    weight: Tensor<B, 5>,
    bias: Option<Tensor<B, 1>>,
    options: ConvOptions<3>,
) -> Tensor<B, 5> {
    // As many zeros at the end of the kernel as of the image: the outputs stay the same.
    let mut short = missing(&weight, options.stride);
    let [_, _, kernel @ ..] = weight.dims();
    if kernel == [1; 3] && options.groups == 1 {
        // Burn 0.21 may multiply matrices instead, with the method that it measures as the fastest. The methods
        // that it calls double_unit give wrong results (for eight channels, for example), and an image cut out
        // of a longer one is misread.
        short[2] = short[2].max(1);
    }
    let reach = std::array::from_fn(|axis| short[axis] * options.dilation[axis]);
    module::conv3d(longer(x, reach), longer(weight, short), bias, options)
}

/// [`super::Kernels::conv_transpose3d`].
pub fn conv_transpose3d<B: Backend>(
    x: Tensor<B, 5>,
    weight: Tensor<B, 5>,
    bias: Option<Tensor<B, 1>>,
    options: ConvTransposeOptions<3>,
) -> Tensor<B, 5> {
    // Zeros at the end of the kernel make the output longer, by bias alone.
    let short = missing(&weight, options.stride);
    let reach: [usize; 3] = std::array::from_fn(|axis| short[axis] * options.dilation[axis]);
    let mut output = module::conv_transpose3d(x, longer(weight, short), bias, options);
    for (axis, reach) in (2..).zip(reach) {
        if reach > 0 {
            let length = output.dims()[axis] - reach;
            output = output.narrow(axis, 0, length);
        }
    }
    output
}

/// By how much a kernel is shorter than the stride, along each axis. Burn 0.21 leaves terms out of transposed
/// convolutions by such kernels on GPUs, and so out of the gradients of convolutions.
fn missing<B: Backend>(weight: &Tensor<B, 5>, stride: [usize; 3]) -> [usize; 3] {
    let [_, _, depth, height, width] = weight.dims();
    let kernel = [depth, height, width];
    std::array::from_fn(|axis| stride[axis].saturating_sub(kernel[axis]))
}

/// With zeros added at the end of each axis.
fn longer<B: Backend>(x: Tensor<B, 5>, by: [usize; 3]) -> Tensor<B, 5> {
    if by == [0; 3] {
        return x;
    }
    pad(x, by.map(|by| (0, by)))
}

/// `x` with this many zeros before and after it along depth, height and width. Burn 0.21 pads in its usual type
/// whatever the tensor's.
pub fn pad<B: Backend>(x: Tensor<B, 5>, by: [(usize, usize); 3]) -> Tensor<B, 5> {
    let size = x.dims();
    let mut padded = size;
    for (length, (before, after)) in padded[2..].iter_mut().zip(by) {
        *length += before + after;
    }
    let [depth, height, width] =
        std::array::from_fn(|axis| by[axis].0..by[axis].0 + size[axis + 2]);
    let zeros = Tensor::zeros(padded, (&x.device(), x.dtype()));
    zeros.slice_assign(s![.., .., depth, height, width], x)
}

/// [`super::Kernels::gelu`]. Burn's own has on GPUs the gradient of an approximation by tanh, off by up to 5e-4.
pub fn gelu<B: Backend>(x: Tensor<B, 5>) -> Tensor<B, 5> {
    in_single(x, |x| {
        let half = x.clone() * 0.5;
        half * ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
    })
}

/// `operation` in single precision, its output in the type of `x`.
fn in_single<B: Backend>(
    x: Tensor<B, 5>,
    operation: impl FnOnce(Tensor<B, 5>) -> Tensor<B, 5>,
) -> Tensor<B, 5> {
    let dtype = x.dtype();
    operation(x.cast(FloatDType::F32)).cast(dtype)
}

/// [`super::Kernels::max_pool3d`]. A maximum is separable: Burn's pooling takes the plane first, then
/// the remaining axis.
pub fn max_pool3d<B: Backend>(x: Tensor<B, 5>) -> Tensor<B, 5> {
    separately(x, |x, kernel| {
        max_pool2d(x, kernel, kernel, [0, 0], [1, 1], false)
    })
}

/// [`super::Kernels::avg_pool3d`].
pub fn avg_pool3d<B: Backend>(x: Tensor<B, 5>) -> Tensor<B, 5> {
    separately(x, |x, kernel| {
        avg_pool2d(x, kernel, kernel, [0, 0], true, false)
    })
}

fn separately<B: Backend>(
    x: Tensor<B, 5>,
    pool: impl Fn(Tensor<B, 4>, [usize; 2]) -> Tensor<B, 4>,
) -> Tensor<B, 5> {
    let [batch, channels, depth, height, width] = x.dims();
    let (half_height, half_width) = (height / 2, width / 2);
    let planes = pool(x.reshape([batch, channels * depth, height, width]), [2, 2]);
    let columns = planes.reshape([batch, channels, depth, half_height * half_width]);
    let shape = [batch, channels, depth / 2, half_height, half_width];
    // On GPUs Burn's pooling leaves channels last, and Burn 0.21 mistakes the strides of such a tensor
    // where axes of one voxel at its end become more: as one row first.
    let row = pool(columns, [2, 1]).reshape([shape.iter().product::<usize>()]);
    row.reshape(shape)
}

/// [`super::Kernels::upsample_trilinear`].
pub fn upsample_trilinear<B: Backend>(x: Tensor<B, 5>) -> Tensor<B, 5> {
    // The last axis first: the tensor doubles with every step, and the middle one is cheapest.
    double(double(double(x, 4), 3), 2)
}

/// Each voxel becomes two, a quarter of a voxel before and after its centre.
fn double<B: Backend>(x: Tensor<B, 5>, axis: usize) -> Tensor<B, 5> {
    let mut shape = x.dims();
    let n = shape[axis];
    if n == 1 {
        return x.repeat_dim(axis, 2);
    }
    let first = x.clone().narrow(axis, 0, 1);
    let last = x.clone().narrow(axis, n - 1, 1);
    let held = Tensor::cat(vec![first, x.clone(), last], axis);
    let before = held.clone().narrow(axis, 0, n);
    let after = held.narrow(axis, 2, n);
    let near = x * 0.75;
    shape[axis] = 2 * n;
    Tensor::stack::<6>(
        vec![near.clone() + before * 0.25, near + after * 0.25],
        axis + 1,
    )
    .reshape(shape)
}

/// [`super::Kernels::group_norm`].
pub fn group_norm<B: Backend>(
    x: Tensor<B, 5>,
    groups: usize,
    scale_shift: ScaleShift<B>,
) -> Tensor<B, 5> {
    let (dtype, x) = (x.dtype(), x.cast(FloatDType::F32));
    let [batch, channels, depth, height, width] = x.dims();
    let size = channels / groups;
    let voxels = depth * height * width;
    let grouped = x.reshape([batch, groups, size * voxels]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    // One scale per channel, so that the full tensor is multiplied once.
    let scale =
        scale_shift.weight.reshape([1, groups, size]) / (variance + scale_shift.epsilon).sqrt();
    let normalised = centred.reshape([batch, channels, voxels])
        * scale.reshape([batch, channels, 1])
        + scale_shift.bias.reshape([1, channels, 1]);
    let normalised = normalised.reshape([batch, channels, depth, height, width]);
    activate(normalised.cast(dtype), scale_shift.slope)
}

/// [`super::Kernels::batch_norm`].
pub fn batch_norm<B: Backend>(x: Tensor<B, 5>, scale_shift: ScaleShift<B>) -> BatchNormed<B> {
    let (dtype, x) = (x.dtype(), x.cast(FloatDType::F32));
    let [batch, channels, depth, height, width] = x.dims();
    let row = [1, channels, 1];
    let flat = x.reshape([batch, channels, depth * height * width]);
    let mean = flat.clone().mean_dim(2).mean_dim(0);
    let centred = flat - mean.clone();
    let variance = centred.clone().square().mean_dim(2).mean_dim(0);
    let scale = scale_shift.weight.reshape(row) / (variance.clone() + scale_shift.epsilon).sqrt();
    let normalised = centred * scale + scale_shift.bias.reshape(row);
    let normalised = normalised.reshape([batch, channels, depth, height, width]);
    BatchNormed {
        output: activate(normalised.cast(dtype), scale_shift.slope),
        mean: mean.detach().reshape([channels]),
        variance: variance.detach().reshape([channels]),
    }
}

/// [`super::Kernels::scale_and_shift`].
pub fn scale_and_shift<B: Backend>(
    x: Tensor<B, 5>,
    scale: Tensor<B, 1>,
    shift: Tensor<B, 1>,
    slope: f64,
) -> Tensor<B, 5> {
    let row = [1, x.dims()[1], 1, 1, 1];
    let line = |x: Tensor<B, 5>| x * scale.reshape(row) + shift.reshape(row);
    activate(in_single(x, line), slope)
}

/// `x` where it is positive, `slope * x` elsewhere.
pub fn activate<B: Backend>(x: Tensor<B, 5>, slope: f64) -> Tensor<B, 5> {
    if slope == 1.0 {
        x
    } else {
        leaky_relu(x, slope)
    }
}

/// [`super::Kernels::crop_and_activate`].
pub fn crop_and_activate<B: Backend>(
    x: Tensor<B, 5>,
    [depth, height, width]: [usize; 3],
    slope: f64,
) -> Tensor<B, 5> {
    activate(x.slice(s![.., .., ..depth, ..height, ..width]), slope)
}

/// [`super::Kernels::dropout`].
pub fn dropout<B: Backend>(x: Tensor<B, 5>, probability: f64) -> Tensor<B, 5> {
    DropoutConfig::new(probability).init().forward(x)
}

/// 1 in the channel of each voxel's class, 0 elsewhere and where voxels are ignored: `[batch, channels, …]`, in
/// single precision.
pub fn one_hot<B: Backend>(classes: &Tensor<B, 5>, channels: usize) -> Tensor<B, 5> {
    let numbers: Vec<f32> = (0..channels).map(|channel| channel as f32).collect();
    let numbers = TensorData::new(numbers, [1, channels, 1, 1, 1]);
    let numbers = Tensor::<B, 5>::from_data(numbers, (&classes.device(), classes.dtype()));
    let [batch, _, depth, height, width] = classes.dims();
    let shape = [batch, channels, depth, height, width];
    let same = classes.clone().expand(shape).equal(numbers.expand(shape));
    same.float().cast(FloatDType::F32)
}

/// 1 where voxels count, 0 where they are ignored; in single precision.
fn counted<B: Backend>(classes: &Tensor<B, 5>) -> Tensor<B, 5> {
    let ignored = f32::from(super::IGNORED_CLASS);
    let counted = classes.clone().not_equal_elem(ignored);
    counted.float().cast(FloatDType::F32)
}

/// Sums over voxels: `[batch, channels]`.
fn over_voxels<B: Backend>(x: Tensor<B, 5>) -> Tensor<B, 2> {
    x.flatten::<3>(2, 4).sum_dim(2).squeeze_dim::<2>(2)
}

/// [`super::Kernels::softmax_overlap`].
pub fn softmax_overlap<B: Backend>(
    logits: Tensor<B, 5>,
    classes: Tensor<B, 5>,
    squared: bool,
) -> Tensor<B, 3> {
    let truth = one_hot(&classes, logits.dims()[1]);
    let p = softmax(logits.cast(FloatDType::F32), 1) * counted(&classes);
    let predicted = if squared {
        p.clone().square()
    } else {
        p.clone()
    };
    let sums = [p * truth.clone(), predicted, truth].map(over_voxels);
    Tensor::stack(sums.into(), 0)
}

/// [`super::Kernels::softmax_entropy`].
pub fn softmax_entropy<B: Backend>(
    logits: Tensor<B, 5>,
    classes: Tensor<B, 5>,
    entropy: &Entropy,
) -> Tensor<B, 5> {
    let channels = logits.dims()[1];
    let log_p = log_softmax(logits.cast(FloatDType::F32), 1);
    let weights: Vec<f32> = (0..channels)
        .map(|class| entropy.weight(class) as f32)
        .collect();
    let weights = TensorData::new(weights, [1, channels, 1, 1, 1]);
    let weights = Tensor::<B, 5>::from_data(weights, (&log_p.device(), log_p.dtype()));
    let mut expected = one_hot(&classes, channels) * (1.0 - entropy.label_smoothing);
    if entropy.label_smoothing > 0.0 {
        expected = expected + counted(&classes) * (entropy.label_smoothing / channels as f64);
    }
    let mut terms = expected * weights * -log_p.clone();
    if entropy.gamma != 0.0 {
        // The power's slope may be infinite at 0.
        let missing = (-log_p.exp() + 1.0).clamp_min(1e-7);
        terms = terms * missing.powf_scalar(entropy.gamma);
    }
    terms.sum_dim(1)
}

/// [`super::Kernels::softmax_counts`].
pub fn softmax_counts<B: Backend>(logits: Tensor<B, 5>, classes: Tensor<B, 5>) -> Tensor<B, 3> {
    let (logits, classes) = (logits.detach().cast(FloatDType::F32), classes.detach());
    let channels = logits.dims()[1];
    let counted = counted(&classes);
    let p = softmax(logits.clone(), 1) * counted.clone();
    let predicted = logits.argmax(1).float().cast(FloatDType::F32);
    let predicted = one_hot(&predicted, channels) * counted;
    let truth = one_hot(&classes, channels);
    let of_class = [
        p.clone() * truth.clone(),
        p,
        predicted.clone() * truth.clone(),
        predicted,
        truth,
    ];
    let of_class = of_class.map(|x| over_voxels(x).narrow(1, 1, channels - 1));
    Tensor::stack(of_class.into(), 2)
}
