//! The log-cosh Dice loss.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::{Dice, LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;

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
    /// Whether the background counts as one of the classes, where these exclude each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub background: bool,
    /// A weight for each channel that counts, the background first if it does; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for LogCoshDice {
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

impl LossTerm for LogCoshDice {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let dice = Dice {
            smooth: self.smooth,
            batch: self.batch,
            background: self.background,
            class_weights: self.class_weights.clone(),
            ..Dice::default()
        };
        let d = dice.forward(logits, target);
        // cosh(d) = 1 + 2 sinh(d / 2)^2, which keeps the digits that 1 + d^2 / 2 would lose.
        ((d * 0.5).sinh().square() * 2.0).log1p() * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl LogCoshDice {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }
}
