//! Writes the pages of finished runs again, and of the experiment they belong to.

use std::path::{Path, PathBuf};

use super::{RunError, RunSummary, mean_over_runs};
use crate::experiment::Experiment;
use crate::files::read_text;
use crate::layout::{RunFolder, runs_below};
use crate::predict::Chosen;
use crate::report::{self, Finished};
use crate::settings::{from_yaml, listed};

pub(super) fn write_experiment(
    home: &Path,
    experiment: &Experiment,
    summaries: &[RunSummary],
) -> Result<(), RunError> {
    let finished = summaries.iter().map(|summary| Finished {
        variant: summary.variant.clone(),
        folder: summary.folder.clone(),
        summary: summary.rows(),
    });
    let finished: Vec<Finished> = finished.collect();
    Ok(report::write_experiment(
        home,
        experiment,
        &finished,
        mean_over_runs(summaries),
    )?)
}

/// Writes `report.html` again: of the finished run in `folder`, or of all finished runs below it and of
/// the experiment that they share.
///
/// # Errors
///
/// When there is no finished run or one of its files cannot be read.
pub fn write_reports(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let runs = runs_below(folder, RunFolder::summary);
    let (mut summaries, mut experiments) = (Vec::new(), Vec::new());
    for run in &runs {
        let mut summary = RunSummary::read(&run.summary())?;
        // The folder may have been moved after the run.
        summary.folder = run.path().to_owned();
        let config = read_text(&run.config())?;
        let experiment: Experiment = from_yaml(&config)
            .map_err(|error| RunError::Setup(format!("{}: {error}", run.config().display())))?;
        report::write_run(run.path(), &experiment, &summary.rows())?;
        summaries.push(summary);
        experiments.push(experiment);
    }
    let mut written: Vec<PathBuf> = runs.iter().map(RunFolder::report).collect();
    match experiments.as_slice() {
        [] => {
            return Err(RunError::Setup(format!(
                "{} holds no finished run. Name a run's folder (results/quickstart/seed-42) or an \
                 experiment's (results/quickstart).",
                folder.display()
            )));
        }
        [first, rest @ ..] => {
            let same = rest.iter().all(|other| other.name == first.name);
            if same && !rest.is_empty() {
                check_scoring(&runs, &experiments)?;
                write_experiment(folder, first, &summaries)?;
                written.push(RunFolder::new(folder).report());
            }
        }
    }
    Ok(written)
}

/// Checks that runs were scored in one way, so that their scores have a mean.
fn check_scoring(runs: &[RunFolder], experiments: &[Experiment]) -> Result<(), RunError> {
    for (run, other) in runs.iter().zip(experiments).skip(1) {
        let mut differ = experiments[0].scoring_differences(other);
        let chosen = [&runs[0], run].map(|run| Ok(Chosen::read(run)?.map(|of| of.predict)));
        let [first, second]: [Result<_, RunError>; 2] = chosen;
        if first? != second? {
            differ.push("they have not chosen the same post-processing".into());
        }
        if !differ.is_empty() {
            return Err(RunError::Setup(format!(
                "{} was scored with other settings than {}: {}. Run the experiment again, with all folds and seeds: its \
                 runs are scored again, not trained.",
                run.path().display(),
                runs[0].path().display(),
                listed(&differ)
            )));
        }
    }
    Ok(())
}
