//! The Hausdorff loss by distance transforms.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use burn::tensor::activation::sigmoid;
use ndarray::{Array3, ArrayView3, Zip};

use super::LossTerm;
use super::host::each_volume;
use crate::volume::distance::squared_distance;

/// The mean over all voxels of `(p - t)^2 (dp^e + dt^e)`, `dp` and `dt` the distances in voxels to the
/// boundaries of the predicted and of the true mask (0 for a mask that is empty or full). Meant to stand
/// in a sum with a loss of regions.
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
}

impl Default for HausdorffDt {
    fn default() -> Self {
        Self {
            weight: 1.0,
            exponent: 2.0,
        }
    }
}

impl LossTerm for HausdorffDt {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let p = sigmoid(logits);
        let powers = |mask: &Tensor<B, 5>| each_volume(mask, |mask| self.power_of_distance(mask));
        let powers = powers(&p) + powers(&target);
        ((p - target).square() * powers).mean() * self.weight
    }
}

impl HausdorffDt {
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
