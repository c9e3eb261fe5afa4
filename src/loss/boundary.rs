//! The boundary loss.

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

/// The mean over all voxels of `d (p - t)`, `d` the signed distance to the target's boundary in voxels:
/// positive outside, 0 on the mask's outermost voxels, negative further inside. Errors far from the
/// boundary cost more. A target that is empty or full has no boundary, and costs nothing. Meant to stand in
/// a sum with a loss of regions.
///
/// Reference: Kervadec et al., Boundary loss for highly unbalanced segmentation, MIDL 2019; less the
/// constant `d t`, so that a perfect prediction costs 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Boundary {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// Whether the background counts as one of the classes, where these exclude each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub background: bool,
    /// A weight for each channel that counts, the background first if it does; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Boundary {
    fn default() -> Self {
        Self {
            weight: 1.0,
            background: false,
            class_weights: None,
        }
    }
}

impl LossTerm for Boundary {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let counting = self.counting();
        let truth = counting.channels(target.truth(logits.dims()[1]), target);
        let distance = each_volume(&truth, signed_distance);
        let p = counting.channels(target.probabilities(logits), target);
        target.mean(counting.weigh(distance * (p - truth))) * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl Boundary {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: self.background,
            weights: self.class_weights.as_deref(),
        }
    }
}

fn signed_distance(mask: ArrayView3<'_, bool>) -> Array3<f32> {
    let mut signed = Array3::zeros(mask.dim());
    if mask.iter().all(|&inside| inside) || !mask.iter().any(|&inside| inside) {
        return signed;
    }
    let to_mask = squared_distance(mask, [1.0; 3]);
    let to_background = squared_distance(mask.mapv(|inside| !inside).view(), [1.0; 3]);
    Zip::from(&mut signed)
        .and(&mask)
        .and(&to_mask)
        .and(&to_background)
        .for_each(|signed, &inside, outer, inner| {
            *signed = if inside {
                1.0 - inner.sqrt()
            } else {
                outer.sqrt()
            } as f32;
        });
    signed
}
