//! What is said when a sweep or its study cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use crate::files::FileError;
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
    /// The study's record is damaged elsewhere than in a last line that was being written.
    #[error(
        "{}:{line}: {why}. The study's record is damaged: restore the file from a copy, or keep the lines \
         above this one and delete the rest to go on from there.",
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
    #[error("{}: space has values that no trial can run with.\nerror: {}", sweep, mistakes.join("\nerror: "))]
    Unrunnable {
        /// The sweep's name.
        sweep: String,
        /// Each parameter's value and what is wrong with it.
        mistakes: Vec<String>,
    },
    /// The experiment's runs cannot be planned.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What was asked of the study does not fit its record.
    #[error("{0}")]
    Misuse(String),
}
