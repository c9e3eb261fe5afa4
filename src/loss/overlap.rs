//! Soft counts that many losses are made of.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;

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
    pub fn sum<B: Backend>(self, x: Tensor<B, 5>) -> Tensor<B, 2> {
        let sums = x.flatten::<3>(2, 4).sum_dim(2).squeeze_dim::<2>(2);
        match self {
            Self::Sample => sums,
            Self::Batch => sums.sum_dim(0),
        }
    }
}

/// Sums over the voxels of each channel of each sample, or of the batch.
pub struct Overlap<B: Backend> {
    /// Of `p t`.
    pub intersection: Tensor<B, 2>,
    /// Of `p`.
    pub predicted: Tensor<B, 2>,
    /// Of `t`.
    pub target: Tensor<B, 2>,
}

impl<B: Backend> Overlap<B> {
    pub fn of(logits: Tensor<B, 5>, target: Tensor<B, 5>, reduction: Reduction) -> Self {
        let p = sigmoid(logits);
        Self {
            intersection: reduction.sum(p.clone() * target.clone()),
            predicted: reduction.sum(p),
            target: reduction.sum(target),
        }
    }

    /// The sizes summed as squares.
    pub fn of_squares(logits: Tensor<B, 5>, target: Tensor<B, 5>, reduction: Reduction) -> Self {
        let p = sigmoid(logits);
        Self {
            intersection: reduction.sum(p.clone() * target.clone()),
            predicted: reduction.sum(p.square()),
            target: reduction.sum(target.square()),
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
