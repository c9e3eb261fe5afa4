//! Soft counts of planes.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::Target;

/// Sums over the voxels that count of each plane across the last axis, `[batch, channels, width]`. The background is a
/// channel where structures exclude each other.
pub(crate) struct Planes<B: Backend> {
    /// Of `p t`.
    pub intersection: Tensor<B, 3>,
    /// Of `p`.
    pub predicted: Tensor<B, 3>,
    /// Of `t`.
    pub target: Tensor<B, 3>,
}

impl<B: Backend> Planes<B> {
    pub fn of(logits: Tensor<B, 5>, target: &Target<B>) -> Self {
        let truth = target.truth(logits.dims()[1]);
        let p = target.probabilities(logits);
        let p = match target.counted() {
            None => p,
            Some(counted) => p * counted.clone(),
        };
        Self {
            intersection: sum(p.clone() * truth.clone()),
            predicted: sum(p),
            target: sum(truth),
        }
    }
}

fn sum<B: Backend>(x: Tensor<B, 5>) -> Tensor<B, 3> {
    x.flatten::<4>(2, 3).sum_dim(2).squeeze_dim::<3>(2)
}
