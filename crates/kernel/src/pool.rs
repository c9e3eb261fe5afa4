//! Pooling of 2x2x2 voxels: the largest or the mean. An odd last plane is dropped.

use super::parallel::collect_maps;

/// Depth, height and width after pooling.
pub(super) fn pooled(shape: [usize; 3]) -> [usize; 3] {
    shape.map(|n| n / 2)
}

/// The largest value of each block of `maps` volumes of `shape`.
pub(super) fn max_forward(x: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    let [small, large] = [pooled(shape), shape].map(|shape| shape.iter().product::<usize>());
    collect_maps(maps * small, small, |map, out| {
        let x = &x[map * large..][..large];
        for_blocks(shape, |at, block| {
            let values = block.map(|i| x[i]);
            out[at] = values.into_iter().fold(values[0], larger);
        });
    })
}

/// The gradient of [`max_forward`]: each block's goes to the first of its largest values.
pub(super) fn max_backward(
    x: &[f32],
    gradient: &[f32],
    maps: usize,
    shape: [usize; 3],
) -> Vec<f32> {
    let [small, large] = [pooled(shape), shape].map(|shape| shape.iter().product::<usize>());
    collect_maps(maps * large, large, |map, out| {
        let (x, gradient) = (
            &x[map * large..][..large],
            &gradient[map * small..][..small],
        );
        for_blocks(shape, |at, block| {
            let first = block[0];
            let largest = |best: usize, i: usize| if x[i] > x[best] { i } else { best };
            out[block.into_iter().fold(first, largest)] = gradient[at];
        });
    })
}

/// The mean of each block.
pub(super) fn avg_forward(x: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    let [small, large] = [pooled(shape), shape].map(|shape| shape.iter().product::<usize>());
    collect_maps(maps * small, small, |map, out| {
        let x = &x[map * large..][..large];
        for_blocks(shape, |at, block| {
            out[at] = block.map(|i| x[i]).iter().sum::<f32>() / 8.0;
        });
    })
}

/// The gradient of [`avg_forward`].
pub(super) fn avg_backward(gradient: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    let [small, large] = [pooled(shape), shape].map(|shape| shape.iter().product::<usize>());
    collect_maps(maps * large, large, |map, out| {
        let gradient = &gradient[map * small..][..small];
        for_blocks(shape, |at, block| {
            block.into_iter().for_each(|i| out[i] = gradient[at] / 8.0);
        });
    })
}

/// The larger value, or the one that is not a number.
fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

/// Calls `of` for each block with its index and those of its eight values.
fn for_blocks(shape: [usize; 3], mut of: impl FnMut(usize, [usize; 8])) {
    let [_, height, width] = shape;
    let [small_depth, small_height, small_width] = pooled(shape);
    let mut at = 0;
    for z in 0..small_depth {
        for y in 0..small_height {
            let first = (2 * z * height + 2 * y) * width;
            let corners = [0, width, height * width, (height + 1) * width];
            for x in 0..small_width {
                let corner = corners.map(|corner| first + corner + 2 * x);
                let [a, b, c, d] = corner;
                of(at, [a, a + 1, b, b + 1, c, c + 1, d, d + 1]);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::{Distribution, Int, Tensor};

    use super::super::max_pool3d;

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
