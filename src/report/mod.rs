//! Pages and plots of finished runs.

mod cases;
mod experiment;
mod page;
mod run;

use std::path::PathBuf;

use thiserror::Error;

pub use experiment::{Finished, write_experiment};
pub use page::{Cell, Page, Table};
pub use run::{Highlight, draw_run, write_run};

use crate::files::FileError;
use crate::plot::PlotError;
use crate::track::HistoryError;

/// A plot or a page could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run's `metrics.csv` could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A run's `cases.csv` could not be read.
    #[error("{} is not a table of scores: {source}. Run the experiment again with --force.", path.display())]
    Cases {
        /// The table.
        path: PathBuf,
        /// What is wrong.
        source: csv::Error,
    },
    /// A plot could not be made.
    #[error(transparent)]
    Plot(#[from] PlotError),
}
