//! Weights files: safetensors with PyTorch's names and layouts, so that either side reads the
//! other's. Those of nnU-Net's networks are read under its names as well.

use std::path::{Path, PathBuf};

use burn::module::{Module, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, TensorData};
use burn_store::{ApplyError, ModuleSnapshot, ModuleStore, SafetensorsStore, TensorSnapshot};
use thiserror::Error;

use super::Network;
use super::names::{check_layers, is_all, is_in};
use super::peers::{Tensors, renamed};
use crate::files::{FileError, write_atomic};

/// A weights file could not be written, read, or used.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// The weights could not be brought into the file's format.
    #[error("the weights for {} cannot be encoded: {why}.", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// The encoder's reason.
        why: String,
    },
    /// The file is missing or cannot be read.
    #[error("cannot read the weights {}: {source}. Check the path, and that the run has finished an epoch.", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not a whole safetensors file.
    #[error("{} is not a readable safetensors file: {why}. Copy or train it again.", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A weight is infinite or not a number.
    #[error("{} holds a value that is not finite, in `{tensor}`: the training that wrote it had diverged. Use other weights.", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A layer that is named is not in the network.
    #[error("{why}.")]
    NoLayer {
        /// What there is instead.
        why: String,
    },
    /// The weights do not fit a network that is to start from them.
    #[error("init.weights: training cannot start from {}: {}. Name layers that shall start anew in init.skip, or use the model settings \
             that the weights were trained with.", path.display(), differences.join(", "))]
    DoNotFit {
        /// The file.
        path: PathBuf,
        /// What differs; the first few.
        differences: Vec<String>,
    },
    /// The weights are those of another network.
    #[error("{} holds the weights of another network: {}. Use the model settings that it was trained with (config.yaml in its run's folder).", path.display(), differences.join(", "))]
    OtherNetwork {
        /// The file.
        path: PathBuf,
        /// What differs; the first few.
        differences: Vec<String>,
    },
}

/// Writes the weights of `network`, running statistics included, to `path`.
///
/// # Errors
///
/// When the file cannot be written; an older file is then untouched.
pub fn save<B: Backend>(network: &Network<B>, path: &Path) -> Result<(), WeightsError> {
    // A running statistic takes in its last update only when it becomes a record.
    let network = network.clone().load_record(network.clone().into_record());
    // One entry of metadata: the order of several differs from file to file, and equal weights
    // must give equal files.
    let mut store = SafetensorsStore::from_bytes(None)
        .skip_enum_variants(true)
        .clear_metadata()
        .metadata("format", "pt");
    let bytes = store
        .collect_from(&network)
        .and_then(|()| store.get_bytes())
        .map_err(|e| WeightsError::Encode {
            path: path.to_owned(),
            why: e.to_string(),
        })?;
    Ok(write_atomic(path, |out| out.write_all(&bytes))?)
}

/// Loads the weights in `path` into `network`. Files of 16-bit floats are widened.
///
/// # Errors
///
/// When the file is missing or damaged, has values that are not finite, or tensors that are not
/// exactly those of `network`.
pub fn load<B: Backend>(
    mut network: Network<B>,
    path: &Path,
    device: &B::Device,
) -> Result<Network<B>, WeightsError> {
    let differences = apply(&mut network, tensors(read(path)?, path)?, &[]);
    if differences.is_empty() {
        Ok(network.fork(device))
    } else {
        Err(WeightsError::OtherNetwork {
            path: path.to_owned(),
            differences,
        })
    }
}

/// A network that starts from the weights in `path`, but for the layers to `skip`, which keep what they have.
///
/// # Errors
///
/// When the file is missing or damaged, has values that are not finite, or other tensors than the rest of `network`; or
/// when `network` has no layer that is to be skipped.
pub fn start<B: Backend>(
    mut network: Network<B>,
    path: &Path,
    skip: &[String],
    device: &B::Device,
) -> Result<Network<B>, WeightsError> {
    check_layers(&network, skip).map_err(|why| WeightsError::NoLayer {
        why: format!("init.skip: {why}"),
    })?;
    let mut differences = apply(&mut network, tensors(read(path)?, path)?, skip);
    if is_all(&network, skip) {
        differences.push("init.skip names every layer, and nothing is taken over".into());
    }
    match differences.is_empty() {
        true => Ok(network.fork(device)),
        false => Err(WeightsError::DoNotFit {
            path: path.to_owned(),
            differences,
        }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, WeightsError> {
    std::fs::read(path).map_err(|source| WeightsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Puts tensors into the network, but for those of layers to `skip`, and tells the first few that differ from the network's.
fn apply<B: Backend>(
    network: &mut Network<B>,
    mut tensors: Vec<TensorSnapshot>,
    skip: &[String],
) -> Vec<String> {
    let is_skipped = |name: &str| skip.iter().any(|layer| is_in(name, layer));
    tensors.retain(|tensor| !is_skipped(&tensor.full_path()));
    let result = network.apply(tensors, None, None, true);
    let missing = result.missing.iter().filter(|(name, _)| !is_skipped(name));
    let missing = missing.map(|(name, _)| format!("`{name}` is missing"));
    let extra = result
        .unused
        .iter()
        .map(|name| format!("`{name}` is not in the network"));
    let misfits = result.errors.iter().map(|error| match error {
        ApplyError::ShapeMismatch {
            path,
            expected,
            found,
        } => {
            format!("`{path}` is {found} instead of {expected}")
        }
        other => other.to_string(),
    });
    missing.chain(extra).chain(misfits).take(3).collect()
}

/// The tensors in a file, as finite 32-bit floats.
fn tensors(bytes: Vec<u8>, path: &Path) -> Result<Vec<TensorSnapshot>, WeightsError> {
    let malformed = |why: String| WeightsError::Malformed {
        path: path.to_owned(),
        why,
    };
    let mut store = SafetensorsStore::from_bytes(Some(bytes));
    let snapshots = store
        .get_all_snapshots()
        .map_err(|e| malformed(e.to_string()))?;
    let mut tensors = Tensors::new();
    // PyTorch's batch normalisation also counts its batches.
    let all = snapshots.iter();
    for (name, snapshot) in all.filter(|(name, _)| !name.ends_with(".num_batches_tracked")) {
        let data = snapshot
            .to_data()
            .map_err(|e| malformed(format!("{name}: {e:?}")))?
            .convert_dtype(DType::F32);
        if data.iter::<f32>().any(|value| !value.is_finite()) {
            return Err(WeightsError::NotFinite {
                path: path.to_owned(),
                tensor: name.clone(),
            });
        }
        tensors.insert(name.clone(), data);
    }
    let tensors = renamed(tensors).map_err(malformed)?;
    let snapshot = |(name, data): (String, TensorData)| {
        let path = name.split('.').map(str::to_owned).collect();
        TensorSnapshot::from_data(data, path, Vec::new(), ParamId::new())
    };
    Ok(tensors.into_iter().map(snapshot).collect())
}
