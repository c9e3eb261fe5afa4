//! Which cases train and which validate.
//!
//! What is split are units: subjects, or groups of subjects that must stay together. Whatever drew
//! or read the folds, one function checks them before anybody trains on them.

mod balance;
mod check;
mod error;
mod fold_file;
mod group;
mod holdout;
mod kfold;
mod leave_one_out;
mod predefined;
mod stratify;

use serde::{Deserialize, Serialize};

use super::Case;

pub use error::SplitError;
pub use holdout::{Amount, Holdout};
pub use kfold::KFold;
pub use leave_one_out::LeaveOneOut;
pub use predefined::Predefined;
pub use stratify::{Measure, Stratify};

crate::family! {
    /// Which cases train and which validate. Subjects are split, not cases: all cases of a subject
    /// stand on the same side, and so do all subjects of a group where `group` names a column.
    pub enum Split {
        /// Some subjects validate, the rest train.
        "holdout" => Holdout(Holdout),
        /// Each subject validates once, in one of k folds; repeated, if so asked.
        "kfold" => KFold(KFold),
        /// A fold for every subject or group, in which it alone validates.
        "leave_one_out" => LeaveOneOut(LeaveOneOut),
        /// Folds that a file defines: an earlier run's, nnU-Net's, a table's.
        "file" => Predefined(Predefined),
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
        let (folds, group) = match self {
            Self::Holdout(holdout) => (holdout.folds(&cases, seed)?, &holdout.group),
            Self::KFold(kfold) => (kfold.folds(&cases, seed)?, &kfold.group),
            Self::LeaveOneOut(one) => (one.folds(&cases)?, &one.group),
            Self::Predefined(file) => (file.folds(&cases)?, &file.group),
        };
        check::check(&folds, &cases, group.as_deref(), &self.origin())?;
        Ok(folds)
    }

    /// Where the folds come from, for people.
    fn origin(&self) -> String {
        match self {
            Self::Predefined(file) => file.path.display().to_string(),
            drawn => format!("split {}", drawn.name()),
        }
    }
}

/// Checks a setting that names a column, if it is set.
fn check_column(key: &str, column: Option<&str>) -> Result<(), String> {
    match column {
        Some("") => Err(format!("{key} must name a column, or be left out")),
        _ => Ok(()),
    }
}
