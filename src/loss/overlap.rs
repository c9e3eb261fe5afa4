//! Soft counts that many losses are made of.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;

use super::Target;
use super::channels::Counting;
use super::target::Truth;
use crate::kernel::Kernels;

/// What sums are taken over, besides voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Nothing: each sample counts as much as the others.
    Sample,
    /// The batch, as if it were one large sample.
    Batch,
}

impl Reduction {
    pub fn batch_if(batch: bool) -> Self {
        if batch { Self::Batch } else { Self::Sample }
    }

    /// Sums over the voxels of each channel: `[batch, channels]`, or `[1, channels]`.
    fn sum<B: Backend>(self, x: Tensor<B, 5>) -> Tensor<B, 2> {
        self.of_samples(x.flatten::<3>(2, 4).sum_dim(2).squeeze_dim::<2>(2))
    }

    fn of_samples<B: Backend>(self, sums: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Sample => sums,
            Self::Batch => sums.sum_dim(0),
        }
    }
}

/// Sums over the voxels that count of each channel of each sample, or of the batch.
pub struct Overlap<B: Backend> {
    /// Of `p t`.
    pub intersection: Tensor<B, 2>,
    /// Of `p`.
    pub predicted: Tensor<B, 2>,
    /// Of `t`.
    pub target: Tensor<B, 2>,
}

impl<B: Kernels> Overlap<B> {
    pub fn of(
        logits: Tensor<B, 5>,
        target: &Target<B>,
        reduction: Reduction,
        counting: Counting,
    ) -> Self {
        Self::either(logits, target, reduction, counting, false)
    }

    /// The sizes summed as squares.
    pub fn of_squares(
        logits: Tensor<B, 5>,
        target: &Target<B>,
        reduction: Reduction,
        counting: Counting,
    ) -> Self {
        Self::either(logits, target, reduction, counting, true)
    }

    fn either(
        logits: Tensor<B, 5>,
        target: &Target<B>,
        reduction: Reduction,
        counting: Counting,
        squared: bool,
    ) -> Self {
        let truth = match target.of() {
            Truth::Sigmoid(truth) => truth.clone(),
            Truth::Softmax(classes) => {
                let sums = B::softmax_overlap(logits, classes.clone(), squared);
                let kind = |kind: usize| {
                    let sums = sums.clone().narrow(0, kind, 1).squeeze_dim::<2>(0);
                    reduction.of_samples(counting.channels(sums, target))
                };
                return Self {
                    intersection: kind(0),
                    predicted: kind(1),
                    target: kind(2),
                };
            }
        };
        let p = match target.counted() {
            None => sigmoid(logits),
            Some(counted) => sigmoid(logits) * counted.clone(),
        };
        let size = |x: Tensor<B, 5>| reduction.sum(if squared { x.square() } else { x });
        Self {
            intersection: reduction.sum(p.clone() * truth.clone()),
            predicted: size(p),
            target: size(truth),
        }
    }

    /// Voxels of the background that are predicted.
    pub fn false_positives(&self) -> Tensor<B, 2> {
        self.predicted.clone() - self.intersection.clone()
    }

    /// Voxels of the structure that are not.
    pub fn false_negatives(&self) -> Tensor<B, 2> {
        self.target.clone() - self.intersection.clone()
    }
}
