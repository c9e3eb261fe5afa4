//! Pooling of 2x2x2 voxels: the largest or the mean. An odd last plane is dropped.

use multiversion::multiversion;

use super::parallel::collect;

/// Depth, height and width after pooling.
pub(super) fn pooled(shape: [usize; 3]) -> [usize; 3] {
    shape.map(|n| n / 2)
}

/// The largest value of each block of `maps` volumes of `shape`.
pub(super) fn max_forward(x: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    reduce(x, maps, shape, max_row)
}

/// The gradient of [`max_forward`]: each block's goes to the first of its largest values.
pub(super) fn max_backward(
    x: &[f32],
    gradient: &[f32],
    maps: usize,
    shape: [usize; 3],
) -> Vec<f32> {
    spread(gradient, maps, shape, |first, gradient, out| {
        max_row_backward(rows(&x[first..], shape), gradient, out);
    })
}

/// The mean of each block.
pub(super) fn avg_forward(x: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    reduce(x, maps, shape, avg_row)
}

/// The gradient of [`avg_forward`].
pub(super) fn avg_backward(gradient: &[f32], maps: usize, shape: [usize; 3]) -> Vec<f32> {
    spread(gradient, maps, shape, |_, gradient, out| {
        avg_row_backward(gradient, out);
    })
}

/// Two neighbours along the width of each block of a row of blocks, in the order of their rows.
type Pairs<'a> = [&'a [[f32; 2]]; 4];

/// A new tensor of a value for each block, which `of` makes of a row of blocks.
fn reduce(
    x: &[f32],
    maps: usize,
    shape: [usize; 3],
    of: impl Fn(Pairs, &mut [f32]) + Sync,
) -> Vec<f32> {
    let [small_depth, small_height, small_width] = pooled(shape);
    let plane = small_height * small_width;
    let small = small_depth * plane;
    let large: usize = shape.iter().product();
    collect(maps * small, small, plane.max(1), |map, start, out| {
        for (i, out) in out.chunks_exact_mut(small_width.max(1)).enumerate() {
            let row = start / small_width + i;
            let first = map * large + first_of(row, shape);
            of(rows(&x[first..], shape), out);
        }
    })
}

/// A new tensor of what `of` makes of the gradient of a row of blocks, given where the row begins.
fn spread(
    gradient: &[f32],
    maps: usize,
    shape: [usize; 3],
    of: impl Fn(usize, &[f32], [&mut [[f32; 2]]; 4]) + Sync,
) -> Vec<f32> {
    let [_, height, width] = shape;
    let [small_depth, small_height, small_width] = pooled(shape);
    let large: usize = shape.iter().product();
    let slab = 2 * height * width;
    collect(maps * large, large, slab.max(1), |map, start, out| {
        // An odd last plane, and an odd last row, keep their zeros.
        for (i, out) in out.chunks_exact_mut(slab.max(1)).enumerate() {
            let z = start / slab + i;
            let (upper, lower) = out.split_at_mut(slab / 2);
            let pairs_of_rows = upper.chunks_exact_mut(2 * width);
            let pairs_of_rows = pairs_of_rows.zip(lower.chunks_exact_mut(2 * width));
            for (y, (upper, lower)) in pairs_of_rows.enumerate() {
                let row = z * small_height + y;
                let at = (map * small_depth * small_height + row) * small_width;
                let (a, b) = upper.split_at_mut(width);
                let (c, d) = lower.split_at_mut(width);
                let out = [a, b, c, d].map(|row| row.as_chunks_mut::<2>().0);
                let first = map * large + first_of(row, shape);
                of(first, &gradient[at..][..small_width], out);
            }
        }
    })
}

/// Where, in a volume, a row of blocks begins.
fn first_of(row: usize, [_, height, width]: [usize; 3]) -> usize {
    let (z, y) = (row / (height / 2), row % (height / 2));
    (2 * z * height + 2 * y) * width
}

/// The four rows of a row of blocks that begins with `values`.
fn rows(values: &[f32], [_, height, width]: [usize; 3]) -> Pairs<'_> {
    let corners = [0, width, height * width, (height + 1) * width];
    corners.map(|corner| values[corner..][..width].as_chunks::<2>().0)
}

// The loops over values, compiled for several instruction sets.

