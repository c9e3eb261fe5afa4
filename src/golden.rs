//! Golden results: stored results of fixed-seed experiments, and what changed since.
//!
//! Beside each golden experiment `NAME.yaml` lies `NAME.json` with every metric of every epoch and
//! case. On the platform on which it was made every digit must be the same; elsewhere, and on a
//! GPU, sums are rounded differently, and the epochs' metrics must agree within a tolerance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::device::{self, DeviceChoice, DeviceError, resolve_one};
use crate::experiment::{self, Resolved};
use crate::files::{FileError, hex, read_text, write_json};
use crate::kernel::instruction_set;
use crate::layout::{RunFolder, Table, TableError};
use crate::run::{self, Options, RunError, RunSummary};
use crate::settings::ConfigError;

/// How far an epoch's metric may be from the stored one on another platform, as a part of it (of 1,
/// where it is smaller). A voxel at the threshold that changes sides moves an IoU in steps.
const TOLERANCE: f64 = 0.005;

/// Columns of times, which are not results.
const TIMES: [&str; 1] = ["seconds"];

/// Golden results cannot be used.
#[derive(Debug, Error)]
pub enum GoldenError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A run's table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file of stored results is damaged.
    #[error("{}: {why}. Write it again with `calvaria check --update REASON`.", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The folder holds no experiments, or not this one.
    #[error("{} holds no golden experiment{which}. Golden experiments are files NAME.yaml in it.", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// ` NAME`, if one was asked for.
        which: String,
    },
}

/// Golden experiments could not be run or compared.
#[derive(Debug, Error)]
pub enum CheckError {
    /// Results are to be stored without a reason.
    #[error("--update needs a reason that readers of the stored numbers will understand.")]
    Reason,
    /// Stored results cannot be used.
    #[error(transparent)]
    Golden(#[from] GoldenError),
    /// An experiment is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The folder for the runs cannot be made.
    #[error("a temporary folder cannot be made: {0}. Make room on the disk, or set TMPDIR.")]
    Folder(#[from] std::io::Error),
    /// An experiment could not be run.
    #[error("{experiment}: {source}")]
    Run {
        /// Its name.
        experiment: String,
        /// Why.
        source: Box<RunError>,
    },
    /// New results could not be stored, or a run's not be read.
    #[error(transparent)]
    Results(GoldenError),
}

impl CheckError {
    /// Whether the user asked to stop.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Run { source, .. } if source.is_interruption())
    }

    /// Whether the input or the command line is at fault, rather than the work.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Device(error) => error.is_input(),
            Self::Folder(_) | Self::Run { .. } | Self::Results(_) => false,
            _ => true,
        }
    }
}

/// Which golden experiments to run, and where.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The folder with the experiments (NAME.yaml) and their results (NAME.json).
    pub folder: PathBuf,
    /// Only these of the folder's experiments; all if empty.
    pub names: Vec<String>,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Store the results where they differ, and why they are right.
    pub update: Option<String>,
}

/// An experiment that was run again.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// Its results now.
    pub now: Golden,
    /// Those that were stored, if any were.
    pub stored: Option<Golden>,
    /// What differs.
    pub differences: Vec<Difference>,
}

impl Checked {
    /// Whether anything differs, or nothing was stored.
    pub fn is_different(&self) -> bool {
        self.stored.is_none() || !self.differences.is_empty()
    }
}

/// Runs golden experiments again in a temporary folder and compares their results with those stored, or
/// stores them. `report` is called with each as it is done. Only the interrupter and the console of `run` are used.
///
/// # Errors
///
/// When an experiment, stored results or the device cannot be used, or a run fails.
pub fn check(
    options: &CheckOptions,
    run: &Options,
    mut report: impl FnMut(&Checked),
) -> Result<(), CheckError> {
    let reason = options.update.as_deref();
    if reason.is_some_and(|reason| reason.trim().is_empty()) {
        return Err(CheckError::Reason);
    }
    let files = experiments(&options.folder, &options.names)?;
    let loaded = files.iter().map(|file| experiment::load(file, &[]));
    let loaded: Vec<Resolved> = loaded.collect::<Result<_, _>>()?;
    let device = resolve_one(&options.device, |warning| run.console.warn(warning))?;
    let results = tempfile::tempdir()?;
    let run = Options {
        results: results.path().to_owned(),
        device: DeviceChoice::Named(vec![device]),
        ..run.clone()
    };
    for (file, Resolved { experiment, .. }) in files.iter().zip(&loaded) {
        let runs = run::run(experiment, &run).map_err(|source| CheckError::Run {
            experiment: experiment.name.clone(),
            source: Box::new(source),
        })?;
        let now = Golden::of(&runs, &device::names(&[device])).map_err(CheckError::Results)?;
        report(&compare_or_store(file, now, reason)?);
    }
    Ok(())
}

