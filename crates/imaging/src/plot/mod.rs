//! Plots and pictures, as PNG and SVG: curves, strips, bars, overlays, contact sheets. Knows volumes, nothing
//! of runs.
//!
//! The backends of `plotters` draw the pixels and the SVG. Its charts (0.3.7) were tried and are not used: they do not
//! make room for the names they draw, so names overlap or leave the picture, and the same text is 6 % wider in the PNG
//! than in the SVG. Each module names what else is missing. Here one list of shapes becomes both files, and tests
//! check it for texts that cover each other.

mod axis;
mod bars;
mod contact_sheet;
mod curve;
mod dimension;
mod drawing;
mod legend;
mod mosaic;
mod outline;
mod overlay;
mod palette;
mod parallel;
mod parts;
mod section;
mod signature;
mod slice;
mod strip;
mod strips;
mod structures;
mod text;

use thiserror::Error;

pub use bars::{Bar, BarPlot};
pub use contact_sheet::{ContactSheet, SlicePlane, Tile};
pub use curve::{CurvePlot, Mark, Series};
pub use dimension::Dimension;
pub use mosaic::Mosaic;
pub use overlay::Overlay;
pub use palette::{STRUCTURE_COLOURS, structure_colour};
pub use parallel::ParallelPlot;
pub use signature::is_own_picture;
pub use slice::SlicePlot;
pub use strip::StripPlot;
pub use strips::StripRows;

use crate::files::FileError;

/// A plot could not be made.
#[derive(Debug, Error)]
pub enum PlotError {
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A plot could not be drawn.
    #[error("cannot draw {stem}: {why}. This is a bug in calvaria; please report it.")]
    Drawing {
        /// The plot's file name without its extension.
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
