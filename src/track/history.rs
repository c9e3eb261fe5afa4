//! `metrics.csv`: one row per epoch.

use std::path::Path;

pub use crate::layout::{Epoch, TableError as HistoryError};

use crate::files::FileError;
use crate::layout::RunFolder;

/// Writes the table of epochs whole.
///
/// # Errors
///
/// When the file cannot be written; the older one then stays.
pub fn write_history(path: &Path, epochs: &[Epoch]) -> Result<(), FileError> {
    run(path).write_metrics(epochs)
}

/// Reads the table of epochs.
///
/// # Errors
///
/// When the file is missing or damaged.
pub fn read_history(path: &Path) -> Result<Vec<Epoch>, HistoryError> {
    run(path).read_metrics()
}

fn run(path: &Path) -> RunFolder {
    RunFolder::new(path.parent().unwrap_or(path))
}
