//! A whole experiment: find the cases, prepare them, train every seed and fold, score, report.

mod agree;
mod commit;
mod data;
mod devices;
mod environment;
mod error;
mod overview;
mod plan;
mod postprocess;
mod prepare;
mod reports;
mod score;
mod single;
mod sources;
mod start;
mod summary;
mod unchanged;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn_train::Interrupter;

pub use agree::contradictions;
pub use data::{CaseDigests, ChangedData, FixedData};
pub use environment::{Environment, Session};
pub use error::RunError;
pub use overview::Overview;
pub use plan::{parts, recorded_folds, variants};
pub use prepare::{Preparation, PreparedData, prepare_case};
pub use reports::write_reports;
pub use start::{StartedFrom, check_fits, doubts};
pub use summary::{
    PostprocessGain, RunSummary, StructureSummary, TtaGain, mean_over_runs, structures_over_runs,
};
pub use unchanged::check_scans;

use crate::console::{Console, Verbosity};
use crate::device::{DeviceChoice, DeviceName, check_precision, resolve};
use crate::experiment::Experiment;
use crate::files::{FileError, create_folder, write_atomic};
use crate::layout::{RunFolder, make_results};
use crate::preprocess::Pipeline;
use crate::report::check_page;
use crate::train::OwnLoss;
use devices::check_sharing;
use plan::plan;
use reports::write_experiment;

/// How to run an experiment.
#[derive(Clone)]
pub struct Options {
    /// The folder under which runs are kept.
    pub results: PathBuf,
    /// Start over where a run is finished or unfinished.
    pub force: bool,
    /// Seeds to run; the experiment's own if empty.
    pub seeds: Vec<u64>,
    /// Folds to run; all if empty.
    pub folds: Vec<usize>,
    /// Where to compute: the first device does the work, and more than one share the batches of each
    /// training step. With [`DeviceChoice::Auto`] the experiment's own `devices` are taken if it names any.
    pub device: DeviceChoice,
    /// Trained on instead of the experiment's loss, where it is given. A run's config.yaml does not name it: give
    /// the experiment a `name` of its own.
    pub own_loss: Option<OwnLoss>,
    /// The file in which a sweep fixes the data of its trials: other data are refused.
    pub fixed_data: Option<PathBuf>,
    /// What the program was called with, for the record.
    pub command: Vec<String>,
    /// Stops the run after the current step when it is tripped; the same call resumes it.
    pub interrupter: Interrupter,
    /// Where progress is shown.
    pub console: Console,
}

impl Default for Options {
    /// As `calvaria run` without options, but silent.
    fn default() -> Self {
        Self {
            results: "results".into(),
            force: false,
            seeds: Vec::new(),
            folds: Vec::new(),
            device: DeviceChoice::Auto,
            own_loss: None,
            fixed_data: None,
            command: Vec::new(),
            interrupter: Interrupter::new(),
            console: Console::new(Verbosity::Quiet),
        }
    }
}

/// Runs every seed and fold asked for and returns their summaries. What a run has finished is not done
/// again; an unfinished one resumes.
///
/// Runs on GPUs in one process wait for each other: see [`crate::device::catch_device_panic`].
///
/// # Errors
///
/// The first thing that goes wrong. Input and configuration are checked before training starts.
pub fn run(experiment: &Experiment, options: &Options) -> Result<Vec<RunSummary>, RunError> {
    let done = run_all(experiment, options);
    if let Err(error) = &done {
        options.console.finish();
        options.console.log(&format!("error: {error}"));
        options.console.end_log();
    }
    done
}

