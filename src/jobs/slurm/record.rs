//! What was submitted: `jobs.jsonl`, a line an event, appended and synced, never rewritten.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::FileError;
use crate::jobs::lock::hold;
use crate::jobs::{ExecutorError, JobId, Outcome};

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
    /// A task ended, and the study knows.
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
    /// How long the log was before.
    pub log_from: u64,
}

/// An array, as the events left it.
#[derive(Debug)]
pub(super) struct Array {
    pub name: String,
    pub tasks: Vec<Progress>,
    /// Its number in Slurm; none until Slurm is known to have it.
    pub slurm: Option<u64>,
    pub withdrawn: bool,
}

/// How far a task is.
#[derive(Debug)]
pub(super) struct Progress {
    pub task: Task,
    pub stopping: bool,
    pub ended: Option<Outcome>,
}

/// A task: the number of its array in the record, and its index there.
pub(super) type Key = (usize, usize);

/// Every array of a study.
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
    file: File,
    path: PathBuf,
    length: u64,
    pub arrays: Arrays,
}

impl Record {
    pub(super) fn path(folder: &Path) -> PathBuf {
        folder.join("jobs.jsonl")
    }

    /// Opens and locks the record. A last line that was cut off while it was written is dropped.
    pub(super) fn open(folder: &Path, study: &Path) -> Result<Self, ExecutorError> {
        let path = Self::path(folder);
        let file = hold(&path, study)?;
        let (arrays, length) = read(&path)?;
        let mut record = Self {
            file,
            path,
            length,
            arrays,
        };
        record
            .cut()
            .map_err(|source| record.error("write", source))?;
        Ok(record)
    }

    /// Appends an event; when this returns it is on the disk.
    pub(super) fn append(&mut self, event: Event) -> Result<(), ExecutorError> {
        let written = serde_json::to_vec(&event)
            .map_err(io::Error::other)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.seek(SeekFrom::Start(self.length))?;
                self.file.write_all(&line)?;
                self.file.sync_data()?;
                Ok(line.len() as u64)
            });
        match written {
            Ok(length) => self.length += length,
            Err(source) => {
                // Half a line must not stand before the next; if this fails too, the next is written
                // over it.
                let _ = self.cut();
                return Err(self.error("write", source).into());
            }
        }
        self.arrays.apply(event).map_err(|why| self.damaged(why))
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_data()
    }

    fn error(&self, action: &'static str, source: io::Error) -> FileError {
        file_error(&self.path, action, source)
    }

    fn damaged(&self, why: String) -> ExecutorError {
        ExecutorError::Damaged {
            path: self.path.clone(),
            line: 0,
            why,
        }
    }
}

/// The arrays in a record and the length of its whole lines.
pub(super) fn read(path: &Path) -> Result<(Arrays, u64), ExecutorError> {
    let bytes = std::fs::read(path).map_err(|source| file_error(path, "read", source))?;
    let length = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    let mut arrays = Arrays::default();
    for (index, line) in bytes[..length]
        .split_inclusive(|byte| *byte == b'\n')
        .enumerate()
    {
        let event =
            serde_json::from_slice(line).map_err(|why| format!("not an event of an array ({why})"));
        let applied = event.and_then(|event| arrays.apply(event));
        applied.map_err(|why| ExecutorError::Damaged {
            path: path.to_owned(),
            line: index + 1,
            why,
        })?;
    }
    Ok((arrays, length as u64))
}

fn file_error(path: &Path, action: &'static str, source: io::Error) -> FileError {
    let remedy =
        "Check that the study's folder is there, yours to write, and on a disk that is not full.";
    FileError {
        action,
        path: path.to_owned(),
        remedy,
        source,
    }
}
