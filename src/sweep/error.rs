//! Why a sweep or its study cannot be used, and why one has to stop.

use std::path::PathBuf;

use thiserror::Error;

use crate::files::FileError;
use crate::jobs::{ExecutorError, JournalError};
use crate::run::RunError;
use crate::settings::ConfigError;

/// A sweep or its study cannot be used. The message names the file and what to do.
#[derive(Debug, Error)]
pub enum SweepError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The sweep's file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A line of the study's record other than an unfinished last one is damaged.
    #[error(
        "{}:{line}: {why}. The study's record is damaged: restore the file from a copy, or delete this line \
         and all below it to resume from there.",
        path.display()
    )]
    Damaged {
        /// The record.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Another process works on the study.
    #[error(
        "{} is being written by another process, and a study can have only one. Wait for it or end it; \
         to look on, use `calvaria sweep status`.",
        path.display()
    )]
    Locked {
        /// The record.
        path: PathBuf,
    },
    /// The study was begun with another definition.
    #[error(
        "{} was begun with another definition: {differences}. Results of two definitions cannot be \
         compared: set these back, or give the sweep another name.",
        path.display()
    )]
    Differs {
        /// The record.
        path: PathBuf,
        /// What differs, each as `key was …, is …`.
        differences: String,
    },
    /// Some trials could not be run.
    #[error("{}: space has values with which no trial can run.\nerror: {}", sweep, mistakes.join("\nerror: "))]
    Unrunnable {
        /// The sweep's name.
        sweep: String,
        /// Each parameter's value and what is wrong with it.
        mistakes: Vec<String>,
    },
    /// The experiment's runs cannot be planned.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A request does not fit the study's record.
    #[error("{0}")]
    Misuse(String),
}

/// A sweep had to stop. What was done is on record; the same command resumes it.
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

impl From<JournalError> for SweepError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::File(error) => Self::File(error),
            JournalError::Locked { path } => Self::Locked { path },
            JournalError::Damaged { path, line, why } => Self::Damaged { path, line, why },
        }
    }
}
