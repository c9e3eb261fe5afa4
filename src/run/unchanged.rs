//! Whether the data still are those that runs were made from: each run itself, the others of its experiment, and the
//! other trials of a sweep.

use std::collections::BTreeMap;
use std::path::Path;

use super::data::{CaseDigests, DataChanges, FixedData, RunData};
use super::single::Run;
use super::{Options, RunError};
use crate::dataset::Case;
use crate::experiment::Experiment;
use crate::files::read_text;
use crate::layout::{RunFolder, runs_below};
use crate::preprocess::PreprocessError;
use crate::preprocess::cache::{Cache, InputDigests};
use crate::settings::from_yaml;

const OWN: &str = "Put the data back as they were, use --force to start over, or give this experiment another `name`.";
const SIBLINGS: &str = "All folds and seeds of an experiment are made from the same data: put the data back as they \
                        were, run all of them again in one command with --force, or give this experiment another \
                        `name`.";

const SCANS: &str = "Put the data back as they were, or name the scans instead of --validation.";

/// Checks that the planned runs and those beside them were made from the data of now, `inputs`, as far as they are
/// begun; those that are to start over need not be.
pub(super) fn check(
    experiment: &Experiment,
    runs: &[Run],
    cases: &[Case],
    inputs: &CaseDigests,
    options: &Options,
) -> Result<(), RunError> {
    let folders: Vec<RunFolder> = runs.iter().map(Run::files).collect();
    if !options.force {
        for (run, folder) in runs.iter().zip(&folders) {
            if let Some(was) = RunData::recorded(folder) {
                let changes = DataChanges::between(&was, &RunData::new(&run.fold, inputs));
                changes.refuse(folder.path(), OWN)?;
            }
        }
    }
    let home = options.results.join(&experiment.name);
    for sibling in runs_below(&home, RunFolder::config) {
        if !folders.contains(&sibling)
            && let Some((was, is)) = sibling_data(&sibling, experiment, cases, inputs)?
        {
            DataChanges::between(&was, &is).refuse(sibling.path(), SIBLINGS)?;
        }
    }
    match &options.fixed_data {
        Some(file) if !file.is_file() => Err(RunError::Setup(format!(
            "there is no file {}, so the data that the sweep has fixed are not known.",
            file.display()
        ))),
        Some(file) => {
            let fixed =
                FixedData::read(file).map_err(|error| RunError::Setup(error.to_string()))?;
            check_fixed(&fixed, experiment, runs, inputs)
        }
        None => Ok(()),
    }
}

/// Checks that runs are made from the data that a sweep has fixed for them.
pub(super) fn check_fixed(
    fixed: &FixedData,
    experiment: &Experiment,
    runs: &[Run],
    inputs: &CaseDigests,
) -> Result<(), RunError> {
    for run in runs {
        fixed.check(&experiment.data, (&run.variant, &run.fold), inputs)?;
    }
    Ok(())
}

/// Checks that the scans of `cases` hold what they held when the run in `folder` was made, as far as that is recorded.
///
/// # Errors
///
/// When one differs or cannot be read.
pub fn check_scans(folder: &Path, cases: &[&Case]) -> Result<(), RunError> {
    let Some(mut was) = RunData::recorded(&RunFolder::new(folder)) else {
        return Ok(());
    };
    // Nothing is stored in it.
    let cache = Cache::new(folder.join("cache"));
    let mut inputs = CaseDigests::new();
    for case in cases {
        if let Some(recorded) = was.inputs.get(&case.id) {
            let now = cache
                .digests(&case.inputs())
                .map_err(PreprocessError::from)?;
            let mask = recorded.mask.clone();
            inputs.insert(case.id.clone(), InputDigests { mask, ..now });
        }
    }
    (was.fold, was.inputs) = (
        None,
        inputs
            .keys()
            .filter_map(|id| was.inputs.remove_entry(id))
            .collect(),
    );
    let is = RunData { fold: None, inputs };
    Ok(DataChanges::between(&was, &is).refuse(folder, SCANS)?)
}

/// What another run of the experiment was made from, and what it would be made from now; none if that is not known,
/// or the run takes other data or splits them otherwise.
fn sibling_data(
    run: &RunFolder,
    experiment: &Experiment,
    cases: &[Case],
    inputs: &CaseDigests,
) -> Result<Option<(RunData, RunData)>, RunError> {
    let Some(was) = RunData::recorded(run) else {
        return Ok(None);
    };
    let stored = read_text(&run.config()).ok();
    let stored = stored.and_then(|text| from_yaml::<Experiment>(&text).ok());
    let alike =
        |stored: &Experiment| stored.data == experiment.data && stored.split == experiment.split;
    let Some(stored) = stored.filter(alike) else {
        return Ok(None);
    };
    let index = was.fold.as_ref().map(|fold| fold.index);
    let folds = experiment.split.folds(cases, stored.seed)?;
    let fold = folds.into_iter().find(|fold| Some(fold.index) == index);
    let is = RunData {
        fold,
        inputs: inputs.clone(),
    };
    Ok(Some((was, is)))
}

/// Checks that no image, of whatever name, stands on both sides of a fold under two names. Returns the pairs of cases on
/// one side.
pub(super) fn check_identical(
    runs: &[Run],
    cases: &[Case],
    inputs: &CaseDigests,
) -> Result<Vec<[String; 2]>, RunError> {
    let mut same: BTreeMap<&str, Vec<(&Case, &Path)>> = BTreeMap::new();
    for case in cases {
        let Some(digests) = inputs.get(&case.id) else {
            continue;
        };
        let of_images = std::iter::once(&digests.image).chain(&digests.others);
        for (digest, image) in of_images.zip(&case.images) {
            let group = same.entry(digest).or_default();
            // Two images of one case may be one file.
            if group.last().is_none_or(|(last, _)| last.id != case.id) {
                group.push((case, &image.path));
            }
        }
    }
    let mut pairs = Vec::new();
    for group in same.values().filter(|group| group.len() > 1) {
        for run in runs {
            let on = |ids: &[String]| {
                let mut group = group.iter().copied();
                group.find(|(case, _)| ids.contains(&case.id))
            };
            let sides = (on(&run.fold.train), on(&run.fold.validation));
            if let (Some((train, trained)), Some((validation, validated))) = sides {
                return Err(RunError::Setup(format!(
                    "{} and {} are the same file under two names, and in {} case {} trains while case {} validates. \
                     Remove one of them, or give both the same subject if the data's source knows subjects.",
                    trained.display(),
                    validated.display(),
                    run.variant,
                    train.id,
                    validation.id
                )));
            }
        }
        let used = |case: &&&Case| {
            let mut folds = runs.iter().map(|run| &run.fold);
            folds.any(|fold| fold.train.contains(&case.id) || fold.validation.contains(&case.id))
        };
        let used: Vec<&str> = group
            .iter()
            .map(|(case, _)| case)
            .filter(used)
            .map(|case| case.id.as_str())
            .collect();
        let pair = |pair: &[&str]| [pair[0].to_owned(), pair[1].to_owned()];
        pairs.extend(used.windows(2).map(pair));
    }
    // Cases that share several images are one pair.
    pairs.sort_unstable();
    pairs.dedup();
    Ok(pairs)
}
