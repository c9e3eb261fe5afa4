//! Why a scan could not be segmented.

use std::path::PathBuf;

use thiserror::Error;

use crate::device::DeviceError;
use crate::files::FileError;
use crate::model::weights::WeightsError;
use crate::preprocess::PreprocessError;
use crate::settings::ConfigError;
use crate::volume::VolumeError;

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
    /// Runs cannot segment a scan together.
    #[error(
        "{} has other {what} than {}: only runs of one task can be averaged. Name one of them.",
        folder.display(), first.display()
    )]
    Apart {
        /// The run.
        folder: PathBuf,
        /// The first run.
        first: PathBuf,
        /// What differs.
        what: &'static str,
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
    /// The post-processing that a run has chosen cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
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
