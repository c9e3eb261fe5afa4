//! What must hold for every fold, however it was made.

use std::collections::BTreeMap;

use super::group::value_of;
use super::{Fold, SplitError};
use crate::dataset::Case;

/// Checks that no subject, nor any group by the column `group`, stands on both sides of a fold, and
/// that both sides have cases. `origin` names the source of the folds.
pub(super) fn check(
    folds: &[Fold],
    cases: &[&Case],
    group: Option<&str>,
    origin: &str,
) -> Result<(), SplitError> {
    let cases: BTreeMap<&str, &Case> = cases.iter().map(|case| (&*case.id, *case)).collect();
    for fold in folds {
        let sides = [(&fold.train, "train on"), (&fold.validation, "validate on")];
        if let Some((_, missing)) = sides.iter().find(|(ids, _)| ids.is_empty()) {
            return Err(SplitError::EmptySide {
                origin: origin.to_owned(),
                fold: fold.index,
                missing,
            });
        }
        let side = |ids: &[String]| -> Vec<&Case> {
            ids.iter()
                .filter_map(|id| cases.get(&**id).copied())
                .collect()
        };
        let (train, validation) = (side(&fold.train), side(&fold.validation));
        let leak = |whose: String, (train, validation): (&Case, &Case)| SplitError::BothSides {
            origin: origin.to_owned(),
            whose,
            fold: fold.index,
            train: train.id.clone(),
            validation: validation.id.clone(),
        };
        if let Some((subject, pair)) = on_both(&train, &validation, |case| Ok(&case.subject))? {
            return Err(leak(format!("subject {subject}"), pair));
        }
        if let Some(column) = group
            && let Some((value, pair)) = on_both(&train, &validation, |c| value_of(c, column))?
        {
            return Err(leak(format!("`{column}` {value}"), pair));
        }
    }
    Ok(())
}

/// Whose cases stand on both sides, with a case of each.
#[expect(clippy::type_complexity, reason = "a name would not say more")]
fn on_both<'a>(
    train: &[&'a Case],
    validation: &[&'a Case],
    whose: impl Fn(&'a Case) -> Result<&'a str, SplitError>,
) -> Result<Option<(&'a str, (&'a Case, &'a Case))>, SplitError> {
    let mut trains = BTreeMap::new();
    for &case in train {
        trains.insert(whose(case)?, case);
    }
    for &case in validation {
        let who = whose(case)?;
        if let Some(&other) = trains.get(who) {
            return Ok(Some((who, (other, case))));
        }
    }
    Ok(None)
}
