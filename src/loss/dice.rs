//! The soft Dice loss.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::overlap::{Overlap, Reduction};
use super::{LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;

/// `1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s)`, sums over the voxels of a sample, then the mean
/// over the channels and the batch. nnU-Net's is the same less 1: `{dice: {batch: true}}` for its `batch_dice`.
///
/// Reference: Milletari et al., V-Net, 3DV 2016; MONAI's `DiceLoss`, and nnU-Net's `MemoryEfficientSoftDiceLoss`, which
/// leaves the background out by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dice {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `s`: what makes an empty prediction of an empty target right. In voxels.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
    /// Whether `s` is also in the numerator; without it an empty target costs 1 whatever is predicted.
    pub smooth_numerator: bool,
    /// Whether the denominator has squares, `sum(p^2)` and `sum(t^2)`.
    pub squared: bool,
    /// Whether sums are also over the batch, as in segmentation_models.
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

impl Default for Dice {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-5,
            smooth_numerator: true,
            squared: false,
            batch: false,
            background: false,
            class_weights: None,
        }
    }
}

impl LossTerm for Dice {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let over = Reduction::batch_if(self.batch);
        let overlap = if self.squared {
            Overlap::of_squares(logits, target, over, self.counting())
        } else {
            Overlap::of(logits, target, over, self.counting())
        };
        let numerator = match self.smooth_numerator {
            true => self.smooth,
            false => 0.0,
        };
        let size = overlap.predicted + overlap.target;
        let dice = (overlap.intersection * 2.0 + numerator) / (size + self.smooth);
        self.counting().mean_missing(dice) * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl Dice {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }
}
