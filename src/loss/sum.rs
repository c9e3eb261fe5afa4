//! A sum of losses.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bce, Dice, Loss};

/// The sum of the listed losses, each times its own weight; by default Dice and cross-entropy.
///
/// Reference: Taghanaki et al., Combo loss, 2019; nnU-Net's default (Isensee et al., 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Sum(pub Vec<Loss>);

impl Default for Sum {
    fn default() -> Self {
        Self(vec![Loss::Dice(Dice::default()), Loss::Bce(Bce::default())])
    }
}

impl Sum {
    /// Checks the losses.
    ///
    /// # Errors
    ///
    /// A sentence that names the loss, the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        if self.0.is_empty() {
            return Err("list at least one loss".into());
        }
        self.0.iter().try_for_each(Loss::validate)
    }

    pub(super) fn forward<B: Backend>(
        &self,
        logits: Tensor<B, 5>,
        target: Tensor<B, 5>,
    ) -> Tensor<B, 1> {
        self.0
            .iter()
            .map(|loss| loss.forward(logits.clone(), target.clone()))
            .reduce(|sum, term| sum + term)
            // Validation refuses an empty list.
            .unwrap_or_else(|| (logits * 0.0).mean())
    }
}
