//! What a network says of windows, blended slab by slab.

use ndarray::{Array4, ArrayView3};
use rayon::prelude::*;

use super::Windows;

/// Shows the windows of images, all of one shape, to a network, and hands over what it says of each voxel: the weighted
/// mean over the windows that hold it.
///
/// `network` gets the voxels of a window, image after image, and returns those of its outputs, channel after channel.
/// `planes` gets the result in pieces of `[channels, depth, height, width]`, one behind the other along the depth. So no
/// more than a window's depth of the image is in memory besides the images.
///
/// # Errors
///
/// What the network fails with.
///
/// # Panics
///
/// If the images have not the shape that the windows are for, or an output has not whole channels.
pub fn slide<E>(
    images: &[ArrayView3<'_, f32>],
    windows: &Windows,
    mut network: impl FnMut(Vec<f32>) -> Result<Vec<f32>, E>,
    mut planes: impl FnMut(Array4<f32>),
) -> Result<(), E> {
    let lowest: Vec<f32> = images.iter().map(|image| lowest(image)).collect();
    let [xs, ys, zs] = &windows.starts;
    let mut slab = Slab::new(windows);
    for (at, &x) in xs.iter().enumerate() {
        for &y in ys {
            for &z in zs {
                let mut voxels = Vec::with_capacity(images.len() * windows.weights.len());
                for (image, lowest) in images.iter().zip(&lowest) {
                    cut(image, windows, [x, y, z], *lowest, &mut voxels);
                }
                slab.add(&network(voxels)?, [y, z]);
            }
        }
        // Later windows do not reach what lies before them.
        let next = xs.get(at + 1).copied().unwrap_or(windows.filled(0));
        if let Some(done) = slab.take(x, next - x) {
            planes(done);
        }
    }
    Ok(())
}

fn lowest(image: &ArrayView3<f32>) -> f32 {
    let finite = image.iter().copied().filter(|value| value.is_finite());
    let lowest = finite.fold(f32::INFINITY, f32::min);
    if lowest.is_finite() { lowest } else { 0.0 }
}

/// Appends the voxels of the window that starts at `start`.
fn cut(
    image: &ArrayView3<f32>,
    windows: &Windows,
    start: [usize; 3],
    fill: f32,
    voxels: &mut Vec<f32>,
) {
    let Windows { size, before, .. } = windows;
    // A voxel of the window, in the image.
    let place = |axis: usize, voxel: usize| {
        (start[axis] + voxel)
            .checked_sub(before[axis])
            .filter(|at| *at < windows.image[axis])
    };
    let inside: Vec<Option<usize>> = (0..size[2]).map(|z| place(2, z)).collect();
    for x in 0..size[0] {
        for y in 0..size[1] {
            match place(0, x).zip(place(1, y)) {
                None => voxels.extend(std::iter::repeat_n(fill, size[2])),
                Some((x, y)) => {
                    let row = image.slice(ndarray::s![x, y, ..]);
                    voxels.extend(inside.iter().map(|z| z.map_or(fill, |z| row[z])));
                }
            }
        }
    }
}

/// What is said so far of the planes that a row of windows covers.
struct Slab<'a> {
    windows: &'a Windows,
    /// Voxels of a plane, filled up.
    plane: usize,
    /// Sums of weighted outputs, `[channel, plane of the window, y, z]`.
    sums: Vec<f32>,
    /// Sums of weights, `[plane of the window, y, z]`.
    weights: Vec<f32>,
}

impl<'a> Slab<'a> {
    fn new(windows: &'a Windows) -> Self {
        let plane = windows.filled(1) * windows.filled(2);
        Self {
            windows,
            plane,
            sums: Vec::new(),
            weights: vec![0.0; windows.size[0] * plane],
        }
    }

    /// Adds a window's outputs.
    fn add(&mut self, outputs: &[f32], start: [usize; 2]) {
        let window = &self.windows.weights;
        let depth = self.windows.size[0];
        let channels = outputs.len() / window.len();
        assert_eq!(
            outputs.len(),
            channels * window.len(),
            "outputs have whole channels"
        );
        self.sums.resize(channels * depth * self.plane, 0.0);
        let width = self.windows.filled(2);
        let [_, rows, length] = self.windows.size;
        let row_of = |y: usize| (start[0] + y) * width + start[1];
        let weights_of = |plane: usize| window.as_slice().map(|all| &all[plane * rows * length..]);
        let add = |sums: &mut [f32], plane: usize, outputs: Option<&[f32]>| {
            let Some(weights) = weights_of(plane % depth) else {
                unreachable!("weights lie in order");
            };
            for y in 0..rows {
                let sums = &mut sums[row_of(y)..][..length];
                let weights = &weights[y * length..][..length];
                match outputs {
                    None => sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += w),
                    Some(outputs) => {
                        let outputs = &outputs[(plane * rows + y) * length..][..length];
                        let terms = weights.iter().zip(outputs);
                        sums.iter_mut()
                            .zip(terms)
                            .for_each(|(sum, (w, output))| *sum += w * output);
                    }
                }
            }
        };
        let planes = self.sums.par_chunks_mut(self.plane).enumerate();
        planes.for_each(|(plane, sums)| add(sums, plane, Some(outputs)));
        let planes = self.weights.par_chunks_mut(self.plane).enumerate();
        planes.for_each(|(plane, sums)| add(sums, plane, None));
    }

    /// The first `count` planes, which begin at `x` of the filled image, without what it is filled up with; none where
    /// nothing is left. The slab then begins behind them.
    fn take(&mut self, x: usize, count: usize) -> Option<Array4<f32>> {
        let Windows { image, before, .. } = self.windows;
        let depth = self.windows.size[0];
        let channels = self.sums.len() / (depth * self.plane);
        let first = before[0].saturating_sub(x);
        let end = count.min((before[0] + image[0]).saturating_sub(x));
        let width = self.windows.filled(2);
        let done = (first < end).then(|| {
            let shape = [channels, end - first, image[1], image[2]];
            Array4::from_shape_fn(shape, |(channel, plane, y, z)| {
                let at = (first + plane) * self.plane + (before[1] + y) * width + before[2] + z;
                self.sums[channel * depth * self.plane + at] / self.weights[at]
            })
        });
        let gone = count.min(depth) * self.plane;
        for sums in self.sums.chunks_mut(depth * self.plane) {
            shift(sums, gone);
        }
        shift(&mut self.weights, gone);
        done
    }
}

