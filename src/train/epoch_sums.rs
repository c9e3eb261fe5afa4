//! What an epoch sums up to.

use super::batch_scores::BatchScores;
use super::counts::Counts;
use super::segmenter::StepRecord;
use crate::layout::StructureEpoch;
use crate::metric::BatchMetric;
use crate::volume::Structures;

/// Sums over an epoch's samples.
#[derive(Default)]
pub(super) struct EpochSums {
    samples: f64,
    pub(super) loss: f64,
    pub(super) iou: f64,
    pub(super) iou_soft: f64,
    pub(super) dice: f64,
    /// IoU and Dice of each structure.
    by_structure: Vec<(f64, f64)>,
    /// Metrics of batches, where validation has some.
    batches: Option<BatchScores>,
}

impl EpochSums {
    /// Sums with these metrics of batches of `batch_size` cases as well.
    pub(super) fn with_metrics(metrics: &[BatchMetric], batch_size: usize) -> Self {
        Self {
            batches: Some(BatchScores::new(metrics, batch_size)),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, record: &StepRecord) {
        let samples = record.cases.len() as f64;
        self.samples += samples;
        self.loss += record.loss * samples;
        self.iou += record.mean(|counts| counts.iou()) * samples;
        self.iou_soft += record.mean(|counts| counts.iou_soft()) * samples;
        self.dice += record.mean(|counts| counts.dice()) * samples;
        for (_, counts) in &record.cases {
            self.add_structures(counts);
        }
        if let Some(batches) = &mut self.batches {
            record.planes.iter().for_each(|planes| batches.add(planes));
        }
    }

    fn add_structures(&mut self, counts: &[Counts]) {
        self.by_structure.resize(counts.len(), (0.0, 0.0));
        for ((iou, dice), counts) in self.by_structure.iter_mut().zip(counts) {
            *iou += counts.iou();
            *dice += counts.dice();
        }
    }

    pub(super) fn mean(&self, sum: f64) -> f64 {
        sum / self.samples
    }

    /// Column and mean of each metric of batches.
    pub(super) fn metrics(&mut self) -> Vec<(String, f64)> {
        self.batches
            .take()
            .map_or_else(Vec::new, BatchScores::means)
    }

    /// The means of each structure; none of one mask.
    pub(super) fn structures(&self, structures: &Structures) -> Vec<StructureEpoch> {
        if structures.is_mask() {
            return Vec::new();
        }
        let named = structures.names().into_iter().enumerate();
        let means = named.map(|(at, name)| {
            // Without samples there are no sums, and a mean of nothing is not a number.
            let (iou, dice) = self.by_structure.get(at).copied().unwrap_or_default();
            StructureEpoch {
                name: name.to_owned(),
                iou: self.mean(iou),
                dice: self.mean(dice),
            }
        });
        means.collect()
    }
}
