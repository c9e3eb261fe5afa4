//! Normalisation and activation in one: `activation(weight * (x - mean) / deviation + bias)`.
//!
//! Batch, instance and group normalisation differ in the set of values over which mean and
//! deviation are taken. Here the sets are made of whole channels of whole samples, so that all
//! three are one kernel. Every value is read twice and written once, forward; Burn's separate
//! operations make ten passes.

use std::mem::MaybeUninit;

use multiversion::multiversion;
use rayon::prelude::*;

use super::parallel::{PART, collect_written};

/// Over which values mean and deviation are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sets {
    /// Each channel over all samples.
    Channels,
    /// Each of this many equal groups of channels of each sample.
    Groups(usize),
}

/// Extent of `[batch, channels, depth, height, width]`, the last three in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) voxels: usize,
}

impl Extent {
    /// Which set channel `channel` of sample `sample` belongs to.
    fn set(self, sets: Sets, map: usize) -> usize {
        let (sample, channel) = (map / self.channels, map % self.channels);
        match sets {
            Sets::Channels => channel,
            Sets::Groups(groups) => sample * groups + channel / (self.channels / groups),
        }
    }

    fn set_count(self, sets: Sets) -> usize {
        match sets {
            Sets::Channels => self.channels,
            Sets::Groups(groups) => self.batch * groups,
        }
    }

    fn maps(self) -> usize {
        self.batch * self.channels
    }
}

/// Mean and variance of each set.
#[derive(Clone, Debug)]
pub(super) struct Moments {
    pub(super) mean: Vec<f64>,
    pub(super) variance: Vec<f64>,
}

/// The learnt scale and shift of each channel, and the slope of the activation below 0 (1 for none).
#[derive(Clone, Copy, Debug)]
pub(super) struct ScaleShift<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) slope: f32,
}

/// The moments of all sets.
pub(super) fn moments(x: &[f32], extent: Extent, sets: Sets) -> Moments {
    // Count, sum and squares about the mean of parts that fit the cache, joined as in Chan, Golub and
    // LeVeque 1983: one pass over memory, and nothing is lost in the difference of large squares.
    let parts = by_parts(extent, |range| {
        let values = &x[range];
        let mean = sum(values) / values.len() as f64;
        [values.len() as f64, mean, squares_about(values, mean)]
    });
    let mut joined = vec![[0.0; 3]; extent.set_count(sets)];
    for (map, parts) in parts.iter().enumerate() {
        let into = &mut joined[extent.set(sets, map)];
        for [count, mean, squares] in parts {
            let total = into[0] + count;
            let step = mean - into[1];
            into[2] += squares + step * step * into[0] * count / total;
            into[1] += step * count / total;
            into[0] = total;
        }
    }
    Moments {
        mean: joined.iter().map(|[_, mean, _]| *mean).collect(),
        variance: joined
            .iter()
            .map(|[count, _, squares]| squares / count)
            .collect(),
    }
}

/// What [`forward`] makes of `x`.
pub(super) fn forward(
    x: &[f32],
    extent: Extent,
    sets: Sets,
    moments: &Moments,
    epsilon: f64,
    scale_shift: ScaleShift,
) -> Vec<f32> {
    let line = |map: usize| {
        let layer = Layer::of(map, extent, sets, moments, epsilon, scale_shift);
        (layer.scale, layer.shift)
    };
    scale_and_shift(x, extent, line, scale_shift.slope)
}

/// `activation(scale * x + shift)`, with the scale and shift of each channel of each sample.
pub(super) fn scale_and_shift(
    x: &[f32],
    extent: Extent,
    line: impl Fn(usize) -> (f32, f32) + Sync,
    slope: f32,
) -> Vec<f32> {
    let fill = |map: usize, start: usize, out: &mut [_]| {
        let (scale, shift) = line(map);
        let x = &x[map * extent.voxels + start..][..out.len()];
        activated_line(x, scale, shift, slope, out);
    };
    // SAFETY: `activated_line` writes as many values as it reads, and that is all of them.
    unsafe { collect_written(x.len(), extent.voxels, 1, fill) }
}

