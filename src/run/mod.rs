//! A whole experiment: find the cases, prepare them, train every seed and fold, score, report.

mod environment;
mod prepare;
mod summary;

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn_train::Interrupter;
use thiserror::Error;

pub use environment::{Environment, Session};
pub use prepare::{Preparation, PreparedData};
pub use summary::{RunSummary, mean_and_sd, over_all};

use crate::config::{Experiment, Resolved};
use crate::dataset::{Case, DatasetError, Fold, SplitError};
use crate::evaluate::{CaseScores, EvaluateError, evaluate_case, write_cases};
use crate::files::{FileError, create_folder, lock, read_text, write_atomic};
use crate::kernel::TrainingBackend;
use crate::predict::{PredictError, Predictor};
use crate::preprocess::{Pipeline, PreprocessError};
use crate::report::{self, Finished, Highlight, ReportError};
use crate::track::{Console, duration};
use crate::train::{self, Checkpoints, TrainError};

/// The program's exit code where Ctrl-C or SIGTERM stopped the work and the same command goes on: what
/// shells use, 128 and the number of SIGINT.
pub const INTERRUPTED: u8 = 130;

/// An experiment could not be run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The cases cannot be found.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The cases cannot be split.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// A case cannot be read or preprocessed.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The network cannot take these cases, or the run's folder holds another run.
    #[error("{0}")]
    Setup(String),
    /// The user asked to stop while the cases were prepared.
    #[error("stopped while preparing; prepared cases are kept for the next time.")]
    Interrupted,
    /// Training failed or was interrupted.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The trained network could not be scored.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The trained network could not be loaded.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// A plot or the report could not be made.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl RunError {
    /// Whether the user asked to stop: nothing failed, and the same command goes on.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Interrupted | Self::Train(TrainError::Interrupted { .. })
        )
    }

    /// Whether the input or the configuration is at fault, rather than the work.
    pub fn is_input(&self) -> bool {
        matches!(
            self,
            Self::Dataset(_) | Self::Split(_) | Self::Preprocess(_) | Self::Setup(_)
        )
    }
}

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

/// In a run's folder: locked by the process that works on it.
const LOCK: &str = ".lock";

const NO_DEVICE: &str = "no device was named to run on.";

/// Whether the `devices` compute in the precision wanted, each of a step's batches finds one of them, none is
/// idle, and the step is the one that a single device would have made.
fn check_devices<B: TrainingBackend>(
    experiment: &Experiment,
    devices: &[B::Device],
) -> Result<(), String> {
    for device in devices {
        experiment.train.precision.check::<B>(device)?;
    }
    let (first, count) = match devices {
        [] => return Err(NO_DEVICE.into()),
        [_] => return Ok(()),
        [first, ..] => (first, devices.len()),
    };
    let accumulate = experiment.train.accumulate;
    let (model, dropout) = (experiment.model.name(), experiment.model.dropout());
    let network = experiment
        .model
        .init::<B::InnerBackend>(experiment.seed, first);
    if network.has_running_statistics() {
        return Err(format!(
            "{model} is normalised over batches, and its running statistics are not shared between \
             {count} devices. {ONE_EACH} or train a network with another norm."
        ));
    }
    if dropout > 0.0 {
        return Err(format!(
            "{model} drops activations (dropout: {dropout}), and which ones would depend on which of \
             {count} devices is quicker. {ONE_EACH} or set its dropout to 0."
        ));
    }
    if !accumulate.is_multiple_of(count) {
        return Err(format!(
            "{count} devices share the batches of each step, and train.accumulate, their number, is \
             {accumulate}: make it a multiple of {count}. With train.batch_size made as many times \
             smaller a step still sees as many samples."
        ));
    }
    Ok(())
}

const ONE_EACH: &str = "Give each fold or seed a device of its own (--folds, --seeds, --device),";

fn write_experiment(
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
        over_all(summaries),
    )?)
}

