//! The Lovász hinge.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use rayon::prelude::*;

use super::LossTerm;
use super::host::{constant, values};

/// A convex surrogate of one minus the IoU: the hinge errors `1 - z (2 t - 1)`, the largest first, each
/// weighted by what it adds to the Jaccard loss; then the mean over the samples.
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
}

impl Default for Lovasz {
    fn default() -> Self {
        Self {
            weight: 1.0,
            batch: false,
        }
    }
}

impl LossTerm for Lovasz {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let errors = -logits * (target.clone() * 2.0 - 1.0) + 1.0;
        let [batch, channels, depth, height, width] = errors.dims();
        // Channels are ordered apart, so they go to the front.
        let ordered = |x: &Tensor<B, 5>| values(&x.clone().swap_dims(0, 1));
        let samples = if self.batch { 1 } else { batch };
        let voxels = batch / samples * depth * height * width;
        let shares: Vec<f32> = ordered(&errors)
            .par_chunks(voxels)
            .zip(ordered(&target).par_chunks(voxels))
            .flat_map_iter(|(errors, target)| jaccard_shares(errors, target))
            .collect();
        let shares = constant(shares, &errors.clone().swap_dims(0, 1)).swap_dims(0, 1);
        let sum = (errors.clamp_min(0.0) * shares).sum();
        sum * (self.weight / (samples * channels) as f64)
    }
}

/// What each voxel adds to the Jaccard loss if voxels become wrong in the order of their errors, the
/// largest first: the loss' extension is linear between such orders, so these are constants.
fn jaccard_shares(errors: &[f32], target: &[f32]) -> Vec<f32> {
    let mut order: Vec<u32> = (0..errors.len() as u32).collect();
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
