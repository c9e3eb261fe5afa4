//! Cross-entropy.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::target::{Truth, at_least_one};
use super::{Bce, LossTerm, Target};
use crate::kernel::{Entropy, Kernels};
use crate::settings::Fault;
use crate::volume::Structures;

/// Of structures that exclude each other the mean over all voxels that count of `-w log p`, `p` the softmax's
/// probability of the voxel's own class and `w` that class's weight; the mean is over voxels as often as they weigh.
/// Of structures that may overlap, and of one alone, it is `bce`.
///
/// Reference: PyTorch's `CrossEntropyLoss`, and nnU-Net's `RobustCrossEntropyLoss`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropy {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// Part of each target that is taken away and shared among all classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// A weight for each channel, that of the background first where there is one; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        Self {
            weight: 1.0,
            label_smoothing: 0.0,
            class_weights: None,
        }
    }
}

impl LossTerm for CrossEntropy {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let Truth::Softmax(classes) = target.of() else {
            let binary = Bce {
                weight: self.weight,
                label_smoothing: self.label_smoothing,
                class_weights: self.class_weights.clone(),
                ..Bce::default()
            };
            return binary.forward(logits, target);
        };
        let entropy = Entropy {
            class_weights: self.class_weights.clone(),
            label_smoothing: self.label_smoothing,
            gamma: 0.0,
        };
        let losses = B::softmax_entropy(logits, classes.clone(), &entropy);
        let mean = match &self.class_weights {
            None => target.mean(losses),
            Some(weights) => losses.sum() / at_least_one(weight_of(classes, weights).sum()),
        };
        mean * self.weight
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl CrossEntropy {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: true,
            weights: self.class_weights.as_deref(),
        }
    }
}

/// Each voxel's weight, which is its class's; 0 where it is ignored.
fn weight_of<B: Kernels>(classes: &Tensor<B, 5>, weights: &[f64]) -> Tensor<B, 5> {
    let of_class = |(class, weight): (usize, &f64)| {
        let here = classes.clone().equal_elem(class as f32).float();
        here.cast(classes.dtype()) * *weight
    };
    let of_classes = weights.iter().enumerate().map(of_class);
    of_classes
        .reduce(|all, of_class| all + of_class)
        .unwrap_or_else(|| classes.zeros_like())
}
