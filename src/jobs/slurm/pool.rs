//! [`Slurm`] at work: submits, watches and cancels tasks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Slurm;
use super::commands::{Commands, Queue};
use super::record::{Event, Key, Record, Task, read};
use super::script::{self, Array};
use super::task_status::{TaskFiles, TaskStatus};
use crate::files::{FileError, create_folder};
use crate::jobs::outcome::length;
use crate::jobs::{ExecutorError, Job, JobId, Outcome, Pool, State};

/// Most tasks of an array: Slurm's MaxArraySize is 1001 unless it is set.
const LARGEST_ARRAY: usize = 1000;

/// How many polls in a row must find a task gone before it counts as failed.
const LOOKS: usize = 6;

/// How long Slurm may be unreachable before that is an error.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// [`Slurm`] at work.
#[derive(Debug)]
pub(in crate::jobs) struct SlurmPool {
    config: Slurm,
    commands: Commands,
    home: PathBuf,
    folder: PathBuf,
    record: Record,
    /// The last known state of each task in flight.
    seen: HashMap<Key, State>,
    /// How many polls in a row found each task gone.
    gone: HashMap<Key, usize>,
    /// Outcomes that the caller got and has not yet confirmed.
    unconfirmed: Vec<(Key, Outcome)>,
    /// Jobs whose previous task is still stopping.
    waiting: Vec<Job>,
    last_look: Option<Instant>,
    /// When Slurm last answered.
    answered: Instant,
}

impl SlurmPool {
    pub(super) fn open(config: &Slurm, home: &Path) -> Result<Self, ExecutorError> {
        let folder = script::folder(home);
        let record = Record::open(&folder, home)?;
        let mut pool = Self {
            config: config.clone(),
            commands: Commands::new(config.bin.as_ref()),
            home: home.to_owned(),
            folder,
            record,
            seen: HashMap::new(),
            gone: HashMap::new(),
            unconfirmed: Vec::new(),
            waiting: Vec::new(),
            last_look: None,
            answered: Instant::now(),
        };
        let unsettled = |(number, array): (&usize, &super::record::Array)| {
            (array.slurm.is_none() && !array.withdrawn).then_some(*number)
        };
        let unsettled: Vec<usize> = pool.record.arrays.0.iter().filter_map(unsettled).collect();
        for number in unsettled {
            pool.settle(number)?;
        }
        Ok(pool)
    }

