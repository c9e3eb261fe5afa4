//! The rows of a run's tables.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::metric::mean_of_structures;
use crate::volume::Structures;

/// The result of one epoch: means over its samples and, where there are several, their structures; validation on the
/// network's grid. After an epoch that is not validated, its values are not a number.
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
    /// Column and value of each metric of batches that the validation has (`validate.metrics`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<(String, f64)>,
    /// The validation of each structure; none of one mask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub structures: Vec<StructureEpoch>,
}

/// The validation of one structure after an epoch: means over the cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StructureEpoch {
    /// Its name.
    pub name: String,
    /// IoU of the thresholded prediction.
    pub iou: f64,
    /// Dice of the thresholded prediction.
    pub dice: f64,
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

    /// Those of [`Self::METRICS`] that there are for each structure as well, as in `validation_dice/anterior`.
    pub const BY_STRUCTURE: [&str; 2] = ["validation_iou", "validation_dice"];

    /// The columns after [`Self::METRICS`] of a run with these structures.
    pub fn structure_columns<'a>(names: impl IntoIterator<Item = &'a str> + Clone) -> Vec<String> {
        let of = |metric: &'static str| {
            let names = names.clone().into_iter();
            names.map(move |name| format!("{metric}/{name}"))
        };
        Self::BY_STRUCTURE.into_iter().flat_map(of).collect()
    }

    /// The values in the columns [`Self::structure_columns`].
    pub(super) fn structure_values(&self) -> Vec<f64> {
        let ious = self.structures.iter().map(|of| of.iou);
        ious.chain(self.structures.iter().map(|of| of.dice))
            .collect()
    }

    /// Whether the epoch was validated.
    pub fn is_validated(&self) -> bool {
        !self.validation_loss.is_nan()
    }

    /// The value in the column `metric`: one of [`Self::METRICS`], of a structure, or of a metric of batches.
    pub fn metric(&self, metric: &str) -> Option<f64> {
        if let Some((metric, name)) = metric.split_once('/') {
            let of = self.structures.iter().find(|of| of.name == name)?;
            return match metric {
                "validation_iou" => Some(of.iou),
                "validation_dice" => Some(of.dice),
                _ => None,
            };
        }
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
            _ => return value_of(&self.metrics, metric),
        })
    }
}

/// A case's scores, on the native grid.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseScores {
    /// The case's id.
    pub case: String,
    /// Name and value of every score, in the order of the table's columns; of several structures their mean.
    pub scores: Vec<(String, f64)>,
    /// The scores of each structure, in the same order; none of one mask.
    pub structures: Vec<StructureScores>,
}

/// The scores of one structure in a case.
#[derive(Clone, Debug, PartialEq)]
pub struct StructureScores {
    /// The structure's name.
    pub name: String,
    /// Name and value of every score.
    pub scores: Vec<(String, f64)>,
}

impl StructureScores {
    /// The score of that name, if there is one.
    pub fn score(&self, name: &str) -> Option<f64> {
        value_of(&self.scores, name)
    }
}

fn value_of(scores: &[(String, f64)], name: &str) -> Option<f64> {
    let found = scores.iter().find(|(of, _)| of == name);
    found.map(|(_, value)| *value)
}

fn owned<'a>(scores: impl IntoIterator<Item = (&'a str, f64)>) -> Vec<(String, f64)> {
    let scores = scores.into_iter();
    scores
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

impl CaseScores {
    /// The scores of `case` by name.
    pub fn new<'a>(
        case: impl Into<String>,
        scores: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Self {
        Self {
            case: case.into(),
            scores: owned(scores),
            structures: Vec::new(),
        }
    }

    /// The scores of `case` in each of `structures`, in their order, and the means over them
    /// ([`mean_of_structures`]).
    pub fn of_structures(
        case: impl Into<String>,
        structures: &Structures,
        scores: Vec<Vec<(&'static str, f64)>>,
    ) -> Self {
        let mean = owned(mean_of_structures(&scores));
        let named = structures.names().into_iter().zip(scores);
        let structures = match structures.is_mask() {
            true => Vec::new(),
            false => named
                .map(|(name, scores)| StructureScores {
                    name: name.to_owned(),
                    scores: owned(scores),
                })
                .collect(),
        };
        Self {
            case: case.into(),
            scores: mean,
            structures,
        }
    }

    /// The score of that name, if there is one: `dice`, which is the mean over the structures, or `dice/anterior`.
    pub fn score(&self, name: &str) -> Option<f64> {
        match name.split_once('/') {
            None => value_of(&self.scores, name),
            Some((score, structure)) => {
                let of = self.structures.iter().find(|of| of.name == structure);
                of?.score(score)
            }
        }
    }

    /// The hard IoU, of several structures their mean; not a number where it was not scored.
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
    /// The column of `cases.csv` that says which structure a row is of; only runs of several have it.
    pub const STRUCTURE: &str = "structure";

    /// Whether there is a row for each structure of a case.
    pub fn is_by_structure(&self) -> bool {
        self.columns
            .get(1)
            .is_some_and(|name| name == Self::STRUCTURE)
    }

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
