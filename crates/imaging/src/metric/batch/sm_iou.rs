//! `iou_score` of segmentation_models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PlaneMetric, PlaneSums};

/// `(sum(p t) + s) / (sum(p) + sum(t) - sum(p t) + s)` with probabilities `p` and the true mask `t`. Sums are over the voxels of
/// a plane across the last axis of the network's grid, z of an RAS grid, in all samples of a batch together; the metric is
/// the mean over planes and channels. A plane without structure that is predicted empty counts 1, and one where a
/// little probability is left everywhere counts almost 0, so this is not the IoU of volumes.
///
/// segmentation_models is made for pictures `[batch, height, width, channel]`, and sums over its axes 0, 1 and 2. This is what
/// it makes of volumes `[batch, x, y, z, channel]`. As in Keras, batches are of `train.batch_size` cases in their order (the
/// last may have fewer, and so does one whose next case has another shape), and each batch counts as much as the others.
///
/// Reference: Iakubovskii, segmentation_models 1.0.1, 2019: `metrics.iou_score`, on which the published baseline reports 0.86.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmIou {
    /// `s`: what makes an empty prediction of an empty plane right. In voxels.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
}

impl Default for SmIou {
    fn default() -> Self {
        Self { smooth: 1e-5 }
    }
}

impl PlaneMetric for SmIou {
    fn of_plane(&self, sums: &PlaneSums) -> f64 {
        let union = sums.prediction + sums.truth - sums.intersection;
        (sums.intersection + self.smooth) / (union + self.smooth)
    }
}
