//! Training one network on one fold, on burn-train.

mod batch_scores;
mod checkpoint;
mod counts;
mod ema;
mod epoch_sums;
mod finite;
mod gradient;
mod learning_rate;
mod objective;
mod parameters;
mod replicas;
mod segmenter;
mod session;
mod step_metric;
mod strategy;
mod timing;

use std::path::Path;

use burn_train::Interrupter;
use thiserror::Error;

pub use checkpoint::{Best, CheckpointError, Checkpoints, Progress, Resumed};
pub use counts::{Counts, plane_sums, soft_counts};
pub use learning_rate::LearningRate;
pub use objective::OwnLoss;
pub use segmenter::{Segmenter, StepRecord};
pub use timing::{StepTiming, time_steps};

use crate::console::Console;
use crate::dataset::TrainingCase;
use crate::device::{DeviceJob, DeviceName, DevicePanic, run_on};
use crate::experiment::Experiment;
use crate::files::FileError;
use crate::kernel::TrainingBackend;
use crate::layout::RunFolder;
use crate::model::weights::WeightsError;
use crate::preprocess::PreprocessError;
use crate::track::TensorBoardError;

/// Training could not be done, or not to its end.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The loss became infinite or not a number.
    #[error(
        "the loss is {loss} at epoch {epoch}, step {step} (cases {}). Finished epochs are \
         saved. Try a lower optimizer.learning_rate or train.gradient_clip: 1.0, and look at these \
         cases' images.",
        cases.join(", ")
    )]
    NotFinite {
        /// The loss.
        loss: f64,
        /// Counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 1.
        step: usize,
        /// The cases in the batch.
        cases: Vec<String>,
    },
    /// The loss of a validation case is infinite or not a number: with finite weights, a value on the way overflows.
    #[error(
        "the validation loss is {loss} after epoch {epoch} (case {case}). Epochs before it are saved. Try a lower \
         optimizer.learning_rate or train.gradient_clip: 1.0, and look at this case's image."
    )]
    ValidationNotFinite {
        /// The loss.
        loss: f64,
        /// Counted from 1.
        epoch: usize,
        /// The case.
        case: String,
    },
    /// The loss is finite, and the weights are not.
    #[error(
        "the weights are no longer finite after epoch {epoch}. Epochs before it are saved. Try a \
         lower optimizer.learning_rate or train.gradient_clip: 1.0."
    )]
    Diverged {
        /// Counted from 1.
        epoch: usize,
    },
    /// A case could not be read.
    #[error(transparent)]
    Case(#[from] PreprocessError),
    /// The weights to start from cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An epoch could not be saved.
    #[error("epoch {epoch} could not be saved: {source} {}", kept(*epoch))]
    NotSaved {
        /// Counted from 1.
        epoch: usize,
        /// Why.
        source: CheckpointError,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// TensorBoard's events could not be written.
    #[error(transparent)]
    TensorBoard(#[from] TensorBoardError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DevicePanic),
    /// The user asked to stop.
    #[error("stopped after epoch {epochs}; finished epochs are saved. The same command resumes.")]
    Interrupted {
        /// Finished epochs.
        epochs: usize,
    },
}

/// What is left when `epoch` is lost.
fn kept(epoch: usize) -> String {
    match epoch {
        1 => "Only this epoch was lost; the same command starts again.".into(),
        _ => format!(
            "Epochs up to {} are saved; the same command resumes after them.",
            epoch - 1
        ),
    }
}

/// One fold's data, and where its results and messages go.
pub struct TrainInput<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// The folder of the experiment, which the run is a fold and seed of.
    pub group: &'a Path,
    /// Cases to train on.
    pub train: Vec<TrainingCase>,
    /// Cases to validate on.
    pub validation: Vec<TrainingCase>,
    /// Trained on instead of the experiment's loss, where it is given.
    pub own_loss: Option<OwnLoss>,
    /// Stops training after the current step when it is tripped.
    pub interrupter: Interrupter,
    /// Progress messages and a bar.
    pub console: Console,
}

impl TrainInput<'_> {
    fn files(&self) -> RunFolder {
        RunFolder::new(self.folder)
    }
}

/// Trains `experiment` on one fold, resuming from its last checkpoint if there is one, and returns
/// the progress made. The best weights are in `checkpoints/best.safetensors`.
///
/// The network is on the first of `devices`; the others share each step's batches, each with a copy of
/// the network.
///
/// # Errors
///
/// When a case cannot be read, a file not written, the loss is not finite, the device fails, or the user
/// interrupts.
pub fn train(
    experiment: &Experiment,
    input: TrainInput<'_>,
    devices: &[DeviceName],
) -> Result<Progress, TrainError> {
    run_on(devices, Training { experiment, input })?
}

struct Training<'a> {
    experiment: &'a Experiment,
    input: TrainInput<'a>,
}

impl DeviceJob for Training<'_> {
    type Output = Result<Progress, TrainError>;

    fn run<B: TrainingBackend>(self, devices: &[B::Device]) -> Self::Output {
        session::Session::new(self.experiment, self.input).run::<B>(devices)
    }
}
