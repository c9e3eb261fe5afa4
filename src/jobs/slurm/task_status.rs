//! Where a task is, from what Slurm says and what the task left.

use std::path::{Path, PathBuf};

use super::commands::{Phase, Queue, Row};
use super::record::{Key, Progress};
use crate::jobs::outcome::{cause, length, status_of_shell, was_interrupted};
use crate::jobs::{Failure, Outcome, State};

/// What is seen of a task.
#[derive(Debug, PartialEq)]
pub(super) enum Sight {
    /// It is there.
    Clear(State),
    /// It seems to have ended, and left no exit status: it may be late on a network disk. With it what
    /// Slurm says, if Slurm still knows it.
    Unclear(Option<Row>),
}

/// What tasks leave in the folder of their array.
pub(super) struct Marks<'a> {
    /// The folder `slurm` of the study.
    pub folder: &'a Path,
}

impl Marks<'_> {
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

    /// Looks at a task. The queue must have been read before: a task writes its exit status before it
    /// leaves the queue.
    pub(super) fn look(&self, key: Key, slurm: u64, progress: &Progress, queue: &Queue) -> Sight {
        let row = queue.rows.get(&(slurm, key.1));
        let phase = row.map(Row::phase);
        match (self.exit(key), row, phase) {
            (Some(0), ..) => Sight::Clear(State::Ended(Outcome::Finished)),
            // Slurm's own view of the failure comes when the task has left the node.
            (Some(_), Some(row), Some(Phase::Active)) => {
                Sight::Clear(State::Running(row.node.clone()))
            }
            // Somebody put it back into the queue.
            (_, Some(row), Some(Phase::Waiting)) => Sight::Clear(match self.started(key) {
                _ if progress.stopping => State::Stopping,
                Some((starts, _)) => State::Requeued(starts),
                None => State::Pending(row.reason.clone()),
            }),
            (Some(number), ..) => Sight::Clear(self.ended(key, progress, row, Some(number))),
            (None, Some(_), Some(Phase::Active)) if progress.stopping => {
                Sight::Clear(State::Stopping)
            }
            (None, Some(row), Some(Phase::Active)) => {
                Sight::Clear(State::Running(row.node.clone()))
            }
            (None, Some(row), Some(Phase::Killed)) => {
                Sight::Clear(self.ended(key, progress, Some(row), None))
            }
            (None, row, _) => Sight::Unclear(row.cloned()),
        }
    }

    /// How a task ended that did not end well.
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
        let said: Vec<String> = own.into_iter().chain(slurm).collect();
        let cause = match said.is_empty() {
            true => "it is gone without an exit status, and Slurm no longer knows it".to_owned(),
            false => said.join("; "),
        };
        let mut failure = Failure::new(cause, &progress.task.log, progress.task.log_from);
        let output = self
            .folder
            .join(format!("array-{:04}/{}.out", key.0, key.1));
        if failure.tail.is_empty() && length(&output) > 0 {
            failure = Failure::new(failure.cause, &output, 0);
        }
        State::Ended(Outcome::Failed(failure))
    }
}
