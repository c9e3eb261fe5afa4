//! A sweep at work: it takes trials from the study, has the executor run them, and reports their metrics back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::budget::Stop;
use super::command::job;
use super::config::{Sweep, in_words};
use super::data::TrialData;
use super::definition::Definition;
use super::error::DriverError;
use super::history::History;
use super::run_key::RunKey;
use super::scores;
use super::study::{Decision, Next, Study, TrialStart};
use super::trial::Status;
use crate::files::{FileError, write_atomic};
use crate::jobs::{Job, JobId, Outcome, Pool, State};
use crate::layout::SweepFolder;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(300);

/// Runs a sweep. Every run of a trial is an ordinary run in a folder of its own, `trial-0017/seed-42/fold-3`.
pub struct Driver {
    study: Study,
    pool: Box<dyn Pool>,
    home: SweepFolder,
    program: PathBuf,
    /// The trials at work, and the runs of each that have not ended.
    running: BTreeMap<usize, BTreeSet<RunKey>>,
    /// Runs that were asked to stop and have not ended.
    stopping: BTreeSet<JobId>,
    /// The size and time of each run's table of epochs when it was last read.
    read: BTreeMap<JobId, (u64, SystemTime)>,
    data: TrialData,
    notices: Vec<String>,
}

impl Driver {
    /// Begins the study in `home`, or resumes it. `program` is this program's own file.
    ///
    /// # Errors
    ///
    /// When the study or the executor cannot be opened, or the data have changed since the study was begun.
    pub fn open(home: &Path, definition: &Definition, program: &Path) -> Result<Self, DriverError> {
        let study = Study::open(home, definition)?;
        let data = TrialData::open(&SweepFolder::new(home), definition)?;
        let pool = definition.sweep.executor.open(home)?;
        let home = SweepFolder::new(home);
        write_atomic(&home.experiment(), |out| {
            writeln!(
                out,
                "# What every trial of this sweep runs, before its own parameters."
            )?;
            serde_yaml::to_writer(out, &definition.experiment).map_err(std::io::Error::other)
        })?;
        let mut notices = study.notices().to_vec();
        notices.extend(oversubscription(definition));
        Ok(Self {
            study,
            pool,
            home,
            program: program.to_owned(),
            running: BTreeMap::new(),
            stopping: BTreeSet::new(),
            read: BTreeMap::new(),
            data,
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

    /// Starts the failed trials again, under their own numbers; returns how many.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    pub fn retry_failed(&mut self) -> Result<usize, DriverError> {
        Ok(self.study.retry_failed()?)
    }

    /// Works until the budget is spent or `stopped` is true, and reports every trial that begins or ends through
    /// `say`. Returns why it ended; none if it was stopped.
    ///
    /// # Errors
    ///
    /// When the record or the jobs cannot be kept. Failing trials are not errors: they are recorded.
    pub fn work(
        &mut self,
        stopped: impl Fn() -> bool,
        say: impl Fn(&str),
    ) -> Result<Option<Stop>, DriverError> {
        self.adopt_running()?;
        loop {
            self.collect_finished(&say)?;
            self.poll_metrics(&say)?;
            if stopped() {
                say("Stopping; the runs at work save what they have.");
                self.pool.stop_all()?;
                self.pool.poll()?;
                self.poll_metrics(&say)?;
                self.write_table()?;
                return Ok(None);
            }
            let end = self.start_trials(&say)?;
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
        let Next::Run(trial) = study.next(&[])? else {
            return Ok("There is nothing to run.".into());
        };
        let folder = SweepFolder::new(home);
        let jobs: Vec<Job> = (definition.parts.iter())
            .map(|run| job(&folder, program, &trial, *run))
            .collect();
        Ok(definition.sweep.executor.dry_run(home, &jobs)?)
    }

    /// Adopts the trials whose runs an earlier process left to the executor.
    fn adopt_running(&mut self) -> Result<(), DriverError> {
        let at_work: BTreeSet<JobId> = (self.pool.states().into_iter())
            .filter(|(_, state)| !matches!(state, State::Ended(_)))
            .map(|(id, _)| id)
            .collect();
        let trials: BTreeSet<usize> = (at_work.iter())
            .filter_map(|id| Some(RunKey::of_job(id)?.0))
            .collect();
        let adopted: Vec<TrialStart> = (self.history().trials.iter())
            .filter(|trial| trial.status == Status::Unfinished && trials.contains(&trial.number))
            .map(TrialStart::of)
            .collect();
        for trial in adopted {
            let runs = self.unfinished_runs(trial.number);
            let lost = runs.iter().copied();
            let lost = lost.filter(|run| !at_work.contains(&run.job(trial.number)));
            let jobs = lost
                .map(|run| job(&self.home, &self.program, &trial, run))
                .collect();
            self.pool.submit(jobs)?;
            self.running.insert(trial.number, runs);
        }
        Ok(())
    }

    /// The runs of a trial that have not finished, as far as executor and study know. All of them if nothing else
    /// is known to be left.
    fn unfinished_runs(&self, trial: usize) -> BTreeSet<RunKey> {
        let finished: BTreeSet<JobId> = (self.pool.states().into_iter())
            .filter(|(_, state)| *state == State::Ended(Outcome::Finished))
            .map(|(id, _)| id)
            .collect();
        let (all, known) = (
            &self.history().definition.parts,
            &self.history().trials[trial],
        );
        // The executor's record may be older than the study, and newer than what was read of the run.
        let scored = self.sweep().scores_runs();
        let done = |(index, run): (usize, &RunKey)| match scored {
            true => known.scores[index].is_some(),
            false => known.curves[index].reached() > 0 && finished.contains(&run.job(trial)),
        };
        let left: BTreeSet<RunKey> = (all.iter().enumerate())
            .filter(|run| !done(*run))
            .map(|(_, run)| *run)
            .collect();
        match left.is_empty() {
            true => all.iter().copied().collect(),
            false => left,
        }
    }

    /// The trials at work, and those that will be resumed once their runs have stopped: until then an outcome
    /// could be that of the earlier start.
    fn busy(&self) -> Vec<usize> {
        let stopping = self.stopping.iter();
        let stopping = stopping.filter_map(|id| Some(RunKey::of_job(id)?.0));
        let stopping = stopping.filter(|trial| self.is_unfinished(*trial));
        let busy: BTreeSet<usize> = self.running.keys().copied().chain(stopping).collect();
        busy.into_iter().collect()
    }

    fn is_unfinished(&self, trial: usize) -> bool {
        let trial = self.history().trials.get(trial);
        trial.is_some_and(|trial| trial.status == Status::Unfinished)
    }

    /// Starts trials while there is room. Returns why no further one will ever be started, if so.
    fn start_trials(&mut self, say: &impl Fn(&str)) -> Result<Option<Stop>, DriverError> {
        loop {
            let busy = self.busy();
            if busy.len() >= self.sweep().parallelism {
                return Ok(None);
            }
            match self.study.next(&busy)? {
                Next::Stop(stop) => return Ok(Some(stop)),
                Next::Run(trial) => self.start(&trial, say)?,
            }
        }
    }

    fn start(&mut self, trial: &TrialStart, say: &impl Fn(&str)) -> Result<(), DriverError> {
        let again = if trial.attempt > 1 { " resumes" } else { "" };
        say(&format!(
            "{}{again}: {}",
            trial.folder,
            in_words(&trial.assignment)
        ));
        let definition = &self.study.history().definition;
        self.data.fix_trial(definition, &trial.assignment)?;
        let left = self.unfinished_runs(trial.number);
        // In the order of the definition: a pruner looks at the first run.
        let runs = self.history().definition.parts.iter();
        let jobs: Vec<Job> = runs
            .filter(|run| left.contains(run))
            .map(|run| job(&self.home, &self.program, trial, *run))
            .collect();
        // A trial that is tried again reports its epochs again.
        for job in &jobs {
            self.read.remove(&job.id);
        }
        self.pool.submit(jobs)?;
        self.running.insert(trial.number, left);
        Ok(())
    }

    /// Takes in the outcomes of runs that ended.
    fn collect_finished(&mut self, say: &impl Fn(&str)) -> Result<(), DriverError> {
        for (id, outcome) in self.pool.poll()? {
            let Some((trial, run)) = RunKey::of_job(&id) else {
                continue;
            };
            let was_stopped = self.stopping.remove(&id);
            // An earlier process may have got this outcome already, and the trial ended since.
            if !self.is_unfinished(trial) {
                continue;
            }
            self.read.remove(&id);
            let decision = self.read_metrics(trial, run)?;
            let left = self.running.get_mut(&trial);
            let left = left.and_then(|runs| runs.remove(&run).then_some(runs.len()));
            if decision == Decision::Stop {
                self.stop_trial(trial)?;
                self.end(trial, say)?;
                continue;
            }
            // A run that was asked to stop decides nothing about its trial, which is resumed when all have ended.
            let (Some(left), false) = (left, was_stopped) else {
                continue;
            };
            match outcome {
                Outcome::Finished => {
                    if self.end_run(trial, run)? == Decision::Stop {
                        self.stop_trial(trial)?;
                        self.end(trial, say)?;
                    } else if left == 0 {
                        self.study.finish(trial)?;
                        self.end(trial, say)?;
                    }
                }
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

    /// Reports the objectives of a run that has finished to the study. A trial fails whose run has none.
    fn end_run(&mut self, trial: usize, run: RunKey) -> Result<Decision, DriverError> {
        if !self.sweep().scores_runs() {
            return Ok(Decision::Continue);
        }
        let folder = self.home.run(run.job(trial).as_str());
        match scores::of_run(&folder, &self.sweep().objective) {
            Ok(values) => Ok(self.study.end_run(trial, run, values)?),
            Err(why) => {
                self.study.fail(trial, &format!("{run}: {why}"))?;
                Ok(Decision::Stop)
            }
        }
    }

    /// Reports the epochs that runs have finished to the study, and stops the trials that it prunes.
    fn poll_metrics(&mut self, say: &impl Fn(&str)) -> Result<(), DriverError> {
        let running: Vec<(usize, RunKey)> = (self.running.iter())
            .flat_map(|(trial, runs)| runs.iter().map(|run| (*trial, *run)))
            .collect();
        for (trial, run) in running {
            if self.running.contains_key(&trial) && self.read_metrics(trial, run)? == Decision::Stop
            {
                self.stop_trial(trial)?;
                self.end(trial, say)?;
            }
        }
        Ok(())
    }

    /// Reports every epoch of a run that the study does not know, if its table has changed.
    fn read_metrics(&mut self, trial: usize, run: RunKey) -> Result<Decision, DriverError> {
        let id = run.job(trial);
        let folder = self.home.run(id.as_str());
        let now = std::fs::metadata(folder.metrics())
            .and_then(|file| Ok((file.len(), file.modified()?)))
            .ok();
        if now.is_none() || now.as_ref() == self.read.get(&id) {
            return Ok(Decision::Continue);
        }
        // A table that is being replaced is read the next time.
        let Ok(epochs) = folder.read_metrics() else {
            return Ok(Decision::Continue);
        };
        let history = self.history();
        let index = history.definition.parts.iter().position(|one| *one == run);
        let known = index.map_or(0, |index| history.trials[trial].curves[index].reached());
        let curve = scores::curve(&epochs, &self.sweep().objective.watched().metric);
        for (epoch, value) in curve.0.range(known + 1..) {
            if self.study.report(trial, run, *epoch, *value)? == Decision::Stop {
                return Ok(Decision::Stop);
            }
        }
        self.read.extend(now.map(|now| (id, now)));
        Ok(Decision::Continue)
    }

    fn stop_trial(&mut self, trial: usize) -> Result<(), DriverError> {
        for run in self.running.remove(&trial).unwrap_or_default() {
            let id = run.job(trial);
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
            let value = match row.value {
                Some(_) => format!(" {}", row.values_in_words(history)),
                None => String::new(),
            };
            let rank = row
                .rank
                .map_or_else(String::new, |rank| format!(", rank {rank}"));
            let front = if row.is_on_front {
                ", on the Pareto front"
            } else {
                ""
            };
            let why = match &row.trial.status {
                Status::Failed { error } => format!(": {error}"),
                Status::Pruned { after, .. } => format!(" after {after}"),
                _ => String::new(),
            };
            let status = row.trial.status.name();
            say(&format!(
                "{} {status}{value}{rank}{front}{why}",
                row.trial.folder()
            ));
        }
        self.write_table()
    }

    /// Writes `sweep.csv`.
    fn write_table(&self) -> Result<(), DriverError> {
        write_atomic(&self.home.table(), |out| {
            self.history().write_csv(out).map_err(std::io::Error::other)
        })?;
        Ok(())
    }

    fn sweep(&self) -> &Sweep {
        &self.history().definition.sweep
    }
}

/// A warning if more trials are started than can run at once: those that wait were chosen with less knowledge than
/// possible.
fn oversubscription(definition: &Definition) -> Option<String> {
    let Sweep {
        parallelism,
        executor,
        ..
    } = &definition.sweep;
    let (workers, runs) = (executor.workers()?, definition.parts.len().max(1));
    let useful = workers.div_ceil(runs);
    (*parallelism > useful).then(|| {
        format!(
            "parallelism is {parallelism}, but the executor runs {workers} jobs at once, which is room for {useful} \
             trials of {runs} runs each: the other trials wait, and were chosen without the results of those \
             that run"
        )
    })
}
