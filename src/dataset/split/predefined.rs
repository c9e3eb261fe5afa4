//! Folds that a file defines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fold_file::{EXTENSIONS, FoldEntry};
use super::{Fold, SplitError, SplitMethod, column_rules};
use crate::dataset::Case;
use crate::files::read_text;
use crate::settings::{Fault, nearest};

/// Folds that a file defines. Nothing is drawn, so the seed does not matter. The file's extension decides its
/// format.
///
/// `.json`, `.yaml`, `.yml`: a fold, or a list of folds. A fold is a map of `train` and `validation` (or
/// `val`, as nnU-Net's `splits_final.json` has it), two lists of case ids. A run's `split.json` is such a
/// fold; the `index` in it is the number that the fold had there. In a list, an `index` must be the fold's place,
/// counted from 0.
///
/// `.csv`, `.tsv`: one row per case, with its `id` and either its `fold`, in which it validates while it trains
/// in all others, or its `side` of the one fold, `train` or `validation` (or `val`). Other columns do not
/// matter, so that the table of the data can also hold the folds.
///
/// A subject on both sides of a fold is an error, and so is a case that a fold names twice, that is
/// unknown, or that a fold leaves out (unless `skip_unlisted` is set).
///
/// Reference: F. Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical
/// image segmentation, Nature Methods, 2021, whose program keeps its folds in `splits_final.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Predefined {
    /// The file. A relative path starts at the folder of the experiment's file.
    #[schemars(extend("format" = "path"))]
    pub path: PathBuf,
    /// A column: it is an error if subjects that share a value stand on both sides of a fold (a family,
    /// a scanner).
    #[serde(default)]
    pub group: Option<String>,
    /// Whether folds may leave cases out, a test set for instance: those neither train nor validate.
    #[serde(default)]
    pub skip_unlisted: bool,
}

impl SplitMethod for Predefined {
    fn folds(&self, cases: &[&Case], _seed: u64) -> Result<Vec<Fold>, SplitError> {
        let text = read_text(&self.path)?;
        let folds = FoldEntry::read(&text, self.extension());
        let folds = folds.and_then(|folds| self.checked(folds, cases));
        folds.map_err(|why| SplitError::Predefined {
            path: self.path.clone(),
            why,
        })
    }

    fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    fn file(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = column_rules("group", self.group.as_deref());
        if !EXTENSIONS.contains(&self.extension()) {
            let extensions = EXTENSIONS.join(", .");
            let message = format!("path must name a file that ends in one of .{extensions}");
            faults.push(Fault::new("path", message));
        }
        faults
    }
}

impl Predefined {
    fn extension(&self) -> &str {
        let extension = self.path.extension();
        extension
            .and_then(|extension| extension.to_str())
            .unwrap_or("")
    }

    fn checked(&self, written: Vec<FoldEntry>, cases: &[&Case]) -> Result<Vec<Fold>, String> {
        if written.is_empty() {
            return Err("there is no fold in it. Write at least one.".into());
        }
        let single = written.len() == 1;
        let folds = written.into_iter().enumerate();
        folds
            .map(|(place, fold)| match fold.index {
                Some(index) if index != place && !single => Err(format!(
                    "the fold at place {place} (counted from 0) has the index {index}. Put the \
                     folds in order, or leave their indices out."
                )),
                _ => self.fold(place, fold, cases),
            })
            .collect()
    }

    fn fold(&self, index: usize, fold: FoldEntry, cases: &[&Case]) -> Result<Fold, String> {
        let mut unlisted: BTreeSet<&str> = cases.iter().map(|case| &*case.id).collect();
        let known: Vec<&str> = unlisted.iter().copied().collect();
        for ids in [&fold.train, &fold.validation] {
            let mut seen = BTreeSet::new();
            for id in ids {
                if known.binary_search(&&**id).is_err() {
                    let similar = nearest(id, &known);
                    let hint = similar.map_or(String::new(), |id| format!(" Did you mean `{id}`?"));
                    return Err(format!(
                        "fold {index} names case `{id}`, which is not among the data's {} cases.{hint}",
                        known.len()
                    ));
                }
                if !seen.insert(id) {
                    return Err(format!("fold {index} names case `{id}` twice. Remove one."));
                }
                unlisted.remove(&**id);
            }
        }
        if !unlisted.is_empty() && !self.skip_unlisted {
            return Err(format!(
                "fold {index} leaves out {} of {} cases: {}. Add them to a side, or set \
                 `skip_unlisted: true` if they are to be used in neither training nor validation.",
                unlisted.len(),
                known.len(),
                some(&unlisted)
            ));
        }
        let sorted = |mut ids: Vec<String>| {
            ids.sort_unstable();
            ids
        };
        Ok(Fold {
            index,
            train: sorted(fold.train),
            validation: sorted(fold.validation),
        })
    }
}

/// The first few of many names.
fn some(names: &BTreeSet<&str>) -> String {
    let first: Vec<&str> = names.iter().copied().take(5).collect();
    let more = if names.len() > first.len() {
        ", …"
    } else {
        ""
    };
    first.join(", ") + more
}
