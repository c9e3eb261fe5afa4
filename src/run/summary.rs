//! The result of a run: `summary.json`, and the lines shown at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::console::duration;
use crate::files::{FileError, read_text, write_json};
use crate::layout::CaseScores;
use crate::statistics::mean_and_sd;
use crate::train::Progress;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Seed and fold, as in the folder's name.
    pub variant: String,
    /// The run's folder.
    pub folder: PathBuf,
    /// Epochs trained.
    pub epochs: usize,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
    /// Its validation IoU on the network's grid.
    pub best_iou: f64,
    /// Mean IoU of the validation cases on their own grids.
    pub native_iou: f64,
    /// Number of validation cases.
    pub cases: usize,
    /// Wall time of the last session, in seconds.
    pub seconds: f64,
}

impl RunSummary {
    pub(super) fn new(
        variant: &str,
        folder: &Path,
        progress: &Progress,
        cases: &[CaseScores],
        time: Duration,
    ) -> Self {
        let ious: Vec<f64> = cases.iter().map(CaseScores::iou).collect();
        Self {
            variant: variant.to_owned(),
            folder: folder.to_owned(),
            epochs: progress.history.len(),
            best_epoch: progress.best.map_or(0, |best| best.epoch),
            best_iou: progress.best.map_or(f64::NAN, |best| best.iou),
            native_iou: mean_and_sd(&ious).0,
            cases: cases.len(),
            seconds: time.as_secs_f64(),
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), FileError> {
        write_json(path, self)
    }

    pub(super) fn read(path: &Path) -> Result<Self, FileError> {
        serde_json::from_str(&read_text(path)?).map_err(|error| FileError {
            action: "understand",
            path: path.to_owned(),
            remedy: "Run again with --force.",
            source: error.into(),
        })
    }

    /// Name and value of every number, human-readable.
    pub fn rows(&self) -> Vec<(String, String)> {
        let row = |name: &str, value: String| (name.to_owned(), value);
        vec![
            row(
                "validation IoU",
                format!(
                    "{:.4} (best of {} epochs: {})",
                    self.best_iou, self.epochs, self.best_epoch
                ),
            ),
            row(
                "on the scans' own grids",
                format!("{:.4} (mean of {} cases)", self.native_iou, self.cases),
            ),
            row("time", duration(Duration::from_secs_f64(self.seconds))),
        ]
    }
}

/// Name, mean and deviation of every number over several runs, human-readable.
pub fn mean_over_runs(runs: &[RunSummary]) -> Vec<(String, String)> {
    let row = |name: &str, value: fn(&RunSummary) -> f64| {
        let values: Vec<f64> = runs.iter().map(value).collect();
        let (mean, sd) = mean_and_sd(&values);
        (name.to_owned(), format!("{mean:.4} ± {sd:.4}"))
    };
    vec![
        row("validation IoU", |run| run.best_iou),
        row("on the scans' own grids", |run| run.native_iou),
    ]
}
