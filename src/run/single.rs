//! One run: from its folder, new or begun, to its report.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::score::Scored;
use super::start::doubt;
use super::{Environment, Options, Preparation, PreparedData, RunError, RunSummary, StartedFrom};
use crate::console::{Console, duration};
use crate::dataset::{Case, Fold};
use crate::device::DeviceName;
use crate::experiment::Experiment;
use crate::files::{FileError, is_unfinished, lock, read_text, write_atomic, write_json};
use crate::layout::RunFolder;
use crate::predict::Predictor;
use crate::report;
use crate::settings::{differences, from_yaml, listed, to_yaml};
use crate::train::{self, Checkpoints, TrainInput};

/// One seed and fold of an experiment.
pub(super) struct Run {
    pub(super) experiment: Experiment,
    pub(super) fold: Fold,
    pub(super) variant: String,
    pub(super) folder: PathBuf,
}

impl Run {
    pub(super) fn files(&self) -> RunFolder {
        RunFolder::new(&self.folder)
    }

    /// Keeps other processes from working on the run, as long as the file is open.
    pub(super) fn lock(&self) -> Result<File, RunError> {
        lock(&self.files().lock())?.ok_or_else(|| {
            RunError::Setup(format!(
                "{} is being run by another process. Wait for its end, or give this experiment \
                 another `name`.",
                self.folder.display()
            ))
        })
    }

    /// The folder of the experiment, in which its runs are.
    fn home(&self) -> &Path {
        let steps = Path::new(&self.variant).components().count();
        self.folder.ancestors().nth(steps).unwrap_or(&self.folder)
    }

    /// Lets the preprocessing learn from this run's training cases.
    pub(super) fn learn(
        &mut self,
        cases: &[Case],
        preparation: &mut Preparation,
    ) -> Result<(), RunError> {
        let trains = |case: &&Case| self.fold.train.contains(&case.id);
        let training: Vec<&Case> = cases.iter().filter(trains).collect();
        let pipeline = self.experiment.preprocess.clone();
        self.experiment.preprocess = preparation.learn(pipeline, &training)?;
        Ok(())
    }

    fn config_text(&self) -> Result<String, RunError> {
        to_yaml(&self.experiment)
            .map_err(|error| RunError::Setup(format!("the experiment cannot be written: {error}")))
    }

    /// Whether its experiment is finished.
    pub(super) fn is_done(&self) -> Result<bool, RunError> {
        let trained = self.trained()?;
        Ok(self.files().summary().exists()
            && trained.is_some_and(|(stored, _)| stored == self.experiment))
    }

