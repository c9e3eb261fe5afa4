//! The status of a task: from what Slurm reports and from the files that the task left.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::commands::{Phase, Queue, Row};
use super::record::{Key, Progress};
use crate::jobs::outcome::{cause, status_of_shell, tail, was_interrupted};
use crate::jobs::{Failure, Outcome, State};

/// The status of a task.
#[derive(Debug, PartialEq)]
pub(super) enum TaskStatus {
    /// Its state is certain.
    Known(State),
    /// It seems to have ended without an exit status, which may be late on a network disk. What Slurm reports
    /// of it, if Slurm still knows it.
    Unknown(Option<Row>),
}

/// The files that tasks leave in the folder of their array.
pub(super) struct TaskFiles<'a> {
    /// The folder `slurm`.
    pub folder: &'a Path,
}

impl TaskFiles<'_> {
    fn path(&self, (array, task): Key, name: &str) -> PathBuf {
        self.folder.join(format!("array-{array:04}/{task}.{name}"))
    }

    /// The exit status.
    fn exit(&self, key: Key) -> Option<i32> {
        std::fs::read_to_string(self.path(key, "exit"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// How often the task started, and the number of its array in Slurm.
    pub(super) fn started(&self, key: Key) -> Option<(usize, u64)> {
        let text = std::fs::read_to_string(self.path(key, "started")).ok()?;
        let (starts, slurm) = text.trim().split_once(' ')?;
        Some((starts.parse().ok()?, slurm.parse().ok()?))
    }

    /// The status of a task. The queue must have been read before: a task writes its exit status before it
    /// leaves the queue.
    pub(super) fn status(
        &self,
        key: Key,
        slurm: u64,
        progress: &Progress,
        queue: &Queue,
    ) -> TaskStatus {
        let row = queue.rows.get(&(slurm, key.1));
        let phase = row.map(Row::phase);
        match (self.exit(key), row, phase) {
            (Some(0), ..) => TaskStatus::Known(State::Ended(Outcome::Finished)),
            // Slurm reports its own view of the failure when the task has left the node.
            (Some(_), Some(row), Some(Phase::Active)) => {
                TaskStatus::Known(State::Running(row.node.clone()))
            }
            // Somebody put it back into the queue.
            (_, Some(row), Some(Phase::Waiting)) => TaskStatus::Known(match self.started(key) {
                _ if progress.stopping => State::Stopping,
                Some((starts, _)) => State::Requeued(starts),
                None => State::Pending(row.reason.clone()),
            }),
            (Some(number), ..) => TaskStatus::Known(self.ended(key, progress, row, Some(number))),
            (None, Some(_), Some(Phase::Active)) if progress.stopping => {
                TaskStatus::Known(State::Stopping)
            }
            (None, Some(row), Some(Phase::Active)) => {
                TaskStatus::Known(State::Running(row.node.clone()))
            }
            (None, Some(row), Some(Phase::Killed)) => {
                TaskStatus::Known(self.ended(key, progress, Some(row), None))
            }
            (None, row, _) => TaskStatus::Unknown(row.cloned()),
        }
    }

    /// The state of a task that ended without success.
    pub(super) fn ended(
        &self,
        key: Key,
        progress: &Progress,
        row: Option<&Row>,
        exit: Option<i32>,
    ) -> State {
        let interrupted = exit.is_some_and(|number| was_interrupted(status_of_shell(number)));
        if progress.stopping || interrupted {
            return State::Ended(Outcome::Stopped);
        }
        let own = exit.map(|number| cause(status_of_shell(number)));
        let slurm = row
            .filter(|row| exit.is_none() || row.phase() == Phase::Killed)
            .map(|row| match row.reason.as_str() {
                "" | "None" => format!("Slurm: {}", row.state),
                reason => format!("Slurm: {} ({reason})", row.state),
            });
        let printed = self.printed(key);
        let no_memory = row.is_some_and(|row| row.state == "OUT_OF_MEMORY")
            || printed.lines().any(is_about_memory);
        let causes = no_memory.then(|| OUT_OF_MEMORY.to_owned());
        let causes: Vec<String> = causes.into_iter().chain(own).chain(slurm).collect();
        let cause = match causes.is_empty() {
            true => "it is gone without an exit status, and Slurm no longer knows it".to_owned(),
            false => causes.join("; "),
        };
        let mut failure = Failure::new(cause, &progress.task.log, progress.task.log_from);
        let unsaid = unsaid(&printed, &failure.tail);
        if !unsaid.is_empty() {
            let tail = [&[failure.tail.trim_end()], &unsaid[..]].concat();
            failure.tail = tail.join("\n").trim_start().to_owned();
        }
        State::Ended(Outcome::Failed(failure))
    }

    /// The last lines of the task's own file, which has what Slurm itself says about the task, and what the script
    /// printed before its log was open.
    fn printed(&self, (array, task): Key) -> String {
        tail(&self.path((array, task), "out"), 0)
    }

    /// Adds what Slurm says about a task that failed to the task's log, unless it is there: that is where a user looks.
    pub(super) fn note(&self, key: Key, progress: &Progress) {
        let log = &progress.task.log;
        let known = tail(log, progress.task.log_from);
        let printed = self.printed(key);
        let unsaid = unsaid(&printed, &known);
        let file = std::fs::OpenOptions::new().append(true).open(log);
        // The outcome has these lines as well: a log that cannot be written loses nothing.
        if let Ok(mut file) = file
            && !unsaid.is_empty()
        {
            let _ = writeln!(file, "{}", unsaid.join("\n"));
        }
    }
}

/// The lines of a text, each once, that another one does not have.
fn unsaid<'a>(text: &'a str, known: &str) -> Vec<&'a str> {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        if !known.contains(line) && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Why a task was killed, and the remedy.
const OUT_OF_MEMORY: &str = "out of memory: it needs more than Slurm gave it. Raise executor.slurm.memory, or make \
                             train.batch_size or the network smaller";

/// Whether a line is one of those by which Slurm says that a task was killed for its memory. Without cgroups, the
/// task's state does not tell (Slurm 22.05: FAILED, JobLaunchFailure).
fn is_about_memory(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let known = [
        "memory limit",
        "oom-kill",
        "oom_kill",
        "oom kill",
        "out of memory",
        "out-of-memory",
    ];
    known.iter().any(|part| line.contains(part))
}
