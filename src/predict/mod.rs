//! From a raw scan to a mask on the scan's own grid.

mod brain;
mod network;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use brain::{OutputFiles, cut_out};

use crate::device::{DeviceChoice, DeviceError, DeviceName, resolve_one};
use crate::experiment::{self, Experiment, Prediction};
use crate::layout::RunFolder;
use crate::model::weights::WeightsError;
use crate::preprocess::{CaseVolumes, Pipeline, PreprocessError};
use crate::settings::ConfigError;
use crate::train::Checkpoints;
use crate::volume::resample::{Interpolation, resample};
use crate::volume::{Grid, Volume, VolumeError, keep_largest};
use network::Network;

/// A scan could not be segmented.
#[derive(Debug, Error)]
pub enum PredictError {
    /// The run's configuration cannot be read.
    #[error("{} is not a run's folder, or its config is damaged: {source}", folder.display())]
    Config {
        /// The folder given as the run.
        folder: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// The run has no weights, or not this model's.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The scan cannot be preprocessed.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The device cannot be used, or failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device returned something other than a probability per voxel.
    #[error("the network's output could not be read from the device: {0}")]
    Output(String),
    /// A result cannot be written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// A trained network with everything that comes before and after it.
pub struct Predictor {
    network: Box<dyn Network>,
    pipeline: Pipeline,
    settings: Prediction,
}

/// A segmented scan, on the scan's own grid.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// Probability of brain at each voxel; 0 outside the network's field of view.
    pub probability: Volume<f32>,
    /// Ones where there is brain.
    pub mask: Volume<u8>,
}

impl Predictor {
    /// The best network of the run in `folder`, on one device. `warn` gets the warnings about it.
    ///
    /// # Errors
    ///
    /// When the device cannot be used, the folder is not a run's or its weights cannot be read.
    pub fn open(
        folder: &Path,
        device: &DeviceChoice,
        warn: impl FnMut(&str),
    ) -> Result<Self, PredictError> {
        let device = resolve_one(device, warn)?;
        let resolved =
            experiment::load(&RunFolder::new(folder).config(), &[]).map_err(|source| {
                PredictError::Config {
                    folder: folder.to_owned(),
                    source,
                }
            })?;
        let weights = Checkpoints::of(folder).best();
        Self::new(&resolved.experiment, &weights, device)
    }

    /// The network of `experiment` with the weights in `weights`.
    ///
    /// # Errors
    ///
    /// When the weights cannot be read or are another network's, or the device fails.
    pub fn new(
        experiment: &Experiment,
        weights: &Path,
        device: DeviceName,
    ) -> Result<Self, PredictError> {
        Ok(Self {
            network: network::load(experiment, weights, device)?,
            pipeline: experiment.preprocess.clone(),
            settings: experiment.predict.clone(),
        })
    }

    /// Segments a raw scan; a mask that comes with it is not looked at.
    ///
    /// # Errors
    ///
    /// When the scan cannot be preprocessed, such as one that is constant, or the device fails.
    pub fn predict(&self, scan: CaseVolumes) -> Result<Predicted, PredictError> {
        let native = scan.image.grid();
        let prepared = self.pipeline.apply(CaseVolumes { mask: None, ..scan })?;
        self.predict_prepared(&prepared.image, &native)
    }

    /// Segments an image that has been through the preprocessing, onto the grid of its scan.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn predict_prepared(
        &self,
        image: &Volume<f32>,
        native: &Grid,
    ) -> Result<Predicted, PredictError> {
        let probability = Volume {
            voxels: self.network.probabilities(&image.voxels)?,
            affine: image.affine,
        };
        let probability = resample(&probability, native, Interpolation::Linear, false);
        let threshold = self.settings.threshold as f32;
        let mut mask = probability.voxels.mapv(|p| u8::from(p >= threshold));
        if self.settings.largest_component {
            keep_largest(&mut mask);
        }
        Ok(Predicted {
            mask: Volume {
                voxels: mask,
                affine: native.affine,
            },
            probability,
        })
    }
}
