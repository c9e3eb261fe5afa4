//! Scores of predicted masks against true ones.

mod calibration;
pub mod compare;
mod files;
mod labels;
mod means;
mod pairs;
mod probabilities;

pub use calibration::{Calibration, ReliabilityBin};
pub use files::{FilesToScore, ScoredFiles, evaluate_files};
pub use labels::labels_that_occur;
pub use means::{Mean, StructureMeans, means};
pub use pairs::{MaskPair, MaskPairs};
pub use probabilities::probability_files;

use std::path::PathBuf;

use thiserror::Error;

use crate::dataset::Case;
use crate::layout::CaseScores;
use crate::metric::{Evaluation, by_structure};
use crate::predict::{PredictError, Predictor};
use crate::preprocess::Inputs;
use crate::volume::{Volume, VolumeError};

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
    /// Nothing has this path.
    #[error("{} is not there. Name a file, a folder, or a pattern such as 'out/{{id}}_mask.nii.gz'.", .0.display())]
    NotThere(PathBuf),
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
    /// A file of probabilities is named where there are several masks or structures.
    #[error(
        "{} is one file, and there are several {what}. Give the folder of the probabilities, or a pattern such as \
         'out/{{id}}_{pattern}.nii.gz'.", file.display(), pattern = match *what {
            "masks" => "probseg",
            _ => "{structure}",
        }
    )]
    OneProbability {
        /// The file.
        file: PathBuf,
        /// Masks or structures.
        what: &'static str,
    },
    /// A mask has no probabilities.
    #[error(
        "{} has no probabilities{structure} in {}. `calvaria predict --probabilities` writes them; those of another \
         program are named by a pattern, such as 'out/{{id}}_{{structure}}.nii.gz'.",
        prediction.display(), place.display()
    )]
    NoProbability {
        /// The mask.
        prediction: PathBuf,
        /// The structure, in words.
        structure: String,
        /// Where they were looked for.
        place: PathBuf,
    },
    /// A file that should hold probabilities holds other numbers.
    #[error("{} has the value {value}, and probabilities are from 0 to 1. Name the right file.", file.display())]
    NotProbability {
        /// The file.
        file: PathBuf,
        /// The value.
        value: f32,
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
