//! Where jobs run: worker processes, Slurm. One file per executor.
//!
//! A job is a command line with a name. An [`Executor`] decides where jobs run; opened in a folder of its own
//! it is a [`Pool`], which takes jobs and reports how they ended. Both can be killed at any moment: the
//! pool that is opened next knows what still runs and starts nothing twice.

mod journal;
mod lock;
mod outcome;
mod quote;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use journal::{Journal, JournalError, Opened, read_journal};
pub use outcome::{Failure, Outcome};
pub use quote::{quote, quote_command};

use crate::files::FileError;
use crate::settings::Fault;

/// The program's exit code where Ctrl-C or SIGTERM stopped the work and the same command resumes it: what
/// shells use, 128 plus the number of SIGINT.
pub const INTERRUPTED: u8 = 130;

/// What every executor does: the contract of a member of [`Executor`].
pub trait JobExecutor {
    /// Takes over the jobs in `folder`; see [`Executor::open`].
    ///
    /// # Errors
    ///
    /// When another process has them, or what was recorded cannot be read.
    fn open(&self, folder: &Path) -> Result<Box<dyn Pool>, ExecutorError>;

    /// Where the jobs are; see [`Executor::states`].
    ///
    /// # Errors
    ///
    /// When what was recorded cannot be read.
    fn states(&self, folder: &Path) -> Result<Vec<(JobId, State)>, ExecutorError>;

    /// How many jobs run at once; none where a cluster decides.
    fn workers(&self) -> Option<usize>;

    /// Whether it names devices, which then count instead of those that an experiment names.
    fn names_devices(&self) -> bool;

    /// What would be done with these jobs: the command lines, or the batch script and its tasks.
    ///
    /// # Errors
    ///
    /// When a command line cannot be written for a shell.
    fn dry_run(&self, folder: &Path, jobs: &[Job]) -> Result<String, ExecutorError>;

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// Where the jobs of a sweep run.
    pub enum Executor: JobExecutor, listed as "executors" {
        /// Worker processes on this machine.
        "local" => local::Local,
        /// Job arrays on a cluster that runs Slurm.
        "slurm" => slurm::Slurm,
    }
}

impl Default for Executor {
    fn default() -> Self {
        Self::Local(Local::default())
    }
}

impl Executor {
    /// Takes over the jobs in `folder`: those that a killed process left behind are recognised.
    ///
    /// # Errors
    ///
    /// When another process has them, or what was recorded cannot be read.
    pub fn open(&self, folder: &Path) -> Result<Box<dyn Pool>, ExecutorError> {
        with_member!(self, executor => executor.open(folder))
    }

    /// Where the jobs in `folder` are, to look on while another process runs them. Local jobs that ended are
    /// not among them: they have no record here.
    ///
    /// # Errors
    ///
    /// When what was recorded cannot be read.
    pub fn states(&self, folder: &Path) -> Result<Vec<(JobId, State)>, ExecutorError> {
        with_member!(self, executor => executor.states(folder))
    }

    /// How many jobs run at once; none where a cluster decides.
    pub fn workers(&self) -> Option<usize> {
        with_member!(self, executor => executor.workers())
    }

    /// Whether it names devices, which then count instead of those that an experiment names.
    pub fn names_devices(&self) -> bool {
        with_member!(self, executor => executor.names_devices())
    }

    /// What would be done with these jobs: the command lines, or the batch script and its tasks.
    ///
    /// # Errors
    ///
    /// When a command line cannot be written for a shell.
    pub fn dry_run(&self, folder: &Path, jobs: &[Job]) -> Result<String, ExecutorError> {
        with_member!(self, executor => executor.dry_run(folder, jobs))
    }
}

/// A job's name, unique in its folder and a path in it, such as `trial-0017/seed-42/fold-3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "RecordedId")]
pub struct JobId(String);

