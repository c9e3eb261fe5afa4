//! The soft Jaccard loss.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::overlap::{Overlap, Reduction};
use super::{LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;

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
    /// Whether the background counts as one of the classes, where these exclude each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub background: bool,
    /// A weight for each channel that counts, the background first if it does; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Jaccard {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-5,
            batch: false,
            background: false,
            class_weights: None,
        }
    }
}

impl LossTerm for Jaccard {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let overlap = Overlap::of(
            logits,
            target,
            Reduction::batch_if(self.batch),
            self.counting(),
        );
        let union = overlap.predicted.clone() + overlap.false_negatives();
        let iou = (overlap.intersection + self.smooth) / (union + self.smooth);
        self.counting().mean_missing(iou) * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl Jaccard {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }
}
