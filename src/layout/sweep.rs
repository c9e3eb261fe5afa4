//! The files of a sweep.

use std::path::{Path, PathBuf};

use super::run::RunFolder;

/// The folder of a sweep, such as `results/sweep-loss`. Each run of a trial has a [`RunFolder`] below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepFolder(PathBuf);

impl SweepFolder {
    /// The name of the study's record.
    pub const RECORD: &str = "study.jsonl";

    /// The sweep in the folder `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// A file of this name where no study has been begun: it is somebody else's.
    pub fn foreign(&self) -> Option<PathBuf> {
        let files = [
            self.experiment(),
            self.data(),
            self.table(),
            self.report(),
            self.log(),
        ];
        let begun = self.record().exists();
        files.into_iter().find(|file| !begun && file.exists())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The study's record: one event per line.
    pub fn record(&self) -> PathBuf {
        self.0.join(Self::RECORD)
    }

    /// The experiment that all trials run: as it was when the study was opened, even if the files it was
    /// made of have changed since.
    pub fn experiment(&self) -> PathBuf {
        self.0.join("experiment.yaml")
    }

    /// The data that all trials are made from: as they were when the study was opened.
    pub fn data(&self) -> PathBuf {
        self.0.join("data.json")
    }

    /// The trials in order of merit: one row per trial.
    pub fn table(&self) -> PathBuf {
        self.0.join("sweep.csv")
    }

    /// The folder of figures.
    pub fn plots(&self) -> PathBuf {
        self.0.join("plots")
    }

    /// The page that shows the sweep.
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// What the sweep printed.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.txt")
    }

    /// What the run called `name` (`trial-0017/seed-42`) printed.
    pub fn run_log(&self, name: &str) -> PathBuf {
        let name = name.replace('/', "-");
        self.0.join("logs").join(format!("{name}.log"))
    }

    /// The folder of the run called `name`.
    pub fn run(&self, name: &str) -> RunFolder {
        RunFolder::new(self.0.join(name))
    }

    /// A file of the sweep relative to its folder, if it exists.
    pub fn link(&self, file: &Path) -> Option<String> {
        let link = file.strip_prefix(&self.0).ok().filter(|_| file.exists());
        link.and_then(Path::to_str).map(str::to_owned)
    }
}
