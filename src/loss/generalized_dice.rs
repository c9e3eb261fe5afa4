//! The generalised Dice loss.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::overlap::{Overlap, Reduction};
use super::{LossTerm, Target};
use crate::kernel::Kernels;

/// `1 - (2 sum(w TP) + s) / (sum(w (P + T)) + s)` over the channels of each sample, `w = 1 / T^2`, then the
/// mean over the batch: small structures count as much as large ones. A structure that is absent has
/// the largest weight of those that are present; where none is, the loss is 0 whatever is predicted.
///
/// Reference: Sudre et al., DLMIA 2017; MONAI's `GeneralizedDiceLoss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GeneralizedDice {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `s`. MONAI's 1e-5 outweighs `w` for structures of more than some hundred voxels, which then
    /// seem to be right whatever is predicted.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
    /// Whether sums are also over the batch.
    pub batch: bool,
    /// Whether the background counts as one of the classes, where these exclude each other. It does by default, as in
    /// MONAI: weights make it as small as the others.
    #[serde(skip_serializing_if = "Clone::clone")]
    #[schemars(extend("default" = true))]
    pub background: bool,
}

impl Default for GeneralizedDice {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-12,
            batch: false,
            background: true,
        }
    }
}

impl LossTerm for GeneralizedDice {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let counting = Counting {
            background: self.background,
            weights: None,
        };
        let overlap = Overlap::of(logits, target, Reduction::batch_if(self.batch), counting);
        // 1 or 0, in the precision of the sums: those of booleans would be the backend's, maybe half.
        let present = overlap.target.clone().sign();
        let finite = present.clone() / overlap.target.clone().square().clamp_min(f32::MIN_POSITIVE);
        let largest = finite.clone().max_dim(1);
        let w = finite + (-present + 1.0) * largest;
        let numerator = (overlap.intersection * w.clone()).sum_dim(1) * 2.0 + self.smooth;
        let size = (overlap.predicted + overlap.target) * w;
        let dice = numerator / (size.sum_dim(1) + self.smooth);
        (-dice.mean() + 1.0) * self.weight
    }
}
