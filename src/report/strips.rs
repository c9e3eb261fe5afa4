//! The scores of cases as dots.

use crate::plot::{StripPlot, StripRows};

/// The IoU of each case, `of_structures` the mean over several.
pub(super) fn strip(values: Vec<(String, f64)>, of_structures: bool) -> StripPlot {
    let label = match of_structures {
        false => "IoU",
        true => "IoU (mean over structures)",
    };
    StripPlot {
        title: "Validation cases on their own grids".into(),
        label: label.into(),
        values,
    }
}

/// The Dice of all cases in each structure.
pub(super) fn structure_strips(rows: Vec<(String, Vec<f64>)>) -> StripRows {
    StripRows {
        title: "Structures in the validation cases, on their own grids".into(),
        label: "Dice (line: median)".into(),
        rows,
    }
}
