//! The Hausdorff loss by distance transforms.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use ndarray::{Array3, ArrayView3, Zip};

use super::channels::Counting;
use super::host::each_volume;
use super::{LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;
use crate::volume::distance::squared_distance;

/// The mean over all voxels of `(p - t)^2 (dp^e + dt^e)`, `dp` and `dt` the distances in voxels to the
/// boundaries of the predicted and of the true mask (0 for a mask that is empty or full). Meant to stand
/// in a sum with a loss of regions. Voxels that are ignored are no part of either mask.
///
/// Reference: Karimi & Salcudean, Reducing the Hausdorff distance in medical image segmentation, IEEE
/// TMI 2020; MONAI's `HausdorffDTLoss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HausdorffDt {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `e`: how much more it costs to be far off.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub exponent: f64,
    /// Whether the background counts as one of the classes, where these exclude each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub background: bool,
    /// A weight for each channel that counts, the background first if it does; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for HausdorffDt {
    fn default() -> Self {
        Self {
            weight: 1.0,
            exponent: 2.0,
            background: false,
            class_weights: None,
        }
    }
}

impl LossTerm for HausdorffDt {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let counting = self.counting();
        let truth = counting.channels(target.truth(logits.dims()[1]), target);
        let p = counting.channels(target.probabilities(logits), target);
        let powers = |mask: &Tensor<B, 5>| each_volume(mask, |mask| self.power_of_distance(mask));
        let predicted = match target.counted() {
            None => powers(&p),
            Some(counted) => powers(&(p.clone() * counted.clone())),
        };
        let powers = predicted + powers(&truth);
        target.mean(counting.weigh((p - truth).square() * powers)) * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl HausdorffDt {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }

    fn power_of_distance(&self, mask: ArrayView3<'_, bool>) -> Array3<f32> {
        if mask.iter().all(|&inside| inside) || !mask.iter().any(|&inside| inside) {
            return Array3::zeros(mask.dim());
        }
        // Every voxel is at distance 0 of one of the two.
        let to_mask = squared_distance(mask, [1.0; 3]);
        let to_background = squared_distance(mask.mapv(|inside| !inside).view(), [1.0; 3]);
        Zip::from(&to_mask)
            .and(&to_background)
            .map_collect(|a, b| (a + b).powf(self.exponent / 2.0) as f32)
    }
}