    fn files(&self) -> TaskFiles<'_> {
        TaskFiles {
            folder: &self.folder,
        }
    }

    /// Submits jobs as one array. It is recorded before and after, so that the next process can find out
    /// whether Slurm has it, whatever happens in between.
    fn submit_array(&mut self, jobs: &[Job]) -> Result<(), ExecutorError> {
        let number = self.record.arrays.next();
        let array = Array::new(&self.config, &self.home, number);
        for folder in jobs.iter().filter_map(|job| job.log.parent()) {
            create_folder(folder)?;
        }
        array.write(jobs)?;
        let task = |job: &Job| {
            let log = std::path::absolute(&job.log).unwrap_or_else(|_| job.log.clone());
            Task {
                job: job.id.clone(),
                log_from: length(&log),
                log,
            }
        };
        let (name, tasks) = (array.name(), jobs.iter().map(task).collect());
        let script = array.script_path();
        self.record.append(Event::Submitting {
            array: number,
            name,
            tasks,
        })?;
        match self.commands.sbatch(&script) {
            Ok(slurm) => self.record.append(Event::Submitted {
                array: number,
                slurm,
            }),
            // A time-out on the way does not mean that Slurm does not have it.
            Err(refusal) => match self.settle(number)? {
                true => Ok(()),
                false => Err(refusal),
            },
        }
    }

    /// Finds out whether Slurm has an array that was submitted; if not, the array is withdrawn for good:
    /// should it arrive late, its tasks do nothing without their table.
    fn settle(&mut self, number: usize) -> Result<bool, ExecutorError> {
        let array = Array::new(&self.config, &self.home, number);
        let known = self.record.arrays.0.get(&number);
        let name = known.map_or_else(|| array.name(), |known| known.name.clone());
        let tasks = known.map_or(0, |known| known.tasks.len());
        let ran = (0..tasks).find_map(|task| self.files().started((number, task)));
        let table = (array.table_path(), array.withdrawn_path());
        if ran.is_none() {
            rename(&table.0, &table.1)?;
        }
        let slurm = match ran {
            Some((_, slurm)) => Some(slurm),
            None => self
                .commands
                .squeue()
                .inspect_err(|_| drop(rename(&table.1, &table.0)))?
                .names
                .get(&name)
                .copied(),
        };
        match slurm {
            Some(slurm) => {
                rename(&table.1, &table.0)?;
                self.record.append(Event::Submitted {
                    array: number,
                    slurm,
                })?;
            }
            None => self.record.append(Event::Withdrawn { array: number })?,
        }
        Ok(slurm.is_some())
    }

    /// Records the outcomes that the caller has confirmed by now.
    fn confirm(&mut self) -> Result<(), ExecutorError> {
        for ((array, task), outcome) in std::mem::take(&mut self.unconfirmed) {
            self.record.append(Event::Ended {
                array,
                task,
                outcome,
            })?;
        }
        Ok(())
    }

    /// The tasks in flight, without those whose outcome the caller already got.
    fn in_flight(&self) -> impl Iterator<Item = (Key, u64, &super::record::Progress)> {
        let ended = |key: &Key| self.unconfirmed.iter().any(|(ended, _)| ended == key);
        self.record
            .arrays
            .in_flight()
            .filter(move |(key, ..)| !ended(key))
    }

    /// Submits the waiting jobs whose previous task has ended.
    fn submit_waiting(&mut self) -> Result<(), ExecutorError> {
        let busy: Vec<JobId> = self
            .in_flight()
            .map(|(_, _, progress)| progress.task.job.clone())
            .collect();
        let (wait, ready): (Vec<Job>, Vec<Job>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|job| busy.contains(&job.id));
        self.waiting = wait;
        for jobs in ready.chunks(LARGEST_ARRAY) {
            self.submit_array(jobs)?;
        }
        Ok(())
    }

    /// Slurm's queue; none while Slurm is unreachable for a short time.
    fn queue(&mut self) -> Result<Option<Queue>, ExecutorError> {
        match self.commands.squeue() {
            Ok(queue) => {
                self.answered = Instant::now();
                Ok(Some(queue))
            }
            Err(ExecutorError::Refused { .. }) if self.answered.elapsed() < SILENCE => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Updates the state of every task in flight; the caller gets the outcomes of those that ended.
    fn update(&mut self, queue: &Queue) {
        let files = self.files();
        let (mut seen, mut gone, mut ended) = (HashMap::new(), HashMap::new(), Vec::new());
        for (key, slurm, progress) in self.in_flight() {
            let state = match files.status(key, slurm, progress, queue) {
                TaskStatus::Known(state) => state,
                TaskStatus::Unknown(row) => {
                    let looks = self.gone.get(&key).copied().unwrap_or_default() + 1;
                    gone.insert(key, looks);
                    if looks < LOOKS {
                        self.seen
                            .get(&key)
                            .cloned()
                            .unwrap_or(State::Pending(String::new()))
                    } else {
                        let row = row.or_else(|| self.commands.sacct(slurm, key.1));
                        files.ended(key, progress, row.as_ref(), None)
                    }
                }
            };
            if let State::Ended(outcome) = &state {
                if matches!(outcome, Outcome::Failed(_)) {
                    files.note(key, progress);
                }
                ended.push((key, outcome.clone()));
            }
            seen.insert(key, state);
        }
        (self.seen, self.gone) = (seen, gone);
        self.unconfirmed.extend(ended);
    }

    /// Records that tasks are to stop, then cancels them.
    fn cancel(&mut self, tasks: Vec<(Key, u64)>) -> Result<(), ExecutorError> {
        for ((array, task), _) in &tasks {
            self.record.append(Event::Stopping {
                array: *array,
                task: *task,
            })?;
        }
        let tasks: Vec<(u64, usize)> = tasks
            .iter()
            .map(|((_, task), slurm)| (*slurm, *task))
            .collect();
        self.commands.scancel(&tasks)
    }
}

impl Pool for SlurmPool {
    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), ExecutorError> {
        self.confirm()?;
        for job in jobs {
            let there = self
                .in_flight()
                .any(|(_, _, progress)| progress.task.job == job.id && !progress.stopping);
            if !there && !self.waiting.iter().any(|waiting| waiting.id == job.id) {
                self.waiting.push(job);
            }
        }
        self.submit_waiting()
    }

    fn poll(&mut self) -> Result<Vec<(JobId, Outcome)>, ExecutorError> {
        self.confirm()?;
        self.submit_waiting()?;
        let interval = Duration::from_secs_f64(self.config.poll);
        if self.last_look.is_some_and(|last| last.elapsed() < interval) {
            return Ok(Vec::new());
        }
        self.last_look = Some(Instant::now());
        if self.in_flight().next().is_some()
            && let Some(queue) = self.queue()?
        {
            self.update(&queue);
        }
        let job = |(array, task): Key| {
            Some(
                self.record
                    .arrays
                    .0
                    .get(&array)?
                    .tasks
                    .get(task)?
                    .task
                    .job
                    .clone(),
            )
        };
        Ok(self
            .unconfirmed
            .iter()
            .filter_map(|(key, outcome)| Some((job(*key)?, outcome.clone())))
            .collect())
    }

    fn states(&self) -> Vec<(JobId, State)> {
        let waiting = self
            .waiting
            .iter()
            .map(|job| (job.id.clone(), State::Pending(String::new())));
        let known = self.record.arrays.0.iter().flat_map(|(number, array)| {
            let tasks = array
                .tasks
                .iter()
                .enumerate()
                .filter(|_| array.slurm.is_some());
            tasks.map(|(index, progress)| {
                let state = progress.ended.clone().map(State::Ended);
                let state = state.or_else(|| self.seen.get(&(*number, index)).cloned());
                (
                    progress.task.job.clone(),
                    state.unwrap_or(State::Pending(String::new())),
                )
            })
        });
        latest(known.chain(waiting))
    }

    fn stop(&mut self, id: &JobId) -> Result<(), ExecutorError> {
        self.waiting.retain(|job| job.id != *id);
        let tasks = self
            .in_flight()
            .filter(|(_, _, progress)| progress.task.job == *id && !progress.stopping);
        let tasks = tasks.map(|(key, slurm, _)| (key, slurm)).collect();
        self.cancel(tasks)
    }

    fn stop_all(&mut self) -> Result<(), ExecutorError> {
        self.waiting.clear();
        if self.config.detach {
            return Ok(());
        }
        let tasks = self
            .in_flight()
            .filter(|(_, _, progress)| !progress.stopping);
        let tasks = tasks.map(|(key, slurm, _)| (key, slurm)).collect();
        self.cancel(tasks)
    }

    fn free_slots(&self) -> usize {
        let busy = self.in_flight().count() + self.waiting.len();
        self.config
            .array_limit
            .map_or(usize::MAX, |limit| limit.saturating_sub(busy))
    }
}

