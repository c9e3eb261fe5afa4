//! Losses whose weights are worked out on the host, and taken as constants there.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ndarray::{Array3, ArrayView3};

/// All values, in order.
pub fn values<B: Backend>(x: &Tensor<B, 5>) -> Vec<f32> {
    x.clone().detach().into_data().iter::<f32>().collect()
}

/// A tensor on the device of `like`, of its shape and its precision (the backend's own may be half).
pub fn constant<B: Backend>(values: Vec<f32>, like: &Tensor<B, 5>) -> Tensor<B, 5> {
    let data = TensorData::new(values, like.dims());
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// `map` of each channel of each sample of a mask (true where `mask` is above one half), as a constant.
pub fn each_volume<B: Backend>(
    mask: &Tensor<B, 5>,
    map: impl Fn(ArrayView3<'_, bool>) -> Array3<f32>,
) -> Tensor<B, 5> {
    let [_, _, depth, height, width] = mask.dims();
    let inside: Vec<bool> = values(mask).into_iter().map(|value| value > 0.5).collect();
    let mapped = inside
        .chunks(depth * height * width)
        // A chunk has as many values as the shape: a tensor's size is the product of its axes.
        .filter_map(|volume| ArrayView3::from_shape((depth, height, width), volume).ok())
        .flat_map(|volume| map(volume).into_iter())
        .collect();
    constant(mapped, mask)
}
