//! The page to go through predictions.

use std::path::Path;

use rayon::prelude::*;

use super::scan::in_words;
use crate::cli::CliError;
use crate::layout::{PredictionRow, PredictionTable, doubt};
use crate::plot::Mosaic;
use crate::report::{Look, write_looks};
use crate::volume::nifti::{read_image, read_mask_by};
use crate::volume::{Marked, MaskRule, Structures};

/// The folder of the pictures, below the page's.
const PICTURES: &str = "pictures";

/// Draws every scan of the table and writes the page that shows them into `folder`. A scan that cannot be drawn is left out,
/// and told.
pub(super) fn write(
    folder: &Path,
    table: &PredictionTable,
    structures: &Structures,
) -> Result<(), CliError> {
    let scans = table.worst_first();
    let looks = scans.par_iter().enumerate().map(|(at, rows)| {
        let picture = format!("{PICTURES}/{:04}.png", at + 1);
        draw(&rows[0], structures, &folder.join(&picture))
            .map(|()| look(rows, picture))
            .map_err(|why| format!("{}: {why}", rows[0].scan))
    });
    let looks: Vec<Result<Look, String>> = looks.collect();
    let mut shown = Vec::new();
    for one in looks {
        match one {
            Ok(look) => shown.push(look),
            Err(why) => errln!("warning: {why} It is not on the page."),
        }
    }
    write_looks(folder, &shown).map_err(CliError::work)
}

fn look(rows: &[PredictionRow], picture: String) -> Look {
    let facts: Vec<String> = rows.iter().map(in_words).collect();
    Look {
        scan: rows[0].scan.clone(),
        result: rows[0].result.clone(),
        picture,
        facts: facts.join(", "),
        doubt: doubt(rows),
        remarks: rows[0].remarks.clone(),
    }
}

fn draw(row: &PredictionRow, structures: &Structures, picture: &Path) -> Result<(), String> {
    let rule = match structures.is_mask() {
        true => MaskRule::ANY_PART,
        false => MaskRule {
            marked: Marked::Structures(structures.clone()),
            ..MaskRule::ANY_PART
        },
    };
    let image = read_image(Path::new(&row.scan)).map_err(|error| error.to_string())?;
    let found = read_mask_by(Path::new(&row.result), &rule).map_err(|error| error.to_string())?;
    let mosaic = Mosaic {
        image: &image,
        found: &found,
        structures,
    };
    mosaic.save(picture).map_err(|error| error.to_string())
}
