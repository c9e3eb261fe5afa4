//! Metrics of a batch's probabilities, plane by plane: what other programs show after each epoch of a training. An
//! experiment names those that its validation is to have beside the IoU of volumes.

use std::ops::AddAssign;

use crate::settings::Fault;

/// What a metric of batches does: the contract of a member of [`BatchMetric`].
pub trait PlaneMetric {
    /// The metric of one plane of one channel.
    fn of_plane(&self, sums: &PlaneSums) -> f64;

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// A metric of a validation batch, on the network's grid. It becomes the column `validation_NAME` of metrics.csv.
    pub enum BatchMetric: PlaneMetric, listed as "batch-metrics" {
        /// Dice of planes, as segmentation_models computes it on volumes.
        "sm_dice" => sm_dice::SmDice,
        /// IoU of planes, as segmentation_models computes it on volumes.
        "sm_iou" => sm_iou::SmIou,
    }
}

/// Sums over the voxels of one plane of one channel, over one sample or all samples of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlaneSums {
    /// Sum of the probabilities in the true mask.
    pub intersection: f64,
    /// Sum of all probabilities.
    pub prediction: f64,
    /// Voxels in the true mask.
    pub truth: f64,
}

impl AddAssign for PlaneSums {
    fn add_assign(&mut self, other: Self) {
        self.intersection += other.intersection;
        self.prediction += other.prediction;
        self.truth += other.truth;
    }
}

impl BatchMetric {
    /// The metric of a batch: the mean over all planes of all channels, each with its sums over the batch.
    pub fn of_batch(&self, planes: &[PlaneSums]) -> f64 {
        let all = planes
            .iter()
            .map(|sums| with_member!(self, metric => metric.of_plane(sums)));
        all.sum::<f64>() / planes.len() as f64
    }

    /// Its column in `metrics.csv`.
    pub fn column(&self) -> String {
        Self::column_of(self.name())
    }

    /// The column of the metric of that name.
    pub fn column_of(name: &str) -> String {
        format!("validation_{name}")
    }
}
