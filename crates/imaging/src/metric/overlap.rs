//! Metrics of how two masks overlap.
//!
//! Empty masks: where both are empty they agree and every metric is 1; where one of them is, all
//! that asks for common voxels (IoU, Dice, precision, recall) and volume similarity are 0.
//! Specificity is 1 where there is no background.

/// What keeps the published soft IoU defined for empty masks, in voxels.
const SMOOTH: f64 = 1e-5;

/// How many voxels two masks have in common, and how many not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// True positives: in both masks.
    pub tp: u64,
    /// False positives: in the prediction alone.
    pub fp: u64,
    /// False negatives: in the truth alone.
    pub fn_: u64,
    /// True negatives: in neither.
    pub tn: u64,
}

impl Overlap {
    /// Counts the voxels of two masks of one shape; whatever is not 0 is in the mask.
    pub fn of<'a>(
        prediction: impl IntoIterator<Item = &'a u8>,
        truth: impl IntoIterator<Item = &'a u8>,
    ) -> Self {
        let mut counts = [0; 4];
        for (&predicted, &is) in prediction.into_iter().zip(truth) {
            counts[2 * usize::from(predicted != 0) + usize::from(is != 0)] += 1;
        }
        let [tn, fn_, fp, tp] = counts;
        Self { tp, fp, fn_, tn }
    }

    fn prediction_and_truth(&self) -> u64 {
        2 * self.tp + self.fp + self.fn_
    }

    /// Intersection over union.
    pub fn iou(&self) -> f64 {
        self.share(self.tp, self.tp + self.fp + self.fn_)
    }

    /// Twice the intersection over the sum of the sizes.
    pub fn dice(&self) -> f64 {
        self.share(2 * self.tp, self.prediction_and_truth())
    }

    /// Share of all voxels that are labelled right.
    pub fn accuracy(&self) -> f64 {
        let right = self.tp + self.tn;
        self.share(right, right + self.fp + self.fn_)
    }

    /// Share of the prediction that is true.
    pub fn precision(&self) -> f64 {
        self.share(self.tp, self.tp + self.fp)
    }

    /// Share of the truth that is predicted.
    pub fn recall(&self) -> f64 {
        self.share(self.tp, self.tp + self.fn_)
    }

    /// Share of the true background that is predicted as background.
    pub fn specificity(&self) -> f64 {
        let background = self.tn + self.fp;
        if background == 0 {
            return 1.0;
        }
        self.tn as f64 / background as f64
    }

    /// One minus the difference of the sizes over their sum.
    pub fn volume_similarity(&self) -> f64 {
        let sum = self.prediction_and_truth();
        self.share(sum - self.fp.abs_diff(self.fn_), sum)
    }

    /// A share of nothing is 1 where both masks are empty, else 0.
    fn share(&self, part: u64, whole: u64) -> f64 {
        if whole == 0 {
            return f64::from(u8::from(self.prediction_and_truth() == 0));
        }
        part as f64 / whole as f64
    }
}

/// The published IoU: of probabilities, not thresholded, with 1e-5 added above and below, over the whole volume
/// (segmentation_models_3D's `iou_score` of one sample).
pub fn iou_soft<'a>(
    probabilities: impl IntoIterator<Item = &'a f32>,
    truth: impl IntoIterator<Item = &'a u8>,
) -> f64 {
    let (mut intersection, mut sum) = (0.0, 0.0);
    for (&p, &is) in probabilities.into_iter().zip(truth) {
        let (p, t) = (f64::from(p), f64::from(u8::from(is != 0)));
        intersection += p * t;
        sum += p + t;
    }
    smooth_iou(intersection, sum)
}

/// The published IoU from the sums over all voxels: of the product of probability and truth, and of both.
pub fn smooth_iou(intersection: f64, sum: f64) -> f64 {
    (intersection + SMOOTH) / (sum - intersection + SMOOTH)
}
