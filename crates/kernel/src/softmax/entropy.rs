//! Cross-entropy of each voxel, focal where asked.

use multiversion::multiversion;
use rayon::prelude::*;

use super::{Block, PART, class, collect};
use crate::Entropy;
use crate::normalise::Extent;

/// What is expected of a voxel, and how an error counts. See [`crate::Entropy`].
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The share of its own class in what is expected of a voxel, times the class's weight.
    own: Vec<f32>,
    /// The share of each class in every voxel, times its weight; none where labels are not smoothed.
    all: Option<Vec<f32>>,
    gamma: f64,
}

impl Target {
    pub(super) fn of(entropy: &Entropy, channels: usize) -> Self {
        let smoothing = entropy.label_smoothing;
        let shared = |share: f64| -> Vec<f32> {
            let weight = |class: usize| entropy.weight(class);
            (0..channels)
                .map(|class| (share * weight(class)) as f32)
                .collect()
        };
        Self {
            own: shared(1.0 - smoothing),
            all: (smoothing > 0.0).then(|| shared(smoothing / channels as f64)),
            gamma: entropy.gamma,
        }
    }

    /// `-(1 - p)^gamma log p`.
    fn loss(&self, log_p: f32) -> f32 {
        if self.gamma == 0.0 {
            return -log_p;
        }
        let log_p = f64::from(log_p);
        ((-log_p.exp_m1()).powf(self.gamma) * -log_p) as f32
    }

    /// The slope of [`Self::loss`] by `log p`.
    fn slope(&self, log_p: f32) -> f32 {
        if self.gamma == 0.0 {
            return -1.0;
        }
        let log_p = f64::from(log_p);
        let missing = -log_p.exp_m1();
        // A right and certain voxel is at the end of the slope; the power below might be infinite there.
        if missing == 0.0 {
            return 0.0;
        }
        let power = missing.powf(self.gamma);
        (self.gamma * power / missing * log_p.exp() * log_p - power) as f32
    }
}

/// The cross-entropy `[batch, 1, …]` of each voxel; 0 where it is ignored.
pub(super) fn forward(
    logits: &[f32],
    classes: &[f32],
    extent: Extent,
    target: &Target,
) -> Vec<f32> {
    let channels = extent.channels;
    let mut losses = vec![0.0; extent.batch * extent.voxels];
    let samples = losses.par_chunks_mut(extent.voxels.max(1)).enumerate();
    samples.for_each(|(number, losses)| {
        let sample = &logits[number * channels * extent.voxels..][..channels * extent.voxels];
        let classes = &classes[number * extent.voxels..][..extent.voxels];
        let parts = losses.par_chunks_mut(PART).zip(classes.par_chunks(PART));
        parts.enumerate().for_each(|(part, (losses, classes))| {
            let mut block = Block::new(channels);
            for (start, len) in block.ranges(losses.len()) {
                let first = part * PART + start;
                block.load(sample, extent.voxels, first, len);
                let (losses, classes) = (&mut losses[start..][..len], &classes[start..][..len]);
                for (voxel, (loss, value)) in losses.iter_mut().zip(classes).enumerate() {
                    let own = class(*value, channels);
                    if own >= channels {
                        continue;
                    }
                    let log_p = |class: usize| {
                        let logit = sample[class * extent.voxels + first + voxel];
                        logit - block.largest[voxel] - block.surprise(voxel)
                    };
                    *loss = target.own[own] * target.loss(log_p(own));
                    for (class, share) in target.all.iter().flatten().enumerate() {
                        *loss += share * target.loss(log_p(class));
                    }
                }
            }
        });
    });
    losses
}

/// The gradient with respect to the logits, given that with respect to the cross-entropies.
pub(super) fn gradient(
    logits: &[f32],
    classes: &[f32],
    extent: Extent,
    target: &Target,
    gradient: &[f32],
) -> Vec<f32> {
    let channels = extent.channels;
    collect(extent, |part, out| {
        let sample = &logits[part.sample * channels * extent.voxels..][..channels * extent.voxels];
        let voxels = part.sample * extent.voxels + part.start..;
        let (classes, above) = (&classes[voxels.clone()], &gradient[voxels]);
        let mut block = Block::new(channels);
        let mut factors = vec![0.0; block.width];
        for (start, len) in block.ranges(part.len) {
            let first = part.start + start;
            block.load(sample, extent.voxels, first, len);
            let (classes, above) = (&classes[start..][..len], &above[start..][..len]);
            // The slopes by the log-probabilities, and their sum: each probability takes its part of that.
            for (voxel, factor) in factors[..len].iter_mut().enumerate() {
                let own = class(classes[voxel], channels);
                *factor = 0.0;
                if own >= channels {
                    continue;
                }
                let log_p = |class: usize| {
                    let logit = sample[class * extent.voxels + first + voxel];
                    logit - block.largest[voxel] - block.surprise(voxel)
                };
                let of_own = target.own[own] * target.slope(log_p(own));
                out[own][start + voxel] += above[voxel] * of_own;
                let mut sum = of_own;
                for (class, share) in target.all.iter().flatten().enumerate() {
                    let slope = share * target.slope(log_p(class));
                    out[class][start + voxel] += above[voxel] * slope;
                    sum += slope;
                }
                *factor = -above[voxel] * sum * block.factor(voxel);
            }
            for (channel, out) in out.iter_mut().enumerate() {
                let out = &mut out[start..][..len];
                add_scaled(block.row(channel, len), &factors[..len], out);
            }
        }
    })
}

#[multiversion(targets = "simd")]
fn add_scaled(values: &[f32], factors: &[f32], out: &mut [f32]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out += values[i] * factors[i];
    }
}
