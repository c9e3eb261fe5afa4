//! burn-train's metrics, written as TensorBoard events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use burn_train::logger::MetricLogger;
use burn_train::metric::store::{EpochSummary, MetricsUpdate, Split};
use burn_train::metric::{MetricDefinition, MetricId, NumericEntry};

use super::tensorboard::TensorBoard;
use crate::sync::lock;

/// Writes every numeric metric as `train/step/<name>` and `validation/step/<name>` at each step,
/// and its mean as `train/epoch/<name>` and `validation/epoch/<name>` at the end of each epoch.
pub struct TensorBoardLogger {
    board: Arc<Mutex<TensorBoard>>,
    names: HashMap<MetricId, String>,
    steps: HashMap<&'static str, usize>,
    means: HashMap<&'static str, Vec<(String, f64)>>,
}

impl TensorBoardLogger {
    /// Logs to `board`; steps count on from the numbers given.
    pub fn new(
        board: Arc<Mutex<TensorBoard>>,
        train_steps: usize,
        validation_steps: usize,
    ) -> Self {
        Self {
            board,
            names: HashMap::new(),
            steps: HashMap::from([("train", train_steps), ("validation", validation_steps)]),
            means: HashMap::new(),
        }
    }

    /// Whether what has this tag and step was recorded in the first `epochs` epochs, over which there were these
    /// numbers of steps.
    pub fn is_within(
        (tag, step): (&str, usize),
        epochs: usize,
        train_steps: usize,
        validation_steps: usize,
    ) -> bool {
        let last = match tag {
            tag if tag.starts_with("train/step/") => train_steps,
            tag if tag.starts_with("validation/step/") => validation_steps,
            // Means and pictures: one for each epoch.
            _ => epochs,
        };
        step <= last
    }

    fn write(&self, tag: &str, value: f64, step: usize) {
        lock(&self.board).scalar(tag, value as f32, step);
    }
}

fn group(split: &Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Valid => "validation",
        Split::Test(_) => "test",
    }
}

impl MetricLogger for TensorBoardLogger {
    fn log(&mut self, update: MetricsUpdate, _epoch: usize, split: &Split) {
        let group = group(split);
        let step = self.steps.entry(group).or_default();
        *step += 1;
        let step = *step;
        let mut means = Vec::new();
        for metric in &update.entries_numeric {
            let Some(name) = self.names.get(&metric.entry.metric_id) else {
                continue;
            };
            self.write(
                &format!("{group}/step/{name}"),
                metric.numeric_entry.current(),
                step,
            );
            means.push((name.clone(), metric.running_entry.current()));
        }
        self.means.insert(group, means);
    }

    // Checkpoints and early stopping read the run's own history, never the logs.
    fn read_numeric(
        &mut self,
        _name: &str,
        _epoch: usize,
        _split: &Split,
    ) -> Result<Vec<NumericEntry>, String> {
        Ok(Vec::new())
    }

    fn log_metric_definition(&mut self, definition: MetricDefinition) {
        // burn-train's own metrics have names such as `Learning Rate`; ours are `learning_rate`.
        let name = definition.name.to_lowercase().replace(' ', "_");
        self.names.insert(definition.metric_id, name);
    }

    fn log_epoch_summary(&mut self, summary: EpochSummary) {
        let group = group(&summary.split);
        for (name, mean) in self.means.remove(group).unwrap_or_default() {
            self.write(&format!("{group}/epoch/{name}"), mean, summary.epoch_number);
        }
        lock(&self.board).flush();
    }
}
