//! The loss of the published baseline.

use burn::tensor::Tensor;
use burn::tensor::activation::{log_sigmoid, log_softmax};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::planes::Planes;
use super::{LossTerm, Target};
use crate::kernel::Kernels;

/// A mean over planes of the Dice loss, and a cross-entropy along columns: what segmentation_models' `cce_dice_loss`
/// computes on volumes. It is made for pictures `[batch, height, width, channel]`; on volumes `[batch, x, y, z, channel]` it
/// takes z for the channels of a picture. Here z is the last axis, width: that of the body on an RAS grid. Use it to
/// reproduce results, not to get good ones.
///
/// - Dice: `1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s)`, sums over batch, depth and height, then the mean over
///   planes and channels. A plane without structure costs 1 and gives next to no gradient, as long as the probabilities in
///   it add up to much more than `s`.
/// - Cross-entropy: the mean over all voxels of `-t log q`, where `q` is `p` divided by its sum along the width and clipped to
///   `[1e-7, 1 - 1e-7]`. It is low where the structure's voxels of a column are equally probable, and is never 0 where a column
///   has several of them; beside the structure it sees probabilities only as part of a column's sum.
///
/// `p` comes from a sigmoid, or from a softmax of structures that exclude each other; the background is then a channel.
/// `log q` is computed from log-probabilities: where the package divides 0 by 0, this is its limit.
///
/// Reference: Iakubovskii, segmentation_models 1.0.1, 2019: `losses.cce_dice_loss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SmCceDice {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `s`: what makes an empty prediction of an empty plane right. In voxels.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smooth: f64,
}

impl Default for SmCceDice {
    fn default() -> Self {
        Self {
            weight: 1.0,
            smooth: 1e-5,
        }
    }
}

/// The smallest probability of Keras.
const EPSILON: f64 = 1e-7;
/// The logarithm of a probability that no sum sees.
const NOTHING: f64 = -1e6;

impl LossTerm for SmCceDice {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        (self.dice(logits.clone(), target) + entropy(logits, target)) * self.weight
    }
}

impl SmCceDice {
    fn dice<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let planes = Planes::of(logits, target);
        let size = (planes.predicted + planes.target).sum_dim(0);
        let intersection = planes.intersection.sum_dim(0);
        let dice = (intersection * 2.0 + self.smooth) / (size + self.smooth);
        -dice.mean() + 1.0
    }
}

fn entropy<B: Kernels>(logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
    let truth = target.truth(logits.dims()[1]);
    let log_p = match target.is_exclusive() {
        true => log_softmax(logits, 1),
        false => log_sigmoid(logits),
    };
    let log_p = match target.counted() {
        None => log_p,
        Some(counted) => {
            let counted = counted.clone();
            log_p * counted.clone() + (-counted + 1.0) * NOTHING
        }
    };
    // Relative to a column's largest value, which is a constant to the gradient.
    let largest = log_p.clone().detach().max_dim(4);
    let log_p = log_p - largest;
    let log_q = log_p.clone() - log_p.exp().sum_dim(4).log();
    let log_q = log_q.clamp(EPSILON.ln(), (1.0 - EPSILON).ln());
    -target.mean(truth * log_q)
}
