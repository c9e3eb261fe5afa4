//! Which runs an experiment is: each of its seeds, on each fold.

use std::path::Path;

use super::single::Run;
use super::{Options, RunError};
use crate::dataset::{Case, Fold};
use crate::experiment::Experiment;
use crate::layout::RunFolder;
use crate::settings::repeated;

/// The runs asked for, in the order in which they are run.
pub(super) fn plan(
    experiment: &Experiment,
    options: &Options,
    cases: &[Case],
) -> Result<Vec<Run>, RunError> {
    let own = [experiment.seed];
    let seeds = if options.seeds.is_empty() {
        &own[..]
    } else {
        &options.seeds
    };
    if let Some(seed) = repeated(seeds) {
        return Err(RunError::Setup(format!(
            "--seeds names {seed} twice: each seed is one run, and counts once. Name it once."
        )));
    }
    if let Some(fold) = repeated(&options.folds) {
        return Err(RunError::Setup(format!(
            "--folds names {fold} twice: each fold is one run, and counts once. Name it once."
        )));
    }
    let mut runs = Vec::new();
    for &seed in seeds {
        let folds = experiment.split.folds(cases, seed)?;
        let count = folds.len();
        if let Some(missing) = options.folds.iter().find(|&&fold| fold >= count) {
            return Err(RunError::Setup(format!(
                "--folds names fold {missing}, but the split has {count}, numbered from 0."
            )));
        }
        for fold in folds {
            if !options.folds.is_empty() && !options.folds.contains(&fold.index) {
                continue;
            }
            let variant = if count > 1 {
                format!("seed-{seed}/fold-{}", fold.index)
            } else {
                format!("seed-{seed}")
            };
            runs.push(Run {
                experiment: Experiment {
                    seed,
                    // A run's environment.json records where it was computed; it may be resumed elsewhere.
                    devices: Vec::new(),
                    ..experiment.clone()
                },
                folder: options.results.join(&experiment.name).join(&variant),
                fold,
                variant,
            });
        }
    }
    Ok(runs)
}

/// The variants (`seed-42`, `seed-42/fold-3`) that [`super::run`] would run with these cases.
///
/// # Errors
///
/// When the cases cannot be split, or a fold that is asked for does not exist.
pub fn variants(
    experiment: &Experiment,
    options: &Options,
    cases: &[Case],
) -> Result<Vec<String>, RunError> {
    let runs = plan(experiment, options, cases)?;
    Ok(runs.into_iter().map(|run| run.variant).collect())
}

/// Seed and fold (none where the split has only one) of each run that [`super::run`] would make.
///
/// # Errors
///
/// When the cases cannot be split, or a fold that is asked for does not exist.
pub fn parts(
    experiment: &Experiment,
    options: &Options,
    cases: &[Case],
) -> Result<Vec<(u64, Option<usize>)>, RunError> {
    let runs = plan(experiment, options, cases)?;
    let part = |run: &Run| {
        let fold = run.variant.contains("/fold-").then_some(run.fold.index);
        (run.experiment.seed, fold)
    };
    Ok(runs.iter().map(part).collect())
}

/// The fold of the run that `file` is the `config.yaml` of, as noted beside it; none for another experiment's
/// file.
pub fn recorded_folds(file: &Path) -> Vec<usize> {
    let run = RunFolder::new(file.parent().unwrap_or(Path::new("")));
    if file != run.config() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(run.split()).ok();
    let fold = text.and_then(|text| serde_json::from_str::<Fold>(&text).ok());
    fold.map(|fold| fold.index).into_iter().collect()
}
