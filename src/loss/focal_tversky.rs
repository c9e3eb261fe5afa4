//! The focal Tversky loss.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::overlap::Reduction;
use super::tversky::tversky_index;
use super::{LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;

/// `(1 - TI)^e` of the Tversky index `TI` of each sample, then the mean over the batch. An exponent below 1
/// keeps pushing samples that are nearly right, one above 1 leaves them alone.
///
/// Reference: Abraham & Khan, ISBI 2019, where `e` is 1 / gamma = 3/4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FocalTversky {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `e`.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub exponent: f64,
    /// The price of a false positive.
    #[schemars(range(min = 0.0))]
    pub false_positives: f64,
    /// The price of a false negative.
    #[schemars(range(min = 0.0))]
    pub false_negatives: f64,
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

impl Default for FocalTversky {
    fn default() -> Self {
        Self {
            weight: 1.0,
            exponent: 0.75,
            false_positives: 0.3,
            false_negatives: 0.7,
            smooth: 1e-5,
            batch: false,
            background: false,
            class_weights: None,
        }
    }
}

impl LossTerm for FocalTversky {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let prices = [self.false_positives, self.false_negatives];
        let over = Reduction::batch_if(self.batch);
        let index = tversky_index(logits, target, prices, self.smooth, over, self.counting());
        // An exponent below 1 has an infinite slope at 0; rounding may lead below it.
        let missing = (-index + 1.0).clamp_min(1e-7);
        let missing = missing.powf_scalar(self.exponent);
        self.counting().weigh(missing).mean() * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl FocalTversky {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }
}