/// Writes `report.html` anew: of the finished run in `folder`, or of all finished runs below it and of
/// the experiment that they are.
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
        // The folder may have been moved since.
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
            let alike = rest.iter().all(|other| other.name == first.name);
            if alike && !rest.is_empty() {
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

/// The variants (`seed-42`, `seed-42/fold-3`) that [`run`] would run with these cases.
///
/// # Errors
///
/// When the cases cannot be split, or a fold that is asked for is not there.
pub fn variants(
    experiment: &Experiment,
    options: &Options,
    cases: &[Case],
) -> Result<Vec<String>, RunError> {
    let runs = plan(experiment, options, cases)?;
    Ok(runs.into_iter().map(|run| run.variant).collect())
}

/// Seed and fold (none where the split has only one) of each run that [`run`] would make.
///
/// # Errors
///
/// When the cases cannot be split, or a fold that is asked for is not there.
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

/// One seed and fold of an experiment.
struct Run {
    experiment: Experiment,
    fold: Fold,
    variant: String,
    folder: PathBuf,
}

fn plan(experiment: &Experiment, options: &Options, cases: &[Case]) -> Result<Vec<Run>, RunError> {
    let own = [experiment.seed];
    let seeds = if options.seeds.is_empty() {
        &own[..]
    } else {
        &options.seeds
    };
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
                    // Where a run was computed is told by its environment.json; it may go on elsewhere.
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

/// Says at once, not after hours, that results could not be kept.
fn check_writable(folder: &Path) -> Result<(), FileError> {
    create_folder(folder)?;
    let probe = folder.join(".writable");
    write_atomic(&probe, |out| out.write_all(b""))?;
    // Only the attempt matters; a leftover empty file does no harm.
    let _ = std::fs::remove_file(probe);
    Ok(())
}

impl Run {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder of the experiment, in which its runs are.
    fn home(&self) -> &Path {
        let steps = Path::new(&self.variant).components().count();
        self.folder.ancestors().nth(steps).unwrap_or(&self.folder)
    }

    /// Teaches the preprocessing what it learns from this run's training cases.
    fn learn(&mut self, cases: &[Case], preparation: &mut Preparation) -> Result<(), RunError> {
        let trains = |case: &&Case| self.fold.train.contains(&case.id);
        let training: Vec<&Case> = cases.iter().filter(trains).collect();
        let pipeline = self.experiment.preprocess.clone();
        self.experiment.preprocess = preparation.learn(pipeline, &training)?;
        Ok(())
    }

    fn config_text(&self) -> Result<String, RunError> {
        serde_yaml::to_string(&self.experiment)
            .map_err(|error| RunError::Setup(format!("the experiment cannot be written: {error}")))
    }

    /// A run goes on only with the settings it was started with, or for more epochs.
    fn check_folder(&self, options: &Options) -> Result<(), RunError> {
        let config = self.path("config.yaml");
        if options.force || !config.exists() {
            return Ok(());
        }
        // Compared as values: a setting that came into being since then has its default.
        let stored: Option<Experiment> = serde_yaml::from_str(&read_text(&config)?).ok();
        let folder = self.folder.display();
        let Some(epochs) = stored.and_then(|stored| self.only_epochs_differ(stored)) else {
            return Err(RunError::Setup(format!(
                "{folder} holds a run with other settings (compare its config.yaml with this \
                 experiment). Use --force to replace it, or give this experiment another `name`."
            )));
        };
        let (wanted, schedule) = (self.experiment.train.epochs, &self.experiment.schedule);
        if wanted == epochs {
            return Ok(());
        }
        let remedy = "Use --force to start over, or give this experiment another `name`.";
        if wanted < epochs {
            return Err(RunError::Setup(format!(
                "{folder} holds a run of {epochs} epochs, and this experiment has only {wanted}. {remedy}"
            )));
        }
        let why = if schedule.depends_on_length() {
            format!(
                "the schedule {} runs over the whole length",
                schedule.name()
            )
        } else if self.experiment.train.warmup > 0.0 {
            "train.warmup is a part of the whole length".into()
        } else {
            return Ok(());
        };
        Err(RunError::Setup(format!(
            "{folder} holds a run of {epochs} epochs, and {why}: the learning rate would jump. A run \
             can be made longer where its schedule is constant, step or plateau without warm-up. {remedy}"
        )))
    }

    /// The epochs of the `stored` experiment, if it is this one but for them.
    fn only_epochs_differ(&self, mut stored: Experiment) -> Option<usize> {
        let epochs = stored.train.epochs;
        stored.train.epochs = self.experiment.train.epochs;
        (stored == self.experiment).then_some(epochs)
    }

    /// Whether the run is finished: a summary of as many epochs as are wanted, or one that ended early.
    fn is_finished(&self) -> Result<bool, RunError> {
        let config = self.path("config.yaml");
        if !self.path("summary.json").exists() || !config.exists() {
            return Ok(false);
        }
        let stored: Option<Experiment> = serde_yaml::from_str(&read_text(&config)?).ok();
        Ok(stored.as_ref() == Some(&self.experiment))
    }

    fn complete<B: TrainingBackend>(
        &self,
        data: &PreparedData,
        options: &Options,
        devices: &[B::Device],
        interrupter: &Interrupter,
        console: &Console,
    ) -> Result<RunSummary, RunError> {
        let summary_file = self.path("summary.json");
        let Some(_lock) = lock(&self.path(LOCK))? else {
            return Err(RunError::Setup(format!(
                "{} is being run by another process. Wait for its end, or give this experiment \
                 another `name`.",
                self.folder.display()
            )));
        };
        if options.force {
            self.clear()?;
        }
        if self.is_finished()? {
            console.say(&format!(
                "{} is finished; --force runs it again.",
                self.folder.display()
            ));
            return Ok(RunSummary::read(&summary_file)?);
        }
        if summary_file.exists() {
            // A finished run that is to be longer is an unfinished one again.
            std::fs::remove_file(&summary_file).map_err(|source| FileError {
                action: "remove",
                path: summary_file.clone(),
                remedy: "Remove it by hand.",
                source,
            })?;
        }
        let config = self.config_text()?;
        write_atomic(&self.path("config.yaml"), |out| {
            out.write_all(config.as_bytes())
        })?;
        write_json(&self.path("split.json"), &self.fold)?;
        let environment_file = self.path("environment.json");
        let inputs = data.inputs(self.fold.train.iter().chain(&self.fold.validation));
        let mut environment = Environment::start(&environment_file, options, inputs);
        environment.write(&environment_file)?;
        console.log_to(&self.path("log.txt"))?;
        console.detail(|| environment.line());
        let done = self.train_and_score::<B>(data, devices, interrupter, console);
        // What was used is told of a session that failed as well, unless that cannot be written either.
        let noted = environment.write(&environment_file);
        let summary = done?;
        noted?;
        report::write_run(&self.folder, &self.experiment, &summary.rows())?;
        summary.write(&summary_file)?;
        console.end_log();
        Ok(summary)
    }

    fn train_and_score<B: TrainingBackend>(
        &self,
        data: &PreparedData,
        devices: &[B::Device],
        interrupter: &Interrupter,
        console: &Console,
    ) -> Result<RunSummary, RunError> {
        let started = Instant::now();
        if Checkpoints::of(&self.folder).resumable() {
            console.say("Continuing from the last checkpoint.");
        }
        let Some((device, helpers)) = devices.split_first() else {
            return Err(RunError::Setup(NO_DEVICE.into()));
        };
        let progress = train::train::<B>(
            &self.experiment,
            train::Fold {
                folder: &self.folder,
                group: self.home(),
                train: data.select(&self.fold.train),
                validation: data.select(&self.fold.validation),
                interrupter: interrupter.clone(),
                console: console.clone(),
            },
            device,
            helpers,
        )?;
        let scored = self.score::<B>(data, device, console)?;
        write_cases(&self.path("cases.csv"), &scored.scores)?;
        let summary = RunSummary::new(
            &self.variant,
            &self.folder,
            &progress,
            &scored.scores,
            started.elapsed(),
        );
        report::draw_run(
            &self.folder,
            &self.experiment,
            &scored.scores,
            &scored.highlights,
        )?;
        console.say(&format!(
            "Trained and scored in {}.",
            duration(started.elapsed())
        ));
        Ok(summary)
    }

    /// Empties the folder, but for the lock.
    fn clear(&self) -> Result<(), FileError> {
        let empty = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(&self.folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    std::fs::remove_dir_all(entry.path())?;
                } else if entry.file_name() != LOCK {
                    std::fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        };
        empty().map_err(|source| FileError {
            action: "remove what is in",
            path: self.folder.clone(),
            remedy: "Remove it by hand.",
            source,
        })
    }

    /// Scores every validation case with the best weights, keeping the three that the report shows.
    fn score<B: TrainingBackend>(
        &self,
        data: &PreparedData,
        device: &B::Device,
        console: &Console,
    ) -> Result<Scored, RunError> {
        let best = Checkpoints::of(&self.folder).best();
        let predictor = Predictor::<B::InnerBackend>::new(&self.experiment, &best, device)?;
        let mut scores: Vec<CaseScores> = Vec::new();
        for case in data.sources(&self.fold.validation) {
            let (scored, _) = evaluate_case(&predictor, case, &self.experiment.evaluate)?;
            scores.push(scored);
        }
        let mut ranked: Vec<&CaseScores> = scores.iter().collect();
        ranked.sort_by(|a, b| b.iou().total_cmp(&a.iou()));
        let mut highlights = Vec::new();
        let last = ranked.len().saturating_sub(1);
        for (rank, label) in [(0, "best"), (last / 2, "median"), (last, "worst")] {
            let Some(chosen) = ranked.get(rank) else {
                continue;
            };
            for case in data.sources(std::slice::from_ref(&chosen.case)) {
                let (scores, segmented) =
                    evaluate_case(&predictor, case, &self.experiment.evaluate)?;
                highlights.push(Highlight {
                    label,
                    scores,
                    segmented,
                });
            }
        }
        console.say(&format!(
            "Scored {} validation cases on their own grids.",
            scores.len()
        ));
        Ok(Scored { scores, highlights })
    }
}

struct Scored {
    scores: Vec<CaseScores>,
    highlights: Vec<Highlight>,
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), FileError> {
    write_atomic(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        writeln!(out)
    })
}
