//! The weights that training starts from.

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Experiment;
use crate::layout::RunFolder;
use crate::model::Network;
use crate::model::weights::{self, WeightsError};
use crate::settings::Fault;

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
    /// What is wrong with the values that the schema does not show.
    pub(super) fn rules(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.weights.as_os_str().is_empty() {
            let message = "weights must name a run's folder or a safetensors file";
            faults.push(Fault::new("weights", message));
        }
        let both = self.freeze.iter().filter(|layer| self.skip.contains(layer));
        for layer in both {
            let message = format!(
                "freeze names `{layer}`, and so does skip: it would start anew and never be trained. Remove it from one of them"
            );
            faults.push(Fault::new("freeze", message));
        }
        faults
    }

    /// The folder of the run that the weights are of, if they lie where a run has them.
    pub fn run(&self) -> Option<&Path> {
        match self.weights.is_dir() {
            true => Some(&self.weights),
            false => self.weights.parent()?.parent(),
        }
    }

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
