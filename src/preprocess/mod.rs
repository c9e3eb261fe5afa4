//! Preprocessing: what is done to a scan before a network sees it, one step a file.

pub mod cache;
pub mod n4;
mod resample;
mod rescale;
mod zscore;

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use thiserror::Error;

use crate::volume::{Volume, VolumeError};

pub use n4::N4;
pub use resample::{Centre, Resample};
pub use rescale::Rescale;
pub use zscore::{Over, Zscore};

crate::family! {
    /// One step of preprocessing.
    pub enum Step {
        /// Corrects the slow brightness drift of MRI (N4ITK).
        "n4" => N4(N4),
        /// Moves image and mask onto another grid.
        "resample" => Resample(Resample),
        /// Maps the intensities linearly onto a range.
        "rescale" => Rescale(Rescale),
        /// Shifts and scales the intensities to mean 0 and standard deviation 1.
        "zscore" => Zscore(Zscore),
    }
}

impl Step {
    fn apply(&self, case: Prepared) -> Result<Prepared, PreprocessError> {
        match self {
            // The mask is what the network shall learn: at prediction time there is none, so no
            // intensity step may look at it.
            Self::N4(step) => match step.correct(&case.image) {
                Ok(corrected) => Ok(Prepared {
                    image: corrected.image,
                    ..case
                }),
                Err(error) => Err(PreprocessError::Step {
                    step: "n4",
                    why: error.to_string(),
                }),
            },
            Self::Resample(step) => step.apply(case),
            Self::Rescale(step) => Ok(Prepared {
                image: step.apply(case.image),
                ..case
            }),
            Self::Zscore(step) => Ok(Prepared {
                image: step.apply(case.image)?,
                ..case
            }),
        }
    }
}

/// A scan on its way through the steps, with its mask where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The scan.
    pub image: Volume<f32>,
    /// What to find in it (0 or 1), on the scan's grid.
    pub mask: Option<Volume<u8>>,
}

/// The steps in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pipeline(pub Vec<Step>);

impl Pipeline {
    /// Checks every step's values.
    ///
    /// # Errors
    ///
    /// A sentence that names the step, the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        self.0.iter().try_for_each(Step::validate)
    }

    /// Takes a case through all steps.
    ///
    /// # Errors
    ///
    /// When a step cannot do its work on this case, or leaves voxels that are no number.
    pub fn apply(&self, case: Prepared) -> Result<Prepared, PreprocessError> {
        self.0.iter().try_fold(case, |case, step| {
            let case = step.apply(case)?;
            if case.image.voxels.iter().all(|value| value.is_finite()) {
                return Ok(case);
            }
            Err(PreprocessError::Step {
                step: step.name(),
                why: "its result has voxels that are infinite or not a number. Look at the scan \
                      for extreme intensities"
                    .into(),
            })
        })
    }
}

/// A case could not be preprocessed. Every message says what to do.
#[derive(Debug, Error)]
pub enum PreprocessError {
    /// A file could not be read or written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The cache's folder could not be used.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    /// A step cannot do its work on this case.
    #[error("the preprocessing step `{step}` failed: {why}.")]
    Step {
        /// The step's name in YAML.
        step: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// The mask does not lie on the image's grid.
    #[error(
        "the mask {} does not fit the image {}: {difference}. Use the mask that was drawn on this \
         image, or resample it onto the image's grid first.", mask.display(), image.display()
    )]
    Mismatch {
        /// The image's file.
        image: PathBuf,
        /// The mask's file.
        mask: PathBuf,
        /// Both shapes or both affines.
        difference: String,
    },
    /// The mask marks nothing.
    #[error(
        "the mask {} is empty: no voxel differs from 0. Check that it is the right file, or leave \
         the case out.", path.display()
    )]
    EmptyMask {
        /// The mask's file.
        path: PathBuf,
    },
}