fn run_all(experiment: &Experiment, options: &Options) -> Result<Vec<RunSummary>, RunError> {
    let console = &options.console;
    let experiment = &experiment.described()?;
    let devices = choose_devices(experiment, options)?;
    let cases = experiment.cases()?;
    let mut runs = plan(experiment, options, &cases)?;
    let mut preparation = Preparation::new(&options.results, &options.interrupter, console);
    let one_shape = experiment.needs_one_shape();
    for run in &runs {
        run.check_folder(options)?;
    }
    start::check(experiment, &runs, options)?;
    let inputs = preparation.inputs(&cases)?;
    for [first, second] in unchanged::check_identical(&runs, &cases, &inputs)? {
        console.say(&format!(
            "warning: cases {first} and {second} have the same image: it counts twice."
        ));
    }
    unchanged::check(experiment, &runs, &cases, &inputs, options)?;
    let home = options.results.join(&experiment.name);
    make_results(&options.results)
        .and_then(|()| check_writable(&home))
        .map_err(|error| RunError::Setup(error.to_string()))?;
    if runs.len() > 1 {
        check_page(&RunFolder::new(&home).report())
            .map_err(|error| RunError::Setup(error.to_string()))?;
    }
    for run in &mut runs {
        run.learn(&cases, &mut preparation)?;
        // With what the preprocessing has learnt.
        run.check_folder(options)?;
    }
    let structures = experiment.structures();
    for note in experiment.augment.notes(&structures) {
        console.say(&format!("note: {note}"));
    }
    let mut summaries = Vec::new();
    let mut data: Vec<Arc<PreparedData>> = Vec::new();
    let page = RunFolder::new(&home).report();
    let is_outdated =
        runs.len() == 1 && runs[0].folder != home && page.exists() && !runs[0].is_done()?;
    for (at, run) in runs.iter().enumerate() {
        let pipeline = &run.experiment.preprocess;
        let before = runs[..at].last();
        let prepared = match before.filter(|before| before.experiment.preprocess == *pipeline) {
            Some(_) => Arc::clone(&data[at - 1]),
            None => {
                let prepared = preparation.prepare(&cases, pipeline, one_shape)?;
                let lines = prepared.check_classes(&structures)?;
                lines
                    .iter()
                    .filter(|_| before.is_none())
                    .for_each(|line| console.say(line));
                Arc::new(prepared)
            }
        };
        data::check_now(&inputs, &prepared.inputs(inputs.keys()))?;
        if runs.len() > 1 {
            console.say(&format!("\n{}", run.folder.display()));
        }
        for line in prepared.lacking(&structures, &run.fold) {
            console.say(&line);
        }
        summaries.push(run.complete(&prepared, options, &devices)?);
        data.push(prepared);
    }
    postprocess::complete(&runs, &data, &mut summaries, devices[0], options)?;
    if runs.len() > 1 {
        write_experiment(&home, experiment, &summaries)?;
    }
    if is_outdated {
        console.say(&format!(
            "note: {} does not show this run as it is now. `calvaria report {}` writes it anew.",
            page.display(),
            home.display()
        ));
    }
    Ok(summaries)
}

/// The devices to run on, which can do this experiment's work.
fn choose_devices(experiment: &Experiment, options: &Options) -> Result<Vec<DeviceName>, RunError> {
    let own = DeviceChoice::Named(experiment.devices.clone());
    let choice = match &options.device {
        DeviceChoice::Auto if !experiment.devices.is_empty() => &own,
        choice => choice,
    };
    let devices = resolve(choice, |warning| options.console.warn(warning))?;
    check_precision(experiment.train.precision, &devices)?;
    check_sharing(experiment, devices.len()).map_err(RunError::Setup)?;
    Ok(devices)
}

/// Fixes the data of all runs asked for in `file`: their cases, folds and files. Where they are fixed already, checks
/// that they still are the same.
///
/// # Errors
///
/// When the cases cannot be found, read or split, or are not those that were fixed.
pub fn fix_data(file: &Path, experiment: &Experiment, options: &Options) -> Result<(), RunError> {
    let experiment = &experiment.described()?;
    let cases = experiment.cases()?;
    let runs = plan(experiment, options, &cases)?;
    let preparation = Preparation::new(&options.results, &options.interrupter, &options.console);
    let inputs = preparation.inputs(&cases)?;
    unchanged::check_identical(&runs, &cases, &inputs)?;
    let mut fixed = FixedData::read(file)?;
    unchanged::check_fixed(&fixed, experiment, &runs, &inputs)?;
    let folds = runs.into_iter().map(|run| (run.variant, run.fold));
    Ok(fixed.fix(&experiment.data, folds.collect(), inputs)?)
}

/// Preprocesses every case of an experiment as its runs (all folds of its seed) would, into the
/// cache of the results folder.
///
/// # Errors
///
/// When the cases cannot be found or split, or one cannot be prepared.
pub fn prepare(experiment: &Experiment, preparation: &mut Preparation) -> Result<(), RunError> {
    let experiment = &experiment.described()?;
    let cases = experiment.cases()?;
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

/// Fails at once, not after hours, if results could not be kept.
fn check_writable(folder: &Path) -> Result<(), FileError> {
    create_folder(folder)?;
    let probe = folder.join(".writable");
    write_atomic(&probe, |out| out.write_all(b""))?;
    // Only the attempt matters; a leftover empty file does no harm.
    let _ = std::fs::remove_file(probe);
    Ok(())
}
