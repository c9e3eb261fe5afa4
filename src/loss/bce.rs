//! Binary cross-entropy.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check_weight, log_probabilities};

/// Mean over all voxels of `-t log p - (1 - t) log (1 - p)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bce {
    /// Factor.
    pub weight: f64,
}

impl Default for Bce {
    fn default() -> Self {
        Self { weight: 1.0 }
    }
}

impl Bce {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// A sentence that names the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        check_weight(self.weight)
    }

    pub(super) fn forward<B: Backend>(
        &self,
        logits: Tensor<B, 5>,
        target: Tensor<B, 5>,
    ) -> Tensor<B, 1> {
        let (log_p, log_q) = log_probabilities(logits);
        let likelihood = target.clone() * log_p + (-target + 1.0) * log_q;
        likelihood.mean() * -self.weight
    }
}