fn compare_or_store(file: &Path, now: Golden, reason: Option<&str>) -> Result<Checked, CheckError> {
    let stored = Golden::stored(file)?;
    let differences = (stored.as_ref()).map_or_else(Vec::new, |stored| stored.diff(&now));
    let name = file.file_stem().unwrap_or_default();
    let checked = Checked {
        name: name.to_string_lossy().into_owned(),
        now,
        stored,
        differences,
    };
    if let (true, Some(reason)) = (checked.is_different(), reason) {
        let now = Golden {
            reason: reason.to_owned(),
            ..checked.now.clone()
        };
        now.store(file).map_err(CheckError::Results)?;
    }
    Ok(checked)
}

/// Metric to value, as written in the tables.
pub type Row = BTreeMap<String, String>;

/// The results of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Why these numbers are right: what was changed when they were last written.
    pub reason: String,
    /// What they were computed on: see [`platform`].
    pub platform: String,
    /// `seed-42 epoch 3`, `seed-42 case sub-01` or `seed-42 case sub-01 structure anterior` to its metrics.
    pub rows: BTreeMap<String, Row>,
}

/// Everything on which the last digits depend: device, architecture, system, instruction set and the
/// system's mathematical functions.
pub fn platform(device: &str) -> String {
    // The functions that networks and losses call, distinguished by the last bits of their results.
    let probes = (1..200).map(|step| f64::from(step) * 0.173);
    let bits = probes.flat_map(|x| {
        let y = x as f32;
        let double = [x.exp(), x.ln(), x.sin(), x.tanh(), x.powf(0.3)];
        let single = [y.exp(), y.ln(), y.sin(), y.tanh(), y.powf(0.3)];
        (double.into_iter().map(f64::to_bits))
            .chain(single.into_iter().map(|value| u64::from(value.to_bits())))
    });
    let bytes: Vec<u8> = bits.flat_map(u64::to_le_bytes).collect();
    format!(
        "{device} {} {} {} libm-{}",
        std::env::consts::ARCH,
        std::env::consts::OS,
        instruction_set(),
        hex(&Sha256::digest(bytes)[..4])
    )
}

/// The experiment files of a golden folder, by name; only those `asked` for, if any are.
///
/// # Errors
///
/// When the folder cannot be read or one that is asked for is not in it.
pub fn experiments(folder: &Path, asked: &[String]) -> Result<Vec<PathBuf>, GoldenError> {
    let missing = |which: String| GoldenError::Missing {
        folder: folder.to_owned(),
        which,
    };
    if !asked.is_empty() {
        let file = |name: &String| {
            let path = folder.join(format!("{name}.yaml"));
            if path.is_file() {
                Ok(path)
            } else {
                Err(missing(format!(" {name}")))
            }
        };
        return asked.iter().map(file).collect();
    }
    let entries = std::fs::read_dir(folder).map_err(|_| missing(String::new()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(missing(String::new()));
    }
    Ok(found)
}

impl Golden {
    /// The results of these finished runs.
    ///
    /// # Errors
    ///
    /// When one of their tables cannot be read.
    pub fn of(runs: &[RunSummary], device: &str) -> Result<Self, GoldenError> {
        let mut rows = BTreeMap::new();
        for run in runs {
            let files = RunFolder::new(&run.folder);
            for (table, what) in [(files.metrics(), "epoch"), (files.cases(), "case")] {
                add_rows(
                    &Table::read(&table)?,
                    &format!("{} {what}", run.variant),
                    &mut rows,
                );
            }
        }
        Ok(Self {
            reason: String::new(),
            platform: platform(device),
            rows,
        })
    }

    /// The stored results of the experiment in `file`; none if it has none yet.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn stored(file: &Path) -> Result<Option<Self>, GoldenError> {
        let path = file.with_extension("json");
        if !path.exists() {
            return Ok(None);
        }
        serde_json::from_str(&read_text(&path)?)
            .map(Some)
            .map_err(|error| GoldenError::Damaged {
                path,
                why: error.to_string(),
            })
    }

    /// Stores the results of the experiment in `file`.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn store(&self, file: &Path) -> Result<(), GoldenError> {
        Ok(write_json(&file.with_extension("json"), self)?)
    }

    /// What is different `now`.
    pub fn diff(&self, now: &Self) -> Vec<Difference> {
        let exact = self.platform == now.platform;
        let rows: BTreeMap<&String, ()> = (self.rows.keys().chain(now.rows.keys()))
            .map(|row| (row, ()))
            .collect();
        let mut differences = Vec::new();
        for row in rows.into_keys() {
            if !exact && row.contains(" case ") {
                continue;
            }
            let none = Row::new();
            let before = self.rows.get(row).unwrap_or(&none);
            let after = now.rows.get(row).unwrap_or(&none);
            let metrics: BTreeMap<&String, ()> = (before.keys().chain(after.keys()))
                .map(|metric| (metric, ()))
                .collect();
            for metric in metrics.into_keys() {
                let difference = Difference {
                    row: row.clone(),
                    metric: metric.clone(),
                    before: before.get(metric).cloned(),
                    after: after.get(metric).cloned(),
                };
                if !difference.is_allowed(exact) {
                    differences.push(difference);
                }
            }
        }
        // The earliest difference is the most informative.
        differences.sort_by_key(|difference| difference.row.contains(" case "));
        differences
    }
}

