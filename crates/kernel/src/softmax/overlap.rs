//! Soft overlap of each class: sums of probabilities.

use multiversion::multiversion;

use super::{Block, class, collect, dot, scale, sums};
use crate::normalise::Extent;

/// The sums `[3, batch, channels]` of each class: of its probability in its voxels, of its probability (squared, if
/// so), and of its voxels.
pub(super) fn forward(logits: &[f32], classes: &[f32], extent: Extent, squared: bool) -> Vec<f32> {
    let channels = extent.channels;
    let of_samples = sums(extent, 3 * channels, |part, sums| {
        let (inside, sums) = sums.split_at_mut(channels);
        let (predicted, truth) = sums.split_at_mut(channels);
        let sample = &logits[part.sample * channels * extent.voxels..][..channels * extent.voxels];
        let classes = &classes[part.sample * extent.voxels + part.start..][..part.len];
        let mut block = Block::new(channels);
        let mut factors = vec![0.0; block.width];
        for (start, len) in block.ranges(part.len) {
            block.load(sample, extent.voxels, part.start + start, len);
            let classes = &classes[start..][..len];
            probabilities(&mut block, classes, &mut factors[..len], channels);
            for (channel, sum) in predicted.iter_mut().enumerate() {
                let p = block.row(channel, len);
                *sum += if squared { dot(p, p) } else { plain_sum(p) };
            }
            for (voxel, value) in classes.iter().enumerate() {
                let class = class(*value, channels);
                if class < channels {
                    inside[class] += f64::from(block.row(class, len)[voxel]);
                    truth[class] += 1.0;
                }
            }
        }
    });
    let kind = |kind: usize| {
        let of_sample = move |sums: &Vec<f64>| sums[kind * channels..][..channels].to_vec();
        of_samples.iter().flat_map(of_sample)
    };
    let all = kind(0).chain(kind(1)).chain(kind(2));
    all.map(|sum| sum as f32).collect()
}

/// The gradient with respect to the logits, given that with respect to the sums.
pub(super) fn gradient(
    logits: &[f32],
    classes: &[f32],
    extent: Extent,
    squared: bool,
    gradient: &[f32],
) -> Vec<f32> {
    let channels = extent.channels;
    let of_kind = |kind: usize, sample: usize| {
        &gradient[(kind * extent.batch + sample) * channels..][..channels]
    };
    collect(extent, |part, out| {
        let (of_inside, of_predicted) = (of_kind(0, part.sample), of_kind(1, part.sample));
        let sample = &logits[part.sample * channels * extent.voxels..][..channels * extent.voxels];
        let classes = &classes[part.sample * extent.voxels + part.start..][..part.len];
        let mut block = Block::new(channels);
        let mut factors = vec![0.0; block.width];
        let mut mean = vec![0.0; block.width];
        for (start, len) in block.ranges(part.len) {
            block.load(sample, extent.voxels, part.start + start, len);
            let classes = &classes[start..][..len];
            probabilities(&mut block, classes, &mut factors[..len], channels);
            // A logit moves its own probability up and all down: what counts is by how much the gradient with respect
            // to a probability is above the mean of these, weighted by the probabilities.
            let mean = &mut mean[..len];
            mean.fill(0.0);
            for (channel, slope) in of_predicted.iter().enumerate() {
                add_slope(block.row(channel, len), *slope, squared, mean);
            }
            for (voxel, value) in classes.iter().enumerate() {
                let class = class(*value, channels);
                if class < channels {
                    mean[voxel] += block.row(class, len)[voxel] * of_inside[class];
                }
            }
            for (channel, out) in out.iter_mut().enumerate() {
                let p = block.row(channel, len);
                let out = &mut out[start..][..len];
                above_mean(p, of_predicted[channel], squared, mean, out);
            }
            for (voxel, value) in classes.iter().enumerate() {
                let class = class(*value, channels);
                if class < channels {
                    out[class][start + voxel] += block.row(class, len)[voxel] * of_inside[class];
                }
            }
        }
    })
}

/// Makes probabilities of a block's exponentials: 0 in voxels that are ignored.
fn probabilities(block: &mut Block, classes: &[f32], factors: &mut [f32], channels: usize) {
    for (voxel, (factor, value)) in factors.iter_mut().zip(classes).enumerate() {
        *factor = if class(*value, channels) < channels {
            block.factor(voxel)
        } else {
            0.0
        };
    }
    for row in block.rows_mut(classes.len()) {
        scale(row, factors);
    }
}

#[multiversion(targets = "simd")]
fn plain_sum(values: &[f32]) -> f64 {
    let mut lanes = [0.0f32; super::LANES];
    let (lines, rest) = values.as_chunks::<{ super::LANES }>();
    for line in lines {
        for (lane, value) in lanes.iter_mut().zip(line) {
            *lane += value;
        }
    }
    lanes
        .iter_mut()
        .zip(rest)
        .for_each(|(lane, value)| *lane += value);
    lanes.into_iter().map(f64::from).sum()
}

/// The slope of a sum of probabilities, or of their squares, by one of them.
#[inline(always)]
fn slope_at(p: f32, slope: f32, squared: bool) -> f32 {
    if squared { 2.0 * slope * p } else { slope }
}

#[multiversion(targets = "simd")]
fn add_slope(p: &[f32], slope: f32, squared: bool, mean: &mut [f32]) {
    for (mean, p) in mean.iter_mut().zip(p) {
        *mean += p * slope_at(*p, slope, squared);
    }
}

#[multiversion(targets = "simd")]
fn above_mean(p: &[f32], slope: f32, squared: bool, mean: &[f32], out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = p[i] * (slope_at(p[i], slope, squared) - mean[i]);
    }
}