/// The jobs in `home`, to look on while another process runs them.
pub(super) fn states(config: &Slurm, home: &Path) -> Result<Vec<(JobId, State)>, ExecutorError> {
    let folder = script::folder(home);
    let path = Record::path(&folder);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let arrays = read(&path)?;
    let (files, commands) = (
        TaskFiles { folder: &folder },
        Commands::new(config.bin.as_ref()),
    );
    let queue = commands.squeue()?;
    let mut states = Vec::new();
    for (number, array) in &arrays.0 {
        let Some(slurm) = array.slurm else { continue };
        for (index, progress) in array.tasks.iter().enumerate() {
            let key = (*number, index);
            let state = match &progress.ended {
                Some(outcome) => State::Ended(outcome.clone()),
                None => match files.status(key, slurm, progress, &queue) {
                    TaskStatus::Known(state) => state,
                    TaskStatus::Unknown(row) => {
                        let row = row.or_else(|| commands.sacct(slurm, index));
                        files.ended(key, progress, row.as_ref(), None)
                    }
                },
            };
            states.push((progress.task.job.clone(), state));
        }
    }
    Ok(latest(states.into_iter()))
}

/// The last state of each job, in the order of their first submission.
fn latest(states: impl Iterator<Item = (JobId, State)>) -> Vec<(JobId, State)> {
    let mut latest: Vec<(JobId, State)> = Vec::new();
    let mut places: HashMap<JobId, usize> = HashMap::new();
    for (job, state) in states {
        match places.get(&job) {
            Some(place) => latest[*place].1 = state,
            None => {
                places.insert(job.clone(), latest.len());
                latest.push((job, state));
            }
        }
    }
    latest
}

/// Renames a file, unless that was done before.
fn rename(from: &Path, to: &Path) -> Result<(), ExecutorError> {
    match std::fs::rename(from, to) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            let remedy = "Check that you may write to its folder.";
            Err(FileError {
                action: "rename",
                path: from.to_owned(),
                remedy,
                source,
            }
            .into())
        }
        _ => Ok(()),
    }
}
