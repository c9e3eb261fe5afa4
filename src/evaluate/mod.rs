//! Scores of predicted masks against true ones.

pub mod compare;
mod labels;
mod means;
mod pairs;

pub use labels::labels_that_occur;
pub use means::{Mean, StructureMeans, means};
pub use pairs::{MaskPair, MaskPairs};

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::dataset::Case;
use crate::layout::CaseScores;
use crate::metric::{Evaluation, by_structure};
use crate::predict::{PredictError, Predictor};
use crate::preprocess::Inputs;
use crate::volume::nifti::read_scan;
use crate::volume::{Marked, MaskRule, Structures, Volume, VolumeError};

/// A mask could not be scored.
#[derive(Debug, Error)]
pub enum EvaluateError {
    /// A file could not be read.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The scan could not be segmented.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// The two masks do not lie on one grid.
    #[error(
        "{prediction} does not lie on the grid of {truth}: {why}. If they are of one scan and its header is to blame, \
         allow the distance (--grid-tolerance); else resample one onto the other."
    )]
    Grids {
        /// The predicted mask.
        prediction: String,
        /// The true mask.
        truth: String,
        /// How they differ.
        why: String,
    },
    /// A label is asked for that occurs in neither file.
    #[error(
        "neither {prediction} nor {truth} has a voxel with one of the labels {labels:?}. Name labels that occur."
    )]
    NoLabel {
        /// The predicted mask.
        prediction: String,
        /// The true mask.
        truth: String,
        /// The labels.
        labels: Vec<f64>,
    },
    /// No structure that is declared occurs in either file.
    #[error(
        "neither {prediction} nor {truth} has a voxel of {structures}. Name labels that occur."
    )]
    NoStructure {
        /// The prediction.
        prediction: String,
        /// The truth.
        truth: String,
        /// What was declared.
        structures: String,
    },
    /// A folder cannot be read.
    #[error("{0}.")]
    Folder(String),
    /// A pattern of paths is wrong.
    #[error("the pattern {0}.")]
    Pattern(String),
    /// A folder or a pattern has no mask.
    #[error(
        "{} holds no masks: looked for names that end in .nii, .nii.gz or .hdr.", .0.display()
    )]
    NoMasks(PathBuf),
    /// Two masks of one side have the same name.
    #[error(
        "{} and {} are both called `{name}`. Name the masks by a pattern that tells them apart, such as 'out/{{id}}.nii.gz'.",
        first.display(), second.display()
    )]
    SameName {
        /// The name.
        name: String,
        /// One mask.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// It is unclear which true mask a prediction belongs to.
    #[error(
        "it is unclear whether {} belongs to {} or {}. Give patterns instead of folders: 'out/{{id}}_mask.nii.gz' \
         'labels/{{id}}.nii.gz'.",
        prediction.display(), first.display(), second.display()
    )]
    Unclear {
        /// The prediction.
        prediction: PathBuf,
        /// One true mask.
        first: PathBuf,
        /// Another.
        second: PathBuf,
    },
    /// No mask of one side belongs to one of the other.
    #[error(
        "no mask of {prediction} (such as `{predicted}`) belongs to one of {truth} (such as `{true_name}`). Give patterns: \
         'out/{{id}}_mask.nii.gz' 'labels/{{id}}.nii.gz'."
    )]
    NoPairs {
        /// Where the predictions are.
        prediction: String,
        /// Where the true masks are.
        truth: String,
        /// The name of a prediction.
        predicted: String,
        /// The name of a true mask.
        true_name: String,
    },
    /// The labels that occur cannot be the structures.
    #[error("the labels of {files} cannot be scored one by one: {why}.")]
    Labels {
        /// The prediction and its truth, or how many files.
        files: String,
        /// Why not.
        why: String,
    },
}

/// Volume of a mask in mL.
pub fn volume_ml(mask: &Volume<u8>) -> f64 {
    let voxels = mask.voxels.iter().filter(|&&label| label > 0).count();
    voxels as f64 * mask.voxel_volume_ml()
}

/// Segments the prepared images of a case and scores each structure in the class map, which is returned as well, on the
/// case's own grid.
///
/// # Errors
///
/// When a file cannot be read or the image not segmented.
pub fn evaluate_case(
    predictor: &Predictor,
    case: &Case,
    prepared: &[Volume<f32>],
    settings: &Evaluation,
) -> Result<(CaseScores, Volume<u8>), EvaluateError> {
    let (image, truth) = read_native(case)?;
    let native = image.grid();
    drop(image);
    let predicted = predictor.predict_prepared(prepared, &native)?;
    let structures = predictor.structures();
    let probability = |structure| predicted.probabilities.of(structure);
    let scores = by_structure(
        &predicted.mask,
        &truth,
        structures,
        Some(&probability),
        settings,
    );
    let scores = CaseScores::of_structures(&case.id, structures, scores);
    Ok((scores, predicted.mask))
}

/// A case's raw scan, the first of several images, and its true class map.
///
/// # Errors
///
/// When a file cannot be read or the two do not fit each other.
pub fn read_native(case: &Case) -> Result<(Volume<f32>, Volume<u8>), EvaluateError> {
    let inputs = Inputs {
        region: None,
        ..case.inputs()
    };
    let mut raw = inputs.read().map_err(PredictError::from)?;
    let Some(truth) = raw.case.mask else {
        unreachable!("a case's inputs always name its mask");
    };
    Ok((raw.case.images.swap_remove(0), truth))
}

/// A scan with its true and its predicted class map.
#[derive(Clone, Debug)]
pub struct Segmented {
    /// The raw scan, the first of several images.
    pub image: Volume<f32>,
    /// The true class map.
    pub truth: Volume<u8>,
    /// The predicted class map.
    pub prediction: Volume<u8>,
}

/// Scores one file of a mask or of labels against another, each read by its rule, and returns what is doubtful about
/// the two as well. Where the truth's rule names structures, each of them is scored.
/// They may lie up to `tolerance` voxels apart ([`Forms::fits`](crate::volume::nifti::Forms::fits)); the true mask's
/// voxels count.
///
/// # Errors
///
/// When a file cannot be read or is not a mask, or the two do not lie on one grid.
pub fn evaluate_files(
    (prediction, prediction_rule): (&Path, &MaskRule),
    (truth, truth_rule): (&Path, &MaskRule),
    tolerance: f64,
    settings: &Evaluation,
) -> Result<(CaseScores, Vec<String>), EvaluateError> {
    let [predicted, true_mask] = [read_scan(prediction)?, read_scan(truth)?];
    let name = prediction.display().to_string();
    let fit = true_mask
        .forms
        .fits("the true mask", &predicted.forms, tolerance);
    let noted = fit.map_err(|why| EvaluateError::Grids {
        prediction: name.clone(),
        truth: truth.display().to_string(),
        why,
    })?;
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
    let scores = by_structure(&predicted, &true_mask, structures, None, settings);
    Ok((
        CaseScores::of_structures(name, structures, scores),
        warnings,
    ))
}
