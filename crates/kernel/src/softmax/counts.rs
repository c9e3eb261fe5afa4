//! How each class overlaps where the prediction is the most probable class, and softly.

use super::{Block, class, dot, sums};
use crate::normalise::Extent;

/// The numbers `[batch, channels - 1, 5]` of each class but the background: the sum of its probability in its voxels,
/// that of its probability, the voxels in which it is both true and predicted, those in which it is predicted, and
/// those in which it is true.
pub(super) fn counts(logits: &[f32], classes: &[f32], extent: Extent) -> Vec<f32> {
    let channels = extent.channels;
    let of_samples = sums(extent, 5 * channels, |part, sums| {
        let sample = &logits[part.sample * channels * extent.voxels..][..channels * extent.voxels];
        let classes = &classes[part.sample * extent.voxels + part.start..][..part.len];
        let mut block = Block::new(channels);
        let mut factors = vec![0.0; block.width];
        for (start, len) in block.ranges(part.len) {
            block.load(sample, extent.voxels, part.start + start, len);
            for (voxel, factor) in factors[..len].iter_mut().enumerate() {
                let truth = class(classes[start + voxel], channels);
                *factor = 0.0;
                if truth >= channels {
                    continue;
                }
                *factor = block.factor(voxel);
                let prediction = block.channel[voxel] as usize;
                let probability = block.row(truth, len)[voxel] * *factor;
                sums[truth * 5] += f64::from(probability);
                sums[truth * 5 + 4] += 1.0;
                sums[prediction * 5 + 3] += 1.0;
                if prediction == truth {
                    sums[truth * 5 + 2] += 1.0;
                }
            }
            for (channel, sums) in sums.chunks_mut(5).enumerate() {
                sums[1] += dot(block.row(channel, len), &factors[..len]);
            }
        }
    });
    let of_sample =
        |sums: &Vec<f64>| -> Vec<f32> { sums.iter().skip(5).map(|sum| *sum as f32).collect() };
    of_samples.iter().flat_map(of_sample).collect()
}
