//! Scores of files.

use std::path::{Path, PathBuf};

use super::{Calibration, EvaluateError, labels};
use crate::layout::CaseScores;
use crate::metric::{Evaluation, by_structure};
use crate::volume::nifti::{Forms, read_scan};
use crate::volume::{Marked, MaskRule, Structures, Volume};

/// What a scale in single precision may add to a probability of 1.
const ROUNDING: f32 = 1e-6;

/// What is held against each other.
pub struct FilesToScore<'a> {
    /// The predicted mask and how it is read.
    pub prediction: (&'a Path, &'a MaskRule),
    /// The true one.
    pub truth: (&'a Path, &'a MaskRule),
    /// The probabilities of each structure, in their order; none where they are not scored.
    pub probabilities: &'a [PathBuf],
}

/// The scores of a case.
pub struct ScoredFiles {
    /// Every score.
    pub scores: CaseScores,
    /// What is doubtful about the files.
    pub warnings: Vec<String>,
    /// How well the probabilities of each structure are calibrated, where there are some.
    pub calibrations: Vec<Calibration>,
}

/// Scores one file of a mask or of labels against another, each read by its rule, and returns what is doubtful about
/// the two as well. Where the truth's rule names structures, each of them is scored. Where there are probabilities, it is
/// scored how well they are calibrated.
/// They may lie up to `tolerance` voxels apart ([`Forms::fits`](crate::volume::nifti::Forms::fits)); the true mask's
/// voxels count.
///
/// # Errors
///
/// When a file cannot be read or is not a mask, or the two do not lie on one grid.
pub fn evaluate_files(
    files: &FilesToScore,
    tolerance: f64,
    settings: &Evaluation,
) -> Result<ScoredFiles, EvaluateError> {
    let (prediction, prediction_rule) = files.prediction;
    let (truth, truth_rule) = files.truth;
    let [predicted, true_mask] = [read_scan(prediction)?, read_scan(truth)?];
    let name = prediction.display().to_string();
    let true_forms = true_mask.forms;
    let noted = fit(
        (prediction, &predicted.forms),
        (truth, &true_forms),
        tolerance,
    )?;
    let doubts = true_mask.warnings().into_iter();
    let doubts = doubts.map(|doubt| format!("{}: {doubt}", truth.display()));
    let mut warnings: Vec<String> = noted
        .map(|noted| format!("{name}: {noted}"))
        .into_iter()
        .chain(doubts)
        .collect();
    let predicted = predicted.into_mask(prediction, prediction_rule)?;
    let true_mask = true_mask.into_mask(truth, truth_rule)?;
    let is_empty = |mask: &Volume<u8>| mask.voxels.iter().all(|voxel| *voxel == 0);
    if let Marked::Labels(labels) = &truth_rule.marked
        && is_empty(&predicted)
        && is_empty(&true_mask)
    {
        return Err(EvaluateError::NoLabel {
            prediction: name,
            truth: truth.display().to_string(),
            labels: labels.clone(),
        });
    }
    let structures = match &truth_rule.marked {
        Marked::Structures(structures) => structures,
        _ => &Structures::Mask,
    };
    if !structures.is_mask() {
        let nowhere = labels::nowhere(structures, [&predicted, &true_mask]);
        if nowhere.len() == structures.count() {
            return Err(EvaluateError::NoStructure {
                prediction: name,
                truth: truth.display().to_string(),
                structures: structures.describe(),
            });
        }
        if !nowhere.is_empty() {
            warnings.push(format!(
                "neither file has a voxel of {}: there both agree, and have the best scores",
                nowhere.join(", ")
            ));
        }
    }
    let mut scores = by_structure(&predicted, &true_mask, structures, None, settings);
    let mut calibrations = Vec::new();
    for (structure, file) in files.probabilities.iter().enumerate() {
        let read = read_scan(file)?;
        fit((file, &read.forms), (truth, &true_forms), tolerance)?;
        let probability = read.into_image(file)?;
        let mut values = probability.voxels.iter();
        if let Some(&value) = values.find(|value| !(0.0..=1.0 + ROUNDING).contains(*value)) {
            return Err(EvaluateError::NotProbability {
                file: file.clone(),
                value,
            });
        }
        let calibration = Calibration::of(&probability, &true_mask, structures, structure);
        scores[structure].extend(calibration.scores());
        calibrations.push(calibration);
    }
    Ok(ScoredFiles {
        scores: CaseScores::of_structures(name, structures, scores),
        warnings,
        calibrations,
    })
}

/// Whether a file lies on the grid of the true mask, and what is to be noted about it.
fn fit(
    (file, forms): (&Path, &Forms),
    (truth, true_forms): (&Path, &Forms),
    tolerance: f64,
) -> Result<Option<String>, EvaluateError> {
    let fit = true_forms.fits("the true mask", forms, tolerance);
    fit.map_err(|why| EvaluateError::Grids {
        prediction: file.display().to_string(),
        truth: truth.display().to_string(),
        why,
    })
}
