//! The focal loss.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LossTerm, Smoothing, clipped_probabilities, log_probabilities};

/// Cross-entropy that voxels already classified well weigh little in: mean over all voxels of
/// `-a t (1 - p)^g log p - (1 - a) (1 - t) p^g log (1 - p)`.
///
/// Reference: Lin et al., Focal loss for dense object detection, ICCV 2017; MONAI's `FocalLoss`, and
/// with `clip` segmentation_models' `BinaryFocalLoss`, which the published baseline uses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Focal {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `g`: 0 is plain cross-entropy.
    #[schemars(range(min = 0.0))]
    pub gamma: f64,
    /// `a`, the foreground's share; null for a factor of 1 on both.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: Option<f64>,
    /// Whether `p` is clipped to `[1e-7, 1 - 1e-7]`, as segmentation_models does, the published
    /// baseline's loss: voxels beyond give no gradient, however wrong they are.
    pub clip: bool,
    /// Part of each target that is taken away and shared among both classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
}

impl Default for Focal {
    fn default() -> Self {
        Self {
            weight: 1.0,
            gamma: 2.0,
            alpha: Some(0.25),
            clip: false,
            label_smoothing: 0.0,
        }
    }
}

impl LossTerm for Focal {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let target = Smoothing(self.label_smoothing).apply(target);
        let (foreground, background) = if self.clip {
            self.clipped(logits)
        } else {
            self.stable(logits)
        };
        let (a, b) = self.alpha.map_or((1.0, 1.0), |alpha| (alpha, 1.0 - alpha));
        let terms = target.clone() * foreground * a + (-target + 1.0) * background * b;
        terms.mean() * -self.weight
    }
}

impl Focal {
    /// `(1 - p)^g log p` and `p^g log (1 - p)`.
    fn stable<B: Backend>(&self, logits: Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>) {
        let (log_p, log_q) = log_probabilities(logits);
        let power = |log: Tensor<B, 5>| (log * self.gamma).exp();
        (power(log_q.clone()) * log_p.clone(), power(log_p) * log_q)
    }

    /// The same of clipped probabilities.
    fn clipped<B: Backend>(&self, logits: Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>) {
        let p = clipped_probabilities(logits);
        let q = -p.clone() + 1.0;
        let power = |x: Tensor<B, 5>| x.powf_scalar(self.gamma);
        (power(q.clone()) * p.clone().log(), power(p) * q.log())
    }
}
