//! Which cases train and which validate.
//!
//! What is split are units: subjects, or groups of subjects that must stay together. One function checks all
//! folds, drawn or read, before training.

mod balance;
mod check;
mod error;
mod fold_file;
mod group;
mod stratify;

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Case;
use crate::settings::Fault;

pub use error::SplitError;
pub use stratify::{Measure, Stratify};

/// What every split does: the contract of a member of [`Split`].
pub trait SplitMethod {
    /// Splits `cases`, which are in order of their ids.
    ///
    /// # Errors
    ///
    /// When there are too few subjects for every fold to train and to validate, or a column or file
    /// that is split by is missing or wrong.
    fn folds(&self, cases: &[&Case], seed: u64) -> Result<Vec<Fold>, SplitError>;

    /// The column whose values stay on one side, if there is one.
    fn group(&self) -> Option<&str>;

    /// The file that defines the folds, if one does.
    fn file(&self) -> Option<&Path> {
        None
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// Which cases train and which validate. Subjects are split, not cases: all cases of a subject
    /// stand on the same side, and so do all subjects of a group where `group` names a column.
    pub enum Split: SplitMethod, listed as "splits" {
        /// Some subjects validate, the rest train.
        "holdout" => holdout::Holdout,
        /// Each subject validates once, in one of k folds; repeated, if so asked.
        "kfold" => kfold::KFold,
        /// A fold for every subject or group, in which it alone validates.
        "leave_one_out" => leave_one_out::LeaveOneOut,
        /// Folds that a file defines: an earlier run's, nnU-Net's, a table's.
        "file" => predefined::Predefined,
    }
}

impl Default for Split {
    fn default() -> Self {
        Self::Holdout(Holdout::default())
    }
}

/// Which cases train and which validate in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Which fold it is, counted from 0.
    pub index: usize,
    /// Ids of the cases to train on, sorted.
    pub train: Vec<String>,
    /// Ids of the cases to validate on, sorted.
    pub validation: Vec<String>,
}

impl Split {
    /// Splits `cases`. Their order does not matter.
    ///
    /// # Errors
    ///
    /// When there are too few subjects for every fold to train and to validate, a column or file
    /// that is split by is missing or wrong, or a file's fold has a subject or group on both sides.
    pub fn folds(&self, cases: &[Case], seed: u64) -> Result<Vec<Fold>, SplitError> {
        let mut cases: Vec<&Case> = cases.iter().collect();
        cases.sort_by(|a, b| a.id.cmp(&b.id));
        let folds = with_member!(self, method => method.folds(&cases, seed))?;
        let group = with_member!(self, method => method.group());
        check::check(&folds, &cases, group, &self.origin())?;
        Ok(folds)
    }

    /// Where the folds come from, in words.
    fn origin(&self) -> String {
        match with_member!(self, method => method.file()) {
            Some(file) => file.display().to_string(),
            None => format!("split {}", self.name()),
        }
    }
}

/// What is wrong with a setting that names a column, if it is set.
fn column_rules(key: &str, column: Option<&str>) -> Vec<Fault> {
    match column {
        Some("") => {
            let message = format!("{key} must name a column, or be left out");
            vec![Fault::new(key, message)]
        }
        _ => Vec::new(),
    }
}
