//! Binary cross-entropy.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LossTerm, Smoothing, clipped_log_probabilities, log_probabilities};

/// Mean over all voxels of `-w t log p - (1 - t) log (1 - p)`.
///
/// Reference: PyTorch's `binary_cross_entropy_with_logits`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bce {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `w`: how much a voxel of the structure counts, compared with one of the background.
    #[schemars(range(min = 0.0))]
    pub positive_weight: f64,
    /// Part of each target that is taken away and shared among both classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Whether `p` is clipped to `[1e-7, 1 - 1e-7]`, as Keras does: voxels beyond give no gradient,
    /// however wrong they are.
    pub clip: bool,
}

impl Default for Bce {
    fn default() -> Self {
        Self {
            weight: 1.0,
            positive_weight: 1.0,
            label_smoothing: 0.0,
            clip: false,
        }
    }
}

impl LossTerm for Bce {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let target = Smoothing(self.label_smoothing).apply(target);
        let (log_p, log_q) = if self.clip {
            clipped_log_probabilities(logits)
        } else {
            log_probabilities(logits)
        };
        let likelihood = target.clone() * log_p * self.positive_weight + (-target + 1.0) * log_q;
        likelihood.mean() * -self.weight
    }
}
