//! The same operations made of Burn's: what a GPU uses, and what ours are tested against.

use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use burn::tensor::module::{avg_pool2d, max_pool2d};

use super::{Affine, BatchNormed};

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
    pool(columns, [2, 1]).reshape([batch, channels, depth / 2, half_height, half_width])
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
pub fn group_norm<B: Backend>(x: Tensor<B, 5>, groups: usize, affine: Affine<B>) -> Tensor<B, 5> {
    let [batch, channels, depth, height, width] = x.dims();
    let size = channels / groups;
    let voxels = depth * height * width;
    let grouped = x.reshape([batch, groups, size * voxels]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    // One scale a channel, so that the full tensor is multiplied once.
    let scale = affine.weight.reshape([1, groups, size]) / (variance + affine.epsilon).sqrt();
    let normalised = centred.reshape([batch, channels, voxels])
        * scale.reshape([batch, channels, 1])
        + affine.bias.reshape([1, channels, 1]);
    activate(
        normalised.reshape([batch, channels, depth, height, width]),
        affine.slope,
    )
}

/// [`super::Kernels::batch_norm`].
pub fn batch_norm<B: Backend>(x: Tensor<B, 5>, affine: Affine<B>) -> BatchNormed<B> {
    let [batch, channels, depth, height, width] = x.dims();
    let row = [1, channels, 1];
    let flat = x.reshape([batch, channels, depth * height * width]);
    let mean = flat.clone().mean_dim(2).mean_dim(0);
    let centred = flat - mean.clone();
    let variance = centred.clone().square().mean_dim(2).mean_dim(0);
    let scale = affine.weight.reshape(row) / (variance.clone() + affine.epsilon).sqrt();
    let normalised = centred * scale + affine.bias.reshape(row);
    BatchNormed {
        output: activate(
            normalised.reshape([batch, channels, depth, height, width]),
            affine.slope,
        ),
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
    activate(x * scale.reshape(row) + shift.reshape(row), slope)
}

/// `x` where it is positive, `slope * x` elsewhere.
pub fn activate<B: Backend>(x: Tensor<B, 5>, slope: f64) -> Tensor<B, 5> {
    if slope == 1.0 {
        x
    } else {
        leaky_relu(x, slope)
    }
}
