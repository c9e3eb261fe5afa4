use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Case, DatasetError};
use crate::random;

crate::family! {
    /// Which cases train and which validate. Subjects are split, not cases: all cases of a subject
    /// stand on the same side.
    pub enum Split {
        /// Some subjects validate, the rest train.
        "holdout" => Holdout(Holdout),
        /// Each subject validates once, in one of k folds.
        "kfold" => KFold(KFold),
    }
}

impl Default for Split {
    fn default() -> Self {
        Self::Holdout(Holdout::default())
    }
}

/// Trains on some subjects and validates on the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Holdout {
    /// The subjects that validate.
    pub validation: Amount,
}

/// A number of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a whole number of subjects, at least 1, or a fraction of them between 0 and 1"
)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// This part of all, rounded to whole subjects; at least one, and at least one is left.
    Fraction(f64),
}

impl Default for Holdout {
    fn default() -> Self {
        Self {
            validation: Amount::Fraction(0.2),
        }
    }
}

impl Holdout {
    fn validate(&self) -> Result<(), String> {
        let (allowed, said) = match self.validation {
            Amount::Count(count) => (count >= 1, count.to_string()),
            Amount::Fraction(part) => (0.0 < part && part < 1.0, format!("{part:?}")),
        };
        if allowed {
            Ok(())
        } else {
            Err(format!(
                "validation is {said} and must be a whole number of subjects, at least 1, or a fraction of them between 0 and 1"
            ))
        }
    }

    /// How many of `subjects` validate.
    fn count(&self, subjects: usize) -> usize {
        match self.validation {
            Amount::Count(count) => count,
            Amount::Fraction(part) => {
                let count = (part * subjects as f64).round() as usize;
                count.min(subjects.saturating_sub(1)).max(1)
            }
        }
    }
}

/// Cross-validation: k folds of as equal a number of subjects as can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KFold {
    /// Number of folds.
    pub k: usize,
}

impl Default for KFold {
    fn default() -> Self {
        Self { k: 5 }
    }
}

impl KFold {
    fn validate(&self) -> Result<(), String> {
        if self.k >= 2 {
            Ok(())
        } else {
            Err(format!("k is {} and must be at least 2", self.k))
        }
    }
}

/// Which cases train and which validate in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fold {
    /// Which fold it is, counted from 0.
    pub index: usize,
    /// Ids of the cases to train on, sorted.
    pub train: Vec<String>,
    /// Ids of the cases to validate on, sorted.
    pub validation: Vec<String>,
}

impl Split {
    /// Splits `cases`: one fold for a holdout, k for k-fold. The order of `cases` does not matter.
    ///
    /// # Errors
    ///
    /// When there are too few subjects for every fold to train and to validate.
    pub fn folds(&self, cases: &[Case], seed: u64) -> Result<Vec<Fold>, DatasetError> {
        let mut ids_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for case in cases {
            ids_of.entry(&case.subject).or_default().push(&case.id);
        }
        let borders = self.borders(ids_of.len(), cases.len())?;
        let mut subjects: Vec<&str> = ids_of.keys().copied().collect();
        subjects.shuffle(&mut random::stream(seed, &["split"], &[]));
        let ids = |subjects: &[&str]| {
            let ids = subjects.iter().flat_map(|subject| &ids_of[subject]);
            let mut ids: Vec<String> = ids.map(|&id| id.to_owned()).collect();
            ids.sort_unstable();
            ids
        };
        let folds = borders.windows(2).enumerate().map(|(index, border)| Fold {
            index,
            train: ids(&[&subjects[..border[0]], &subjects[border[1]..]].concat()),
            validation: ids(&subjects[border[0]..border[1]]),
        });
        Ok(folds.collect())
    }

    /// Where the shuffled subjects are cut: those between two borders validate in one fold.
    fn borders(&self, subjects: usize, cases: usize) -> Result<Vec<usize>, DatasetError> {
        let too_few = |wanted, remedy| DatasetError::TooFewSubjects {
            wanted,
            subjects,
            cases,
            remedy,
        };
        match self {
            Self::Holdout(holdout) => {
                let count = holdout.count(subjects);
                if count >= subjects {
                    let remedy =
                        "Hold out fewer, so that at least one is left to train, or add data";
                    return Err(too_few(format!("hold out {count}"), remedy));
                }
                Ok(vec![0, count])
            }
            &Self::KFold(KFold { k }) => {
                if !(2..=subjects).contains(&k) {
                    let remedy = "Take a `k` from 2 to the number of subjects, or add data";
                    return Err(too_few(format!("make {k} folds"), remedy));
                }
                Ok((0..=k).map(|fold| fold * subjects / k).collect())
            }
        }
    }
}
