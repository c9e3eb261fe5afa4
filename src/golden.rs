//! Golden results: what experiments with a fixed seed came to once, and whether they still do.
//!
//! Beside each golden experiment `NAME.yaml` lies `NAME.json` with every metric of every epoch and
//! case. On the platform on which it was made every digit must be the same; elsewhere, and on a
//! GPU, sums are rounded differently, and the epochs' metrics must agree within a tolerance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::files::{FileError, hex, read_text, write_json};
use crate::kernel::instruction_set;
use crate::layout::{RunFolder, Table, TableError};
use crate::run::RunSummary;

/// How far an epoch's metric may be from the stored one on another platform, as a part of it (of 1,
/// where it is smaller). A voxel at the threshold that changes sides moves an IoU in steps.
const TOLERANCE: f64 = 0.005;

/// Columns that say how long something took, not what it came to.
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
    #[error("{}: {why}. Write it anew with `calvaria check --update REASON`.", path.display())]
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

/// Metric to value, as written in the tables.
pub type Row = BTreeMap<String, String>;

/// What an experiment came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Why these numbers are right: what was changed when they were last written.
    pub reason: String,
    /// What they were computed on: see [`platform`].
    pub platform: String,
    /// `seed-42 epoch 3` or `seed-42 case sub-01` to its metrics.
    pub rows: BTreeMap<String, Row>,
}

/// Everything on which the last digits depend: device, architecture, system, instruction set and the
/// system's mathematical functions.
pub fn platform(device: &str) -> String {
    // The functions that networks and losses call, told apart by the last bits of what they give.
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
    /// What these finished runs came to.
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
    pub fn moved(&self, now: &Self) -> Vec<Moved> {
        let exact = self.platform == now.platform;
        let rows: BTreeMap<&String, ()> = (self.rows.keys().chain(now.rows.keys()))
            .map(|row| (row, ()))
            .collect();
        let mut moved = Vec::new();
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
                let change = Moved {
                    row: row.clone(),
                    metric: metric.clone(),
                    before: before.get(metric).cloned(),
                    after: after.get(metric).cloned(),
                };
                if !change.is_allowed(exact) {
                    moved.push(change);
                }
            }
        }
        // What moved first in time tells most.
        moved.sort_by_key(|change| change.row.contains(" case "));
        moved
    }
}

/// A number that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// `seed-42 epoch 3`.
    pub row: String,
    /// The metric.
    pub metric: String,
    /// The stored value.
    pub before: Option<String>,
    /// The value now.
    pub after: Option<String>,
}

impl Moved {
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
    for record in &table.rows {
        let values = table.columns.iter().zip(record).skip(1);
        let values = values.filter(|(name, _)| !TIMES.contains(&name.as_str()));
        let row = values.map(|(name, value)| (name.clone(), value.clone()));
        let name = record.first().map_or("", String::as_str);
        rows.insert(format!("{what} {name}"), row.collect());
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
        assert_eq!(stored.moved(&stored), []);
        let moved = stored.moved(&golden("cpu x", "0.5000000000000002", "inf"));
        assert_eq!(moved.len(), 1);
        assert!(moved[0].by().unwrap() > 0.0);
        assert_eq!(
            stored
                .moved(&golden("cpu x", "0.5000000000000001", "3"))
                .len(),
            1
        );
    }

    #[test]
    fn elsewhere_the_epochs_may_differ_a_little() {
        let stored = golden("cpu x", "0.5", "12");
        assert_eq!(stored.moved(&golden("cpu y", "0.5049", "24")), []);
        assert_eq!(stored.moved(&golden("cpu y", "0.5051", "12")).len(), 1);
        assert_eq!(stored.moved(&golden("cpu y", "NaN", "12")).len(), 1);
    }

    #[test]
    fn rows_and_metrics_that_come_and_go_are_told() {
        let stored = golden("cpu x", "0.5", "12");
        let mut now = stored.clone();
        let row = now.rows.remove("seed-1 epoch 1").unwrap();
        now.rows.insert("seed-1 epoch 2".into(), row);
        let moved = stored.moved(&now);
        assert_eq!(moved.len(), 2);
        assert_eq!((&moved[0].after, &moved[1].before), (&None, &None));
    }
}
