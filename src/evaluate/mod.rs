//! Scores of predicted masks against true ones.

pub mod compare;

use std::path::Path;

use thiserror::Error;

use crate::dataset::Case;
use crate::layout::CaseScores;
use crate::metric::{self, Evaluation};
use crate::predict::{PredictError, Predictor};
use crate::preprocess::Inputs;
use crate::volume::nifti::read_scan;
use crate::volume::{Marked, MaskRule, Volume, VolumeError};

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
}

/// Volume of a mask in mL.
pub fn volume_ml(mask: &Volume<u8>) -> f64 {
    let voxels = mask.voxels.iter().filter(|&&label| label > 0).count();
    voxels as f64 * mask.voxel_volume_ml()
}

/// Segments the prepared images of a case and scores its mask, which is returned as well, on the case's own
/// grid.
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
    let probability = Some(predicted.probabilities.of(0));
    let probability = probability.as_deref();
    let scores = CaseScores::new(
        &case.id,
        metric::all(&predicted.mask, &truth, probability, settings),
    );
    Ok((scores, predicted.mask))
}

/// A case's raw scan and its true mask.
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

/// A scan with its true and its predicted mask.
#[derive(Clone, Debug)]
pub struct Segmented {
    /// The raw scan.
    pub image: Volume<f32>,
    /// The true mask.
    pub truth: Volume<u8>,
    /// The predicted mask.
    pub prediction: Volume<u8>,
}

/// Scores one mask file against another, each read by its rule, and returns what is doubtful about the two as well.
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
    let warnings = noted
        .map(|noted| format!("{name}: {noted}"))
        .into_iter()
        .chain(doubts);
    let warnings = warnings.collect();
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
    let scores = metric::all(&predicted, &true_mask, None, settings);
    Ok((CaseScores::new(name, scores), warnings))
}
