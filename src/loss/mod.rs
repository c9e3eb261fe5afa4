//! What training minimises: functions of logits and true masks.

mod bce;
mod boundary;
mod dice;
mod focal;
mod focal_tversky;
mod generalized_dice;
mod hausdorff_dt;
mod host;
mod jaccard;
mod log_cosh_dice;
mod lovasz;
mod overlap;
mod sum;
mod topk;
mod tversky;

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor, s};

pub use bce::Bce;
pub use boundary::Boundary;
pub use dice::Dice;
pub use focal::Focal;
pub use focal_tversky::FocalTversky;
pub use generalized_dice::GeneralizedDice;
pub use hausdorff_dt::HausdorffDt;
pub use jaccard::Jaccard;
pub use log_cosh_dice::LogCoshDice;
pub use lovasz::Lovasz;
pub use sum::Sum;
pub use topk::Topk;
pub use tversky::Tversky;

crate::family! {
    /// A loss.
    pub enum Loss {
        /// Binary cross-entropy.
        "bce" => Bce(Bce),
        /// Errors weighted by their distance from the true boundary.
        "boundary" => Boundary(Boundary),
        /// One minus the soft Dice coefficient.
        "dice" => Dice(Dice),
        /// Cross-entropy that dwells on hard voxels.
        "focal" => Focal(Focal),
        /// A power of the Tversky loss.
        "focal_tversky" => FocalTversky(FocalTversky),
        /// Dice with structures weighted by their size.
        "generalized_dice" => GeneralizedDice(GeneralizedDice),
        /// Errors weighted by their distance from both boundaries.
        "hausdorff_dt" => HausdorffDt(HausdorffDt),
        /// One minus the soft IoU.
        "jaccard" => Jaccard(Jaccard),
        /// The logarithm of the hyperbolic cosine of the Dice loss.
        "log_cosh_dice" => LogCoshDice(LogCoshDice),
        /// A convex surrogate of one minus the IoU.
        "lovasz" => Lovasz(Lovasz),
        /// A sum of losses.
        "sum" => Sum(Sum),
        /// Cross-entropy of the hardest voxels alone.
        "topk" => Topk(Topk),
        /// Dice with prices for false positives and false negatives.
        "tversky" => Tversky(Tversky),
    }
}

impl Default for Loss {
    fn default() -> Self {
        Self::Sum(Sum::default())
    }
}

impl Loss {
    /// The loss of a batch, times the loss' weight: in single precision, whatever the network's. The
    /// gradient returns in the network's; in half precision (f16, not bf16) those of means over a whole head
    /// lie at the edge of what it can express, so scale the loss up.
    ///
    /// Each channel is a structure of its own. Where one loss is worked out for each of them, it is their
    /// mean.
    ///
    /// # Shapes
    ///
    /// - logits, target: `[batch, channels, depth, height, width]`; targets are 0 to 1
    /// - output: `[1]`
    pub fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let logits = logits.cast(FloatDType::F32);
        let target = target.cast(FloatDType::F32);
        match self {
            Self::Bce(loss) => loss.forward(logits, target),
            Self::Boundary(loss) => loss.forward(logits, target),
            Self::Dice(loss) => loss.forward(logits, target),
            Self::Focal(loss) => loss.forward(logits, target),
            Self::FocalTversky(loss) => loss.forward(logits, target),
            Self::GeneralizedDice(loss) => loss.forward(logits, target),
            Self::HausdorffDt(loss) => loss.forward(logits, target),
            Self::Jaccard(loss) => loss.forward(logits, target),
            Self::LogCoshDice(loss) => loss.forward(logits, target),
            Self::Lovasz(loss) => loss.forward(logits, target),
            Self::Sum(loss) => loss.forward(logits, target),
            Self::Topk(loss) => loss.forward(logits, target),
            Self::Tversky(loss) => loss.forward(logits, target),
        }
    }

    /// The loss of logits of several resolutions (deep supervision): that of the first, and half as much
    /// of each next one, as parts of a whole. Of several, the coarsest counts for nothing, as in nnU-Net
    /// (Isensee et al., 2021).
    ///
    /// # Shapes
    ///
    /// - outputs: the first like the target, each next one half as large, rounded up; coarser ones see
    ///   the target at the first voxel of each of theirs (nearest, by strides)
    /// - target: `[batch, channels, depth, height, width]`
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// When there are no outputs, or one is of another size than these.
    pub fn forward_deep<B: Backend>(
        &self,
        outputs: Vec<Tensor<B, 5>>,
        target: Tensor<B, 5>,
    ) -> Tensor<B, 1> {
        supervise(outputs, target, |logits, target| {
            self.forward(logits, target)
        })
    }
}

