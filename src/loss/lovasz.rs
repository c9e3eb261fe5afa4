//! The Lovász losses.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use rayon::prelude::*;

use super::channels::Counting;
use super::host::{constant, values};
use super::{LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;

/// A convex surrogate of one minus the IoU: the hinge errors `1 - z (2 t - 1)`, the largest first, each
/// weighted by what it adds to the Jaccard loss; then the mean over the samples. Where structures exclude each other, the
/// Lovász-softmax: the errors are `|t - p|`, and the mean is over classes, too.
///
/// Reference: Berman et al., The Lovász-Softmax loss, CVPR 2018.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lovasz {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// Whether the voxels of the whole batch are ordered together.
    pub batch: bool,
    /// Whether the background counts as one of the classes, where these exclude each other.
    #[serde(skip_serializing_if = "Clone::clone")]
    #[schemars(extend("default" = true))]
    pub background: bool,
    /// Which classes the mean is over, where these exclude each other.
    #[serde(skip_serializing_if = "Classes::is_default")]
    #[schemars(extend("default" = "present"))]
    pub classes: Classes,
    /// A weight for each channel that counts, the background first if it does; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Lovasz {
    fn default() -> Self {
        Self {
            weight: 1.0,
            batch: false,
            background: true,
            classes: Classes::Present,
            class_weights: None,
        }
    }
}

/// Classes that a mean is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Classes {
    /// Those that the sample has, or the batch.
    #[default]
    Present,
    /// All.
    All,
}

impl Classes {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl LossTerm for Lovasz {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let counting = self.counting();
        let truth = counting.channels(target.truth(logits.dims()[1]), target);
        let errors = if target.is_exclusive() {
            let p = counting.channels(target.probabilities(logits), target);
            (p - truth.clone()).abs()
        } else {
            -logits * (truth.clone() * 2.0 - 1.0) + 1.0
        };
        let [batch, channels, depth, height, width] = errors.dims();
        // Channels are ordered apart, so they go to the front.
        let ordered = |x: &Tensor<B, 5>| values(&x.clone().swap_dims(0, 1));
        let samples = if self.batch { 1 } else { batch };
        let voxels = batch / samples * depth * height * width;
        let counted = target.counted().map(ordered);
        // Voxels that count, of a channel of a sample.
        let counts = |channel: usize| {
            let sample = channel % samples;
            counted
                .as_ref()
                .map(|counted| &counted[sample * voxels..][..voxels])
        };
        let truth = ordered(&truth);
        let mut shares: Vec<f32> = ordered(&errors)
            .par_chunks(voxels)
            .zip(truth.par_chunks(voxels))
            .enumerate()
            .flat_map_iter(|(channel, (errors, truth))| {
                jaccard_shares(errors, truth, counts(channel))
            })
            .collect();
        let mut parts = samples * channels;
        if target.is_exclusive() && self.classes == Classes::Present {
            self.spread(&mut shares, &truth, voxels, samples);
            parts = samples;
        }
        let shares = constant(shares, &errors.clone().swap_dims(0, 1)).swap_dims(0, 1);
        let sum = counting.weigh(errors.clamp_min(0.0) * shares).sum();
        sum * (self.weight / parts as f64)
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl Lovasz {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }

    /// Divides the shares of each sample by the number of its classes, and takes those of absent ones away.
    fn spread(&self, shares: &mut [f32], truth: &[f32], voxels: usize, samples: usize) {
        let is_present = |truth: &[f32]| truth.iter().any(|t| *t > 0.0);
        let present: Vec<bool> = truth.par_chunks(voxels).map(is_present).collect();
        let mut counts = vec![0_u32; samples];
        for (channel, present) in present.iter().enumerate() {
            counts[channel % samples] += u32::from(*present);
        }
        for (channel, shares) in shares.chunks_mut(voxels).enumerate() {
            let share = match present[channel] {
                true => 1.0 / counts[channel % samples] as f32,
                false => 0.0,
            };
            shares.iter_mut().for_each(|of_voxel| *of_voxel *= share);
        }
    }
}

/// What each voxel adds to the Jaccard loss if voxels become wrong in the order of their errors, the
/// largest first: the loss' extension is linear between such orders, so these are constants. Voxels that do not count
/// add nothing.
fn jaccard_shares(errors: &[f32], target: &[f32], counted: Option<&[f32]>) -> Vec<f32> {
    let mut order: Vec<u32> = (0..errors.len() as u32).collect();
    if let Some(counted) = counted {
        order.retain(|&index| counted[index as usize] > 0.0);
    }
    order.par_sort_unstable_by(|&a, &b| {
        let larger = errors[b as usize].total_cmp(&errors[a as usize]);
        larger.then(a.cmp(&b))
    });
    let all: f64 = target.iter().map(|&t| f64::from(t)).sum();
    let (mut intersection, mut union) = (all, all);
    let mut before = 0.0;
    let mut shares = vec![0.0; errors.len()];
    for index in order {
        let t = f64::from(target[index as usize]);
        intersection -= t;
        union += 1.0 - t;
        let loss = if union > 0.0 {
            1.0 - intersection / union
        } else {
            0.0
        };
        shares[index as usize] = (loss - before) as f32;
        before = loss;
    }
    shares
}
