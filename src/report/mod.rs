//! Pages and plots of finished runs.

mod cases;
mod curves;
mod experiment;
mod figure;
mod page;
mod qc;
mod reliability;
mod run;
mod strips;

use std::path::PathBuf;

use thiserror::Error;

pub use experiment::{Finished, write_experiment};
pub use figure::{Figure, Named};
pub use page::{Cell, Page, Table, check_page};
pub use qc::{Look, write_looks};
pub use reliability::reliability;
pub use run::{Highlight, draw_run, write_run};

use crate::files::FileError;
use crate::layout::TableError;
use crate::plot::PlotError;

/// A plot or a page could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run's `metrics.csv` or `cases.csv` could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Something else is in a page's place.
    #[error("{} exists, and it is no page of calvaria. Move it, and run the command again.", .0.display())]
    NotAPage(PathBuf),
    /// A plot could not be made.
    #[error(transparent)]
    Plot(#[from] PlotError),
}
