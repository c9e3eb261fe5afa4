//! Cross-entropy of the hardest voxels.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::{constant, values};
use super::{LossTerm, Smoothing, log_probabilities};

/// The mean cross-entropy of the part of a batch's voxels in which it is highest.
///
/// Reference: Wu et al., Bridging category-level and instance-level semantic image segmentation, 2016;
/// nnU-Net's `TopKLoss` (`k` of 10 %).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topk {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// The part of the voxels that counts; at least one voxel does.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub part: f64,
    /// Part of each target that is taken away and shared among both classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
}

impl Default for Topk {
    fn default() -> Self {
        Self {
            weight: 1.0,
            part: 0.1,
            label_smoothing: 0.0,
        }
    }
}

impl LossTerm for Topk {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let target = Smoothing(self.label_smoothing).apply(target);
        let (log_p, log_q) = log_probabilities(logits);
        let losses = -(target.clone() * log_p + (-target + 1.0) * log_q);
        let values = values(&losses);
        let count = ((values.len() as f64 * self.part) as usize).max(1);
        let chosen = constant(highest(&values, count), &losses);
        (losses * chosen).sum() * (self.weight / count as f64)
    }
}

/// 1 at the `count` highest values, 0 elsewhere; of equal ones the first are taken.
fn highest(values: &[f32], count: usize) -> Vec<f32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    let by_value = |&a: &u32, &b: &u32| {
        let larger = values[b as usize].total_cmp(&values[a as usize]);
        larger.then(a.cmp(&b))
    };
    if count < order.len() {
        order.select_nth_unstable_by(count, by_value);
    }
    let mut chosen = vec![0.0; values.len()];
    for &index in order.iter().take(count) {
        chosen[index as usize] = 1.0;
    }
    chosen
}
