//! A sweep at work: trials from the study, their runs through the executor, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::executor::{ExecutorError, Job, JobId, Outcome, Pool};
use super::study::{Decision, Launch, Next, Study};
use super::{Definition, History, Part, Status, Stop, Sweep, SweepError, in_words};
use crate::files::{FileError, write_atomic};

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
        Ok(Self {
            study,
            pool,
            home: home.to_owned(),
            program: program.to_owned(),
            running: BTreeMap::new(),
        })
    }

    /// The study so far.
    pub fn history(&self) -> &History {
        self.study.history()
    }

    /// What the user should know about how the record was found.
    pub fn notices(&self) -> &[String] {
        self.study.notices()
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
            if let (Some(end), true) = (end, self.running.is_empty()) {
                self.write_table()?;
                return Ok(Some(end));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The first trial's runs as they would be started.
    ///
    /// # Errors
    ///
    /// When there is no trial to run, or its command lines cannot be written.
    pub fn first_jobs(&mut self) -> Result<String, DriverError> {
        let Next::Run(launch) = self.study.next(&[])? else {
            return Ok("There is nothing to run.".into());
        };
        let parts = self.history().definition.parts.iter();
        let jobs: Vec<Job> = parts.map(|part| self.job(&launch, *part)).collect();
        Ok(self.sweep().executor.dry_run(&self.home, &jobs)?)
    }

    /// Begins trials while there is room. Why no more will ever be begun, if so.
    fn begin(&mut self, say: &impl Fn(&str)) -> Result<Option<Stop>, DriverError> {
        while self.running.len() < self.sweep().parallelism {
            let running: Vec<usize> = self.running.keys().copied().collect();
            match self.study.next(&running)? {
                Next::Stop(stop) => return Ok(Some(stop)),
                Next::Run(launch) => self.launch(&launch, say)?,
            }
        }
        Ok(None)
    }

    fn launch(&mut self, launch: &Launch, say: &impl Fn(&str)) -> Result<(), DriverError> {
        let parts = self.history().definition.parts.clone();
        let again = if launch.attempt > 1 { " goes on" } else { "" };
        say(&format!(
            "{}{again}: {}",
            launch.folder,
            in_words(&launch.assignment)
        ));
        let jobs = parts.iter().map(|part| self.job(launch, *part)).collect();
        self.pool.submit(jobs)?;
        self.running
            .insert(launch.number, parts.into_iter().collect());
        Ok(())
    }

    /// The command line of one run of a trial.
    fn job(&self, launch: &Launch, part: Part) -> Job {
        let id = job_id(launch.number, part);
        let mut command: Vec<OsString> = vec![self.program.clone().into(), "run".into()];
        command.push(self.sweep().experiment_path().into());
        let name = format!("name={}", launch.folder);
        for setting in launch.overrides.iter().chain([&name]) {
            command.extend(["--set".into(), setting.into()]);
        }
        command.extend(["--results".into(), self.home.clone().into()]);
        command.extend(["--seeds".into(), part.seed.to_string().into()]);
        if let Some(fold) = part.fold {
            command.extend(["--folds".into(), fold.to_string().into()]);
        }
        let file = format!("{}.log", id.to_string().replace('/', "-"));
        Job {
            id,
            command,
            log: self.home.join("logs").join(file),
        }
    }

    /// Takes in what ended.
    fn hear(&mut self, say: &impl Fn(&str)) -> Result<(), DriverError> {
        for (id, outcome) in self.pool.poll()? {
            let part = Part {
                seed: id.seed,
                fold: id.fold,
            };
            // Whatever an earlier process was told of a trial that has ended since is old news.
            if !self.running.contains_key(&id.trial) {
                continue;
            }
            self.read_metrics(id.trial, part)?;
            match outcome {
                Outcome::Finished => {
                    let left = self.running.get_mut(&id.trial).map(|parts| {
                        parts.remove(&part);
                        parts.len()
                    });
                    if left == Some(0) {
                        self.study.finish(id.trial)?;
                        self.end(id.trial, say)?;
                    }
                }
                Outcome::Stopped => {
                    self.study
                        .requeue(id.trial, "its run was stopped from outside")?;
                    self.stop_trial(id.trial)?;
                }
                Outcome::Failed(failure) => {
                    self.study.fail(id.trial, &failure.to_string())?;
                    self.stop_trial(id.trial)?;
                    self.end(id.trial, say)?;
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
            self.pool.stop(&job_id(trial, part))?;
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
