//! What runs are made from: which cases, on which side of a split, and what their files hold.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_yaml::Value;
use thiserror::Error;

use crate::dataset::Fold;
use crate::files::{FileError, read_text, write_json};
use crate::layout::RunFolder;
use crate::preprocess::cache::InputDigests;

/// What the files of each case hold.
pub type CaseDigests = BTreeMap<String, InputDigests>;

/// Most cases that a message names.
const MOST: usize = 5;

/// The data are not those that something was made from.
#[derive(Debug, Error)]
#[error("{what}: {changes}. {remedy}")]
pub struct ChangedData {
    /// What was made from them, or when they changed.
    what: String,
    /// How they differ from those of now.
    changes: String,
    /// What to do.
    remedy: &'static str,
}

/// How the data differ from those of a record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct DataChanges {
    added: Vec<String>,
    removed: Vec<String>,
    moved: Vec<String>,
    scans: Vec<String>,
    masks: Vec<String>,
    regions: Vec<String>,
}

impl DataChanges {
    /// Between what was recorded and what is now; what was not recorded is not compared.
    pub(super) fn between(was: &RunData, is: &RunData) -> Self {
        let mut changes = Self::default();
        let (old, new) = (was.sides(), is.sides());
        for (id, side) in &new {
            match old.get(id) {
                None => changes.added.push((*id).to_owned()),
                Some(then) if then.is_some() && side.is_some() && then != side => {
                    changes.moved.push((*id).to_owned());
                }
                Some(_) => {}
            }
        }
        let gone = old.keys().filter(|id| !new.contains_key(*id));
        changes.removed.extend(gone.map(|id| (*id).to_owned()));
        for (id, is) in &is.inputs {
            let Some(was) = was.inputs.get(id).filter(|_| new.contains_key(id.as_str())) else {
                continue;
            };
            let parts = [
                (
                    (&was.image, &was.others) != (&is.image, &is.others),
                    &mut changes.scans,
                ),
                (was.mask != is.mask, &mut changes.masks),
                (was.region != is.region, &mut changes.regions),
            ];
            for (differs, list) in parts {
                if differs {
                    list.push(id.clone());
                }
            }
        }
        changes
    }

    /// An error if anything changed, with what was `made` from the data and the remedy.
    pub(super) fn refuse(self, made: &Path, remedy: &'static str) -> Result<(), ChangedData> {
        self.check(
            format!("{} was made from other data", made.display()),
            remedy,
        )
    }

    fn check(self, what: String, remedy: &'static str) -> Result<(), ChangedData> {
        match self == Self::default() {
            true => Ok(()),
            false => Err(ChangedData {
                what,
                changes: self.to_string(),
                remedy,
            }),
        }
    }
}

/// Each kind of change with the number of cases and the names of some.
impl fmt::Display for DataChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = [
            (&self.added, "added"),
            (&self.removed, "removed"),
            (&self.moved, "moved to the other side of the split"),
            (&self.scans, "changed in the scan"),
            (&self.masks, "changed in the mask"),
            (&self.regions, "changed in the region"),
        ];
        let kinds = kinds.iter().filter(|(cases, _)| !cases.is_empty());
        let told: Vec<String> = kinds
            .map(|(cases, kind)| {
                let names = cases[..cases.len().min(MOST)].join(", ");
                let (noun, more) = match cases.len() {
                    1 => ("case", ""),
                    n if n > MOST => ("cases", ", …"),
                    _ => ("cases", ""),
                };
                format!("{} {noun} {kind} ({names}{more})", cases.len())
            })
            .collect();
        f.write_str(&told.join("; "))
    }
}

/// What a run is made from, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RunData {
    pub fold: Option<Fold>,
    pub inputs: CaseDigests,
}

impl RunData {
    pub fn new(fold: &Fold, inputs: &CaseDigests) -> Self {
        Self {
            fold: Some(fold.clone()),
            inputs: inputs.clone(),
        }
    }

    /// The records of a run; none if it has none that can be read, as one of an earlier version may.
    pub fn recorded(run: &RunFolder) -> Option<Self> {
        #[derive(Deserialize)]
        struct Environment {
            inputs: CaseDigests,
        }
        let read = |path: &Path| std::fs::read(path).ok();
        let fold = read(&run.split()).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let environment = read(&run.environment());
        let environment = environment.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let inputs = environment.map(|Environment { inputs }| inputs);
        (fold.is_some() || inputs.is_some()).then(|| Self {
            fold,
            inputs: inputs.unwrap_or_default(),
        })
    }

    /// Every case, and whether it trains, if that is known.
    fn sides(&self) -> BTreeMap<&str, Option<bool>> {
        let Some(fold) = &self.fold else {
            return self.inputs.keys().map(|id| (id.as_str(), None)).collect();
        };
        let train = fold.train.iter().map(|id| (id.as_str(), Some(true)));
        let validation = fold.validation.iter().map(|id| (id.as_str(), Some(false)));
        train.chain(validation).collect()
    }
}

const SWEEP: &str = "All trials of a sweep are made from the same data: put the data back as they were, or give the \
                     sweep another name.";
const NOW: &str = "Leave the data alone while they are used, and run the same command again.";

/// The data that all trials of a sweep are made from: its `data.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedData {
    sources: Vec<FixedSource>,
    #[serde(skip)]
    file: PathBuf,
}

/// What one value of an experiment's `data` gave.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FixedSource {
    data: Value,
    /// The fold of each run, by the run's name.
    folds: BTreeMap<String, Fold>,
    inputs: CaseDigests,
}

