//! How a batch's masks overlap, counted on the device.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;

use crate::metric::smooth_iou;

/// Each sample's overlap while it is still on the device: one small tensor to read.
///
/// # Shapes
///
/// - logits, target: `[batch, 1, depth, height, width]`; targets are 0 or 1
/// - output: `[batch, 5]`, rows for [`Counts::from_row`]
pub fn soft_counts<B: Backend>(logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 2> {
    let p = sigmoid(logits.clone());
    // The mask is where the probability is at least one half.
    let mask = logits.greater_equal_elem(0.0).float();
    let sum = |x: Tensor<B, 5>| x.flatten::<2>(1, 4).sum_dim(1);
    Tensor::cat(
        vec![
            sum(p.clone() * target.clone()),
            sum(p),
            sum(mask.clone() * target.clone()),
            sum(mask),
            sum(target),
        ],
        1,
    )
}

/// One sample's overlap, from a row of [`soft_counts`]. In voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    /// Sum of the probabilities in the true mask.
    pub soft_intersection: f64,
    /// Sum of all probabilities.
    pub soft_prediction: f64,
    /// Voxels in both masks.
    pub intersection: f64,
    /// Voxels in the predicted mask.
    pub prediction: f64,
    /// Voxels in the true mask.
    pub truth: f64,
}

impl Counts {
    /// From a row of [`soft_counts`]; numbers missing from a short row are 0.
    pub fn from_row(row: &[f64]) -> Self {
        let column = |i: usize| row.get(i).copied().unwrap_or_default();
        Self {
            soft_intersection: column(0),
            soft_prediction: column(1),
            intersection: column(2),
            prediction: column(3),
            truth: column(4),
        }
    }

    /// As [`Overlap::iou`](crate::metric::Overlap::iou).
    pub fn iou(&self) -> f64 {
        let union = self.prediction + self.truth - self.intersection;
        if union == 0.0 {
            1.0
        } else {
            self.intersection / union
        }
    }

    /// As [`Overlap::dice`](crate::metric::Overlap::dice).
    pub fn dice(&self) -> f64 {
        let sum = self.prediction + self.truth;
        if sum == 0.0 {
            1.0
        } else {
            2.0 * self.intersection / sum
        }
    }

    /// As [`iou_soft`](crate::metric::iou_soft).
    pub fn iou_soft(&self) -> f64 {
        smooth_iou(self.soft_intersection, self.soft_prediction + self.truth)
    }
}
