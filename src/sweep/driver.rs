//! A sweep at work: trials from the study, their runs through the executor, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::study::{Decision, Launch, Next, Study};
use super::{Definition, History, Part, Status, Stop, Sweep, SweepError, in_words};
use crate::files::{FileError, write_atomic};
use crate::jobs::{ExecutorError, Job, JobId, Outcome, Pool, State};
use crate::search::objective::Curve;

/// The experiment in a study's folder, which all its trials run: as it was when the study was opened, whatever
/// becomes of the files that it was made of.
pub const EXPERIMENT: &str = "experiment.yaml";

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(300);

/// A sweep could not go on. What was done is on record; the same command goes on from there.
#[derive(Debug, Error)]
pub enum DriverError {
    /// The study cannot be used.
    #[error(transparent)]
    Study(#[from] SweepError),
    /// The executor cannot be used.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Works a sweep off. Every trial is an ordinary run in its own folder, `trial-0017/seed-42/fold-3`.
pub struct Driver {
    study: Study,
    pool: Box<dyn Pool>,
    home: PathBuf,
    program: PathBuf,
    /// Trials that are being run, and the parts of each that have not ended.
    running: BTreeMap<usize, BTreeSet<Part>>,
    /// Runs that were told to stop and have not ended.
    stopping: BTreeSet<JobId>,
    notices: Vec<String>,
}

impl Driver {
    /// Begins the study in `home`, or goes on with it. `program` is this program's own file.
    ///
    /// # Errors
    ///
    /// When the study or the executor cannot be opened.
    pub fn open(home: &Path, definition: &Definition, program: &Path) -> Result<Self, DriverError> {
        let study = Study::open(home, definition)?;
        let pool = definition.sweep.executor.open(home)?;
        write_atomic(&home.join(EXPERIMENT), |out| {
            writeln!(
                out,
                "# What every trial of this sweep runs, before its own parameters."
            )?;
            serde_yaml::to_writer(out, &definition.experiment).map_err(std::io::Error::other)
        })?;
        let mut notices = study.notices().to_vec();
        notices.extend(crowded(definition));
        Ok(Self {
            study,
            pool,
            home: home.to_owned(),
            program: program.to_owned(),
            running: BTreeMap::new(),
            stopping: BTreeSet::new(),
            notices,
        })
    }

    /// The study so far.
    pub fn history(&self) -> &History {
        self.study.history()
    }

    /// What the user should know about how the record was found and how the sweep will run.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Lets the trials that failed begin anew, under their own numbers; how many they are.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    pub fn retry_failed(&mut self) -> Result<usize, DriverError> {
        Ok(self.study.retry_failed()?)
    }

    /// Works until the budget is spent or `stopped` says so, and tells `say` of every trial that begins or
    /// ends. Why it ended; none if it was stopped.
    ///
    /// # Errors
    ///
    /// When the record or the jobs cannot be kept. Failing trials are no error: they are recorded.
    pub fn work(
        &mut self,
        stopped: impl Fn() -> bool,
        say: impl Fn(&str),
    ) -> Result<Option<Stop>, DriverError> {
        self.take_up()?;
        loop {
            self.hear(&say)?;
            self.watch(&say)?;
            if stopped() {
                say("Stopping; the runs at work save what they have.");
                self.pool.stop_all()?;
                self.pool.poll()?;
                self.watch(&say)?;
                self.write_table()?;
                return Ok(None);
            }
            let end = self.begin(&say)?;
            if let (Some(end), true) = (end, self.busy().is_empty()) {
                self.write_table()?;
                return Ok(Some(end));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The first trial's runs as they would be started in `home`, which is left alone.
    ///
    /// # Errors
    ///
    /// When there is no trial to run, or its command lines cannot be written.
    pub fn preview(
        home: &Path,
        definition: &Definition,
        program: &Path,
    ) -> Result<String, DriverError> {
        let scratch = tempfile::tempdir().map_err(|source| FileError {
            action: "create a folder in",
            path: std::env::temp_dir(),
            remedy: "Name another folder for temporary files in TMPDIR.",
            source,
        })?;
        let mut study = Study::open(scratch.path(), definition)?;
        let Next::Run(launch) = study.next(&[])? else {
            return Ok("There is nothing to run.".into());
        };
        let jobs = definition.parts.iter();
        let jobs: Vec<Job> = jobs
            .map(|part| job(home, program, &launch, *part))
            .collect();
        Ok(definition.sweep.executor.dry_run(home, &jobs)?)
    }

    /// Goes on with the trials whose runs an earlier process left to the executor, where these are.
    fn take_up(&mut self) -> Result<(), DriverError> {
        let at_work: BTreeSet<JobId> = (self.pool.states().into_iter())
            .filter(|(_, state)| !matches!(state, State::Ended(_)))
            .map(|(id, _)| id)
            .collect();
        let unfinished: Vec<Launch> = (self.history().trials.iter())
            .filter(|trial| trial.status == Status::Unfinished)
            .filter(|trial| at_work.iter().any(|id| id.trial == trial.number))
            .map(Launch::of)
            .collect();
        for launch in unfinished {
            let left = self.left(launch.number);
            let lost = left.iter().copied();
            let lost = lost.filter(|part| !at_work.contains(&job_id(launch.number, *part)));
            let jobs = lost
                .map(|part| job(&self.home, &self.program, &launch, part))
                .collect();
            self.pool.submit(jobs)?;
            self.running.insert(launch.number, left);
        }
        Ok(())
    }

    /// The parts of a trial that are to be run: not those that have run to their end, as far as executor and
    /// study know. All of them if it is not known what else there is to do.
    fn left(&self, trial: usize) -> BTreeSet<Part> {
        let finished: BTreeSet<JobId> = (self.pool.states().into_iter())
            .filter(|(_, state)| *state == State::Ended(Outcome::Finished))
            .map(|(id, _)| id)
            .collect();
        let (all, curves) = (
            &self.history().definition.parts,
            &self.history().trials[trial].curves,
        );
        // The executor's record may be older than the study.
        let done = |part: Part, curve: &Curve| {
            curve.reached() > 0 && finished.contains(&job_id(trial, part))
        };
        let left: BTreeSet<Part> = (all.iter().zip(curves))
            .filter(|(part, curve)| !done(**part, curve))
            .map(|(part, _)| *part)
            .collect();
        match left.is_empty() {
            true => all.iter().copied().collect(),
            false => left,
        }
    }

    /// The trials that are being run, and those that will be again once their runs have stopped: until then
    /// what is heard of a run could be of the one before.
    fn busy(&self) -> Vec<usize> {
        let stopping = self.stopping.iter().map(|id| id.trial);
        let stopping = stopping.filter(|trial| self.is_unfinished(*trial));
        let busy: BTreeSet<usize> = self.running.keys().copied().chain(stopping).collect();
        busy.into_iter().collect()
    }

    fn is_unfinished(&self, trial: usize) -> bool {
        let trial = self.history().trials.get(trial);
        trial.is_some_and(|trial| trial.status == Status::Unfinished)
    }

    /// Begins trials while there is room. Why no more will ever be begun, if so.
    fn begin(&mut self, say: &impl Fn(&str)) -> Result<Option<Stop>, DriverError> {
        loop {
            let busy = self.busy();
            if busy.len() >= self.sweep().parallelism {
                return Ok(None);
            }
            match self.study.next(&busy)? {
                Next::Stop(stop) => return Ok(Some(stop)),
                Next::Run(launch) => self.launch(&launch, say)?,
            }
        }
    }

    fn launch(&mut self, launch: &Launch, say: &impl Fn(&str)) -> Result<(), DriverError> {
        let again = if launch.attempt > 1 { " goes on" } else { "" };
        say(&format!(
            "{}{again}: {}",
            launch.folder,
            in_words(&launch.assignment)
        ));
        let left = self.left(launch.number);
        // In the order of the definition: the first part is the one that a pruner looks at.
        let parts = self.history().definition.parts.iter();
        let jobs = parts
            .filter(|part| left.contains(part))
            .map(|part| job(&self.home, &self.program, launch, *part))
            .collect();
        self.pool.submit(jobs)?;
        self.running.insert(launch.number, left);
        Ok(())
    }

    /// Takes in what ended.
    fn hear(&mut self, say: &impl Fn(&str)) -> Result<(), DriverError> {
        for (id, outcome) in self.pool.poll()? {
            let trial = id.trial;
            let part = Part {
                seed: id.seed,
                fold: id.fold,
            };
            let was_told = self.stopping.remove(&id);
            // Whatever an earlier process was told of a trial that has ended since is old news.
            if !self.is_unfinished(trial) {
                continue;
            }
            let decision = self.read_metrics(trial, part)?;
            let left = self.running.get_mut(&trial);
            let left = left.and_then(|parts| parts.remove(&part).then_some(parts.len()));
            if decision == Decision::Stop {
                self.stop_trial(trial)?;
                self.end(trial, say)?;
                continue;
            }
            // A run that was told to stop says nothing about its trial, which goes on when all have ended.
            let (Some(left), false) = (left, was_told) else {
                continue;
            };
            match outcome {
                Outcome::Finished if left == 0 => {
                    self.study.finish(trial)?;
                    self.end(trial, say)?;
                }
                Outcome::Finished => {}
                Outcome::Stopped => {
                    self.study
                        .requeue(trial, "its run was stopped from outside")?;
                    self.stop_trial(trial)?;
                }
                Outcome::Failed(failure) => {
                    self.study.fail(trial, &failure.to_string())?;
                    self.stop_trial(trial)?;
                    self.end(trial, say)?;
                }
            }
        }
        Ok(())
    }

    /// Tells the study of the epochs that runs have finished, and stops trials that it prunes.
    fn watch(&mut self, say: &impl Fn(&str)) -> Result<(), DriverError> {
        let running: Vec<(usize, Part)> = (self.running.iter())
            .flat_map(|(trial, parts)| parts.iter().map(|part| (*trial, *part)))
            .collect();
        for (trial, part) in running {
            if self.running.contains_key(&trial)
                && self.read_metrics(trial, part)? == Decision::Stop
            {
                self.stop_trial(trial)?;
                self.end(trial, say)?;
            }
        }
        Ok(())
    }

    /// Reports every epoch of a run that the study does not know.
    fn read_metrics(&mut self, trial: usize, part: Part) -> Result<Decision, DriverError> {
        let file = self.home.join(job_id(trial, part).to_string());
        let metric = self.sweep().objective.metric.clone();
        let history = self.history();
        let index = history.definition.parts.iter().position(|one| *one == part);
        let known = index.map_or(0, |index| history.trials[trial].curves[index].reached());
        // A table that is not there yet, or being replaced, is read the next time.
        let epochs = metrics(&file.join("metrics.csv"), &metric).unwrap_or_default();
        for (epoch, value) in epochs.into_iter().filter(|(epoch, _)| *epoch > known) {
            if self.study.report(trial, part, epoch, value)? == Decision::Stop {
                return Ok(Decision::Stop);
            }
        }
        Ok(Decision::Go)
    }

    fn stop_trial(&mut self, trial: usize) -> Result<(), DriverError> {
        for part in self.running.remove(&trial).unwrap_or_default() {
            let id = job_id(trial, part);
            self.pool.stop(&id)?;
            self.stopping.insert(id);
        }
        Ok(())
    }

    fn end(&mut self, trial: usize, say: &impl Fn(&str)) -> Result<(), DriverError> {
        self.running.remove(&trial);
        let history = self.history();
        let row = history
            .leaderboard()
            .into_iter()
            .find(|row| row.trial.number == trial);
        if let Some(row) = row {
            let value = row
                .value
                .map_or_else(String::new, |value| format!(" {value:.4}"));
            let rank = row
                .rank
                .map_or_else(String::new, |rank| format!(", rank {rank}"));
            let why = match &row.trial.status {
                Status::Failed { error } => format!(": {error}"),
                Status::Pruned { epoch, .. } => format!(" after epoch {epoch}"),
                _ => String::new(),
            };
            let status = row.trial.status.name();
            say(&format!("trial-{trial:04} {status}{value}{rank}{why}"));
        }
        self.write_table()
    }

    /// Writes `sweep.csv` anew.
    fn write_table(&self) -> Result<(), DriverError> {
        write_atomic(&self.home.join("sweep.csv"), |out| {
            self.history().write_csv(out).map_err(std::io::Error::other)
        })?;
        Ok(())
    }

    fn sweep(&self) -> &Sweep {
        &self.history().definition.sweep
    }
}

/// The command line of one run of a trial.
fn job(home: &Path, program: &Path, launch: &Launch, part: Part) -> Job {
    let id = job_id(launch.number, part);
    let mut command: Vec<OsString> = vec![program.into(), "run".into()];
    command.push(home.join(EXPERIMENT).into());
    let name = format!("name={}", launch.folder);
    for setting in launch.overrides.iter().chain([&name]) {
        command.extend(["--set".into(), setting.into()]);
    }
    command.extend(["--results".into(), home.into()]);
    command.extend(["--seeds".into(), part.seed.to_string().into()]);
    if let Some(fold) = part.fold {
        command.extend(["--folds".into(), fold.to_string().into()]);
    }
    Job {
        log: home.join(id.log()),
        id,
        command,
    }
}

/// What to say where more trials are begun than can run: those that wait know less than they could.
fn crowded(definition: &Definition) -> Option<String> {
    let Sweep {
        parallelism,
        executor,
        ..
    } = &definition.sweep;
    let (workers, runs) = (executor.workers()?, definition.parts.len().max(1));
    let useful = workers.div_ceil(runs);
    (*parallelism > useful).then(|| {
        format!(
            "parallelism is {parallelism}, but no more than {useful} of the trials, of {runs} runs each, find \
             a place among {workers} runs at once: the others are chosen before their turn, without the \
             results of those before them"
        )
    })
}

pub(super) fn job_id(trial: usize, part: Part) -> JobId {
    JobId {
        trial,
        seed: part.seed,
        fold: part.fold,
    }
}

/// Epoch and value of one column of a run's table.
fn metrics(file: &Path, metric: &str) -> Result<Vec<(usize, f64)>, csv::Error> {
    let mut table = csv::Reader::from_path(file)?;
    let header = table.headers()?.clone();
    let column = |name: &str| header.iter().position(|one| one == name);
    let (Some(epoch), Some(metric)) = (column("epoch"), column(metric)) else {
        return Ok(Vec::new());
    };
    let mut values = Vec::new();
    for row in table.records() {
        let row = row?;
        let number = |at: usize| row.get(at).and_then(|text| text.parse::<f64>().ok());
        if let (Some(epoch), Some(value)) = (number(epoch), number(metric)) {
            values.push((epoch as usize, value));
        }
    }
    Ok(values)
}
