//! Metrics of batches over the cases of a validation, which sees them one by one.

use crate::metric::{BatchMetric, PlaneSums};

/// Joins cases to batches of the training's size, in their order, and takes each metric's mean over the batches.
pub(super) struct BatchScores {
    metrics: Vec<BatchMetric>,
    /// Cases of a batch.
    size: usize,
    /// The sums of the batch that is not yet full, and its cases.
    batch: Vec<PlaneSums>,
    cases: usize,
    /// Sums of each metric over the batches before, and how many these are.
    sums: Vec<f64>,
    batches: usize,
}

impl BatchScores {
    pub fn new(metrics: &[BatchMetric], size: usize) -> Self {
        Self {
            metrics: metrics.to_vec(),
            size,
            batch: Vec::new(),
            cases: 0,
            sums: vec![0.0; metrics.len()],
            batches: 0,
        }
    }

    /// The next case, with the sums of its planes. Planes of different numbers cannot be one batch.
    pub fn add(&mut self, planes: &[PlaneSums]) {
        if self.cases == self.size || self.batch.len() != planes.len() {
            self.close();
        }
        self.batch.resize(planes.len(), PlaneSums::default());
        for (sums, of_case) in self.batch.iter_mut().zip(planes) {
            *sums += *of_case;
        }
        self.cases += 1;
    }

    /// Column and mean of each metric; not a number where there was no case.
    pub fn means(mut self) -> Vec<(String, f64)> {
        self.close();
        let columns = self.metrics.iter().map(BatchMetric::column);
        let means = self.sums.iter().map(|sum| sum / self.batches as f64);
        columns.zip(means).collect()
    }

    fn close(&mut self) {
        if self.cases == 0 {
            return;
        }
        for (sum, metric) in self.sums.iter_mut().zip(&self.metrics) {
            *sum += metric.of_batch(&self.batch);
        }
        self.batches += 1;
        self.cases = 0;
        self.batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::SmIou;

    /// One plane with these sums.
    fn plane(intersection: f64, prediction: f64, truth: f64) -> Vec<PlaneSums> {
        vec![PlaneSums {
            intersection,
            prediction,
            truth,
        }]
    }

    fn mean(size: usize, cases: &[Vec<PlaneSums>]) -> f64 {
        let metric = SmIou { smooth: 1e-12 };
        let mut scores = BatchScores::new(&[BatchMetric::SmIou(metric)], size);
        cases.iter().for_each(|planes| scores.add(planes));
        let means = scores.means();
        assert_eq!(means[0].0, "validation_sm_iou");
        means[0].1
    }

    #[test]
    fn cases_are_pooled_into_batches_and_batches_count_the_same() {
        let cases = [
            plane(1.0, 1.0, 2.0),
            plane(0.0, 1.0, 1.0),
            plane(3.0, 3.0, 3.0),
        ];
        // 1 of 4, and 3 of 3: the last batch, of one case, counts as much as that of two.
        assert!((mean(2, &cases) - (0.25 + 1.0) / 2.0).abs() < 1e-9);
        assert!((mean(1, &cases) - (0.5 + 0.0 + 1.0) / 3.0).abs() < 1e-9);
        assert!((mean(4, &cases) - 4.0 / 7.0).abs() < 1e-9);
        assert!(mean(4, &[]).is_nan());
    }

    #[test]
    fn means_over_batches_are_those_that_keras_shows() {
        #[derive(serde::Deserialize)]
        struct File {
            evaluated: Evaluated,
        }
        #[derive(serde::Deserialize)]
        struct Evaluated {
            shape: [usize; 5],
            batch_size: usize,
            probabilities: Vec<f64>,
            target: Vec<f64>,
            sm_iou: f64,
            sm_dice: f64,
        }
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/segmentation_models/expected.json"
        );
        let text = std::fs::read_to_string(path).unwrap();
        let keras = serde_json::from_str::<File>(&text).unwrap().evaluated;
        let [_, _, x, y, z] = keras.shape;
        let metrics = [
            BatchMetric::SmIou(Default::default()),
            BatchMetric::SmDice(Default::default()),
        ];
        let mut scores = BatchScores::new(&metrics, keras.batch_size);
        let voxels = x * y * z;
        let cases = keras
            .probabilities
            .chunks(voxels)
            .zip(keras.target.chunks(voxels));
        for (probabilities, target) in cases {
            let mut planes = vec![PlaneSums::default(); z];
            for (i, (p, t)) in probabilities.iter().zip(target).enumerate() {
                planes[i % z] += PlaneSums {
                    intersection: p * t,
                    prediction: *p,
                    truth: *t,
                };
            }
            scores.add(&planes);
        }
        let means = scores.means();
        for ((column, ours), theirs) in means.iter().zip([keras.sm_iou, keras.sm_dice]) {
            assert!(
                (ours - theirs).abs() < 1e-6,
                "{column}: {ours}, not {theirs}"
            );
        }
    }

    #[test]
    fn a_case_of_another_shape_begins_a_batch() {
        let two_planes = [plane(1.0, 1.0, 1.0), plane(0.0, 1.0, 0.0)].concat();
        let cases = [plane(0.0, 1.0, 1.0), two_planes, plane(1.0, 1.0, 1.0)];
        assert!((mean(4, &cases) - (0.0 + 0.5 + 1.0) / 3.0).abs() < 1e-9);
    }
}
