//! `f1_score` of segmentation_models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PlaneMetric, PlaneSums};

/// `(2 sum(p t) + s) / (sum(p) + sum(t) + s)` with probabilities `p` and the true mask `t`: a mean over planes, where
/// sums and batches are those of `sm_iou`.
///
/// Reference: Iakubovskii, segmentation_models 1.0.1, 2019: `metrics.f1_score`, and 1 less its `losses.dice_loss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmDice {
    /// `s`: what makes an empty prediction of an empty plane right. In voxels.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
}

impl Default for SmDice {
    fn default() -> Self {
        Self { smooth: 1e-5 }
    }
}

impl PlaneMetric for SmDice {
    fn of_plane(&self, sums: &PlaneSums) -> f64 {
        let size = sums.prediction + sums.truth;
        (2.0 * sums.intersection + self.smooth) / (size + self.smooth)
    }
}