/// What a loss does: a member of [`Loss`], or one from outside this crate.
pub trait LossTerm {
    /// The loss of a batch. All is in single precision; for shapes see [`Loss::forward`].
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1>;
}

/// `loss` of logits of several resolutions: see [`Loss::forward_deep`].
pub(crate) fn supervise<B: Backend>(
    outputs: Vec<Tensor<B, 5>>,
    target: Tensor<B, 5>,
    loss: impl Fn(Tensor<B, 5>, Tensor<B, 5>) -> Tensor<B, 1>,
) -> Tensor<B, 1> {
    let count = outputs.len().saturating_sub(1).max(1);
    let weights = (0..count).map(|level| 0.5_f64.powi(level as i32));
    let all: f64 = weights.clone().sum();
    let terms = outputs.into_iter().zip(weights).map(|(logits, weight)| {
        let target = coarser(target.clone(), logits.dims());
        loss(logits, target) * (weight / all)
    });
    match terms.reduce(|sum, term| sum + term) {
        Some(loss) => loss,
        None => panic!("deep supervision of no outputs"),
    }
}

/// Every so manieth voxel of `target`, so that as many are left along each axis as `wanted` has.
fn coarser<B: Backend>(target: Tensor<B, 5>, wanted: [usize; 5]) -> Tensor<B, 5> {
    let size = target.dims();
    // Resolutions are halved and rounded up, time and again.
    let [depth, height, width] =
        [2, 3, 4].map(|axis| size[axis].div_ceil(wanted[axis]).next_power_of_two() as i32);
    if [depth, height, width] == [1; 3] {
        return target;
    }
    target.slice(s![.., .., ..;depth, ..;height, ..;width])
}

/// `log p` and `log (1 - p)` of `p = sigmoid(logit)`, without loss for large logits.
fn log_probabilities<B: Backend>(logits: Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>) {
    (log_sigmoid(logits.clone()), log_sigmoid(-logits))
}

/// `p` clipped to `[1e-7, 1 - 1e-7]`, as Keras does.
fn clipped_probabilities<B: Backend>(logits: Tensor<B, 5>) -> Tensor<B, 5> {
    sigmoid(logits).clamp(1e-7, 1.0 - 1e-7)
}

/// `log p` and `log (1 - p)` of clipped probabilities.
fn clipped_log_probabilities<B: Backend>(logits: Tensor<B, 5>) -> (Tensor<B, 5>, Tensor<B, 5>) {
    let p = clipped_probabilities(logits);
    (p.clone().log(), (-p + 1.0).log())
}

/// Label smoothing: this part of each target is taken away and shared among both classes (Szegedy et
/// al., 2016).
struct Smoothing(f64);

impl Smoothing {
    fn validate(&self) -> Result<(), String> {
        if (0.0..=1.0).contains(&self.0) {
            Ok(())
        } else {
            Err("label_smoothing must be from 0 to 1".into())
        }
    }

    fn apply<B: Backend>(&self, target: Tensor<B, 5>) -> Tensor<B, 5> {
        if self.0 == 0.0 {
            return target;
        }
        target * (1.0 - self.0) + 0.5 * self.0
    }
}

fn check_smooth(smooth: f64) -> Result<(), String> {
    if smooth > 0.0 && smooth.is_finite() {
        Ok(())
    } else {
        Err("smooth must be a number above 0".into())
    }
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
