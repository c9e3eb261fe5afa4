//! Some subjects validate, the rest train.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::group::Units;
use super::stratify::Stratify;
use super::{Fold, SplitError, SplitMethod, balance, column_rules};
use crate::dataset::Case;
use crate::settings::Fault;

/// One fold: subjects drawn at random validate, the others train. With `stratify`, drawn subjects
/// are then swapped for others as long as that brings the validation cases nearer to having the same
/// part of every stratum as all cases have; the number of subjects stays. Where each subject has one
/// case, no stratum is then a whole case away from its part.
///
/// `stratify: {column: site}` takes each value of a column for a stratum. `stratify: mask_volume` takes bins
/// of the masks' volumes in mL, with equally many cases each: as many bins as the smaller side of a fold
/// has subjects, so that it can have one of each, but at most 10, since finer ones would tie down chance
/// more than they even out volumes.
///
/// Reference: as scikit-learn's `GroupShuffleSplit`, which counts groups, and in its aim as its
/// `StratifiedShuffleSplit` (version 1.9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Holdout {
    /// The subjects that validate; the groups, where `group` is set.
    pub validation: Amount,
    /// What both sides have in the same proportions: `{column: NAME}` or `mask_volume`.
    pub stratify: Option<Stratify>,
    /// A column: subjects that share a value stay together (a family, a scanner). By default each
    /// subject is a group of its own.
    pub group: Option<String>,
}

/// A number of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a whole number of subjects, at least 1, or a fraction of them between 0 and 1"
)]
pub enum Amount {
    /// So many.
    Count(#[schemars(range(min = 1))] usize),
    /// This part of all, rounded to whole subjects; at least one, and at least one is left.
    Fraction(#[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))] f64),
}

impl Default for Holdout {
    fn default() -> Self {
        Self {
            validation: Amount::Fraction(0.2),
            stratify: None,
            group: None,
        }
    }
}

impl SplitMethod for Holdout {
    fn folds(&self, cases: &[&Case], seed: u64) -> Result<Vec<Fold>, SplitError> {
        let units = Units::of(cases, self.group.as_deref())?;
        let count = self.count(units.len());
        if count == 0 || count >= units.len() {
            let remedy = "Hold out fewer, so that at least one is left to train, or add data";
            return Err(units.too_few(format!("hold out {count}"), remedy));
        }
        let order = units.shuffled(seed, &[]);
        let validation = match &self.stratify {
            None => order[..count].to_vec(),
            Some(stratify) => {
                let fewest = count.min(units.len() - count);
                let counts = stratify.counts(&units, fewest)?;
                balance::hold_out(&counts, &order, count)
            }
        };
        Ok(vec![units.fold(0, &validation)])
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

impl Holdout {
    /// How many of `units` validate.
    fn count(&self, units: usize) -> usize {
        match self.validation {
            Amount::Count(count) => count,
            Amount::Fraction(part) => {
                let count = (part * units as f64).round() as usize;
                count.min(units.saturating_sub(1)).max(1)
            }
        }
    }
}
