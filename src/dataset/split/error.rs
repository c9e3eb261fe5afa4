use std::path::PathBuf;

use thiserror::Error;

use crate::files::FileError;
use crate::volume::VolumeError;

/// Cases cannot be split as asked. Every message names what is at fault and the remedy.
#[derive(Debug, Error)]
pub enum SplitError {
    /// There are not enough subjects, or groups of them.
    #[error(
        "cannot {wanted}: the data has too few {units} for that ({units}: {count}, cases: {cases}). {remedy}."
    )]
    TooFew {
        /// What was asked for.
        wanted: String,
        /// What is split: subjects, or groups and by what.
        units: String,
        /// How many of those there are.
        count: usize,
        /// How many cases they have.
        cases: usize,
        /// What would work.
        remedy: &'static str,
    },
    /// A subject or group trains and validates in one fold.
    #[error(
        "{origin}: {whose} stands on both sides of fold {fold}: case {train} trains, case {validation} validates. Put all its cases on one side."
    )]
    BothSides {
        /// The file or the kind of split.
        origin: String,
        /// Who: `subject …`, or the group's column and value.
        whose: String,
        /// Which fold, counted from 0.
        fold: usize,
        /// A case of theirs that trains.
        train: String,
        /// A case of theirs that validates.
        validation: String,
    },
    /// One side of a fold has no case.
    #[error("{origin}: fold {fold} has no case to {missing}. Give both sides at least one.")]
    EmptySide {
        /// The file or the kind of split.
        origin: String,
        /// Which fold, counted from 0.
        fold: usize,
        /// `train on` or `validate on`.
        missing: &'static str,
    },
    /// A case lacks the column that is grouped or stratified by.
    #[error("case {case} has no value in the column `{column}` to split by. {there}.")]
    NoColumn {
        /// The case.
        case: String,
        /// The column.
        column: String,
        /// Which columns it has, and the nearest.
        there: String,
    },
    /// A mask whose volume is asked for cannot be read.
    #[error(transparent)]
    Mask(#[from] VolumeError),
    /// The file that defines the folds cannot be read.
    #[error(transparent)]
    Unreadable(#[from] FileError),
    /// The file that defines the folds is wrong.
    #[error("{}: {why}", path.display())]
    Predefined {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy, in sentences.
        why: String,
    },
}
