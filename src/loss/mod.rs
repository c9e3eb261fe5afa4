//! What training minimises: functions of logits and true masks.

mod bce;
mod dice;
mod focal;
mod sum;

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::backend::Backend;

pub use bce::Bce;
pub use dice::Dice;
pub use focal::Focal;
pub use sum::Sum;

crate::family! {
    /// A loss.
    pub enum Loss {
        /// Binary cross-entropy.
        "bce" => Bce(Bce),
        /// One minus the soft Dice coefficient.
        "dice" => Dice(Dice),
        /// The focal loss.
        "focal" => Focal(Focal),
        /// A sum of losses.
        "sum" => Sum(Sum),
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::Sum(Sum::default())
    }
}

impl Loss {
    /// The loss of a batch, times the loss' weight.
    ///
    /// # Shapes
    ///
    /// - logits, target: `[batch, 1, depth, height, width]`; targets are 0 or 1
    /// - output: `[1]`
    pub fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        match self {
            Self::Bce(loss) => loss.forward(logits, target),
            Self::Dice(loss) => loss.forward(logits, target),
            Self::Focal(loss) => loss.forward(logits, target),
            Self::Sum(loss) => loss.forward(logits, target),
        }
    }
}

/// `log p` and `log (1 - p)` of `p = sigmoid(logit)`, without loss for large logits.
fn log_probabilities<B: Backend>(logits: Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>) {
    (log_sigmoid(logits.clone()), log_sigmoid(-logits))
}

fn check_weight(weight: f64) -> Result<(), String> {
    check_not_negative("weight", weight)
}

fn check_not_negative(field: &str, value: f64) -> Result<(), String> {
    if value >= 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(format!("{field} must be 0 or a positive number"))
    }
}
