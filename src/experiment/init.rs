//! The weights that training starts from.

use std::path::PathBuf;

use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Experiment;
use crate::layout::RunFolder;
use crate::model::Network;
use crate::model::weights::{self, WeightsError};

/// Starts from trained weights in place of new ones. Layers are named as in weights files, which have PyTorch's names:
/// `head` stands for `head.weight` and `head.bias`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// The weights: a run's folder, whose best ones are taken, or a safetensors file.
    #[schemars(extend("format" = "path"))]
    pub weights: PathBuf,
    /// Layers that start anew: what the weights have for them is not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// Layers that are not trained. Running statistics of batch normalisation still follow the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
}

impl Init {
    /// The file of the weights.
    pub fn file(&self) -> PathBuf {
        match self.weights.is_dir() {
            true => RunFolder::new(&self.weights).best_weights(),
            false => self.weights.clone(),
        }
    }
}

impl Experiment {
    /// The network as training starts: with the weights of `init` where there are some.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or do not fit.
    pub fn starting_network<B: Backend>(
        &self,
        device: &B::Device,
    ) -> Result<Network<B>, WeightsError> {
        let network = self.network(device);
        match &self.init {
            None => Ok(network),
            Some(init) => weights::start(network, &init.file(), &init.skip, device),
        }
    }
}
