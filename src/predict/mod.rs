//! From a raw scan to a mask on the scan's own grid.

mod component;

use std::path::{Path, PathBuf};

use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, TensorData};
use ndarray::Array3;
use thiserror::Error;

pub use component::keep_largest;

use crate::experiment::{self, Experiment, Prediction};
use crate::kernel::Kernels;
use crate::layout::RunFolder;
use crate::model::Network;
use crate::model::weights::{self, WeightsError};
use crate::preprocess::{Pipeline, Prepared, PreprocessError};
use crate::settings::ConfigError;
use crate::train::Checkpoints;
use crate::volume::resample::{Interpolation, resample};
use crate::volume::{Grid, Volume};

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
    /// The device returned something other than a probability per voxel.
    #[error("the network's output could not be read from the device: {0}")]
    Device(String),
}

/// A trained network with everything that comes before and after it.
pub struct Predictor<B: Kernels> {
    network: Network<B>,
    pipeline: Pipeline,
    settings: Prediction,
    device: B::Device,
}

/// A segmented scan, on the scan's own grid.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// Probability of brain at each voxel; 0 outside the network's field of view.
    pub probability: Volume<f32>,
    /// Ones where there is brain.
    pub mask: Volume<u8>,
}

impl<B: Kernels> Predictor<B> {
    /// The best network of the run in `folder`.
    ///
    /// # Errors
    ///
    /// When the folder is not a run's or its weights cannot be read.
    pub fn from_run(folder: &Path, device: &B::Device) -> Result<Self, PredictError> {
        let resolved =
            experiment::load(&RunFolder::new(folder).config(), &[]).map_err(|source| {
                PredictError::Config {
                    folder: folder.to_owned(),
                    source,
                }
            })?;
        Self::new(
            &resolved.experiment,
            &Checkpoints::of(folder).best(),
            device,
        )
    }

    /// The network of `experiment` with the weights in `weights`.
    ///
    /// # Errors
    ///
    /// When the weights cannot be read or are another network's.
    pub fn new(
        experiment: &Experiment,
        weights: &Path,
        device: &B::Device,
    ) -> Result<Self, PredictError> {
        let network = experiment.model.init::<B>(experiment.seed, device);
        Ok(Self {
            network: weights::load(network, weights, device)?,
            pipeline: experiment.preprocess.clone(),
            settings: experiment.predict.clone(),
            device: device.clone(),
        })
    }

    /// Segments a raw scan; a mask that comes with it is not looked at.
    ///
    /// # Errors
    ///
    /// When the scan cannot be preprocessed, such as one that is constant.
    pub fn predict(&self, scan: Prepared) -> Result<Predicted, PredictError> {
        let native = scan.image.grid();
        let prepared = self.pipeline.apply(Prepared { mask: None, ..scan })?;
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
            voxels: self.probabilities(&image.voxels)?,
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

    fn probabilities(&self, image: &Array3<f32>) -> Result<Array3<f32>, PredictError> {
        let (x, y, z) = image.dim();
        let data = TensorData::new(image.iter().copied().collect(), [1, 1, x, y, z]);
        let logits = self
            .network
            .forward(Tensor::<B, 5>::from_data(data, &self.device));
        let values: Vec<f32> = sigmoid(logits).into_data().iter::<f32>().collect();
        Array3::from_shape_vec((x, y, z), values)
            .map_err(|error| PredictError::Device(error.to_string()))
    }
}