impl JobId {
    /// The job of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A name as it is on record: as text, or in the parts that earlier versions wrote.
#[derive(Deserialize)]
#[serde(untagged)]
enum RecordedId {
    Name(String),
    Parts {
        trial: usize,
        seed: u64,
        fold: Option<usize>,
    },
}

impl From<RecordedId> for JobId {
    fn from(recorded: RecordedId) -> Self {
        Self(match recorded {
            RecordedId::Name(name) => name,
            RecordedId::Parts { trial, seed, fold } => {
                let fold = fold.map_or_else(String::new, |fold| format!("/fold-{fold}"));
                format!("trial-{trial:04}/seed-{seed}{fold}")
            }
        })
    }
}

/// A command line to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The program and its arguments, without `--device`, which the executor adds. It runs in the
    /// current folder of the process that submits it.
    pub command: Vec<OsString>,
    /// The file to which its output is appended.
    pub log: PathBuf,
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It waits for its turn, perhaps for a reason that Slurm gives.
    Pending(String),
    /// It runs: where.
    Running(String),
    /// It was interrupted and waits to be resumed; it has been started this often.
    Requeued(usize),
    /// It was asked to stop and has not ended yet.
    Stopping,
    /// It ended.
    Ended(Outcome),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending(why) if why.is_empty() => f.write_str("pending"),
            Self::Pending(why) => write!(f, "pending ({why})"),
            Self::Running(place) => write!(f, "running on {place}"),
            Self::Requeued(starts) => write!(f, "requeued after {starts} starts"),
            Self::Stopping => f.write_str("stopping"),
            Self::Ended(outcome) => outcome.fmt(f),
        }
    }
}

/// An executor at work in one folder.
///
/// Call [`poll`](Self::poll) every second or so, from one thread that lives as long as the pool: local workers
/// are asked to stop when the thread that started them ends.
pub trait Pool: Send {
    /// Takes jobs. One that waits or runs already, as after a restart, is not started again; one that is
    /// being stopped is started once it has stopped.
    ///
    /// # Errors
    ///
    /// When Slurm does not take them, or not all of them; those that it took run.
    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), ExecutorError>;

    /// The jobs that ended since the last call, each once, and how.
    ///
    /// At-least-once delivery: the next call of `poll` or `submit` confirms that the caller has recorded the
    /// outcomes. If the caller is killed before, the next process gets them again. So callers must poll before
    /// they submit, and ignore outcomes of jobs that they know to have ended.
    ///
    /// # Errors
    ///
    /// When the record cannot be written, or Slurm has not answered for long. The jobs keep running.
    fn poll(&mut self) -> Result<Vec<(JobId, Outcome)>, ExecutorError>;

    /// The state of each job.
    fn states(&self) -> Vec<(JobId, State)>;

    /// Stops one job: it is asked to save and end, and killed if it takes too long (a local one after its
    /// `grace`, one of Slurm's after the cluster's KillWait, 30 seconds as a rule). Jobs that have ended
    /// or are unknown are left alone.
    ///
    /// # Errors
    ///
    /// When Slurm refuses.
    fn stop(&mut self, id: &JobId) -> Result<(), ExecutorError>;

    /// Stops every job, and waits for local ones; those of a Slurm executor that detaches keep running.
    ///
    /// # Errors
    ///
    /// When Slurm refuses.
    fn stop_all(&mut self) -> Result<(), ExecutorError>;

    /// How many more jobs would start at once.
    fn free_slots(&self) -> usize;
}

/// Jobs cannot be run.
#[derive(Debug, Error)]
pub enum ExecutorError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process runs the jobs of this folder.
    #[error("another process runs the jobs of {}. Wait for it or end it; to look on, use `calvaria sweep status`.", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// A command line that no shell can take.
    #[error("{job}: the command line holds a NUL character, which cannot be passed to a program")]
    Nul {
        /// The job.
        job: JobId,
    },
    /// A line of the record of submissions is damaged.
    #[error("{}:{line}: {why}. Restore the file from a copy, or delete the line.", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A program of Slurm is missing.
    #[error(
        "cannot run `{program}`: {source}. Start the program where Slurm's programs are (a login node, after \
         `module load slurm` on some), or name their folder in executor.slurm.bin."
    )]
    NoSlurm {
        /// `sbatch`, `squeue`, …
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Slurm refused a command.
    #[error("`{command}` failed: {why}{remedy}")]
    Refused {
        /// The command line.
        command: String,
        /// Slurm's message.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl From<JournalError> for ExecutorError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::File(error) => Self::File(error),
            JournalError::Locked { path } => Self::Busy { folder: path },
            JournalError::Damaged { path, line, why } => Self::Damaged { path, line, why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_record_read_back_and_so_do_those_of_earlier_versions() {
        let id = JobId::new("trial-0017/seed-42/fold-3");
        let read = |json: &str| serde_json::from_str::<JobId>(json).unwrap();
        assert_eq!(read(&serde_json::to_string(&id).unwrap()), id);
        assert_eq!(read(r#"{"trial":17,"seed":42,"fold":3}"#), id);
        let alone = JobId::new("trial-0017/seed-42");
        assert_eq!(read(r#"{"trial":17,"seed":42}"#), alone);
    }
}
