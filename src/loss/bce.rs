//! Binary cross-entropy.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::{LossTerm, Smoothing, Target, clipped_log_probabilities, log_probabilities};
use crate::kernel::Kernels;
use crate::settings::Fault;
use crate::volume::Structures;

/// Mean over all voxels of `-w t log p - (1 - t) log (1 - p)`, each structure by itself: not for structures that exclude
/// each other, of which `cross_entropy` is. Voxels that are ignored are in no mean; nnU-Net, where it ignores voxels,
/// sums over structures instead, so there its loss has the number of structures as its `weight`.
///
/// Reference: PyTorch's `binary_cross_entropy_with_logits`; nnU-Net's `DC_and_BCE_loss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bce {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `w`: how much a voxel of the structure counts, compared with one of the background.
    #[schemars(range(min = 0.0))]
    pub positive_weight: f64,
    /// Part of each target that is taken away and shared among both classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Whether `p` is clipped to `[1e-7, 1 - 1e-7]`, as Keras does: voxels beyond give no gradient,
    /// however wrong they are.
    pub clip: bool,
    /// A weight for each structure; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Bce {
    fn default() -> Self {
        Self {
            weight: 1.0,
            positive_weight: 1.0,
            label_smoothing: 0.0,
            clip: false,
            class_weights: None,
        }
    }
}

impl LossTerm for Bce {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let truth = Smoothing(self.label_smoothing).apply(target.truth(logits.dims()[1]));
        let (log_p, log_q) = if self.clip {
            clipped_log_probabilities(logits)
        } else {
            log_probabilities(logits)
        };
        let likelihood = truth.clone() * log_p * self.positive_weight + (-truth + 1.0) * log_q;
        target.mean(self.counting().weigh(likelihood)) * -self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        if structures.is_exclusive() {
            let message = "bce takes each structure for one of its own, and `labels` exclude each other: use \
                           cross_entropy";
            return vec![Fault::of_key("", message)];
        }
        self.counting().check(structures)
    }
}

impl Bce {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: false,
            weights: self.class_weights.as_deref(),
        }
    }
}
