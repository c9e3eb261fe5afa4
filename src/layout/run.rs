//! The files of a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::case_table::{read_scores, write_scores};
use super::epoch_table::{read_epochs, write_epochs};
use super::tables::{CaseScores, Epoch, Table, TableError};
use crate::files::{FileError, write_atomic};

/// The folder of one run, such as `results/quickstart/seed-42/fold-3`. The folder of an experiment with
/// several runs has [`plots`](Self::plots) and a [`report`](Self::report) of the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The run in the folder `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The resolved experiment.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.yaml")
    }

    /// Which cases the run trains and validates on.
    pub fn split(&self) -> PathBuf {
        self.0.join("split.json")
    }

    /// What the run was computed with, and on what.
    pub fn environment(&self) -> PathBuf {
        self.0.join("environment.json")
    }

    /// The table of epochs: one row per epoch.
    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.csv")
    }

    /// The scores of the validation cases: one row per case, or per case and structure.
    pub fn cases(&self) -> PathBuf {
        self.0.join("cases.csv")
    }

    /// The result in a few numbers; only a finished run has it.
    pub fn summary(&self) -> PathBuf {
        self.0.join("summary.json")
    }

    /// The result of a trained run while it is scored again: what its training gave.
    pub fn trained(&self) -> PathBuf {
        self.0.join("trained.json")
    }

    /// The post-processing that the run has chosen by its validation cases, where it was to choose one.
    pub fn postprocess(&self) -> PathBuf {
        self.0.join("postprocess.json")
    }

    /// The folder of figures.
    pub fn plots(&self) -> PathBuf {
        self.0.join("plots")
    }

    /// The page that shows the run.
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    /// What the run printed.
    pub fn log(&self) -> PathBuf {
        self.0.join("log.txt")
    }

    /// The folder of TensorBoard's event files.
    pub fn tensorboard(&self) -> PathBuf {
        self.0.join("tensorboard")
    }

    /// The folder of weights and of the state to resume from.
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// The weights of the best epoch.
    pub fn best_weights(&self) -> PathBuf {
        self.checkpoints().join("best.safetensors")
    }

    /// The weights of the last epoch.
    pub fn last_weights(&self) -> PathBuf {
        self.checkpoints().join("last.safetensors")
    }

    /// All that is needed to resume after the last finished epoch.
    pub fn last_state(&self) -> PathBuf {
        self.checkpoints().join("last.state")
    }

    /// Locked by the process that works on the run.
    pub fn lock(&self) -> PathBuf {
        self.0.join(".lock")
    }

    /// Every file and folder that a run writes, but for the lock; its config.yaml, which makes it a run, is the last.
    pub fn all(&self) -> [PathBuf; 13] {
        [
            self.split(),
            self.environment(),
            self.metrics(),
            self.cases(),
            self.summary(),
            self.trained(),
            self.postprocess(),
            self.report(),
            self.log(),
            self.plots(),
            self.tensorboard(),
            self.checkpoints(),
            self.config(),
        ]
    }

    /// The existing files and folders for readers, relative to the run's folder.
    pub fn links(&self) -> Vec<String> {
        let files = [
            self.config(),
            self.metrics(),
            self.cases(),
            self.split(),
            self.postprocess(),
            self.environment(),
            self.log(),
            self.best_weights(),
            self.plots(),
            self.tensorboard(),
        ];
        let there = files.iter().filter(|path| path.exists());
        let links = there.filter_map(|path| path.strip_prefix(&self.0).ok()?.to_str());
        links.map(str::to_owned).collect()
    }

    /// Writes the table of epochs as a whole.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the older one then stays.
    pub fn write_metrics(&self, epochs: &[Epoch]) -> Result<(), FileError> {
        write_atomic(&self.metrics(), |out| write_epochs(out, epochs))
    }

    /// Reads the table of epochs.
    ///
    /// # Errors
    ///
    /// When the file is missing or damaged.
    pub fn read_metrics(&self) -> Result<Vec<Epoch>, TableError> {
        let path = self.metrics();
        read_epochs(&path).map_err(|error| TableError::new(&path, error))
    }

    /// Writes the scores of the validation cases. An infinite distance is `inf`. Of several structures there is a row
    /// for each, and one of their [mean](crate::volume::Structures::MEAN).
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the older one then stays.
    pub fn write_cases(&self, cases: &[CaseScores]) -> Result<(), FileError> {
        write_atomic(&self.cases(), |out| write_scores(out, cases))
    }

    /// The SHA-256 of each case's mask, as far as the run's environment.json has them.
    pub fn mask_digests(&self) -> BTreeMap<String, String> {
        #[derive(Deserialize)]
        struct Environment {
            inputs: BTreeMap<String, Digests>,
        }
        #[derive(Deserialize)]
        struct Digests {
            mask: Option<String>,
        }
        let bytes = std::fs::read(self.environment()).unwrap_or_default();
        let found = serde_json::from_slice::<Environment>(&bytes);
        let inputs = found.map_or_else(|_| BTreeMap::new(), |found| found.inputs);
        let masks = inputs
            .into_iter()
            .filter_map(|(case, digests)| Some((case, digests.mask?)));
        masks.collect()
    }

    /// What the run used, all its sessions together, as far as its environment.json has it.
    pub fn usage(&self) -> Option<Usage> {
        #[derive(Deserialize)]
        struct Environment {
            sessions: Vec<Usage>,
        }
        let bytes = std::fs::read(self.environment()).ok()?;
        let found: Environment = serde_json::from_slice(&bytes).ok()?;
        let both = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
        found.sessions.into_iter().reduce(|all, of| Usage {
            wall_seconds: both(all.wall_seconds, of.wall_seconds),
            cpu_seconds: both(all.cpu_seconds, of.cpu_seconds),
            peak_memory_mib: [all.peak_memory_mib, of.peak_memory_mib]
                .into_iter()
                .flatten()
                .reduce(f64::max),
        })
    }

    /// Reads the scores of the validation cases.
    ///
    /// # Errors
    ///
    /// When the file is missing or damaged.
    pub fn read_cases(&self) -> Result<Vec<CaseScores>, TableError> {
        let table = Table::read(&self.cases())?;
        read_scores(&table).map_err(|why| TableError::new(&self.cases(), why))
    }
}

