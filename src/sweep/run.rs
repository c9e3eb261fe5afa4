//! A whole sweep: from its file's content to its pages.

use std::path::{Path, PathBuf};

use burn_train::Interrupter;
use thiserror::Error;

use super::{Definition, Driver, DriverError, History, Stop, SweepError, write_report};
use crate::console::Console;
use crate::files::FileError;
use crate::layout::{SweepFolder, make_results};
use crate::report::ReportError;

/// How to run a sweep.
#[derive(Clone)]
pub struct Options {
    /// The folder under which sweeps and runs are kept.
    pub results: PathBuf,
    /// The file of the `calvaria` program, which runs the trials.
    pub program: PathBuf,
    /// Run the trials that failed again, under their own numbers.
    pub retry_failed: bool,
    /// Stops the sweep when it is tripped; the same call resumes it.
    pub interrupter: Interrupter,
    /// Where progress is shown.
    pub console: Console,
}

impl Options {
    /// The folder of a sweep.
    ///
    /// # Errors
    ///
    /// When the current folder is not known.
    pub fn home(&self, definition: &Definition) -> Result<PathBuf, SweepRunError> {
        let home = self.results.join(&definition.sweep.name);
        std::path::absolute(home).map_err(SweepRunError::Home)
    }
}

/// A sweep that was worked on.
#[derive(Clone, Debug)]
pub struct Swept {
    /// Its folder.
    pub home: PathBuf,
    /// Its trials.
    pub history: History,
    /// Why it ended; none if it was stopped.
    pub stop: Option<Stop>,
}

/// A sweep could not be run.
#[derive(Debug, Error)]
pub enum SweepRunError {
    /// Where it would be is not known.
    #[error("the current folder cannot be found: {0}. Change to one that exists.")]
    Home(std::io::Error),
    /// There is a file of another origin where the sweep would write one.
    #[error(
        "{} exists, and no sweep was begun in its folder. Move it, choose another folder with --results, or give the \
         sweep another name.", .0.display()
    )]
    Foreign(PathBuf),
    /// The study or its executor cannot be opened.
    #[error(transparent)]
    Open(DriverError),
    /// It could not be worked on.
    #[error(transparent)]
    Work(#[from] DriverError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its pages cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl SweepRunError {
    /// Whether the input is at fault, rather than the work.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Open(_) | Self::Foreign(_) => true,
            Self::Work(DriverError::Study(SweepError::Run(error))) => error.is_input(),
            _ => false,
        }
    }
}

/// Works on a sweep until its budget is spent or it is interrupted, and writes its pages. A sweep that was
/// stopped or killed resumes.
///
/// # Errors
///
/// When the study cannot be opened, or its record, jobs or pages cannot be kept. Failing trials are not errors:
/// they are recorded.
pub fn run(definition: &Definition, options: &Options) -> Result<Swept, SweepRunError> {
    let (home, console) = (options.home(definition)?, &options.console);
    if let Some(file) = SweepFolder::new(&home).foreign() {
        return Err(SweepRunError::Foreign(file));
    }
    let driver = make_results(&options.results)
        .map_err(DriverError::from)
        .and_then(|()| Driver::open(&home, definition, &options.program));
    let mut driver = driver.map_err(SweepRunError::Open)?;
    for notice in driver.notices() {
        console.say(&format!("warning: {notice}"));
    }
    console.log_to(&SweepFolder::new(&home).log())?;
    if options.retry_failed {
        let count = driver.retry_failed()?;
        console.say(&format!("{count} failed trials run again."));
    }
    let stopped = || options.interrupter.should_stop();
    let stop = driver.work(stopped, |line| console.say(line))?;
    let history = driver.history().clone();
    write_report(&home, &history)?;
    Ok(Swept {
        home,
        history,
        stop,
    })
}

/// The first trial's runs as they would be started.
///
/// # Errors
///
/// When there is no trial to run, or its command lines cannot be written.
pub fn preview(definition: &Definition, options: &Options) -> Result<String, SweepRunError> {
    let home: &Path = &options.home(definition)?;
    Driver::preview(home, definition, &options.program).map_err(SweepRunError::Open)
}
