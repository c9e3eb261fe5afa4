//! The weights that training starts from: checked before any work, and recorded.

use std::path::PathBuf;

use burn::backend::Flex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::plan::plan;
use super::single::Run;
use super::{Options, RunError};
use crate::dataset::{Case, Fold};
use crate::experiment::{Experiment, Init};
use crate::files::{FileError, hex, read_bytes};
use crate::layout::RunFolder;
use crate::model::freeze::freeze;

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

/// Checks that the runs that are yet to start can do so from the weights of `init`.
pub(super) fn check(
    experiment: &Experiment,
    runs: &[Run],
    options: &Options,
) -> Result<(), RunError> {
    let Some(init) = &experiment.init else {
        return Ok(());
    };
    let starts = |run: &&Run| options.force || !run.is_begun();
    if !runs.iter().any(|run| starts(&run)) {
        return Ok(());
    }
    check_fits(experiment)?;
    let file = init.file().canonicalize();
    let lies_in = |run: &&Run| {
        let folder = run.folder.canonicalize();
        matches!((&file, &folder), (Ok(file), Ok(folder)) if file.starts_with(folder))
    };
    match runs.iter().filter(starts).find(lies_in) {
        None => Ok(()),
        Some(run) => Err(RunError::Setup(format!(
            "init.weights: {} lies in {}, which would be replaced. Copy the weights to another place, or give the experiment another \
             `name`.",
            init.file().display(),
            run.folder.display()
        ))),
    }
}

/// What is doubtful about the weights that runs start from, in sentences.
///
/// # Errors
///
/// When the cases cannot be split, or a fold that is asked for does not exist.
pub fn doubts(
    experiment: &Experiment,
    options: &Options,
    cases: &[Case],
) -> Result<Vec<String>, RunError> {
    let runs = plan(experiment, options, cases)?;
    let of_run = |run: &Run| doubt(experiment, &run.variant, &run.fold);
    Ok(runs.iter().filter_map(of_run).collect())
}

/// That a run validates on cases which have trained the weights that it starts from.
pub(super) fn doubt(experiment: &Experiment, variant: &str, fold: &Fold) -> Option<String> {
    let init = experiment.init.as_ref()?;
    let split = std::fs::read(RunFolder::new(init.run()?).split()).ok()?;
    let theirs: Fold = serde_json::from_slice(&split).ok()?;
    let seen = fold
        .validation
        .iter()
        .filter(|id| theirs.train.contains(id))
        .count();
    (seen > 0).then(|| {
        format!(
            "{seen} of {} validation cases of {variant} have trained the weights that it starts from ({}): its scores are \
             better than on cases that nobody has seen. Start from a run of the same fold.",
            fold.validation.len(),
            init.weights.display()
        )
    })
}

/// Checks that the experiment's network can start from the weights of its `init`.
///
/// # Errors
///
/// When they cannot be read or do not fit, or a layer that is named is not there.
pub fn check_fits(experiment: &Experiment) -> Result<(), RunError> {
    let setup = |why: String| RunError::Setup(why);
    if let Some(init) = experiment
        .init
        .as_ref()
        .filter(|init| init.weights.is_dir())
        && !init.file().is_file()
    {
        return Err(setup(format!(
            "init.weights: {} has no checkpoints/best.safetensors: it is not the folder of a run, or its weights are gone. Name a run's folder \
             (results/quickstart/seed-42) or a safetensors file.",
            init.weights.display()
        )));
    }
    let network = experiment.starting_network::<Flex>(&Default::default());
    let network = network.map_err(|why| setup(why.to_string()))?;
    let frozen = experiment.init.iter().flat_map(|init| init.freeze.clone());
    let frozen: Vec<String> = frozen.collect();
    freeze(network, &frozen).map_err(|why| setup(format!("init.freeze: {why}.")))?;
    Ok(())
}
