//! Trilinear upsampling.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Doubles each axis by linear interpolation between voxel centres; beyond the outermost centres
/// the outermost value holds (PyTorch's `trilinear` with `align_corners=False`).
///
/// # Shapes
///
/// - input: `[batch, channels, depth, height, width]`
/// - output: `[batch, channels, 2 * depth, 2 * height, 2 * width]`
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

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    type Device = burn::tensor::Device<Flex>;

    #[test]
    fn a_line_gets_values_between_the_centres_and_holds_at_the_ends() {
        let device = Device::default();
        let line = Tensor::<Flex, 1>::from_floats([0.0, 4.0, 8.0], &device);
        let expected = [0.0, 1.0, 3.0, 5.0, 7.0, 8.0];
        for axis in 2..5 {
            let mut shape = [1; 5];
            shape[axis] = 3;
            let doubled = upsample_trilinear(line.clone().reshape(shape));
            shape = [2; 5];
            (shape[0], shape[1], shape[axis]) = (1, 1, 6);
            assert_eq!(doubled.dims(), shape);
            let mut profile = doubled;
            for other in (2..5).filter(|other| *other != axis) {
                profile = profile.narrow(other, 1, 1);
            }
            let values: Vec<f32> = profile.into_data().to_vec().unwrap();
            assert_eq!(values, expected);
        }
    }

    #[test]
    fn a_corner_is_weighted_along_all_three_axes() {
        let device = Device::default();
        let mut values = [0.0; 8];
        values[0] = 64.0;
        let cube = Tensor::<Flex, 1>::from_floats(values, &device).reshape([1, 1, 2, 2, 2]);
        let doubled: Vec<f32> = upsample_trilinear(cube).into_data().to_vec().unwrap();
        // torch.nn.functional.interpolate(x, scale_factor=2, mode="trilinear") along the diagonal.
        let diagonal: Vec<f32> = (0..4).map(|i| doubled[i * (16 + 4 + 1)]).collect();
        assert_eq!(diagonal, [64.0, 27.0, 1.0, 0.0]);
    }

    #[test]
    fn every_voxel_gets_eight_times_the_gradient_of_its_upsampled_voxels() {
        let device = Device::default();
        let x =
            Tensor::<Autodiff<Flex>, 5>::random([1, 2, 2, 3, 4], Distribution::Default, &device)
                .require_grad();
        let gradients = upsample_trilinear(x.clone()).sum().backward();
        let gradient = x.grad(&gradients).unwrap();
        let expected = Tensor::<Flex, 5>::full([1, 2, 2, 3, 4], 8.0, &device);
        gradient
            .into_data()
            .assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
}
