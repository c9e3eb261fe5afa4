//! From a raw scan to a mask on the scan's own grid.

mod brain;
mod network;
mod plausible;

use std::path::{Path, PathBuf};

use thiserror::Error;

pub use brain::cut_out;

use crate::device::{DeviceChoice, DeviceError, DeviceName, resolve_one};
use crate::experiment::{self, Experiment, Prediction};
use crate::layout::RunFolder;
use crate::model::weights::WeightsError;
use crate::preprocess::{Applied, CaseVolumes, Pipeline, PreprocessError};
use crate::settings::ConfigError;
use crate::train::Checkpoints;
use crate::volume::resample::{Interpolation, resample};
use crate::volume::{Grid, Volume, VolumeError, keep_largest};
use network::Network;
use plausible::UsualVolumes;

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
    #[error("{}", of_a_run(.0))]
    Preprocess(#[from] PreprocessError),
    /// The network's work does not fit into memory.
    #[error(
        "segmenting {} x {} x {} voxels takes about {} of memory, and {} is available. Use a machine, a job or a \
         limit (`ulimit -v`) with more, a GPU (--device), or crop the scan around the head first.",
        shape[0], shape[1], shape[2], gigabytes(*needed), gigabytes(*available)
    )]
    Memory {
        /// The network's input, in voxels.
        shape: [usize; 3],
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
    },
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

/// A preprocessing error with a remedy that someone who has a run and a scan can follow: a run's steps are part of
/// its network.
fn of_a_run(error: &PreprocessError) -> String {
    match error {
        PreprocessError::NotFinite {
            first,
            value,
            count,
            ..
        } => format!(
            "voxel {first:?} is {value}, which is not an intensity ({count} such voxels in all). Repair the scan, for \
             example with `calvaria preprocess nan_to_zero SCAN REPAIRED.nii.gz`, which takes them as 0."
        ),
        PreprocessError::Step { .. } => format!(
            "{error} The run's steps belong to its network and cannot be changed: change the scan, or use another run."
        ),
        other => other.to_string(),
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// A trained network with everything that comes before and after it.
pub struct Predictor {
    network: Box<dyn Network>,
    pipeline: Pipeline,
    settings: Prediction,
    usual_volumes: Option<UsualVolumes>,
}

/// A segmented scan, on the scan's own grid.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// Probability of brain at each voxel; 0 outside the network's field of view.
    pub probability: Volume<f32>,
    /// Ones where there is brain.
    pub mask: Volume<u8>,
    /// What is doubtful about the result, in words.
    pub warnings: Vec<String>,
}

impl Predictor {
    /// The best network of the run in `folder`, on one device. `warn` gets the warnings about both.
    ///
    /// # Errors
    ///
    /// When the device cannot be used, the folder is not a run's or its weights cannot be read.
    pub fn open(
        folder: &Path,
        device: &DeviceChoice,
        mut warn: impl FnMut(&str),
    ) -> Result<Self, PredictError> {
        let device = resolve_one(device, &mut warn)?;
        let resolved =
            experiment::load(&RunFolder::new(folder).config(), &[]).map_err(|source| {
                PredictError::Config {
                    folder: folder.to_owned(),
                    source,
                }
            })?;
        let weights = Checkpoints::of(folder).best();
        if !RunFolder::new(folder).summary().exists() {
            warn(&format!(
                "{} is not finished: the best of the epochs so far is used.",
                folder.display()
            ));
        }
        let mut opened = Self::new(&resolved.experiment, &weights, device)?;
        opened.usual_volumes = UsualVolumes::of(&RunFolder::new(folder));
        opened.network.measure()?;
        Ok(opened)
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
            usual_volumes: None,
        })
    }

    /// Segments a raw scan; a mask that comes with it is not looked at.
    ///
    /// # Errors
    ///
    /// When the scan cannot be preprocessed, such as one that is constant, or the device fails.
    pub fn predict(&self, scan: CaseVolumes) -> Result<Predicted, PredictError> {
        let native = scan.grid();
        let scan = CaseVolumes { mask: None, ..scan };
        let Applied { case, warnings, .. } = self.pipeline.apply_in_full(scan)?.useful()?;
        let mut predicted = self.predict_prepared(case.first(), &native)?;
        predicted.warnings.splice(0..0, warnings);
        Ok(predicted)
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
        let mask = Volume {
            voxels: mask,
            affine: native.affine,
        };
        let marked = mask.voxels.iter().filter(|voxel| **voxel != 0).count();
        let doubt = plausible::doubt(marked as f64 * mask.voxel_volume_ml(), self.usual_volumes);
        Ok(Predicted {
            mask,
            probability,
            warnings: doubt.into_iter().collect(),
        })
    }
}
