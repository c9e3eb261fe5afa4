//! Cross-validation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::group::Units;
use super::stratify::Stratify;
use super::{Fold, SplitError, SplitMethod, balance, column_rules};
use crate::dataset::Case;
use crate::settings::Fault;

/// Cross-validation: subjects in random order are cut into k parts of as equal a number of subjects
/// as can be, and each part validates once while the others train.
///
/// With `stratify`, the parts have as equal a number of cases of every stratum as can be found: the subject or
/// group with most cases first, each goes to the part that has least of its strata, all strata weighing the
/// same however rare; then one at a time moves to another part, or two change places, while that makes the
/// parts more even. This starts much as scikit-learn's `StratifiedGroupKFold`, which neither moves nor swaps.
/// Where each subject has one case, the parts differ by at most one case in every stratum. Chance only decides
/// among equals: groups that all differ are dealt in much the same way whatever the seed.
///
/// `stratify: {column: site}` takes each value of a column for a stratum. `stratify: mask_volume` takes bins
/// of the masks' volumes in mL, with equally many cases each: as many bins as the smaller side of a fold
/// has subjects, so that it can have one of each, but at most 10, since finer ones would tie down chance
/// more than they even out volumes.
///
/// Reference: M. Stone, Cross-validatory choice and assessment of statistical predictions, Journal of
/// the Royal Statistical Society B, 1974; scikit-learn 1.9 for groups and strata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KFold {
    /// Number of folds.
    #[schemars(range(min = 2))]
    pub k: usize,
    /// How often all is done, each time in a new random order. Folds are numbered consecutively: fold i of
    /// repeat r is r * k + i.
    #[schemars(range(min = 1))]
    pub repeats: usize,
    /// What all folds have in the same proportions: `{column: NAME}` or `mask_volume`.
    pub stratify: Option<Stratify>,
    /// A column: subjects that share a value stay together (a family, a scanner). By default each
    /// subject is a group of its own.
    pub group: Option<String>,
}

impl Default for KFold {
    fn default() -> Self {
        Self {
            k: 5,
            repeats: 1,
            stratify: None,
            group: None,
        }
    }
}

impl SplitMethod for KFold {
    fn folds(&self, cases: &[&Case], seed: u64) -> Result<Vec<Fold>, SplitError> {
        let units = Units::of(cases, self.group.as_deref())?;
        let (k, count) = (self.k, units.len());
        if !(2..=count).contains(&k) {
            let remedy = "Take a `k` from 2 to their number, or add data";
            return Err(units.too_few(format!("make {k} folds"), remedy));
        }
        let stratify = self.stratify.as_ref();
        let counts = stratify
            .map(|by| by.counts(&units, count / k))
            .transpose()?;
        let mut folds = Vec::new();
        for repeat in 0..self.repeats {
            // The first repeat draws as a split without repeats: its stored results stay valid.
            let indices = [repeat as u64];
            let order = units.shuffled(seed, if repeat == 0 { &[] } else { &indices });
            let parts: Vec<Vec<usize>> = match &counts {
                None => (0..k)
                    .map(|part| order[part * count / k..(part + 1) * count / k].to_vec())
                    .collect(),
                Some(counts) => balance::deal(counts, &order, k),
            };
            for part in &parts {
                folds.push(units.fold(folds.len(), part));
            }
        }
        Ok(folds)
    }

    fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = column_rules("group", self.group.as_deref());
        faults.extend(self.stratify.iter().flat_map(Stratify::rules));
        faults
    }
}
