//! Why an experiment could not be run.

use thiserror::Error;

use super::data::ChangedData;
use crate::dataset::{DatasetError, SplitError};
use crate::device::DeviceError;
use crate::evaluate::EvaluateError;
use crate::files::FileError;
use crate::predict::PredictError;
use crate::preprocess::PreprocessError;
use crate::report::ReportError;
use crate::train::TrainError;

/// An experiment could not be run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The devices cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The cases cannot be found.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The cases cannot be split.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A case cannot be read or preprocessed.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data are not those that the run, or another one of its experiment or sweep, was made from.
    #[error(transparent)]
    Data(#[from] ChangedData),
    /// The network cannot take these cases, or the run's folder holds another run.
    #[error("{0}")]
    Setup(String),
    /// The user asked to stop before or after training.
    #[error("stopped while {doing}; {kept}; the same command resumes.")]
    Interrupted {
        /// What was being done.
        doing: &'static str,
        /// What is not done again.
        kept: &'static str,
    },
    /// Training failed or was interrupted.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The trained network could not be scored.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The trained network could not be loaded.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// A plot or the report could not be made.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl RunError {
    /// Whether the user asked to stop: nothing failed, and the same command resumes.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Interrupted { .. } | Self::Train(TrainError::Interrupted { .. })
        )
    }

    /// Whether the input or the configuration is at fault, rather than the work.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Device(error) => error.is_input(),
            Self::Dataset(_)
            | Self::Split(_)
            | Self::Preprocess(_)
            | Self::Data(_)
            | Self::Setup(_) => true,
            _ => false,
        }
    }
}
