//! The focal loss.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::target::Truth;
use super::{LossTerm, Smoothing, Target, clipped_probabilities, log_probabilities};
use crate::kernel::{Entropy, Kernels};
use crate::settings::Fault;
use crate::volume::Structures;

/// Cross-entropy that voxels already classified well weigh little in: mean over all voxels of
/// `-a t (1 - p)^g log p - (1 - a) (1 - t) p^g log (1 - p)`; where structures exclude each other, of
/// `-a (1 - p)^g log p`, `p` the probability of the voxel's own class and `a` of the background `1 - a`. (MONAI divides
/// that by the number of classes as well, but where voxels are ignored.)
///
/// Reference: Lin et al., Focal loss for dense object detection, ICCV 2017; MONAI's `FocalLoss`, and
/// with `clip` segmentation_models' `BinaryFocalLoss`, which the published article prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Focal {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// `g`: 0 is plain cross-entropy.
    #[schemars(range(min = 0.0))]
    pub gamma: f64,
    /// `a`, the foreground's share; null for a factor of 1 on both.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub alpha: Option<f64>,
    /// Whether `p` is clipped to `[1e-7, 1 - 1e-7]`, as segmentation_models does, the published
    /// baseline's loss: voxels beyond give no gradient, however wrong they are.
    pub clip: bool,
    /// Part of each target that is taken away and shared among both classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// A weight for each channel, that of the background first where there is one; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Focal {
    fn default() -> Self {
        Self {
            weight: 1.0,
            gamma: 2.0,
            alpha: Some(0.25),
            clip: false,
            label_smoothing: 0.0,
            class_weights: None,
        }
    }
}

impl LossTerm for Focal {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let truth = match target.of() {
            Truth::Sigmoid(truth) => Smoothing(self.label_smoothing).apply(truth.clone()),
            Truth::Softmax(classes) => {
                let entropy = self.entropy(logits.dims()[1]);
                let losses = B::softmax_entropy(logits, classes.clone(), &entropy);
                return target.mean(losses) * self.weight;
            }
        };
        let (foreground, background) = if self.clip {
            self.clipped(logits)
        } else {
            self.stable(logits)
        };
        let (a, b) = self.alpha.map_or((1.0, 1.0), |alpha| (alpha, 1.0 - alpha));
        let terms = truth.clone() * foreground * a + (-truth + 1.0) * background * b;
        target.mean(self.counting().weigh(terms)) * -self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        let mut faults = self.counting().check(structures);
        if structures.is_exclusive() && self.clip {
            let message =
                "clip is for probabilities by the sigmoid, which `labels` have not: leave it out";
            faults.push(Fault::new("clip", message));
        }
        faults
    }
}

impl Focal {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: true,
            weights: self.class_weights.as_deref(),
        }
    }

    /// Of classes that exclude each other: `alpha` and `class_weights` make one weight of each.
    fn entropy(&self, channels: usize) -> Entropy {
        let weight = |class: usize| {
            let weights = self.class_weights.as_deref().unwrap_or_default();
            weights.get(class).unwrap_or(&1.0)
                * match self.alpha {
                    None => 1.0,
                    Some(alpha) if class == 0 => 1.0 - alpha,
                    Some(alpha) => alpha,
                }
        };
        Entropy {
            class_weights: Some((0..channels).map(weight).collect()),
            label_smoothing: self.label_smoothing,
            gamma: self.gamma,
        }
    }

    /// `(1 - p)^g log p` and `p^g log (1 - p)`.
    fn stable<B: Backend>(&self, logits: Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>) {
        let (log_p, log_q) = log_probabilities(logits);
        let power = |log: Tensor<B, 5>| (log * self.gamma).exp();
        (power(log_q.clone()) * log_p.clone(), power(log_p) * log_q)
    }

    /// The same of clipped probabilities.
    fn clipped<B: Backend>(&self, logits: Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>) {
        let p = clipped_probabilities(logits);
        let q = -p.clone() + 1.0;
        let power = |x: Tensor<B, 5>| x.powf_scalar(self.gamma);
        (power(q.clone()) * p.clone().log(), power(p) * q.log())
    }
}
