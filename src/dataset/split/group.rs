//! What is split: subjects, or groups of them that must stay together.

use rand::seq::SliceRandom;

use super::{Fold, SplitError};
use crate::dataset::Case;
use crate::random;
use crate::settings::nearest;

/// The cases of each subject or group, in order of its first subject.
pub(super) struct Units<'a> {
    units: Vec<Vec<&'a Case>>,
    /// What they are, human-readable.
    kind: String,
}

impl<'a> Units<'a> {
    /// Puts together `cases`, sorted by id, that share a subject or a value of the column `group`.
    /// Sharing is transitive: a subject with two values joins the groups of both.
    pub(super) fn of(cases: &[&'a Case], group: Option<&str>) -> Result<Self, SplitError> {
        let mut units: Vec<Vec<&Case>> = Vec::new();
        for &case in cases {
            let value = group.map(|column| value_of(case, column)).transpose()?;
            let belongs = |other: &&Case| {
                let shares = |column| other.columns.get(column).map(String::as_str) == value;
                other.subject == case.subject || group.is_some_and(shares)
            };
            let (same, mut others): (Vec<_>, Vec<_>) =
                units.into_iter().partition(|unit| unit.iter().any(belongs));
            others.push(same.into_iter().flatten().chain([case]).collect());
            units = others;
        }
        for unit in &mut units {
            unit.sort_by(|a, b| (&a.subject, &a.id).cmp(&(&b.subject, &b.id)));
        }
        units.sort_by(|a, b| a[0].subject.cmp(&b[0].subject));
        let kind = match group {
            None => "subjects".to_owned(),
            Some(column) => format!("groups by `{column}`"),
        };
        Ok(Self { units, kind })
    }

    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[&'a Case]> {
        self.units.iter().map(Vec::as_slice)
    }

    /// The units' numbers in random order.
    pub(super) fn shuffled(&self, seed: u64, indices: &[u64]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut random::stream(seed, &["split"], indices));
        order
    }

    /// The fold in which these units validate and all others train.
    pub(super) fn fold(&self, index: usize, validation: &[usize]) -> Fold {
        let mut validates = vec![false; self.len()];
        validation.iter().for_each(|&unit| validates[unit] = true);
        let side = |wanted: bool| {
            let units = self.units.iter().zip(&validates);
            let units = units.filter(|(_, validates)| **validates == wanted);
            let mut ids: Vec<String> = units
                .flat_map(|(unit, _)| unit.iter().map(|case| case.id.clone()))
                .collect();
            ids.sort_unstable();
            ids
        };
        Fold {
            index,
            train: side(false),
            validation: side(true),
        }
    }

    pub(super) fn too_few(&self, wanted: String, remedy: &'static str) -> SplitError {
        SplitError::TooFew {
            wanted,
            units: self.kind.clone(),
            count: self.len(),
            cases: self.units.iter().map(Vec::len).sum(),
            remedy,
        }
    }
}

/// What a case has in a column.
pub(super) fn value_of<'a>(case: &'a Case, column: &str) -> Result<&'a str, SplitError> {
    if let Some(value) = case.columns.get(column) {
        return Ok(value);
    }
    let names: Vec<&str> = case.columns.keys().map(String::as_str).collect();
    let there = match nearest(column, &names) {
        _ if names.is_empty() => {
            "It has no columns: they come from a `table`, from the row of its subject in the \
             participants.tsv of `bids`, or from {session} in the patterns of `pairs`"
                .to_owned()
        }
        Some(name) => format!("Did you mean `{name}`? Its columns: {}", names.join(", ")),
        None => format!("Its columns: {}", names.join(", ")),
    };
    Err(SplitError::NoColumn {
        case: case.id.clone(),
        column: column.to_owned(),
        there,
    })
}