/// Moves values to the front by `gone`, and zeros behind them.
fn shift(values: &mut [f32], gone: usize) {
    values.copy_within(gone.., 0);
    let left = values.len() - gone;
    values[left..].fill(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::{Like, Weights, Window};
    use ndarray::{Array3, Axis, concatenate, s};
    use proptest::prelude::*;

    fn image(shape: [usize; 3]) -> Array3<f32> {
        Array3::from_shape_fn(shape, |(x, y, z)| ((7 * x + 11 * y + 13 * z) % 17) as f32)
    }

    /// All planes that come, in one.
    fn blended(
        images: &[Array3<f32>],
        window: &Window,
        network: impl FnMut(Vec<f32>) -> Result<Vec<f32>, String>,
    ) -> Result<Array4<f32>, String> {
        let views: Vec<ArrayView3<f32>> = images.iter().map(|image| image.view()).collect();
        let shape: [usize; 3] = images[0].dim().into();
        let mut pieces = Vec::new();
        slide(&views, &Windows::over(shape, window), network, |planes| {
            pieces.push(planes);
        })?;
        let views: Vec<_> = pieces.iter().map(|piece| piece.view()).collect();
        Ok(concatenate(Axis(1), &views).unwrap())
    }

    proptest! {
        #[test]
        fn a_network_that_says_the_same_of_a_voxel_in_each_window_is_heard(
            shape in prop::array::uniform3(1_usize..14),
            size in prop::array::uniform3(1_usize..9),
            overlap in 0.0..0.9,
            is_monai in any::<bool>(),
            is_gaussian in any::<bool>(),
        ) {
            let window = Window {
                overlap,
                like: if is_monai { Like::Monai } else { Like::Nnunet },
                weights: if is_gaussian { Weights::Gaussian } else { Weights::Uniform },
                ..Window::of(size)
            };
            let images = [image(shape), image(shape).mapv(|v| 3.0 - v)];
            let both = blended(&images, &window, |voxels| {
                let twice = voxels.iter().map(|v| 2.0 * v).collect();
                Ok(twice)
            }).unwrap();
            prop_assert_eq!(both.dim(), (2, shape[0], shape[1], shape[2]));
            for (channel, image) in images.iter().enumerate() {
                for (index, value) in image.indexed_iter() {
                    let (x, y, z) = index;
                    prop_assert!((both[[channel, x, y, z]] - 2.0 * value).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn windows_weigh_more_in_their_middle_than_at_their_edges() {
        // Each window says the number of its first voxel: where two overlap, the nearer middle counts more.
        let positions = Array3::from_shape_fn([12, 1, 1], |(x, ..)| x as f32);
        let mean = |weights| {
            let window = Window {
                weights,
                ..Window::of([8, 1, 1])
            };
            let said = blended(std::slice::from_ref(&positions), &window, |voxels| {
                Ok(vec![voxels[0]; voxels.len()])
            });
            said.unwrap().slice(s![0, .., 0, 0]).to_vec()
        };
        let uniform = mean(Weights::Uniform);
        assert_eq!(uniform[..4], [0.0; 4]);
        assert_eq!(uniform[4..8], [2.0; 4]);
        assert_eq!(uniform[8..], [4.0; 4]);
        let gaussian = mean(Weights::Gaussian);
        assert!(gaussian[4] < 0.1 && gaussian[7] > 3.9, "{gaussian:?}");
    }

    #[test]
    fn an_image_smaller_than_its_window_is_filled_up_with_its_lowest_value() {
        let small = Array3::from_elem([2, 3, 4], 5.0);
        let mut small = small;
        small[[1, 1, 1]] = -2.0;
        let mut seen = Vec::new();
        let window = Window::of([5, 3, 4]);
        let said = blended(std::slice::from_ref(&small), &window, |voxels| {
            seen = voxels.clone();
            Ok(voxels)
        });
        assert_eq!(said.unwrap().slice(s![0, .., .., ..]), small);
        let plane = 12;
        // One plane before and two behind, as patches are.
        assert_eq!(seen[..plane], [-2.0; 12]);
        assert_eq!(seen[3 * plane..], [-2.0; 24]);
        assert_eq!(seen[plane], 5.0);
    }

    #[test]
    fn what_the_network_fails_with_comes_back() {
        let failed = blended(&[image([4; 3])], &Window::of([2; 3]), |_| Err("no".into()));
        assert_eq!(failed.unwrap_err(), "no");
    }
}
