//! `metrics.csv`: a row an epoch.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files::{FileError, write_atomic};

/// What one epoch came to. Means over its samples; validation on the network's grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Loss over the training samples.
    pub train_loss: f64,
    /// IoU of the thresholded prediction over the training samples.
    pub train_iou: f64,
    /// IoU on probabilities over the training samples.
    pub train_iou_soft: f64,
    /// Loss over the validation cases.
    pub validation_loss: f64,
    /// IoU of the thresholded prediction, mean over the validation cases.
    pub validation_iou: f64,
    /// IoU on probabilities, mean over the validation cases.
    pub validation_iou_soft: f64,
    /// Dice of the thresholded prediction, mean over the validation cases.
    pub validation_dice: f64,
    /// Seconds that the epoch took.
    pub seconds: f64,
}

impl Epoch {
    /// The columns of `metrics.csv` behind `epoch`.
    pub const METRICS: [&str; 9] = [
        "learning_rate",
        "train_loss",
        "train_iou",
        "train_iou_soft",
        "validation_loss",
        "validation_iou",
        "validation_iou_soft",
        "validation_dice",
        "seconds",
    ];
}

/// `metrics.csv` cannot be read.
#[derive(Debug, Error)]
#[error("{} is not a table of epochs: {source}. Delete the run's folder and run it again.", path.display())]
pub struct HistoryError {
    path: PathBuf,
    source: csv::Error,
}

/// Writes the table of epochs whole.
///
/// # Errors
///
/// When the file cannot be written; the older one then stays.
pub fn write_history(path: &Path, epochs: &[Epoch]) -> Result<(), FileError> {
    write_atomic(path, |out| {
        let mut table = csv::Writer::from_writer(out);
        for epoch in epochs {
            table.serialize(epoch).map_err(io::Error::other)?;
        }
        table.flush()
    })
}

/// Reads the table of epochs.
///
/// # Errors
///
/// When the file is missing or damaged.
pub fn read_history(path: &Path) -> Result<Vec<Epoch>, HistoryError> {
    let rows = || -> Result<Vec<Epoch>, csv::Error> {
        csv::Reader::from_path(path)?.into_deserialize().collect()
    };
    rows().map_err(|source| HistoryError {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let epochs: Vec<Epoch> = (1..4)
            .map(|epoch| Epoch {
                epoch,
                learning_rate: 0.1 / epoch as f64,
                train_loss: 1.0 / 3.0,
                train_iou: 0.1,
                train_iou_soft: 0.2,
                validation_loss: f64::MIN_POSITIVE,
                validation_iou: 0.3,
                validation_iou_soft: 0.7,
                validation_dice: 2.0 / 7.0,
                seconds: 12.5,
            })
            .collect();
        write_history(&path, &epochs).unwrap();
        assert_eq!(read_history(&path).unwrap(), epochs);
        let header = csv::Reader::from_path(&path)
            .unwrap()
            .headers()
            .unwrap()
            .clone();
        assert!(header.iter().skip(1).eq(Epoch::METRICS));
        std::fs::write(&path, "epoch,loss\n1,nothing\n").unwrap();
        assert!(
            read_history(&path)
                .unwrap_err()
                .to_string()
                .contains("metrics.csv")
        );
    }
}
