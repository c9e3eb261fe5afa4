//! From a raw scan to a mask on the scan's own grid.

mod brain;
mod decide;
mod network;
mod plausible;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

pub use brain::cut_out;
pub use decide::Probabilities;

use crate::device::{DeviceChoice, DeviceError, DeviceName, resolve_one};
use crate::experiment::{self, Experiment, Prediction};
use crate::layout::RunFolder;
use crate::model::weights::WeightsError;
use crate::preprocess::{Applied, CaseVolumes, Pipeline, PreprocessError};
use crate::settings::ConfigError;
use crate::train::Checkpoints;
use crate::volume::{Grid, Structures, Volume, VolumeError};
use crate::window::View;
use decide::decide;
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
    /// The scan has not the network's images.
    #[error("the scan has {given} images, and the run's network sees these: {wanted}")]
    Images {
        /// How many images there are.
        given: usize,
        /// The network's, by name.
        wanted: String,
    },
    /// The network's work does not fit into memory.
    #[error(
        "segmenting {} x {} x {} voxels takes about {} of memory, and {} is available. Let a window slide over the \
         scan (--window auto), use a machine, a job or a limit (`ulimit -v`) with more, a GPU (--device), or crop the scan \
         around the head first.",
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
    structures: Arc<Structures>,
    images: Vec<String>,
    usual_volumes: UsualVolumes,
}

/// A segmented scan, on the scan's own grid.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// The probability of each structure.
    pub probabilities: Probabilities,
    /// The class map (see [`Structures`]); of one mask, ones where there is brain.
    pub mask: Volume<u8>,
    /// What is doubtful about the result, in words.
    pub warnings: Vec<String>,
}

/// The experiment of the run in `folder`.
///
/// # Errors
///
/// When the folder is not a run's.
pub fn experiment_of(folder: &Path) -> Result<Experiment, PredictError> {
    let resolved = experiment::load(&RunFolder::new(folder).config(), &[]);
    let resolved = resolved.map_err(|source| PredictError::Config {
        folder: folder.to_owned(),
        source,
    })?;
    Ok(resolved.experiment)
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
        let experiment = experiment_of(folder)?;
        let weights = Checkpoints::of(folder).best();
        let run = RunFolder::new(folder);
        if !run.summary().exists() {
            warn(&format!(
                "{} is not finished: the best of the epochs so far is used.",
                folder.display()
            ));
        }
        let mut opened = Self::new(&experiment, &weights, device)?;
        opened.usual_volumes = UsualVolumes::of(&run, &opened.structures);
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
        let images = experiment.image_names();
        let pipeline = experiment.preprocess.clone();
        Ok(Self {
            network: network::load(experiment, weights, device)?,
            pipeline,
            settings: experiment.predict.clone(),
            structures: experiment.structures(),
            images,
            usual_volumes: UsualVolumes::default(),
        })
    }

    /// Lets the network see this much of a scan at once, instead of what its experiment says.
    ///
    /// # Panics
    ///
    /// If it is a window without a size, and the network was not trained on patches: [`View::rules`].
    pub fn see(&mut self, view: View) {
        self.network.see(view);
    }

    /// What the network finds.
    pub fn structures(&self) -> &Structures {
        &self.structures
    }

    /// The images that it sees, in order.
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// Segments a raw scan; a mask that comes with it is not looked at.
    ///
    /// # Errors
    ///
    /// When the scan has not the network's number of images, it cannot be preprocessed, such as one that is
    /// constant, or the device fails.
    pub fn predict(&self, scan: CaseVolumes) -> Result<Predicted, PredictError> {
        if scan.images.len() != self.images.len() || scan.images.is_empty() {
            return Err(PredictError::Images {
                given: scan.images.len(),
                wanted: self.images.join(", "),
            });
        }
        let native = scan.grid();
        let scan = CaseVolumes { mask: None, ..scan };
        let Applied { case, warnings, .. } = self.pipeline.apply_in_full(scan)?.useful()?;
        let mut predicted = self.predict_prepared(&case.images, &native)?;
        predicted.warnings.splice(0..0, warnings);
        Ok(predicted)
    }

    /// Segments images, all of one grid, that have been through the preprocessing, onto the grid of their scan.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn predict_prepared(
        &self,
        images: &[Volume<f32>],
        native: &Grid,
    ) -> Result<Predicted, PredictError> {
        let channels = self.network.probabilities(images)?;
        let affine = images[0].affine;
        let place = |voxels| Volume { voxels, affine };
        let channels = channels.into_iter().map(place).collect();
        let (mask, probabilities) = decide(channels, native, &self.structures, &self.settings);
        let warnings = plausible::doubts(&mask, &self.structures, &self.usual_volumes);
        Ok(Predicted {
            probabilities,
            mask,
            warnings,
        })
    }
}
