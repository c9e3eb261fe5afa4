//! A whole experiment: find the cases, prepare them, train every seed and fold, score, report.

mod devices;
mod environment;
mod error;
mod plan;
mod prepare;
mod reports;
mod single;
mod summary;

use std::path::{Path, PathBuf};

use burn_train::Interrupter;

pub use environment::{Environment, Session};
pub use error::RunError;
pub use plan::{parts, variants};
pub use prepare::{Preparation, PreparedData};
pub use reports::write_reports;
pub use summary::{RunSummary, over_all};

use crate::console::Console;
use crate::experiment::{Experiment, Resolved};
use crate::files::{FileError, create_folder, write_atomic};
use crate::kernel::TrainingBackend;
use crate::preprocess::Pipeline;
use devices::check_devices;
use plan::plan;
use reports::write_experiment;

/// How to run an experiment.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder under which runs are kept.
    pub results: PathBuf,
    /// Start over where a run is finished or unfinished.
    pub force: bool,
    /// Seeds to run; the experiment's own if empty.
    pub seeds: Vec<u64>,
    /// Folds to run; all if empty.
    pub folds: Vec<usize>,
    /// What the program was called with, for the record.
    pub command: Vec<String>,
    /// The devices' names, for the record.
    pub device: String,
}

/// Runs every seed and fold asked for and returns their summaries. The first device does the work, and
/// more than one share the batches of each training step.
///
/// # Errors
///
/// The first thing that goes wrong. Input and configuration are checked before training starts.
pub fn run<B: TrainingBackend>(
    resolved: &Resolved,
    options: &Options,
    devices: &[B::Device],
    interrupter: &Interrupter,
    console: &Console,
) -> Result<Vec<RunSummary>, RunError> {
    let experiment = &resolved.experiment;
    check_devices::<B>(experiment, devices).map_err(RunError::Setup)?;
    let cases = experiment.data.cases()?;
    let mut runs = plan(experiment, options, &cases)?;
    let home = options.results.join(&experiment.name);
    check_writable(&home).map_err(|error| RunError::Setup(error.to_string()))?;
    let mut preparation = Preparation::new(&options.results, interrupter, console);
    let alike = experiment.needs_one_shape();
    for run in &mut runs {
        run.learn(&cases, &mut preparation)?;
    }
    for run in &runs {
        run.check_folder(options)?;
    }
    let mut summaries = Vec::new();
    let mut data: Option<(&Pipeline, PreparedData)> = None;
    for run in &runs {
        let pipeline = &run.experiment.preprocess;
        let prepared = match data {
            Some((of, prepared)) if of == pipeline => prepared,
            _ => preparation.prepare(&cases, pipeline, alike)?,
        };
        if runs.len() > 1 {
            console.say(&format!("\n{}", run.folder.display()));
        }
        summaries.push(run.complete::<B>(&prepared, options, devices, interrupter, console)?);
        data = Some((pipeline, prepared));
    }
    if runs.len() > 1 {
        write_experiment(&home, experiment, &summaries)?;
    }
    Ok(summaries)
}

/// Preprocesses every case of an experiment as its runs (all folds of its seed) would, into the
/// cache of the results folder.
///
/// # Errors
///
/// When the cases cannot be found or split, or one cannot be prepared.
pub fn prepare(experiment: &Experiment, preparation: &mut Preparation) -> Result<(), RunError> {
    let cases = experiment.data.cases()?;
    let mut runs = plan(experiment, &Options::default(), &cases)?;
    let mut done: Vec<Pipeline> = Vec::new();
    for run in &mut runs {
        run.learn(&cases, preparation)?;
        let pipeline = &run.experiment.preprocess;
        if !done.contains(pipeline) {
            preparation.prepare(&cases, pipeline, experiment.needs_one_shape())?;
            done.push(pipeline.clone());
        }
    }
    Ok(())
}

/// Says at once, not after hours, that results could not be kept.
fn check_writable(folder: &Path) -> Result<(), FileError> {
    create_folder(folder)?;
    let probe = folder.join(".writable");
    write_atomic(&probe, |out| out.write_all(b""))?;
    // Only the attempt matters; a leftover empty file does no harm.
    let _ = std::fs::remove_file(probe);
    Ok(())
}
