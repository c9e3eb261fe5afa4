//! The log-cosh Dice loss.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Dice, LossTerm};

/// `log(cosh(d))` of the Dice loss `d`: smooth where it is small.
///
/// Reference: Jadon, A survey of loss functions for semantic segmentation, CIBCB 2020.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogCoshDice {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// What makes an empty prediction of an empty target right. In voxels.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
    /// Whether sums are also over the batch.
    pub batch: bool,
}

impl Default for LogCoshDice {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-5,
            batch: false,
        }
    }
}

impl LossTerm for LogCoshDice {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let dice = Dice {
            smooth: self.smooth,
            batch: self.batch,
            ..Dice::default()
        };
        let d = dice.forward(logits, target);
        // cosh(d) = 1 + 2 sinh(d / 2)^2, which keeps the digits that 1 + d^2 / 2 would lose.
        ((d * 0.5).sinh().square() * 2.0).log1p() * self.weight
    }
}