/// What a run used, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Usage {
    /// Seconds from the start of training to the end of scoring.
    pub wall_seconds: Option<f64>,
    /// Processor time of all threads over these seconds.
    pub cpu_seconds: Option<f64>,
    /// The most main memory that its process ever had, in MiB.
    pub peak_memory_mib: Option<f64>,
}

/// The runs in `folder` or below it that have a `file`, by path. Folders within a run are not searched.
pub fn runs_below(folder: &Path, file: fn(&RunFolder) -> PathBuf) -> Vec<RunFolder> {
    let run = RunFolder::new(folder);
    if file(&run).is_file() {
        return vec![run];
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    below.sort();
    let folders = below.iter().filter(|path| path.is_dir());
    folders.flat_map(|path| runs_below(path, file)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tables::{StructureEpoch, StructureScores};
    use super::*;

    #[test]
    fn what_is_written_reads_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let epochs: Vec<Epoch> = (1..4)
            .map(|epoch| Epoch {
                epoch,
                learning_rate: 0.1 / epoch as f64,
                train_loss: 1.0 / 3.0,
                train_iou: 0.1,
                train_iou_soft: 0.2,
                validation_loss: f64::MIN_POSITIVE,
                validation_iou: 0.3,
                validation_iou_soft: 0.7,
                validation_dice: 2.0 / 7.0,
                seconds: 12.5,
                metrics: Vec::new(),
                structures: Vec::new(),
            })
            .collect();
        run.write_metrics(&epochs).unwrap();
        assert_eq!(run.read_metrics().unwrap(), epochs);
        let table = Table::read(&run.metrics()).unwrap();
        assert!(table.columns.iter().skip(1).eq(&Epoch::METRICS));
        for (row, epoch) in table.rows.iter().zip(&epochs) {
            for (name, text) in table.columns.iter().zip(row).skip(1) {
                assert_eq!(epoch.metric(name), text.parse().ok(), "{name}");
            }
        }
        let whole = std::fs::read_to_string(run.metrics()).unwrap();
        assert!(
            whole.starts_with("epoch,learning_rate,train_loss,")
                && whole.contains(",seconds\n1,0.1,")
        );
        // With structures, their columns follow.
        let with = |epoch: &Epoch| Epoch {
            structures: [("anterior", 1.0 / 3.0), ("a b", f64::MIN_POSITIVE)]
                .map(|(name, iou)| StructureEpoch {
                    name: name.into(),
                    iou,
                    dice: 2.0 * iou,
                })
                .into(),
            ..epoch.clone()
        };
        let epochs: Vec<Epoch> = epochs.iter().map(with).collect();
        run.write_metrics(&epochs).unwrap();
        assert_eq!(run.read_metrics().unwrap(), epochs);
        let table = Table::read(&run.metrics()).unwrap();
        assert_eq!(
            table.columns[10..],
            [
                "validation_iou/anterior",
                "validation_iou/a b",
                "validation_dice/anterior",
                "validation_dice/a b"
            ]
        );
        for (row, epoch) in table.rows.iter().zip(&epochs) {
            for (name, text) in table.columns.iter().zip(row).skip(1) {
                assert_eq!(epoch.metric(name), text.parse().ok(), "{name}");
            }
        }
        let text = std::fs::read_to_string(run.metrics()).unwrap();
        let first: Vec<&str> = text
            .lines()
            .map(|line| line.split(",validation_iou/").next().unwrap())
            .collect();
        assert!(
            whole.starts_with(first[0]),
            "what was there before stays as it was"
        );
        std::fs::write(run.metrics(), "epoch,loss\n1,nothing\n").unwrap();
        let why = run.read_metrics().unwrap_err().to_string();
        assert!(why.contains("metrics.csv"), "{why}");
    }

    #[test]
    fn scores_read_back_exactly_infinite_distances_included() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let scores = [("iou", 2.0 / 3.0), ("hausdorff", f64::INFINITY)];
        let cases = ["a", "b, c"].map(|case| CaseScores::new(case, scores));
        run.write_cases(&cases).unwrap();
        assert_eq!(run.read_cases().unwrap(), cases);
        let structures = ["anterior", "posterior"].map(|name| StructureScores {
            name: name.into(),
            scores: cases[0].scores.clone(),
        });
        let by_structure = cases.map(|case| CaseScores {
            structures: structures.to_vec(),
            ..case
        });
        run.write_cases(&by_structure).unwrap();
        assert_eq!(run.read_cases().unwrap(), by_structure);
        let text = std::fs::read_to_string(run.cases()).unwrap();
        assert!(
            text.starts_with("case,structure,iou,hausdorff\na,anterior,")
                && text.contains("\n\"b, c\",mean,")
        );
        std::fs::write(run.cases(), "case,structure,iou\na,anterior,0.5\n").unwrap();
        let why = run.read_cases().unwrap_err().to_string();
        assert!(
            why.contains("case a has no row of the structure `mean`"),
            "{why}"
        );
        std::fs::write(run.cases(), "case,iou\na,good\n").unwrap();
        let why = run.read_cases().unwrap_err().to_string();
        assert!(
            why.contains("cases.csv") && why.contains("`good` in column iou"),
            "{why}"
        );
    }

    #[test]
    fn runs_are_found_in_the_order_of_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let run = |name: &str| RunFolder::new(folder.path().join(name));
        for name in ["b/fold-1", "b/fold-0", "a", "a/inner", "c"] {
            run(name).write_cases(&[]).unwrap();
        }
        let found = runs_below(folder.path(), RunFolder::cases);
        assert_eq!(found, ["a", "b/fold-0", "b/fold-1", "c"].map(run));
        assert_eq!(runs_below(folder.path(), RunFolder::summary), []);
    }
}
