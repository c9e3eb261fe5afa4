//! The Tversky loss.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::overlap::{Overlap, Reduction};
use super::{LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;

/// The Dice loss with prices for both kinds of error: `1 - (TP + s) / (TP + a FP + b FN + s)`, sums of
/// probabilities over the voxels of a sample, then the mean over the batch. With `a` and `b` of 1/2 it
/// is the Dice loss, of 1 the Jaccard loss.
///
/// Reference: Salehi et al., MLMI 2017; MONAI's `TverskyLoss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tversky {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `a`: the price of a false positive.
    #[schemars(range(min = 0.0))]
    pub false_positives: f64,
    /// `b`: the price of a false negative.
    #[schemars(range(min = 0.0))]
    pub false_negatives: f64,
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

impl Default for Tversky {
    fn default() -> Self {
        Self {
            weight: 1.0,
            false_positives: 0.3,
            false_negatives: 0.7,
            smooth: 1e-5,
            batch: false,
            background: false,
            class_weights: None,
        }
    }
}

impl LossTerm for Tversky {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let prices = [self.false_positives, self.false_negatives];
        let over = Reduction::batch_if(self.batch);
        let index = tversky_index(logits, target, prices, self.smooth, over, self.counting());
        self.counting().mean_missing(index) * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl Tversky {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }
}

/// `(TP + s) / (TP + a FP + b FN + s)` of each channel of each sample, or of the batch.
pub(super) fn tversky_index<B: Kernels>(
    logits: Tensor<B, 5>,
    target: &Target<B>,
    [a, b]: [f64; 2],
    smooth: f64,
    over: Reduction,
    counting: Counting,
) -> Tensor<B, 2> {
    let overlap = Overlap::of(logits, target, over, counting);
    let errors = overlap.false_positives() * a + overlap.false_negatives() * b;
    let hits = overlap.intersection + smooth;
    hits.clone() / (hits + errors)
}
