//! Where the jobs of a sweep run. One file a member.
//!
//! A job is a command line of this program, an ordinary run. An [`Executor`] says where jobs run;
//! opened in the folder of a study it is a [`Pool`], which takes jobs and says how they ended. Both can
//! be killed at any moment: the pool that is opened next knows what still runs and starts nothing twice.
#![expect(
    clippy::large_enum_variant,
    reason = "a sweep has one executor: its size matters less than a plain enum"
)]

mod lock;
mod outcome;
mod quote;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use outcome::{Failure, Outcome};
pub use quote::{quote, quote_command};

use crate::files::FileError;
use crate::settings::Fault;

/// The program's exit code where Ctrl-C or SIGTERM stopped the work and the same command goes on: what
/// shells use, 128 and the number of SIGINT.
pub const INTERRUPTED: u8 = 130;

/// What every executor does: the contract of a member of [`Executor`].
pub trait JobExecutor {
    /// Takes over the jobs of the study in the folder `study`; see [`Executor::open`].
    ///
    /// # Errors
    ///
    /// When another process has them, or what was recorded cannot be read.
    fn open(&self, study: &Path) -> Result<Box<dyn Pool>, ExecutorError>;

    /// Where the jobs of a study are; see [`Executor::states`].
    ///
    /// # Errors
    ///
    /// When what was recorded cannot be read.
    fn states(&self, study: &Path) -> Result<Vec<(JobId, State)>, ExecutorError>;

    /// How many jobs run at once; none where a cluster decides.
    fn workers(&self) -> Option<usize>;

    /// Whether it names devices, which then count instead of those that an experiment names.
    fn names_devices(&self) -> bool;

    /// What would be done with these jobs: the command lines, or the batch script and its tasks.
    ///
    /// # Errors
    ///
    /// When a command line cannot be written for a shell.
    fn dry_run(&self, study: &Path, jobs: &[Job]) -> Result<String, ExecutorError>;

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
    /// Takes over the jobs of the study in the folder `study`: those that a killed process left behind
    /// are recognised.
    ///
    /// # Errors
    ///
    /// When another process has them, or what was recorded cannot be read.
    pub fn open(&self, study: &Path) -> Result<Box<dyn Pool>, ExecutorError> {
        with_member!(self, executor => executor.open(study))
    }

    /// Where the jobs of a study are, for whoever looks on while another process runs them. Local jobs
    /// that ended are known to the study alone.
    ///
    /// # Errors
    ///
    /// When what was recorded cannot be read.
    pub fn states(&self, study: &Path) -> Result<Vec<(JobId, State)>, ExecutorError> {
        with_member!(self, executor => executor.states(study))
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
    pub fn dry_run(&self, study: &Path, jobs: &[Job]) -> Result<String, ExecutorError> {
        with_member!(self, executor => executor.dry_run(study, jobs))
    }
}

/// A run of a trial: its name, everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The trial, counted from 0.
    pub trial: usize,
    /// The run's seed.
    pub seed: u64,
    /// The run's fold, counted from 0; none where the split has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
}

impl JobId {
    /// The file of what the run prints, within the sweep's folder.
    pub fn log(&self) -> String {
        format!("logs/{}.log", self.to_string().replace('/', "-"))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trial, seed, fold } = self;
        let fold = fold.map_or_else(String::new, |fold| format!("/fold-{fold}"));
        f.pad(&format!("trial-{trial:04}/seed-{seed}{fold}"))
    }
}

/// A command line to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Which run it is.
    pub id: JobId,
    /// The program and its arguments, without `--device`, which the executor adds. It runs in the
    /// current folder of the process that submits it.
    pub command: Vec<OsString>,
    /// Where what it prints is appended.
    pub log: PathBuf,
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It waits its turn, perhaps for a reason that Slurm gives.
    Pending(String),
    /// It runs: where.
    Running(String),
    /// It was interrupted and waits to go on; it has been started this often.
    Requeued(usize),
    /// It was told to stop and has not yet.
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

/// An executor at work for one study.
///
/// Whoever drives it calls [`poll`](Self::poll) every second or so, from one thread that lives as long
/// as the pool: local workers are told to stop when the thread that started them ends.
pub trait Pool: Send {
    /// Takes jobs. One that waits or runs already, as after a restart, is not started again; one that is
    /// being stopped is started once it has stopped.
    ///
    /// # Errors
    ///
    /// When Slurm does not take them, or not all of them; those that it took go on.
    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), ExecutorError>;

    /// What ended since the last call, each job once. With the next call (or the next `submit`) the
    /// caller says that it has noted what it was told; if it dies before, the next process is told again.
    /// So whoever takes a study up polls before it submits, and takes news of a trial that has ended
    /// for what it is.
    ///
    /// # Errors
    ///
    /// When a record cannot be written, or Slurm has not answered for long. The jobs go on.
    fn poll(&mut self) -> Result<Vec<(JobId, Outcome)>, ExecutorError>;

    /// Where each job is.
    fn states(&self) -> Vec<(JobId, State)>;

    /// Stops one job: it is told to save and end, and ended if it takes too long (a local one after its
    /// `grace`, one of Slurm's after the cluster's KillWait, 30 seconds as a rule). Jobs that have ended
    /// or are unknown are left alone.
    ///
    /// # Errors
    ///
    /// When Slurm refuses.
    fn stop(&mut self, id: &JobId) -> Result<(), ExecutorError>;

    /// Stops every job, and waits for local ones; those of a Slurm executor that detaches go on.
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
    /// Another process runs this study's jobs.
    #[error("another process runs the jobs of {}. Wait for it or end it; to look on, use `calvaria sweep status`.", study.display())]
    Busy {
        /// The study's folder.
        study: PathBuf,
    },
    /// A command line that no shell can take.
    #[error("{job}: the command line holds a NUL character, which no program can be given")]
    Nul {
        /// The job.
        job: JobId,
    },
    /// A line of the record of submissions makes no sense.
    #[error("{}:{line}: {why}. Restore the file from a copy, or delete the line.", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A program of Slurm is not there.
    #[error(
        "cannot run `{program}`: {source}. Start the sweep where Slurm's programs are (a login node, after \
         `module load slurm` on some), or name their folder in executor.slurm.bin."
    )]
    NoSlurm {
        /// `sbatch`, `squeue`, …
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Slurm did not do what it was asked.
    #[error("`{command}` failed: {why}{remedy}")]
    Refused {
        /// The command line.
        command: String,
        /// What it wrote.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
}
