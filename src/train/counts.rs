//! How a batch's masks overlap, counted on the device.

use burn::tensor::activation::sigmoid;
use burn::tensor::{FloatDType, Tensor};

use crate::kernel::Kernels;
use crate::loss::{Planes, Target, Truth};
use crate::metric::{PlaneSums, smooth_iou};

/// How each structure overlaps in each sample, while it is still on the device: one small tensor to read. A structure is
/// predicted where its probability is at least one half; of structures that exclude each other, the most probable one
/// is. Voxels that are ignored are in no count.
///
/// # Shapes
///
/// - logits: `[batch, channels, depth, height, width]`
/// - output: `[batch, structures, 5]`, rows for [`Counts::from_row`]
pub fn soft_counts<B: Kernels>(logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 3> {
    let truth = match target.of() {
        Truth::Sigmoid(truth) => truth.clone(),
        Truth::Softmax(classes) => return B::softmax_counts(logits, classes.clone()),
    };
    let counted = |x: Tensor<B, 5>| match target.counted() {
        None => x,
        Some(counted) => x * counted.clone(),
    };
    let p = counted(sigmoid(logits.clone()));
    // The mask is where the probability is at least one half.
    let mask = logits.greater_equal_elem(0.0).float();
    let mask = counted(mask.cast(FloatDType::F32));
    let [batch, structures, depth, height, width] = p.dims();
    let rows = [batch * structures, depth * height * width];
    let sum = |x: Tensor<B, 5>| x.reshape(rows).sum_dim(1);
    Tensor::cat(
        vec![
            sum(p.clone() * truth.clone()),
            sum(p),
            sum(mask.clone() * truth.clone()),
            sum(mask),
            sum(truth),
        ],
        1,
    )
    .reshape([batch, structures, 5])
}

/// Of each sample the sums of each plane across the last axis, channel by channel; the background is a channel where
/// structures exclude each other. Voxels that are ignored are in no sum.
///
/// # Shapes
///
/// - logits: `[batch, channels, depth, height, width]`
/// - output: `batch` lists of `channels * width` planes
pub fn plane_sums<B: Kernels>(logits: Tensor<B, 5>, target: &Target<B>) -> Vec<Vec<PlaneSums>> {
    let planes = Planes::of(logits.cast(FloatDType::F32), target);
    let [_, channels, width] = planes.target.dims();
    let numbers = |sums: Tensor<B, 3>| sums.into_data().iter::<f64>().collect::<Vec<f64>>();
    let sums = [planes.intersection, planes.predicted, planes.target].map(numbers);
    let plane = |at: usize| PlaneSums {
        intersection: sums[0][at],
        prediction: sums[1][at],
        truth: sums[2][at],
    };
    let planes: Vec<PlaneSums> = (0..sums[2].len()).map(plane).collect();
    planes
        .chunks(channels * width)
        .map(<[PlaneSums]>::to_vec)
        .collect()
}

/// A structure's overlap in one sample, from a row of [`soft_counts`]. In voxels.
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
