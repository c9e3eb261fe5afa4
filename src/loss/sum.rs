//! A sum of losses.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Bce, CrossEntropy, Dice, Loss, LossTerm, Target};
use crate::kernel::Kernels;
use crate::settings::{Fault, within};
use crate::volume::Structures;

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
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        self.0
            .iter()
            .map(|loss| loss.forward(logits.clone(), target))
            .reduce(|sum, term| sum + term)
            // Validation refuses an empty list.
            .unwrap_or_else(|| (logits * 0.0).mean())
    }

    fn rules(&self) -> Vec<Fault> {
        if self.0.is_empty() {
            return vec![Fault::new("", "list at least one loss")];
        }
        self.faults(Loss::rules)
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        self.faults(|loss| loss.check(structures))
    }
}

impl Sum {
    /// Dice and cross-entropy.
    pub(super) fn exclusive() -> Self {
        let cross_entropy = CrossEntropy::default();
        Self(vec![
            Loss::Dice(Dice::default()),
            Loss::CrossEntropy(cross_entropy),
        ])
    }

    fn faults(&self, of: impl Fn(&Loss) -> Vec<Fault>) -> Vec<Fault> {
        let terms = self.0.iter().enumerate();
        terms
            .flat_map(|(index, loss)| within(&index.to_string(), of(loss)))
            .collect()
    }
}
