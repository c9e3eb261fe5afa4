//! How well a predicted mask agrees with the true one.

mod overlap;

use ndarray::ArrayView3;

pub use overlap::{Counts, Overlap, iou_soft, soft_counts};

/// Every metric's name, as in the tables' columns, with what it says. All lie between 0 (worst)
/// and 1 (best).
pub const NAMES: &[(&str, &str)] = &[
    (
        "iou",
        "Intersection over union (Jaccard index) of the masks",
    ),
    (
        "iou_soft",
        "Intersection over union with probabilities in place of the predicted mask",
    ),
    (
        "dice",
        "Twice the intersection over the sum of both masks' sizes (F1 score)",
    ),
    ("accuracy", "Share of all voxels that are labelled right"),
    ("precision", "Share of the predicted mask that is true"),
    (
        "recall",
        "Share of the true mask that is predicted (sensitivity)",
    ),
    (
        "specificity",
        "Share of the true background that is predicted as such",
    ),
    (
        "volume_similarity",
        "One minus the masks' difference in size over their sum",
    ),
];

/// Every metric of a predicted mask, by name; `iou_soft` only where there are probabilities.
///
/// # Panics
///
/// When the shapes differ.
pub fn all(
    prediction: ArrayView3<'_, u8>,
    truth: ArrayView3<'_, u8>,
    probability: Option<ArrayView3<'_, f32>>,
) -> Vec<(&'static str, f64)> {
    assert_eq!(prediction.dim(), truth.dim(), "masks must have one shape");
    let overlap = Overlap::of(prediction, truth);
    let soft = probability.map(|probability| {
        assert_eq!(
            probability.dim(),
            truth.dim(),
            "probabilities must have the masks' shape"
        );
        ("iou_soft", iou_soft(probability, truth))
    });
    let mut values = vec![("iou", overlap.iou())];
    values.extend(soft);
    values.extend([
        ("dice", overlap.dice()),
        ("accuracy", overlap.accuracy()),
        ("precision", overlap.precision()),
        ("recall", overlap.recall()),
        ("specificity", overlap.specificity()),
        ("volume_similarity", overlap.volume_similarity()),
    ]);
    values
}