/// Gradients with respect to the input, the weight and the bias.
pub(super) struct Gradients {
    pub(super) input: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// The gradients, given `gradient` with respect to the output.
pub(super) fn backward(
    x: &[f32],
    gradient: &[f32],
    extent: Extent,
    sets: Sets,
    moments: &Moments,
    epsilon: f64,
    scale_shift: ScaleShift,
) -> Gradients {
    let layer_of = |map: usize| Layer::of(map, extent, sets, moments, epsilon, scale_shift);
    let parts = by_parts(extent, |range| {
        let layer = layer_of(range.start / extent.voxels);
        gradient_sums(&x[range.clone()], &gradient[range], layer)
    });
    let mut of_weight = vec![0.0; extent.channels];
    let mut of_bias = vec![0.0; extent.channels];
    // For each set the mean of the gradient with respect to the normalised values, and of its product
    // with them.
    let mut means = vec![[0.0; 2]; extent.set_count(sets)];
    let size = (extent.maps() / means.len().max(1) * extent.voxels) as f64;
    for (map, parts) in parts.iter().enumerate() {
        let set = extent.set(sets, map);
        let weight = f64::from(scale_shift.weight[map % extent.channels]);
        for [plain, product] in parts {
            of_bias[map % extent.channels] += plain;
            of_weight[map % extent.channels] += product;
            means[set][0] += plain * weight / size;
            means[set][1] += product * weight / size;
        }
    }
    let fill = |map: usize, start: usize, out: &mut [_]| {
        let of_set = means[extent.set(sets, map)].map(|mean| mean as f32);
        let first = map * extent.voxels + start;
        let (x, gradient) = (&x[first..][..out.len()], &gradient[first..][..out.len()]);
        input_gradient(x, gradient, layer_of(map), of_set, out);
    };
    // SAFETY: `input_gradient` writes as many values as it reads, and that is all of them.
    let input = unsafe { collect_written(x.len(), extent.voxels, 1, fill) };
    let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    Gradients {
        input,
        weight: single(of_weight),
        bias: single(of_bias),
    }
}

/// Sums that do not wait for each other.
const LANES: usize = 32;

/// How one channel of one sample is normalised and activated.
#[derive(Clone, Copy)]
struct Layer {
    mean: f32,
    inverse: f32,
    weight: f32,
    /// Of the whole, `scale * x + shift`.
    scale: f32,
    shift: f32,
    slope: f32,
}

impl Layer {
    fn of(
        map: usize,
        extent: Extent,
        sets: Sets,
        moments: &Moments,
        epsilon: f64,
        scale_shift: ScaleShift,
    ) -> Self {
        let (set, channel) = (extent.set(sets, map), map % extent.channels);
        let inverse = 1.0 / (moments.variance[set] + epsilon).sqrt();
        let scale = f64::from(scale_shift.weight[channel]) * inverse;
        let shift = f64::from(scale_shift.bias[channel]) - moments.mean[set] * scale;
        Self {
            mean: moments.mean[set] as f32,
            inverse: inverse as f32,
            weight: scale_shift.weight[channel],
            scale: scale as f32,
            shift: shift as f32,
            slope: scale_shift.slope,
        }
    }

