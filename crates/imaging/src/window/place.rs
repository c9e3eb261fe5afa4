//! Where windows lie, and how much each of their voxels counts.

use ndarray::Array3;

use super::{Like, Weights, Window};

/// Windows that cover an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// Voxels of the image along each axis.
    pub(super) image: [usize; 3],
    /// Voxels of a window along each axis.
    pub(super) size: [usize; 3],
    /// Voxels that the image is filled up with before its first, along each axis.
    pub(super) before: [usize; 3],
    /// The first voxel of each window, along each axis, in order; counted from the first one that is filled up.
    pub(super) starts: [Vec<usize>; 3],
    /// How much each voxel of a window counts.
    pub(super) weights: Array3<f32>,
}

impl Windows {
    /// Those of `window` that cover an image of `image` voxels.
    ///
    /// # Panics
    ///
    /// If the window has no size, or an axis has no voxel.
    pub fn over(image: [usize; 3], window: &Window) -> Self {
        let Some(size) = window.size else {
            panic!("the window has no size");
        };
        assert!(
            image.iter().chain(&size).all(|voxels| *voxels > 0),
            "an axis of the image or of the window has no voxel"
        );
        let filled = [0, 1, 2].map(|axis| image[axis].max(size[axis]));
        Self {
            image,
            size,
            before: [0, 1, 2].map(|axis| (filled[axis] - image[axis]) / 2),
            starts: [0, 1, 2].map(|axis| starts(filled[axis], size[axis], window)),
            weights: weights(size, window),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.starts.iter().map(Vec::len).product()
    }

    /// Voxels of a window along each axis.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Voxels along an axis after it is filled up.
    pub(super) fn filled(&self, axis: usize) -> usize {
        self.image[axis].max(self.size[axis])
    }
}

/// The first voxel of each window along an axis of `length` voxels, at least `size`.
fn starts(length: usize, size: usize, window: &Window) -> Vec<usize> {
    let last = length - size;
    // A shorter step would be no step for some.
    let step = (size as f64 * (1.0 - window.overlap)).max(1.0);
    match window.like {
        Like::Nnunet => {
            let steps = (last as f64 / step).ceil();
            let distance = if steps > 0.0 {
                last as f64 / steps
            } else {
                0.0
            };
            (0..=steps as usize)
                .map(|at| (distance * at as f64).round_ties_even() as usize)
                .collect()
        }
        Like::Monai => {
            let step = step as usize;
            (0..=last.div_ceil(step))
                .map(|at| (at * step).min(last))
                .collect()
        }
    }
}

/// The least weight of MONAI's windows, as a part of the largest.
const LEAST: f64 = 1e-3;

/// How much each voxel of a window counts; the largest is 1 or nearly so.
fn weights(size: [usize; 3], window: &Window) -> Array3<f32> {
    if window.weights == Weights::Uniform {
        return Array3::ones(size);
    }
    let middle = |n: usize| match window.like {
        Like::Nnunet => (n / 2) as f64,
        Like::Monai => (n - 1) as f64 / 2.0,
    };
    let along = size.map(|n| -> Vec<f64> {
        let sigma = n as f64 / 8.0;
        let weight = |at| (-0.5 * ((at as f64 - middle(n)) / sigma).powi(2)).exp();
        (0..n).map(weight).collect()
    });
    let least = match window.like {
        Like::Nnunet => 0.0,
        Like::Monai => LEAST,
    };
    Array3::from_shape_fn(size, |(x, y, z)| {
        (along[0][x] * along[1][y] * along[2][z]).max(least) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_lie_where_the_peers_put_them() {
        let nnunet = Window::of([64; 3]);
        let monai = Window {
            like: Like::Monai,
            ..nnunet.clone()
        };
        // nnU-Net's own example, and MONAI's.
        assert_eq!(starts(110, 64, &nnunet), [0, 23, 46]);
        assert_eq!(starts(110, 64, &monai), [0, 32, 46]);
        for window in [&nnunet, &monai] {
            assert_eq!(starts(64, 64, window), [0]);
            assert_eq!(starts(65, 64, window), [0, 1]);
        }
    }

    proptest! {
        #[test]
        fn every_voxel_lies_in_a_window(
            length in 1_usize..200,
            size in 1_usize..80,
            overlap in 0.0..0.95,
            is_monai in any::<bool>(),
        ) {
            let like = if is_monai { Like::Monai } else { Like::Nnunet };
            let window = Window { overlap, like, ..Window::of([size; 3]) };
            let windows = Windows::over([length, size, size], &window);
            let starts = &windows.starts[0];
            prop_assert_eq!(starts[0], 0);
            prop_assert_eq!(starts[starts.len() - 1] + size, length.max(size));
            for pair in starts.windows(2) {
                prop_assert!(pair[0] < pair[1] && pair[1] <= pair[0] + size, "{:?}", starts);
            }
            prop_assert!(windows.weights.iter().all(|weight| *weight > 0.0));
        }
    }
}
