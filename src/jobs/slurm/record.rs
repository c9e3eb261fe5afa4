//! What was submitted: the journal `jobs.jsonl`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::jobs::{ExecutorError, JobId, Journal, JournalError, Outcome, read_journal};

/// What can happen to an array.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// It is about to be submitted.
    Submitting {
        array: usize,
        name: String,
        tasks: Vec<Task>,
    },
    /// Slurm took it.
    Submitted { array: usize, slurm: u64 },
    /// Slurm did not take it, and would do nothing if it did.
    Withdrawn { array: usize },
    /// A task is to be stopped.
    Stopping { array: usize, task: usize },
    /// A task ended, and the caller knows.
    Ended {
        array: usize,
        task: usize,
        outcome: Outcome,
    },
}

/// A task of an array.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub job: JobId,
    pub log: PathBuf,
    /// The length of the log before.
    pub log_from: u64,
}

/// The state of an array after all events.
#[derive(Debug)]
pub(super) struct Array {
    pub name: String,
    pub tasks: Vec<Progress>,
    /// Its number in Slurm; none until Slurm is known to have it.
    pub slurm: Option<u64>,
    pub withdrawn: bool,
}

/// The state of a task.
#[derive(Debug)]
pub(super) struct Progress {
    pub task: Task,
    pub stopping: bool,
    pub ended: Option<Outcome>,
}

/// A task: the number of its array in the record, and its index there.
pub(super) type Key = (usize, usize);

/// Every array of a folder.
#[derive(Debug, Default)]
pub(super) struct Arrays(pub BTreeMap<usize, Array>);

impl Arrays {
    fn apply(&mut self, event: Event) -> Result<(), String> {
        if let Event::Submitting { array, name, tasks } = event {
            let tasks = tasks.into_iter().map(|task| Progress {
                task,
                stopping: false,
                ended: None,
            });
            self.0.insert(
                array,
                Array {
                    name,
                    tasks: tasks.collect(),
                    slurm: None,
                    withdrawn: false,
                },
            );
            return Ok(());
        }
        let (number, index) = match &event {
            Event::Stopping { array, task } | Event::Ended { array, task, .. } => (*array, *task),
            Event::Submitted { array, .. }
            | Event::Withdrawn { array }
            | Event::Submitting { array, .. } => (*array, 0),
        };
        let array = self
            .0
            .get_mut(&number)
            .ok_or_else(|| format!("array {number} was never submitted"))?;
        let task = array
            .tasks
            .get_mut(index)
            .ok_or_else(|| format!("array {number} has no task {index}"))?;
        match event {
            Event::Submitting { .. } => {}
            Event::Submitted { slurm, .. } => array.slurm = Some(slurm),
            Event::Withdrawn { .. } => array.withdrawn = true,
            Event::Stopping { .. } => task.stopping = true,
            Event::Ended { outcome, .. } => task.ended = Some(outcome),
        }
        Ok(())
    }

    /// The number of the next array.
    pub(super) fn next(&self) -> usize {
        self.0.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// The tasks that Slurm has and that have not ended, each with its array's number in Slurm.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = (Key, u64, &Progress)> {
        let arrays = self
            .0
            .iter()
            .filter_map(|(number, array)| Some((*number, array, array.slurm?)));
        arrays.flat_map(|(number, array, slurm)| {
            let tasks = array
                .tasks
                .iter()
                .enumerate()
                .filter(|(_, task)| task.ended.is_none());
            tasks.map(move |(index, task)| ((number, index), slurm, task))
        })
    }
}

/// The record, open for this process alone.
#[derive(Debug)]
pub(super) struct Record {
    journal: Journal,
    pub arrays: Arrays,
}

impl Record {
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join("jobs.jsonl")
    }

    /// Opens and locks the record of the jobs in `home`.
    pub(super) fn open(folder: &Path, home: &Path) -> Result<Self, ExecutorError> {
        let path = Self::path(folder);
        let opened = Journal::open(&path).map_err(|error| match error {
            JournalError::Locked { .. } => ExecutorError::Busy {
                folder: home.to_owned(),
            },
            other => other.into(),
        })?;
        Ok(Self {
            arrays: replay(&path, opened.events)?,
            journal: opened.journal,
        })
    }

    /// Appends an event; when this returns it is on the disk.
    pub(super) fn append(&mut self, event: Event) -> Result<(), ExecutorError> {
        let line = self.journal.append(&event)?;
        let applied = self.arrays.apply(event);
        applied.map_err(|why| damaged(self.journal.path(), line, why))
    }
}

/// The arrays in a record, read without locking it.
pub(super) fn read(path: &Path) -> Result<Arrays, ExecutorError> {
    replay(path, read_journal(path)?)
}

fn replay(path: &Path, events: Vec<Event>) -> Result<Arrays, ExecutorError> {
    let mut arrays = Arrays::default();
    for (index, event) in events.into_iter().enumerate() {
        let applied = arrays.apply(event);
        applied.map_err(|why| damaged(path, index + 1, why))?;
    }
    Ok(arrays)
}

fn damaged(path: &Path, line: usize, why: String) -> ExecutorError {
    ExecutorError::Damaged {
        path: path.to_owned(),
        line,
        why,
    }
}
