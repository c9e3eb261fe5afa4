//! Max pooling in three dimensions.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::max_pool2d;

/// The largest value of each block of 2x2x2 voxels; an odd last plane is dropped. Where several
/// voxels of a block share the largest value, one of them gets the gradient.
///
/// A maximum is separable: Burn's pooling takes the plane first, then the remaining axis.
///
/// # Shapes
///
/// - input: `[batch, channels, depth, height, width]`
/// - output: `[batch, channels, depth / 2, height / 2, width / 2]`
pub fn max_pool3d<B: Backend>(x: Tensor<B, 5>) -> Tensor<B, 5> {
    let [batch, channels, depth, height, width] = x.dims();
    let (half_height, half_width) = (height / 2, width / 2);
    let planes = pool(x.reshape([batch, channels * depth, height, width]), [2, 2]);
    pool(
        planes.reshape([batch, channels, depth, half_height * half_width]),
        [2, 1],
    )
    .reshape([batch, channels, depth / 2, half_height, half_width])
}

fn pool<B: Backend>(x: Tensor<B, 4>, kernel: [usize; 2]) -> Tensor<B, 4> {
    max_pool2d(x, kernel, kernel, [0, 0], [1, 1], false)
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::{Distribution, Int};

    use super::*;

    type Device = burn::tensor::Device<Flex>;

    #[test]
    fn every_block_gives_its_largest_value() {
        let device = Device::default();
        let shape = [2, 3, 4, 6, 10];
        let x = Tensor::<Flex, 5>::random(shape, Distribution::Default, &device);
        let values: Vec<f32> = x.to_data().to_vec().unwrap();
        let pooled = max_pool3d(x);
        assert_eq!(pooled.dims(), [2, 3, 2, 3, 5]);
        let mut pooled = pooled.into_data().to_vec::<f32>().unwrap().into_iter();
        for image in values.chunks(4 * 6 * 10) {
            for (d, h, w) in indices([2, 3, 5]) {
                let block = indices([2, 2, 2])
                    .map(|(i, j, k)| image[((2 * d + i) * 6 + 2 * h + j) * 10 + 2 * w + k]);
                assert_eq!(pooled.next(), block.reduce(f32::max));
            }
        }
    }

    #[test]
    fn the_gradient_goes_to_one_of_the_largest() {
        let device = Device::default();
        let x = Tensor::<Autodiff<Flex>, 1, Int>::arange(0..8, &device)
            .float()
            .reshape([1, 1, 2, 2, 2])
            .require_grad();
        let gradients = (max_pool3d(x.clone()) * 3.0).sum().backward();
        let gradient: Vec<f32> = x.grad(&gradients).unwrap().into_data().to_vec().unwrap();
        assert_eq!(gradient, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0]);

        let tied = Tensor::<Autodiff<Flex>, 5>::ones([1, 1, 4, 4, 4], &device).require_grad();
        let gradients = max_pool3d(tied.clone()).sum().backward();
        let sum: f32 = tied.grad(&gradients).unwrap().sum().into_scalar();
        assert_eq!(sum, 8.0);
    }

    fn indices(shape: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
        let [depth, height, width] = shape;
        (0..depth * height * width)
            .map(move |i| (i / (height * width), i / width % height, i % width))
    }
}
