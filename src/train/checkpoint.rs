//! `checkpoints/`: `best.safetensors` and `last.safetensors` hold weights; `last.state` holds
//! everything that a run needs to resume.

use std::path::{Path, PathBuf};

use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::parameters::Parameters;
use super::segmenter::Segmenter;
use crate::files::{FileError, write_atomic};
use crate::layout::{Epoch, RunFolder};
use crate::model::weights::{self, WeightsError};
use crate::optimizer::OptimizerState;

/// A checkpoint cannot be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Weights cannot be written or read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The state is damaged or belongs to another model or optimiser.
    #[error(
        "the checkpoint {} cannot be used: {why}. Run again with --force to start over.",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// The best epoch so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Counted from 1.
    pub epoch: usize,
    /// Its validation IoU.
    pub iou: f64,
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The finished epochs.
    pub history: Vec<Epoch>,
    /// The best of them.
    pub best: Option<Best>,
}

#[derive(Serialize, Deserialize)]
struct State {
    progress: Progress,
    model: Parameters,
    /// The running mean of the weights, where one is kept.
    averaged: Option<Parameters>,
    #[serde(with = "serde_bytes")]
    optimizer: Vec<u8>,
}

/// The state of an interrupted run.
pub struct Resumed<B: AutodiffBackend> {
    /// The model.
    pub model: Segmenter<B>,
    /// The running mean of its weights, where one is kept.
    pub averaged: Option<Segmenter<B::InnerBackend>>,
    /// Its progress.
    pub progress: Progress,
}

/// A run's checkpoints folder.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    files: RunFolder,
}

impl Checkpoints {
    /// The checkpoints of the run in `run`.
    pub fn of(run: &Path) -> Self {
        Self {
            files: RunFolder::new(run),
        }
    }

    /// Weights of the epoch with the best validation IoU.
    pub fn best(&self) -> PathBuf {
        self.files.best_weights()
    }

    fn state(&self) -> PathBuf {
        self.files.last_state()
    }

    /// Whether there is a state to resume from.
    pub fn resumable(&self) -> bool {
        self.state().is_file()
    }

    /// Saves the end of an epoch, and its weights as the best where they are. Where a running mean of
    /// the weights is kept, that is what the files of weights hold.
    ///
    /// # Errors
    ///
    /// When a file cannot be written; the previous checkpoint is then still whole.
    pub fn save<B: AutodiffBackend>(
        &self,
        model: &Segmenter<B>,
        averaged: Option<&Segmenter<B::InnerBackend>>,
        optimizer: &OptimizerState<B>,
        progress: &Progress,
    ) -> Result<(), CheckpointError> {
        let last = progress.history.len();
        let save = |path: &Path| match averaged {
            Some(averaged) => weights::save(&averaged.network, path),
            None => weights::save(&model.network, path),
        };
        if progress.best.is_some_and(|best| best.epoch == last) {
            save(&self.best())?;
        }
        save(&self.files.last_weights())?;
        let unusable = |why: String| self.unusable(why);
        let state = State {
            progress: progress.clone(),
            model: Parameters::of(model),
            averaged: averaged.map(Parameters::of),
            optimizer: optimizer.to_bytes().map_err(|e| unusable(e.to_string()))?,
        };
        let bytes = rmp_serde::to_vec_named(&state).map_err(|e| unusable(e.to_string()))?;
        write_atomic(&self.state(), |out| out.write_all(&bytes))?;
        Ok(())
    }

    /// Loads the last state into `model` and `optimizer`; also gives the running mean of the weights,
    /// where one is kept.
    ///
    /// # Errors
    ///
    /// When the state is damaged or belongs to another model or optimiser.
    pub fn resume<B: AutodiffBackend>(
        &self,
        model: Segmenter<B>,
        optimizer: &OptimizerState<B>,
        device: &B::Device,
    ) -> Result<Resumed<B>, CheckpointError> {
        let bytes = std::fs::read(self.state()).map_err(|e| self.unusable(e.to_string()))?;
        let state: State =
            rmp_serde::from_slice(&bytes).map_err(|e| self.unusable(e.to_string()))?;
        optimizer
            .load_bytes(&state.optimizer, device)
            .map_err(|e| self.unusable(e.to_string()))?;
        let averaged = (state.averaged)
            .map(|averaged| averaged.load(model.valid()))
            .transpose()
            .map_err(|why| self.unusable(why))?;
        let model = state.model.load(model);
        Ok(Resumed {
            model: model.map_err(|why| self.unusable(why))?,
            averaged,
            progress: state.progress,
        })
    }

    fn unusable(&self, why: String) -> CheckpointError {
        CheckpointError::Unusable {
            path: self.state(),
            why,
        }
    }
}