/// A number that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `seed-42 epoch 3`.
    pub row: String,
    /// The metric.
    pub metric: String,
    /// The stored value.
    pub before: Option<String>,
    /// The value now.
    pub after: Option<String>,
}

impl Difference {
    /// By how much, where both are numbers.
    pub fn by(&self) -> Option<f64> {
        let number = |text: &Option<String>| text.as_ref()?.parse::<f64>().ok();
        Some(number(&self.after)? - number(&self.before)?)
    }

    fn is_allowed(&self, exact: bool) -> bool {
        if self.before == self.after {
            return true;
        }
        let size = self
            .before
            .as_ref()
            .and_then(|text| text.parse::<f64>().ok());
        match (self.by(), size) {
            (Some(by), Some(size)) if !exact => by.abs() <= TOLERANCE * size.abs().max(1.0),
            _ => false,
        }
    }
}

fn add_rows(table: &Table, what: &str, rows: &mut BTreeMap<String, Row>) {
    let by_structure = table.is_by_structure();
    for record in &table.rows {
        let first = 1 + usize::from(by_structure);
        let values = table.columns.iter().zip(record).skip(first);
        let values = values.filter(|(name, _)| !TIMES.contains(&name.as_str()));
        let row = values.map(|(name, value)| (name.clone(), value.clone()));
        let name = record.first().map_or("", String::as_str);
        let structure = match record.get(1).filter(|_| by_structure) {
            Some(structure) => format!(" {} {structure}", Table::STRUCTURE),
            None => String::new(),
        };
        rows.insert(format!("{what} {name}{structure}"), row.collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(platform: &str, loss: &str, hausdorff: &str) -> Golden {
        let row = |metric: &str, value: &str| Row::from([(metric.into(), value.into())]);
        Golden {
            reason: "first".into(),
            platform: platform.into(),
            rows: BTreeMap::from([
                ("seed-1 epoch 1".into(), row("train_loss", loss)),
                ("seed-1 case a".into(), row("hausdorff", hausdorff)),
            ]),
        }
    }

    #[test]
    fn every_digit_counts_on_the_same_platform() {
        let stored = golden("cpu x", "0.5000000000000001", "inf");
        assert_eq!(stored.diff(&stored), []);
        let differences = stored.diff(&golden("cpu x", "0.5000000000000002", "inf"));
        assert_eq!(differences.len(), 1);
        assert!(differences[0].by().unwrap() > 0.0);
        assert_eq!(
            stored
                .diff(&golden("cpu x", "0.5000000000000001", "3"))
                .len(),
            1
        );
    }

    #[test]
    fn a_row_of_a_structure_is_named_by_case_and_structure() {
        let table = |columns: &[&str], rows: &[&[&str]]| Table {
            columns: columns.iter().map(ToString::to_string).collect(),
            rows: (rows.iter())
                .map(|row| row.iter().map(ToString::to_string).collect())
                .collect(),
        };
        let mut rows = BTreeMap::new();
        let by_structure = table(
            &["case", "structure", "dice"],
            &[&["a", "anterior", "0.5"], &["a", "mean", "0.25"]],
        );
        add_rows(&by_structure, "seed-1 case", &mut rows);
        add_rows(
            &table(&["case", "dice"], &[&["b", "1"]]),
            "seed-1 case",
            &mut rows,
        );
        let names: Vec<&String> = rows.keys().collect();
        assert_eq!(
            names,
            [
                "seed-1 case a structure anterior",
                "seed-1 case a structure mean",
                "seed-1 case b"
            ]
        );
        assert_eq!(
            rows["seed-1 case a structure anterior"],
            Row::from([("dice".into(), "0.5".into())])
        );
    }

    #[test]
    fn elsewhere_the_epochs_may_differ_a_little() {
        let stored = golden("cpu x", "0.5", "12");
        assert_eq!(stored.diff(&golden("cpu y", "0.5049", "24")), []);
        assert_eq!(stored.diff(&golden("cpu y", "0.5051", "12")).len(), 1);
        assert_eq!(stored.diff(&golden("cpu y", "NaN", "12")).len(), 1);
    }

    #[test]
    fn rows_and_metrics_that_come_and_go_are_told() {
        let stored = golden("cpu x", "0.5", "12");
        let mut now = stored.clone();
        let row = now.rows.remove("seed-1 epoch 1").unwrap();
        now.rows.insert("seed-1 epoch 2".into(), row);
        let differences = stored.diff(&now);
        assert_eq!(differences.len(), 2);
        assert_eq!(
            (&differences[0].after, &differences[1].before),
            (&None, &None)
        );
    }
}
