//! Plots, pictures and the pages that show finished runs. Works on plain data.

mod axis;
mod bars;
mod cases;
mod contact_sheet;
mod curve;
mod dimension;
mod drawing;
mod experiment;
mod html;
mod legend;
mod outline;
mod overlay;
mod parallel;
mod run;
mod slice;
mod strip;
mod text;

use std::path::PathBuf;

use thiserror::Error;

pub use bars::{Bar, BarPlot};
pub use contact_sheet::{ContactSheet, SlicePlane, Tile};
pub use curve::{CurvePlot, Drawn, Series};
pub use dimension::Dimension;
pub use experiment::{Finished, write_experiment};
pub use html::{Cell, Page, Table};
pub use overlay::Overlay;
pub use parallel::ParallelPlot;
pub use run::{Highlight, draw_run, write_run};
pub use slice::SlicePlot;
pub use strip::StripPlot;

use crate::files::FileError;
use crate::track::HistoryError;

/// A plot or a report could not be made.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The run's table of epochs could not be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The run's table of scores could not be read.
    #[error("{} is not a table of scores: {source}. Run the experiment again to write it anew.", path.display())]
    Cases {
        /// The table.
        path: PathBuf,
        /// What is wrong.
        source: csv::Error,
    },
    /// A plot could not be drawn.
    #[error("cannot draw {stem}: {why}. This is a fault of the program; please report it.")]
    Drawing {
        /// The plot's file name without its ending.
        stem: String,
        /// The drawing library's reason.
        why: String,
    },
    /// A scan and its masks do not have the same shape.
    #[error(
        "{title}: the scan has {image:?} voxels, the true mask {truth:?} and the prediction \
         {prediction:?}. Bring them onto one grid before drawing them."
    )]
    Shapes {
        /// The picture's title.
        title: String,
        /// The scan's shape.
        image: [usize; 3],
        /// The true mask's shape.
        truth: [usize; 3],
        /// The predicted mask's shape.
        prediction: [usize; 3],
    },
}
