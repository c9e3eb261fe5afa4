//! Scores of predicted masks against true ones.

pub mod compare;

use std::path::Path;

use thiserror::Error;

use crate::dataset::Case;
use crate::kernel::Kernels;
use crate::layout::CaseScores;
use crate::metric::{self, Evaluation};
use crate::predict::{PredictError, Predicted, Predictor};
use crate::volume::nifti::read_mask;
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
        "{prediction} and {truth} do not lie on one grid ({why}). Resample one onto the other \
         before comparing."
    )]
    Grids {
        /// The predicted mask.
        prediction: String,
        /// The true mask.
        truth: String,
        /// How they differ.
        why: String,
    },
}

/// Volume of a mask in mL.
pub fn volume_ml(mask: &Volume<u8>) -> f64 {
    let voxels = mask.voxels.iter().filter(|&&label| label > 0).count();
    voxels as f64 * mask.voxel_volume_ml()
}

/// Segments a case's raw scan and scores it on its own grid.
///
/// # Errors
///
/// When a file cannot be read or the scan not segmented.
pub fn evaluate_case<B: Kernels>(
    predictor: &Predictor<B>,
    case: &Case,
    settings: &Evaluation,
) -> Result<(CaseScores, Segmented), EvaluateError> {
    let raw = case.inputs().read().map_err(PredictError::from)?;
    let image = raw.case.image.clone();
    let Some(truth) = raw.case.mask.clone() else {
        unreachable!("a case's inputs always name its mask");
    };
    let predicted = predictor.predict(raw.case)?;
    let probability = Some(&predicted.probability);
    let scores = CaseScores::new(
        &case.id,
        metric::all(&predicted.mask, &truth, probability, settings),
    );
    let segmented = Segmented {
        image,
        truth,
        predicted,
    };
    Ok((scores, segmented))
}

/// A scan with its true and its predicted mask.
#[derive(Clone, Debug)]
pub struct Segmented {
    /// The raw scan.
    pub image: Volume<f32>,
    /// The true mask.
    pub truth: Volume<u8>,
    /// The prediction.
    pub predicted: Predicted,
}

/// Scores one mask file against another.
///
/// # Errors
///
/// When a file cannot be read or the two do not lie on one grid.
pub fn evaluate_files(
    prediction: &Path,
    truth: &Path,
    settings: &Evaluation,
) -> Result<CaseScores, EvaluateError> {
    let predicted = read_mask(prediction)?;
    let true_mask = read_mask(truth)?;
    if let Some(why) = predicted.grid().difference(&true_mask.grid()) {
        return Err(EvaluateError::Grids {
            prediction: prediction.display().to_string(),
            truth: truth.display().to_string(),
            why,
        });
    }
    Ok(CaseScores::new(
        prediction.display().to_string(),
        metric::all(&predicted, &true_mask, None, settings),
    ))
}
