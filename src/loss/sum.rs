//! A sum of losses.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bce, Dice, Loss, LossTerm};
use crate::settings::{Fault, within};

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

impl LossTerm for Sum {
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        self.0
            .iter()
            .map(|loss| loss.forward(logits.clone(), target.clone()))
            .reduce(|sum, term| sum + term)
            // Validation refuses an empty list.
            .unwrap_or_else(|| (logits * 0.0).mean())
    }

    fn rules(&self) -> Vec<Fault> {
        if self.0.is_empty() {
            return vec![Fault::new("", "list at least one loss")];
        }
        let terms = self.0.iter().enumerate();
        terms
            .flat_map(|(index, loss)| within(&index.to_string(), loss.rules()))
            .collect()
    }
}
