//! The operations on GPUs with gradients: Burn's, on a tape that keeps or computes again what is cheap.

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::checkpointing::{Recomputing, is_on, keeping, recomputing};
use super::{BatchNormed, Kernels, ScaleShift, reference};

/// A backend whose [`Kernels`] are made of Burn's operations.
pub trait Gpu: Kernels {}

#[cfg(feature = "cuda")]
impl Kernels for burn_cuda::Cuda {}

#[cfg(feature = "cuda")]
impl Gpu for burn_cuda::Cuda {}

#[cfg(feature = "vulkan")]
impl Kernels for burn_wgpu::Vulkan {}

#[cfg(feature = "vulkan")]
impl Gpu for burn_wgpu::Vulkan {}

fn scale_shift_recomputing<B: Backend>(
    scale_shift: ScaleShift<Autodiff<B>>,
) -> ScaleShift<Recomputing<B>> {
    ScaleShift {
        weight: recomputing(scale_shift.weight),
        bias: recomputing(scale_shift.bias),
        epsilon: scale_shift.epsilon,
        slope: scale_shift.slope,
    }
}

impl<B: Gpu> Kernels for Autodiff<B> {
    fn gelu(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        match is_on() {
            false => reference::gelu(x),
            true => keeping(reference::gelu(recomputing(x))),
        }
    }

    fn concat_channels(first: Tensor<Self, 5>, second: Tensor<Self, 5>) -> Tensor<Self, 5> {
        match is_on() {
            false => Tensor::cat(vec![first, second], 1),
            true => keeping(Tensor::cat(
                vec![recomputing(first), recomputing(second)],
                1,
            )),
        }
    }

    fn max_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        match is_on() {
            false => reference::max_pool3d(x),
            true => keeping(reference::max_pool3d(recomputing(x))),
        }
    }

    fn avg_pool3d(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        match is_on() {
            false => reference::avg_pool3d(x),
            true => keeping(reference::avg_pool3d(recomputing(x))),
        }
    }

    fn upsample_trilinear(x: Tensor<Self, 5>) -> Tensor<Self, 5> {
        match is_on() {
            false => reference::upsample_trilinear(x),
            true => keeping(reference::upsample_trilinear(recomputing(x))),
        }
    }

    fn group_norm(
        x: Tensor<Self, 5>,
        groups: usize,
        scale_shift: ScaleShift<Self>,
    ) -> Tensor<Self, 5> {
        match is_on() {
            false => reference::group_norm(x, groups, scale_shift),
            true => keeping(reference::group_norm(
                recomputing(x),
                groups,
                scale_shift_recomputing(scale_shift),
            )),
        }
    }

    fn batch_norm(x: Tensor<Self, 5>, scale_shift: ScaleShift<Self>) -> BatchNormed<Self> {
        if !is_on() {
            return reference::batch_norm(x, scale_shift);
        }
        let normed = reference::batch_norm(recomputing(x), scale_shift_recomputing(scale_shift));
        BatchNormed {
            output: keeping(normed.output),
            mean: keeping(normed.mean),
            variance: keeping(normed.variance),
        }
    }

    fn scale_and_shift(
        x: Tensor<Self, 5>,
        scale: Tensor<Self, 1>,
        shift: Tensor<Self, 1>,
        slope: f64,
    ) -> Tensor<Self, 5> {
        match is_on() {
            false => reference::scale_and_shift(x, scale, shift, slope),
            true => keeping(reference::scale_and_shift(
                recomputing(x),
                recomputing(scale),
                recomputing(shift),
                slope,
            )),
        }
    }
}
