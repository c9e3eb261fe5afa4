//! Writes the pages of finished runs again, and of the experiment they belong to.

use std::path::{Path, PathBuf};

use super::{RunError, RunSummary, mean_over_runs};
use crate::experiment::Experiment;
use crate::files::read_text;
use crate::report::{self, Finished};

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
    let mut runs = Vec::new();
    find_finished(folder, &mut runs);
    runs.sort();
    let (mut summaries, mut experiments) = (Vec::new(), Vec::new());
    for run in &runs {
        let mut summary = RunSummary::read(&run.join("summary.json"))?;
        // The folder may have been moved after the run.
        summary.folder.clone_from(run);
        let config = read_text(&run.join("config.yaml"))?;
        let experiment: Experiment = serde_yaml::from_str(&config)
            .map_err(|error| RunError::Setup(format!("{}: config.yaml: {error}", run.display())))?;
        report::write_run(run, &experiment, &summary.rows())?;
        summaries.push(summary);
        experiments.push(experiment);
    }
    let mut written: Vec<PathBuf> = runs.iter().map(|run| run.join("report.html")).collect();
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
                write_experiment(folder, first, &summaries)?;
                written.push(folder.join("report.html"));
            }
        }
    }
    Ok(written)
}

fn find_finished(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.join("summary.json").is_file() {
        found.push(folder.to_owned());
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            find_finished(&entry.path(), found);
        }
    }
}
