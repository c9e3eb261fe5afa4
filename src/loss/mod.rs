//! What training minimises: functions of logits and true masks.

mod host;
mod overlap;

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor, s};

use crate::settings::Fault;

/// What every loss does: the contract of a member of [`Loss`], and of a loss from outside this crate
/// ([`OwnLoss`](crate::train::OwnLoss)).
pub trait LossTerm {
    /// The loss of a batch, times the loss' weight. All is in single precision; see [`Loss::forward`].
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1>;

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// A loss.
    pub enum Loss: LossTerm, listed as "losses" {
        /// Binary cross-entropy.
        "bce" => bce::Bce,
        /// Errors weighted by their distance from the true boundary.
        "boundary" => boundary::Boundary,
        /// One minus the soft Dice coefficient.
        "dice" => dice::Dice,
        /// Cross-entropy that dwells on hard voxels.
        "focal" => focal::Focal,
        /// A power of the Tversky loss.
        "focal_tversky" => focal_tversky::FocalTversky,
        /// Dice with structures weighted by their size.
        "generalized_dice" => generalized_dice::GeneralizedDice,
        /// Errors weighted by their distance from both boundaries.
        "hausdorff_dt" => hausdorff_dt::HausdorffDt,
        /// One minus the soft IoU.
        "jaccard" => jaccard::Jaccard,
        /// The logarithm of the hyperbolic cosine of the Dice loss.
        "log_cosh_dice" => log_cosh_dice::LogCoshDice,
        /// A convex surrogate of one minus the IoU.
        "lovasz" => lovasz::Lovasz,
        /// A sum of losses.
        "sum" => sum::Sum,
        /// Cross-entropy of the hardest voxels alone.
        "topk" => topk::Topk,
        /// Dice with prices for false positives and false negatives.
        "tversky" => tversky::Tversky,
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
        with_member!(self, term => term.forward(logits, target))
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
    /// If `logits` is empty, or if an output has another size.
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
        let target = subsample(target.clone(), logits.dims());
        loss(logits, target) * (weight / all)
    });
    match terms.reduce(|sum, term| sum + term) {
        Some(loss) => loss,
        None => panic!("deep supervision of no outputs"),
    }
}

/// Subsamples `target` by an integer stride along each axis so that it has as many voxels as `wanted`.
fn subsample<B: Backend>(target: Tensor<B, 5>, wanted: [usize; 5]) -> Tensor<B, 5> {
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
    fn apply<B: Backend>(&self, target: Tensor<B, 5>) -> Tensor<B, 5> {
        if self.0 == 0.0 {
            return target;
        }
        target * (1.0 - self.0) + 0.5 * self.0
    }
}