    /// A run resumes only with the settings it was started with, or for more epochs. How it segments and scores may
    /// change, because the network does not depend on it.
    pub(super) fn check_folder(&self, options: &Options) -> Result<(), RunError> {
        let config = self.files().config();
        if !config.exists() {
            return self.check_is_free();
        }
        if options.force {
            return Ok(());
        }
        let folder = self.folder.display();
        let remedy = "Use --force to replace it, or give this experiment another `name`.";
        // Compared as values: a setting that is newer than the run has its default.
        let mut stored: Experiment = from_yaml(&read_text(&config)?).map_err(|why| {
            RunError::Setup(format!(
                "{folder} holds a run whose config.yaml this version cannot read ({why}). {remedy}"
            ))
        })?;
        if self.experiment.preprocess.first_to_learn().is_some() {
            // What is to be learnt is compared when it is learnt.
            stored.preprocess = self.experiment.preprocess.clone();
        }
        if stored == self.experiment {
            return Ok(());
        }
        let stored = stored.scored_as(&self.experiment);
        let Some(epochs) = self.only_epochs_differ(stored.clone()) else {
            return Err(RunError::Setup(format!(
                "{folder} holds a run with other settings: {}. {remedy}",
                listed(&differences(&stored, &self.experiment))
            )));
        };
        let (wanted, schedule) = (self.experiment.train.epochs, &self.experiment.schedule);
        if wanted == epochs {
            return Ok(());
        }
        if self.trained()?.is_some() && !Checkpoints::of(&self.folder).resumable() {
            return Err(RunError::Setup(format!(
                "{folder} holds a finished run without {}, so it cannot be made longer. Put the file back, use --force to \
                 start over, or give this experiment another `name`.",
                self.files().last_state().display()
            )));
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

    /// What no run has begun is nobody's to replace: a folder without a config.yaml must be empty.
    fn check_is_free(&self) -> Result<(), RunError> {
        let files = self.files();
        let ours = [files.lock(), files.log()];
        let entries = self.folder.read_dir().into_iter().flatten().flatten();
        match entries
            .map(|entry| entry.path())
            .find(|path| !ours.contains(path) && !is_unfinished(path))
        {
            None => Ok(()),
            Some(file) => Err(RunError::Setup(format!(
                "{} is not the folder of a run, and it is not empty: it has {}. Move what is in it, choose another folder \
                 with --results, or give this experiment another `name`.",
                self.folder.display(),
                file.display()
            ))),
        }
    }

    /// The epochs of the `stored` experiment, if it is this one but for them.
    fn only_epochs_differ(&self, mut stored: Experiment) -> Option<usize> {
        let epochs = stored.train.epochs;
        stored.train.epochs = self.experiment.train.epochs;
        (stored == self.experiment).then_some(epochs)
    }

    /// What the run has trained, if its training is finished, and its result: of as many epochs as were wanted, or of
    /// fewer if it ended early.
    fn trained(&self) -> Result<Option<(Experiment, RunSummary)>, RunError> {
        let files = self.files();
        let results = [files.summary(), files.trained()];
        let Some(result) = results.iter().find(|path| path.exists()) else {
            return Ok(None);
        };
        if !files.config().exists() {
            return Ok(None);
        }
        let Ok(stored) = from_yaml(&read_text(&files.config())?) else {
            return Ok(None);
        };
        Ok(Some((stored, RunSummary::read(result)?)))
    }

    /// Puts aside what is scored anew, and tells it; the result of the training stays.
    fn begin_scoring(
        &self,
        stored: &Experiment,
        summary: &RunSummary,
        device: DeviceName,
        console: &Console,
    ) -> Result<String, RunError> {
        let (files, folder) = (self.files(), self.folder.display());
        // Before anything is put aside.
        let best = Checkpoints::of(&self.folder).best();
        Predictor::new(&self.experiment, &best, device).map_err(|why| {
            RunError::Setup(format!(
                "{folder} is trained, but cannot be scored again: {why} Put the file back, or use --force to train again."
            ))
        })?;
        let told = match differences(stored, &self.experiment) {
            differ if differ.is_empty() => format!("{folder} is trained, and is scored again."),
            differ => format!(
                "{folder} is trained, and is scored again: {}.",
                listed(&differ)
            ),
        };
        console.say(&told);
        summary.write(&files.trained())?;
        // What was chosen was chosen otherwise.
        for file in [files.summary(), files.postprocess(), files.cases()] {
            remove(&file)?;
        }
        Ok(told)
    }

    /// Trains, scores and reports what is not done yet.
    pub(super) fn complete(
        &self,
        data: &PreparedData,
        options: &Options,
        devices: &[DeviceName],
    ) -> Result<RunSummary, RunError> {
        let console = &options.console;
        let summary_file = self.files().summary();
        let _lock = self.lock()?;
        if options.force {
            self.clear()?;
        }
        let is_ours =
            |stored: &Experiment| stored.clone().scored_as(&self.experiment) == self.experiment;
        let trained = self.trained()?.filter(|(stored, _)| is_ours(stored));
        if let Some((stored, summary)) = &trained
            && *stored == self.experiment
            && summary_file.exists()
        {
            console.say(&format!(
                "{} is finished; --force runs it again.",
                self.folder.display()
            ));
            return Ok(summary.clone());
        }
        let told = match &trained {
            Some((stored, summary)) => {
                Some(self.begin_scoring(stored, summary, devices[0], console)?)
            }
            None => {
                // A finished run that is to be longer is an unfinished one again, and its choices were those of another network.
                let files = self.files();
                for file in [files.summary(), files.trained(), files.postprocess()] {
                    remove(&file)?;
                }
                None
            }
        };
        let config = self.config_text()?;
        write_atomic(&self.files().config(), |out| {
            out.write_all(config.as_bytes())
        })?;
        write_json(&self.files().split(), &self.fold)?;
        let environment_file = self.files().environment();
        let inputs = data.inputs(self.fold.train.iter().chain(&self.fold.validation));
        let command = &options.command;
        let mut environment = Environment::start(&environment_file, devices, command, inputs);
        if let (Some(init), None, false) = (&self.experiment.init, &trained, self.is_begun()) {
            environment.started_from = Some(StartedFrom::of(init)?);
        }
        environment.write(&environment_file)?;
        console.log_to(&self.files().log())?;
        console.detail(|| environment.line());
        // The console has them from the preparation.
        for line in data.warnings(self.fold.train.iter().chain(&self.fold.validation)) {
            console.log(&line);
        }
        if let Some(told) = told {
            console.log(&told);
        }
        if let Some(doubt) = doubt(&self.experiment, &self.variant, &self.fold) {
            console.warn(&doubt);
        }
        let done = match trained {
            Some((_, summary)) => self.score_again(summary, data, options, devices[0]),
            None => self.train_and_score(data, options, devices),
        };
        // A session that failed is recorded as well, unless that cannot be written either.
        let noted = environment.write(&environment_file);
        let summary = done?;
        noted?;
        report::write_run(&self.folder, &self.experiment, &summary.rows())?;
        summary.write(&summary_file)?;
        remove(&self.files().trained())?;
        console.end_log();
        Ok(summary)
    }

    /// The result of a trained run with the scores that it has as its experiment says now.
    fn score_again(
        &self,
        trained: RunSummary,
        data: &PreparedData,
        options: &Options,
        device: DeviceName,
    ) -> Result<RunSummary, RunError> {
        data.check_unchanged(&self.fold.validation)?;
        let scored = self.score(&self.experiment, data, device, &options.interrupter)?;
        options.console.say(&told_of(&scored));
        Ok(trained.scored(&scored, None))
    }

    /// Whether it is trained, or an epoch is saved from which training resumes.
    pub(super) fn is_begun(&self) -> bool {
        self.files().summary().exists() || Checkpoints::of(&self.folder).resumable()
    }

    fn train_and_score(
        &self,
        data: &PreparedData,
        options: &Options,
        devices: &[DeviceName],
    ) -> Result<RunSummary, RunError> {
        let (started, console) = (Instant::now(), &options.console);
        if Checkpoints::of(&self.folder).resumable() {
            console.say("Resuming from the last checkpoint.");
        }
        let input = TrainInput {
            folder: &self.folder,
            group: self.home(),
            train: data.select(&self.fold.train),
            validation: data.select(&self.fold.validation),
            own_loss: options.own_loss.clone(),
            interrupter: options.interrupter.clone(),
            console: console.clone(),
        };
        let progress = train::train(&self.experiment, input, devices)?;
        data.check_unchanged(&self.fold.validation)?;
        let scored = self.score(&self.experiment, data, devices[0], &options.interrupter)?;
        console.say(&told_of(&scored));
        let summary = RunSummary {
            tta: scored.tta,
            ..RunSummary::new(
                &self.variant,
                &self.folder,
                &progress,
                &scored.scores,
                started.elapsed(),
            )
        };
        console.say(&format!(
            "Trained and scored in {}.",
            duration(started.elapsed())
        ));
        Ok(summary)
    }

    /// Removes what a run has written, and nothing else that lies in the folder.
    fn clear(&self) -> Result<(), FileError> {
        self.files().all().iter().try_for_each(|path| remove(path))
    }
}

/// That cases were scored.
fn told_of(scored: &Scored) -> String {
    format!(
        "Scored {} validation cases on their own grids.",
        scored.scores.len()
    )
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<(), FileError> {
    let removed = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match removed {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(FileError {
            action: "remove",
            path: path.to_owned(),
            remedy: "Remove it by hand.",
            source,
        }),
        _ => Ok(()),
    }
}
