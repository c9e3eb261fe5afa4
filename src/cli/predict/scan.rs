//! One scan: segmented, written, told.

use super::jobs::Planned;
use crate::cli::{self, CliError};
use crate::evaluate::volume_ml;
use crate::layout::PredictionRow;
use crate::predict::{PredictError, Predictor, Segmented};
use crate::preprocess::LoadedCase;

/// Segments a scan that was read. The remarks are what is doubtful about it.
pub(super) fn segment(
    predictor: &Predictor,
    scan: &Planned,
    read: Result<LoadedCase, CliError>,
    quiet: bool,
) -> Result<(Segmented, String), CliError> {
    let (path, mut read) = (scan.path(), read?);
    read.origin.maker = Some(scan.maker);
    cli::warn(path, &read.warnings, quiet);
    let mut remarks = read.warnings.clone();
    let segmented = predictor
        .segment(read, &scan.files)
        .map_err(|error| match error {
            PredictError::Preprocess(_) => CliError::input(format!("{}: {error}", path.display())),
            other => CliError::work(format!("{}: {other}", path.display())),
        })?;
    cli::warn(path, &segmented.predicted.warnings, quiet);
    remarks.extend(segmented.predicted.warnings.iter().cloned());
    Ok((segmented, remarks.join("; ")))
}

/// Writes what was found in a scan, and tells it.
pub(super) fn write(
    scan: &Planned,
    segmented: &Segmented,
    remarks: &str,
) -> Result<Vec<PredictionRow>, CliError> {
    let path = scan.path();
    let written = segmented.write();
    written.map_err(|error| CliError::work(format!("{}: {error}", path.display())))?;
    for map in &scan.outdated {
        let removed = std::fs::remove_file(map);
        removed.map_err(|error| CliError::work(format!("{}: {error}", map.display())))?;
    }
    let (structures, predicted) = (segmented.structures(), &segmented.predicted);
    let names = structures
        .names()
        .into_iter()
        .zip(&predicted.doubts)
        .enumerate();
    let row = |(structure, (name, doubt)): (usize, (&str, &f64))| PredictionRow {
        scan: path.display().to_string(),
        structure: name.to_owned(),
        volume_ml: match structures.is_mask() {
            true => volume_ml(&predicted.mask),
            false => volume_ml(&structures.mask_of(structure, &predicted.mask)),
        },
        doubt: *doubt,
        remarks: remarks.to_owned(),
        result: scan.files.mask.display().to_string(),
    };
    Ok(names.map(row).collect())
}

/// Prints what was found in a scan, and where it is.
pub(super) fn tell(scan: &Planned, rows: &[PredictionRow], progress: &str) {
    let found = rows.iter().map(in_words).collect::<Vec<_>>().join(", ");
    outln!("{}: {found}{progress}", scan.path().display());
    for file in scan.files.all() {
        outln!("  {}", file.display());
    }
    for map in &scan.outdated {
        outln!("  removed {}, which was of another run", map.display());
    }
}

/// What was found, as in `brain of 1423 mL (doubt 0.03)`.
pub(super) fn in_words(row: &PredictionRow) -> String {
    let name = match row.structure.as_str() {
        "" => "brain",
        name => name,
    };
    let digits = if row.structure.is_empty() || row.volume_ml >= 10.0 {
        0
    } else {
        2
    };
    format!(
        "{name} of {:.digits$} mL (doubt {:.2})",
        row.volume_ml, row.doubt
    )
}