    /// The normalised value, and the gradient below the activation. Whether the activation passed its input is
    /// decided by the same formula as in the forward pass.
    #[inline(always)]
    fn below(self, x: f32, gradient: f32) -> (f32, f32) {
        let normal = (x - self.mean) * self.inverse;
        let active = self.scale * x + self.shift > 0.0;
        (
            normal,
            if active {
                gradient
            } else {
                self.slope * gradient
            },
        )
    }
}

// The loops over values. Each is compiled for several instruction sets; the best one that the processor has is
// used.

#[multiversion(targets = "simd")]
fn sum(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (lines, rest) = values.as_chunks::<LANES>();
    for line in lines {
        for (lane, value) in lanes.iter_mut().zip(line) {
            *lane += f64::from(*value);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| f64::from(*value)).sum::<f64>()
}

#[multiversion(targets = "simd")]
fn squares_about(values: &[f32], mean: f64) -> f64 {
    let square = |value: f32| (f64::from(value) - mean) * (f64::from(value) - mean);
    let mut lanes = [0.0f64; LANES];
    let (lines, rest) = values.as_chunks::<LANES>();
    for line in lines {
        for (lane, value) in lanes.iter_mut().zip(line) {
            *lane += square(*value);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| square(*value)).sum::<f64>()
}

#[multiversion(targets = "simd")]
fn activated_line(x: &[f32], scale: f32, shift: f32, slope: f32, out: &mut [MaybeUninit<f32>]) {
    for (out, x) in out.iter_mut().zip(x) {
        let value = scale * x + shift;
        out.write(if value > 0.0 { value } else { slope * value });
    }
}

/// The sum of the gradients below the activation, and of their products with the normalised values.
#[multiversion(targets = "simd")]
fn gradient_sums(x: &[f32], gradient: &[f32], layer: Layer) -> [f64; 2] {
    let (mut plain, mut product) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (x, rest_of_x) = x.as_chunks::<LANES>();
    let (gradient, rest) = gradient.as_chunks::<LANES>();
    for (x, gradient) in x.iter().zip(gradient) {
        for lane in 0..LANES {
            let (normal, gradient) = layer.below(x[lane], gradient[lane]);
            plain[lane] += gradient;
            product[lane] += gradient * normal;
        }
    }
    for (lane, (x, gradient)) in rest_of_x.iter().zip(rest).enumerate() {
        let (normal, gradient) = layer.below(*x, *gradient);
        plain[lane] += gradient;
        product[lane] += gradient * normal;
    }
    [plain, product].map(|lanes| lanes.into_iter().map(f64::from).sum())
}

/// The gradient with respect to the input; `means` are the set's of the gradient and of its product
/// with the normalised values.
#[multiversion(targets = "simd")]
fn input_gradient(
    x: &[f32],
    gradient: &[f32],
    layer: Layer,
    means: [f32; 2],
    out: &mut [MaybeUninit<f32>],
) {
    let [plain, product] = means;
    for (out, (x, gradient)) in out.iter_mut().zip(x.iter().zip(gradient)) {
        let (normal, gradient) = layer.below(*x, *gradient);
        out.write(layer.inverse * (layer.weight * gradient - plain - normal * product));
    }
}

/// `of` every part of every channel of every sample, whose cutting depends on the extent alone.
fn by_parts<T: Send>(
    extent: Extent,
    of: impl Fn(std::ops::Range<usize>) -> T + Sync,
) -> Vec<Vec<T>> {
    let parts = extent.voxels.div_ceil(PART);
    let flat: Vec<T> = (0..extent.maps() * parts)
        .into_par_iter()
        .map(|i| {
            let map = i / parts * extent.voxels;
            let start = i % parts * PART;
            of(map + start..map + extent.voxels.min(start + PART))
        })
        .collect();
    let mut flat = flat.into_iter();
    (0..extent.maps())
        .map(|_| flat.by_ref().take(parts).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In tests, what is not written is not a number.
    #[test]
    fn every_value_is_written() {
        for voxels in [1, 7, 33, PART - 1, PART + 5, 2 * PART] {
            let extent = Extent {
                batch: 1,
                channels: 2,
                voxels,
            };
            let x: Vec<f32> = (0..2 * voxels).map(|i| (i % 13) as f32 - 5.5).collect();
            let scale_shift = ScaleShift {
                weight: &[1.0, 2.0],
                bias: &[0.5, -0.5],
                slope: 0.01,
            };
            let moments = moments(&x, extent, Sets::Channels);
            let out = forward(&x, extent, Sets::Channels, &moments, 1e-5, scale_shift);
            let gradients = backward(&x, &x, extent, Sets::Channels, &moments, 1e-5, scale_shift);
            for values in [out, gradients.input] {
                assert_eq!(values.len(), x.len());
                assert!(values.iter().all(|value| value.is_finite()));
            }
        }
    }
}