#[multiversion(targets = "simd")]
fn max_row(rows: Pairs, out: &mut [f32]) {
    let [a, b, c, d] = rows.map(|row| &row[..out.len()]);
    for (i, out) in out.iter_mut().enumerate() {
        let block = [a[i], b[i], c[i], d[i]];
        let values = block.as_flattened();
        *out = values.iter().copied().fold(values[0], larger);
    }
}

/// Blocks that are handled together.
const LANES: usize = 16;

#[multiversion(targets = "simd")]
fn max_row_backward(rows: Pairs, gradient: &[f32], mut out: [&mut [[f32; 2]]; 4]) {
    for first in (0..gradient.len()).step_by(LANES) {
        let count = LANES.min(gradient.len() - first);
        // The eight values of each block, lane by lane.
        let mut values = [[0.0f32; LANES]; 8];
        for (row, values) in rows.iter().zip(values.as_chunks_mut::<2>().0) {
            for (lane, [a, b]) in row[first..][..count].iter().enumerate() {
                (values[0][lane], values[1][lane]) = (*a, *b);
            }
        }
        let (mut best, mut at) = (values[0], [0u32; LANES]);
        for (k, values) in values.iter().enumerate().skip(1) {
            for lane in 0..LANES {
                let is_larger = values[lane] > best[lane];
                best[lane] = if is_larger { values[lane] } else { best[lane] };
                at[lane] = if is_larger { k as u32 } else { at[lane] };
            }
        }
        let gradient = &gradient[first..][..count];
        for (k, row) in out.iter_mut().enumerate() {
            let row = &mut row[first..][..count];
            for ((out, at), gradient) in row.iter_mut().zip(&at).zip(gradient) {
                *out = [0, 1].map(|i| {
                    if *at == 2 * k as u32 + i {
                        *gradient
                    } else {
                        0.0
                    }
                });
            }
        }
    }
}

#[multiversion(targets = "simd")]
fn avg_row(rows: Pairs, out: &mut [f32]) {
    let [a, b, c, d] = rows.map(|row| &row[..out.len()]);
    for (i, out) in out.iter_mut().enumerate() {
        let block = [a[i], b[i], c[i], d[i]];
        *out = block.as_flattened().iter().sum::<f32>() / 8.0;
    }
}

#[multiversion(targets = "simd")]
fn avg_row_backward(gradient: &[f32], out: [&mut [[f32; 2]]; 4]) {
    for row in out {
        for (out, gradient) in row.iter_mut().zip(gradient) {
            *out = [*gradient / 8.0; 2];
        }
    }
}

/// The larger value, or the one that is not a number.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
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

    #[test]
    fn odd_ends_and_ties_get_what_the_definition_says() {
        let (maps, shape) = (3, [5, 7, 71]);
        let large = 5 * 7 * 71;
        // Few different values, so that many blocks have several largest ones.
        let x: Vec<f32> = (0..maps * large)
            .map(|i| (i * 7919 % 1013 % 3) as f32)
            .collect();
        let pooled = super::max_forward(&x, maps, shape);
        let gradient: Vec<f32> = (0..pooled.len()).map(|i| 1.0 + i as f32).collect();
        let mut expected = vec![0.0; x.len()];
        for map in 0..maps {
            for (at, (d, h, w)) in indices([2, 3, 35]).enumerate() {
                let at = map * 2 * 3 * 35 + at;
                let block = indices([2, 2, 2])
                    .map(|(i, j, k)| map * large + ((2 * d + i) * 7 + 2 * h + j) * 71 + 2 * w + k);
                let first = block.reduce(|best, i| if x[i] > x[best] { i } else { best });
                assert_eq!(first.map(|i| x[i]), Some(pooled[at]));
                expected[first.unwrap()] = gradient[at];
            }
        }
        assert!(super::max_backward(&x, &gradient, maps, shape) == expected);
        let means = super::avg_forward(&x, maps, shape);
        assert_eq!(
            means[1],
            [2, 3, 73, 74, 499, 500, 570, 571]
                .map(|i| x[i])
                .iter()
                .sum::<f32>()
                / 8.0
        );
        let spread = super::avg_backward(&gradient, maps, shape);
        assert_eq!(
            (spread[2], spread[571], spread[70], spread[4 * 497]),
            (0.25, 0.25, 0.0, 0.0)
        );
    }

    fn indices(shape: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
        let [depth, height, width] = shape;
        (0..depth * height * width)
            .map(move |i| (i / (height * width), i / width % height, i % width))
    }
}
