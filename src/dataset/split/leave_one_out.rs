//! Cross-validation with a fold for every subject or group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::group::Units;
use super::{Fold, SplitError, SplitMethod, column_rules};
use crate::dataset::Case;
use crate::settings::Fault;

/// Cross-validation with a fold for every subject, or for every group (leave one site out): it alone
/// validates, all others train. Folds are in order of the subjects' names, a group standing where the
/// first of its subjects does; nothing is drawn, so the seed does not matter.
///
/// Reference: P. A. Lachenbruch and M. R. Mickey, Estimation of error rates in discriminant analysis,
/// Technometrics, 1968.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeaveOneOut {
    /// A column: subjects that share a value are left out together (a site, a family). By default
    /// each subject is a group of its own.
    pub group: Option<String>,
}

impl SplitMethod for LeaveOneOut {
    fn folds(&self, cases: &[&Case], _seed: u64) -> Result<Vec<Fold>, SplitError> {
        let units = Units::of(cases, self.group.as_deref())?;
        if units.len() < 2 {
            let remedy = "At least two are needed: one to validate, one to train. Add data";
            return Err(units.too_few("leave one out".into(), remedy));
        }
        let folds = (0..units.len()).map(|unit| units.fold(unit, &[unit]));
        Ok(folds.collect())
    }

    fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    fn rules(&self) -> Vec<Fault> {
        column_rules("group", self.group.as_deref())
    }
}
