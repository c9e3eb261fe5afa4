//! What training minimises: functions of logits and true masks.

mod channels;
mod host;
mod overlap;
mod planes;
mod target;

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};

use crate::kernel::Kernels;
use crate::settings::{Fault, within};
use crate::volume::Structures;

pub(crate) use planes::Planes;
pub use target::Target;
pub(crate) use target::Truth;

/// What every loss does: the contract of a member of [`Loss`], and of a loss from outside this crate
/// ([`OwnLoss`](crate::train::OwnLoss)).
pub trait LossTerm {
    /// The loss of a batch, times the loss' weight. All is in single precision; see [`Loss::forward`].
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1>;

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// What is wrong with the values for these structures.
    fn check(&self, _structures: &Structures) -> Vec<Fault> {
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
        /// Cross-entropy over classes.
        "cross_entropy" => cross_entropy::CrossEntropy,
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
        /// The published baseline's: segmentation_models' cross-entropy along columns and Dice of planes.
        "sm_cce_dice" => sm_cce_dice::SmCceDice,
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
    /// The loss where none is asked for: Dice and cross-entropy. Of structures that exclude each other the cross-entropy
    /// is one over classes, as in nnU-Net.
    pub fn default_for(structures: &Structures) -> Self {
        match structures.is_exclusive() {
            true => Self::Sum(Sum::exclusive()),
            false => Self::default(),
        }
    }

    /// What is wrong with the values for these structures.
    pub fn check(&self, structures: &Structures) -> Vec<Fault> {
        let faults = with_member!(self, term => term.check(structures));
        within(self.name(), faults)
    }

    /// The loss of a batch, times the loss' weight: in single precision, whatever the network's. The
    /// gradient returns in the network's; in half precision (f16, not bf16) those of means over a whole head
    /// lie at the edge of what it can express, so scale the loss up.
    ///
    /// Where one loss is worked out for each channel that counts, it is their mean. Voxels that are ignored have no
    /// part in it: where all are, the loss is 0, and so is its gradient.
    ///
    /// # Shapes
    ///
    /// - logits: `[batch, channels, depth, height, width]`
    /// - output: `[1]`
    pub fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let logits = logits.cast(FloatDType::F32);
        let loss = with_member!(self, term => term.forward(logits, target));
        match target.counted() {
            None => loss,
            Some(counted) => loss * counted.clone().sum().sign(),
        }
    }

    /// The loss of logits of several resolutions (deep supervision): that of the first, and half as much
    /// of each next one, as parts of a whole. Of several, the coarsest counts for nothing, as in nnU-Net
    /// (Isensee et al., 2021).
    ///
    /// Coarser outputs see the target at the first voxel of each of theirs (nearest, by strides): where the network's
    /// strided convolutions have their centres. nnU-Net 2.8 takes the second of two (`nearest-exact`).
    ///
    /// # Shapes
    ///
    /// - outputs: the first like the target, each next one half as large, rounded up
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// If `logits` is empty, or if an output has another size.
    pub fn forward_deep<B: Kernels>(
        &self,
        outputs: Vec<Tensor<B, 5>>,
        target: &Target<B>,
    ) -> Tensor<B, 1> {
        supervise(outputs, target, |logits, target| {
            self.forward(logits, target)
        })
    }
}

/// `loss` of logits of several resolutions: see [`Loss::forward_deep`].
pub(crate) fn supervise<B: Backend>(
    outputs: Vec<Tensor<B, 5>>,
    target: &Target<B>,
    loss: impl Fn(Tensor<B, 5>, &Target<B>) -> Tensor<B, 1>,
) -> Tensor<B, 1> {
    let count = outputs.len().saturating_sub(1).max(1);
    let weights = (0..count).map(|level| 0.5_f64.powi(level as i32));
    let all: f64 = weights.clone().sum();
    let terms = outputs.into_iter().zip(weights).map(|(logits, weight)| {
        let target = target.subsample(logits.dims());
        loss(logits, &target) * (weight / all)
    });
    match terms.reduce(|sum, term| sum + term) {
        Some(loss) => loss,
        None => panic!("deep supervision of no outputs"),
    }
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
