//! Cross-entropy of the hardest voxels.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::channels::Counting;
use super::host::{constant, values};
use super::target::Truth;
use super::{LossTerm, Smoothing, Target, log_probabilities};
use crate::kernel::{Entropy, Kernels};
use crate::settings::Fault;
use crate::volume::Structures;

/// The mean cross-entropy of the part of a batch's voxels in which it is highest. Where structures do not exclude each
/// other, a voxel is one for each of them.
///
/// Reference: Wu et al., Bridging category-level and instance-level semantic image segmentation, 2016;
/// nnU-Net's `TopKLoss` (`k` of 10 %).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Topk {
    /// Factor.
    #[schemars(range(min = 0.0))]
    pub weight: f64,
    /// The part of the voxels that counts; at least one voxel does.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub part: f64,
    /// Part of each target that is taken away and shared among all classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// Whether `part` is of all voxels, of which ignored ones cost nothing, as in nnU-Net; by default it is of those that
    /// count.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub of_all: bool,
    /// A weight for each channel, that of the background first where there is one; by default 1 for each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0.0)), extend("default" = null))]
    pub class_weights: Option<Vec<f64>>,
}

impl Default for Topk {
    fn default() -> Self {
        Self {
            weight: 1.0,
            part: 0.1,
            label_smoothing: 0.0,
            of_all: false,
            class_weights: None,
        }
    }
}

impl LossTerm for Topk {
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let losses = match target.of() {
            Truth::Sigmoid(truth) => {
                let truth = Smoothing(self.label_smoothing).apply(truth.clone());
                let (log_p, log_q) = log_probabilities(logits);
                let losses = -(truth.clone() * log_p + (-truth + 1.0) * log_q);
                let losses = self.counting().weigh(losses);
                match target.counted() {
                    None => losses,
                    Some(counted) => losses * counted.clone(),
                }
            }
            Truth::Softmax(classes) => {
                let entropy = Entropy {
                    class_weights: self.class_weights.clone(),
                    label_smoothing: self.label_smoothing,
                    gamma: 0.0,
                };
                B::softmax_entropy(logits, classes.clone(), &entropy)
            }
        };
        let values = values(&losses);
        // An ignored voxel costs 0, and so is among the last.
        let eligible = match target.counted() {
            Some(counted) if !self.of_all => {
                let channels = losses.dims()[1];
                let counted = super::host::values(counted);
                counted.into_iter().filter(|counted| *counted > 0.0).count() * channels
            }
            _ => values.len(),
        };
        let count = ((eligible as f64 * self.part) as usize).max(1);
        let chosen = constant(highest(&values, count), &losses);
        (losses * chosen).sum() * (self.weight / count as f64)
    }

    fn rules(&self) -> Vec<Fault> {
        self.counting().rules()
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.counting().check(structures)
    }
}

impl Topk {
    fn counting(&self) -> Counting<'_> {
        Counting {
            background: true,
            weights: self.class_weights.as_deref(),
        }
    }
}

/// 1 at the `count` highest values, 0 elsewhere; of equal ones the first are taken.
fn highest(values: &[f32], count: usize) -> Vec<f32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    // What is not a number must be seen, so it is the highest.
    let value = |index: u32| match values[index as usize] {
        value if value.is_nan() => f32::NAN,
        value => value,
    };
    let by_value = |&a: &u32, &b: &u32| {
        let larger = value(b).total_cmp(&value(a));
        larger.then(a.cmp(&b))
    };
    if count < order.len() {
        order.select_nth_unstable_by(count, by_value);
    }
    let mut chosen = vec![0.0; values.len()];
    for &index in order.iter().take(count) {
        chosen[index as usize] = 1.0;
    }
    chosen
}