impl FixedData {
    /// Reads the file; one that does not exist fixes nothing.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not what the program wrote.
    pub fn read(file: &Path) -> Result<Self, FileError> {
        let fixed = match file.exists() {
            false => Self::default(),
            true => serde_json::from_str(&read_text(file)?).map_err(|why| FileError {
                action: "understand",
                path: file.to_owned(),
                remedy: "Restore it from a copy.",
                source: why.into(),
            })?,
        };
        Ok(Self {
            file: file.to_owned(),
            ..fixed
        })
    }

    /// The values of `data` that are fixed.
    pub fn data(&self) -> impl Iterator<Item = &Value> {
        self.sources.iter().map(|source| &source.data)
    }

    fn source(&self, data: &impl Serialize) -> Option<&FixedSource> {
        let data = serde_yaml::to_value(data).unwrap_or_default();
        self.sources.iter().find(|source| source.data == data)
    }

    /// Checks that a run is made from the data that are fixed for it, if any are.
    pub(super) fn check(
        &self,
        data: &impl Serialize,
        (run, fold): (&str, &Fold),
        inputs: &CaseDigests,
    ) -> Result<(), ChangedData> {
        let Some(source) = self.source(data) else {
            return Ok(());
        };
        let was = RunData {
            fold: source.folds.get(run).cloned(),
            inputs: source.inputs.clone(),
        };
        let home = self.file.parent().unwrap_or(&self.file);
        DataChanges::between(&was, &RunData::new(fold, inputs)).refuse(home, SWEEP)
    }

    /// Fixes the data of runs, unless data of the same settings are fixed.
    pub(super) fn fix(
        &mut self,
        data: &impl Serialize,
        folds: BTreeMap<String, Fold>,
        inputs: CaseDigests,
    ) -> Result<(), FileError> {
        if self.source(data).is_some() {
            return Ok(());
        }
        self.sources.push(FixedSource {
            data: serde_yaml::to_value(data).unwrap_or_default(),
            folds,
            inputs,
        });
        write_json(&self.file, self)
    }
}

/// Checks that the files of cases hold what they held before.
pub(super) fn check_now(was: &CaseDigests, is: &CaseDigests) -> Result<(), ChangedData> {
    let data = |inputs: &CaseDigests| RunData {
        fold: None,
        inputs: inputs.clone(),
    };
    let what = "the data changed while they were used".to_owned();
    DataChanges::between(&data(was), &data(is)).check(what, NOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(train: &[&str], validation: &[&str], digest: &str) -> RunData {
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let digests = InputDigests {
            image: digest.to_owned(),
            others: Vec::new(),
            mask: Some("m".into()),
            region: None,
        };
        RunData {
            fold: Some(Fold {
                index: 0,
                train: owned(train),
                validation: owned(validation),
            }),
            inputs: train
                .iter()
                .chain(validation)
                .map(|id| ((*id).to_owned(), digests.clone()))
                .collect(),
        }
    }

    #[test]
    fn every_kind_of_change_is_counted_and_named() {
        let was = data(&["a", "b", "gone"], &["c"], "1");
        let mut is = data(&["a", "c"], &["b", "new"], "1");
        let inputs = is.inputs.get_mut("a").unwrap();
        (inputs.image, inputs.mask) = ("2".into(), None);
        let changes = DataChanges::between(&was, &is).to_string();
        assert_eq!(
            changes,
            "1 case added (new); 1 case removed (gone); 2 cases moved to the other side of the split (b, c); \
             1 case changed in the scan (a); 1 case changed in the mask (a)"
        );
        let many: Vec<String> = (0..7).map(|index| format!("c{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let grown = DataChanges::between(&data(&[], &["x"], "1"), &data(&many, &["x"], "1"));
        assert_eq!(grown.to_string(), "7 cases added (c0, c1, c2, c3, c4, …)");
    }

    #[test]
    fn a_change_of_any_image_is_a_change_of_the_scan() {
        let mut was = data(&["a"], &["b"], "1");
        for digests in was.inputs.values_mut() {
            digests.others = vec!["t2".into(), "flair".into()];
        }
        let mut is = was.clone();
        assert_eq!(DataChanges::between(&was, &is), DataChanges::default());
        is.inputs.get_mut("b").unwrap().others[1] = "changed".into();
        let changes = DataChanges::between(&was, &is).to_string();
        assert_eq!(changes, "1 case changed in the scan (b)");
        // Records of one image are as they were before there could be several.
        let one = data(&["a"], &[], "1").inputs;
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(text, r#"{"a":{"image":"1","mask":"m"}}"#);
        assert_eq!(serde_json::from_str::<CaseDigests>(&text).unwrap(), one);
    }

    #[test]
    fn what_was_not_recorded_is_not_compared() {
        let is = data(&["a", "b"], &["c"], "1");
        let same = DataChanges::default();
        assert_eq!(DataChanges::between(&is, &is), same);
        let without_fold = RunData {
            fold: None,
            ..is.clone()
        };
        assert_eq!(DataChanges::between(&without_fold, &is), same);
        let without_inputs = RunData {
            inputs: CaseDigests::new(),
            ..is.clone()
        };
        assert_eq!(DataChanges::between(&without_inputs, &is), same);
        // Cases in no fold do not matter.
        let mut more = is.clone();
        more.inputs
            .insert("unlisted".into(), is.inputs["a"].clone());
        assert_eq!(DataChanges::between(&is, &more), same);
    }
}
