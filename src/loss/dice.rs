//! The soft Dice loss.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_weight;

/// `1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s)`, sums over the voxels of a sample, then the mean
/// over the batch (Milletari et al., 2016; MONAI's `DiceLoss`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dice {
    /// Factor.
    pub weight: f64,
    /// `s`: what makes an empty prediction of an empty target right. In voxels.
    pub smooth: f64,
    /// Whether the denominator has `sum(p^2)` for `sum(p)`.
    pub squared: bool,
    /// Whether sums are also over the batch, as in segmentation_models.
    pub batch: bool,
}

impl Default for Dice {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-5,
            squared: false,
            batch: false,
        }
    }
}

impl Dice {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// A sentence that names the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        check_weight(self.weight)?;
        if self.smooth > 0.0 && self.smooth.is_finite() {
            Ok(())
        } else {
            Err("smooth must be a number above 0".into())
        }
    }

    pub(super) fn forward<B: Backend>(
        &self,
        logits: Tensor<B, 5>,
        target: Tensor<B, 5>,
    ) -> Tensor<B, 1> {
        let p = sigmoid(logits);
        let intersection = self.sum(p.clone() * target.clone());
        let predicted = self.sum(if self.squared { p.square() } else { p });
        let size = predicted + self.sum(target);
        let dice = (intersection * 2.0 + self.smooth) / (size + self.smooth);
        (-dice.mean() + 1.0) * self.weight
    }

    /// Sums over the voxels of each sample, or of all: `[batch, 1]` or `[1, 1]`.
    fn sum<B: Backend>(&self, x: Tensor<B, 5>) -> Tensor<B, 2> {
        let sums = x.flatten::<2>(1, 4).sum_dim(1);
        if self.batch { sums.sum_dim(0) } else { sums }
    }
}
