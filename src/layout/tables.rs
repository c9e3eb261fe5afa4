//! The rows of a run's tables.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The result of one epoch: means over its samples; validation on the network's grid.
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
    /// The columns of `metrics.csv` after `epoch`.
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

    /// The value in the column `metric`, one of [`Self::METRICS`].
    pub fn metric(&self, metric: &str) -> Option<f64> {
        Some(match metric {
            "learning_rate" => self.learning_rate,
            "train_loss" => self.train_loss,
            "train_iou" => self.train_iou,
            "train_iou_soft" => self.train_iou_soft,
            "validation_loss" => self.validation_loss,
            "validation_iou" => self.validation_iou,
            "validation_iou_soft" => self.validation_iou_soft,
            "validation_dice" => self.validation_dice,
            "seconds" => self.seconds,
            _ => return None,
        })
    }
}

/// A case's scores, on the native grid.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseScores {
    /// The case's id.
    pub case: String,
    /// Name and value of every score, in the order of the table's columns.
    pub scores: Vec<(String, f64)>,
}

impl CaseScores {
    /// The scores of `case` by name.
    pub fn new<'a>(
        case: impl Into<String>,
        scores: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Self {
        let scores = scores.into_iter();
        Self {
            case: case.into(),
            scores: scores
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        }
    }

    /// The score of that name, if there is one.
    pub fn score(&self, name: &str) -> Option<f64> {
        let found = self.scores.iter().find(|(of, _)| of == name);
        found.map(|(_, value)| *value)
    }

    /// The hard IoU; not a number where it was not scored.
    pub fn iou(&self) -> f64 {
        self.score("iou").unwrap_or(f64::NAN)
    }
}

/// A table of a run as text, to compare or show its exact digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows' texts, one per column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads [`RunFolder::metrics`](super::RunFolder::metrics) or [`RunFolder::cases`](super::RunFolder::cases).
    ///
    /// # Errors
    ///
    /// When the file is missing or not a table.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let read = || -> csv::Result<Self> {
            let mut table = csv::Reader::from_path(path)?;
            let texts = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
            let columns = texts(table.headers()?);
            let rows = table.records().map(|row| row.map(|row| texts(&row)));
            Ok(Self {
                columns,
                rows: rows.collect::<csv::Result<_>>()?,
            })
        };
        read().map_err(|error| TableError::new(path, error))
    }
}

/// A table of a run cannot be read.
#[derive(Debug, Error)]
#[error("{}: {why}. Run the experiment again with --force to replace it.", path.display())]
pub struct TableError {
    path: PathBuf,
    why: String,
}

impl TableError {
    pub(super) fn new(path: &Path, why: impl ToString) -> Self {
        Self {
            path: path.to_owned(),
            why: why.to_string(),
        }
    }
}
