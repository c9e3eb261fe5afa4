//! The soft Dice loss.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LossTerm;
use super::overlap::{Overlap, Reduction};

/// `1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s)`, sums over the voxels of a sample, then the mean
/// over the batch.
///
/// Reference: Milletari et al., V-Net, 3DV 2016; MONAI's `DiceLoss`.
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
}

impl Default for Dice {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-5,
            smooth_numerator: true,
            squared: false,
            batch: false,
        }
    }
}

impl LossTerm for Dice {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let over = Reduction::batch_if(self.batch);
        let overlap = if self.squared {
            Overlap::of_squares(logits, target, over)
        } else {
            Overlap::of(logits, target, over)
        };
        let numerator = match self.smooth_numerator {
            true => self.smooth,
            false => 0.0,
        };
        let size = overlap.predicted + overlap.target;
        let dice = (overlap.intersection * 2.0 + numerator) / (size + self.smooth);
        (-dice.mean() + 1.0) * self.weight
    }
}
