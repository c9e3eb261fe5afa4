//! Trilinear upsampling: each axis doubled by linear interpolation between voxel centres; beyond the
//! outermost centres the outermost value holds (PyTorch's `trilinear` with `align_corners=False`).

use super::parallel::collect;

/// `maps` volumes of `shape`, doubled along every axis.
pub(super) fn forward(x: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    let [depth, height, width] = shape;
    let small = depth * height * width;
    collect(maps * 8 * small, 8 * small, 8 * small, |map, _, out| {
        let x = &x[map * small..][..small];
        // The last axis first, while the volume is small.
        let mut wide = vec![0.0; 2 * small];
        double_axis(x, &mut wide, [depth * height, width, 1]);
        let mut high = vec![0.0; 4 * small];
        double_axis(&wide, &mut high, [depth, height, 2 * width]);
        double_axis(&high, out, [1, depth, 4 * height * width]);
    })
}

/// The gradient of [`forward`]; `shape` is the smaller one.
pub(super) fn backward(gradient: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    let [depth, height, width] = shape;
    let small = depth * height * width;
    collect(maps * small, small, small, |map, _, out| {
        let gradient = &gradient[map * 8 * small..][..8 * small];
        let mut high = vec![0.0; 4 * small];
        halve_axis(gradient, &mut high, [1, depth, 4 * height * width]);
        let mut wide = vec![0.0; 2 * small];
        halve_axis(&high, &mut wide, [depth, height, 2 * width]);
        halve_axis(&wide, out, [depth * height, width, 1]);
    })
}

/// Doubles the middle axis of `[outer, n, inner]` values: each becomes two, a quarter of a voxel
/// before and after its centre.
fn double_axis(x: &[f32], out: &mut [f32], [_, n, inner]: [usize; 3]) {
    let volumes = x
        .chunks_exact(n * inner)
        .zip(out.chunks_exact_mut(2 * n * inner));
    for (x, out) in volumes {
        for (i, out) in out.chunks_exact_mut(2 * inner).enumerate() {
            let at = |i: usize| &x[i * inner..][..inner];
            let (before, here, after) = (at(i.saturating_sub(1)), at(i), at((i + 1).min(n - 1)));
            let (first, second) = out.split_at_mut(inner);
            for j in 0..inner {
                first[j] = 0.75 * here[j] + 0.25 * before[j];
                second[j] = 0.75 * here[j] + 0.25 * after[j];
            }
        }
    }
}

/// The transpose of [`double_axis`]; `n` is the smaller number.
fn halve_axis(gradient: &[f32], out: &mut [f32], [_, n, inner]: [usize; 3]) {
    let volumes = gradient
        .chunks_exact(2 * n * inner)
        .zip(out.chunks_exact_mut(n * inner));
    for (gradient, out) in volumes {
        for (i, out) in out.chunks_exact_mut(inner).enumerate() {
            let at = |i: usize| &gradient[i * inner..][..inner];
            // A voxel has a quarter of its neighbours' nearer halves; at the ends, of its own.
            let (first, second) = (at(2 * i), at(2 * i + 1));
            let before = if i > 0 { at(2 * i - 1) } else { first };
            let after = if i + 1 < n { at(2 * i + 2) } else { second };
            for j in 0..inner {
                out[j] = 0.75 * (first[j] + second[j]) + 0.25 * (before[j] + after[j]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::{Distribution, Tensor, Tolerance};

    use super::super::upsample_trilinear;

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
