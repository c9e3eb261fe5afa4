//! The weights that training starts from: checked before any work, and recorded.

use std::path::PathBuf;

use burn::backend::Flex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::RunError;
use super::single::Run;
use crate::dataset::Fold;
use crate::experiment::{Experiment, Init};
use crate::files::{FileError, hex, read_bytes};
use crate::layout::RunFolder;
use crate::model::freeze::freeze;
use crate::train::Checkpoints;

/// What training started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedFrom {
    /// The weights' file.
    pub file: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
}

impl StartedFrom {
    pub(super) fn of(init: &Init) -> Result<Self, FileError> {
        let file = init.file();
        let sha256 = hex(&Sha256::digest(read_bytes(&file)?));
        Ok(Self { file, sha256 })
    }
}

/// Checks that the runs that are not begun can start from the weights of `init`; what is doubtful, one line each.
pub(super) fn check(experiment: &Experiment, runs: &[Run]) -> Result<Vec<String>, RunError> {
    let Some(init) = &experiment.init else {
        return Ok(Vec::new());
    };
    let is_new =
        |run: &&Run| !run.files().summary().exists() && !Checkpoints::of(&run.folder).resumable();
    let new: Vec<&Run> = runs.iter().filter(is_new).collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    check_fits(experiment)?;
    let split = std::fs::read(RunFolder::new(&init.weights).split()).ok();
    let Some(theirs) = split.and_then(|bytes| serde_json::from_slice::<Fold>(&bytes).ok()) else {
        return Ok(Vec::new());
    };
    let doubt = |run: &Run| {
        let seen = run
            .fold
            .validation
            .iter()
            .filter(|id| theirs.train.contains(id))
            .count();
        (seen > 0).then(|| {
            format!(
                "warning: {seen} of {} validation cases of {} have trained the weights that it starts from ({}): its scores are \
                 better than on cases that nobody has seen. Start from a run of the same fold.",
                run.fold.validation.len(),
                run.variant,
                init.weights.display()
            )
        })
    };
    Ok(new.into_iter().filter_map(doubt).collect())
}

/// Checks that the experiment's network can start from the weights of its `init`.
///
/// # Errors
///
/// When they cannot be read or do not fit, or a layer that is named is not there.
pub fn check_fits(experiment: &Experiment) -> Result<(), RunError> {
    let setup = |why: String| RunError::Setup(why);
    let network = experiment.starting_network::<Flex>(&Default::default());
    let network = network.map_err(|why| setup(why.to_string()))?;
    let frozen = experiment.init.iter().flat_map(|init| init.freeze.clone());
    let frozen: Vec<String> = frozen.collect();
    freeze(network, &frozen).map_err(|why| setup(format!("init.freeze: {why}.")))?;
    Ok(())
}
