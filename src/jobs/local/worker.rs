//! A worker: a process and its lock.
//!
//! Each worker holds a lock file open as its standard input. The system frees the lock when the worker is dead,
//! however it died. So a held lock means that its worker is alive, no matter which process started it and what
//! happened to that process. A job whose lock is held is never started.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::files::{read_text, write_atomic};
use crate::jobs::lock::is_held;
use crate::jobs::outcome::{cause, was_interrupted};
use crate::jobs::{ExecutorError, Failure, JobId, Outcome, State};

/// The folder of the workers' locks.
pub(super) const FOLDER: &str = "local";

/// The note beside a worker's lock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub job: JobId,
    pub pid: u32,
    /// Whether the worker was asked to stop, or the system asks it when its parent dies. It is asked only once:
    /// the second time it would end without saving.
    pub told: bool,
}

impl Note {
    pub(super) fn path(lock: &Path) -> PathBuf {
        lock.with_extension("json")
    }

    fn read(lock: &Path) -> Option<Self> {
        serde_json::from_str(&read_text(&Self::path(lock)).ok()?).ok()
    }

    pub(super) fn write(&self, lock: &Path) -> Result<(), ExecutorError> {
        write_atomic(&Self::path(lock), |file| {
            Ok(serde_json::to_writer(file, self)?)
        })?;
        Ok(())
    }
}

/// The locks that workers hold, in a folder and below it.
pub(super) fn held(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of_entry = |entry: std::fs::DirEntry| {
        let path = entry.path();
        if path.is_dir() {
            return held(&path);
        }
        let is_lock = path
            .extension()
            .is_some_and(|extension| extension == "lock");
        let is_worker = is_lock && path.file_stem().is_some_and(|stem| stem != "driver");
        Vec::from_iter((is_worker && is_held(&path)).then_some(path))
    };
    entries.flat_map(of_entry).collect()
}

/// The workers that are alive, no matter which process started them.
pub(in crate::jobs) fn states(home: &Path) -> Result<Vec<(JobId, State)>, ExecutorError> {
    let locks = held(&home.join(FOLDER));
    let notes = locks.iter().filter_map(|lock| Note::read(lock));
    Ok(notes
        .map(|note| (note.job, State::Running(format!("process {}", note.pid))))
        .collect())
}

/// Whether the system can ask workers to stop when this process dies.
pub(super) fn can_tie() -> bool {
    let probe = Command::new("setpriv")
        .args(["--pdeathsig", "TERM", "--", "true"])
        .output();
    probe.is_ok_and(|output| output.status.success())
}

/// Signals a worker and the processes that it started, if there still are any.
pub(super) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, signal);
    }
}

/// A worker that an earlier process left behind.
#[derive(Debug)]
pub(super) struct Orphan {
    pub lock: PathBuf,
    pub pid: Option<u32>,
    pub since: Instant,
}

impl Orphan {
    pub(super) fn take_over(lock: PathBuf) -> Result<Self, ExecutorError> {
        let note = Note::read(&lock);
        if let Some(note) = note.as_ref().filter(|note| !note.told) {
            signal(note.pid, Signal::TERM);
            Note {
                told: true,
                ..note.clone()
            }
            .write(&lock)?;
        }
        Ok(Self {
            lock,
            pid: note.map(|note| note.pid),
            since: Instant::now(),
        })
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    pub id: JobId,
    pub log: PathBuf,
    pub log_from: u64,
    pub lock: PathBuf,
    pub child: Child,
    pub slot: usize,
    pub stopping: Option<Instant>,
}

impl Worker {
    /// Asks the worker to save and end, unless it was asked before.
    pub(super) fn stop(&mut self) {
        if self.stopping.is_none() {
            self.stopping = Some(Instant::now());
            signal(self.child.id(), Signal::TERM);
        }
    }

    pub(super) fn outcome(&self, status: ExitStatus) -> Outcome {
        if status.success() {
            Outcome::Finished
        } else if self.stopping.is_some() || was_interrupted(status) {
            Outcome::Stopped
        } else {
            Outcome::Failed(Failure::new(cause(status), &self.log, self.log_from))
        }
    }
}
