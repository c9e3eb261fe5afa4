//! The soft Jaccard loss.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LossTerm;
use super::overlap::{Overlap, Reduction};

/// One minus the soft IoU: `1 - (sum(p t) + s) / (sum(p) + sum(t) - sum(p t) + s)`, sums over the
/// voxels of a sample, then the mean over the batch.
///
/// Reference: segmentation_models' `JaccardLoss`; MONAI's `DiceLoss(jaccard=True)` with half its
/// smoothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jaccard {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `s`: what makes an empty prediction of an empty target right. In voxels.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
    /// Whether sums are also over the batch.
    pub batch: bool,
}

impl Default for Jaccard {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-5,
            batch: false,
        }
    }
}

impl LossTerm for Jaccard {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let overlap = Overlap::of(logits, target, Reduction::batch_if(self.batch));
        let union = overlap.predicted.clone() + overlap.false_negatives();
        let iou = (overlap.intersection + self.smooth) / (union + self.smooth);
        (-iou.mean() + 1.0) * self.weight
    }
}
