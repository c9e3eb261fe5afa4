//! What the sides of a split have in the same proportions.

use std::collections::BTreeSet;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::group::{Units, value_of};
use super::{SplitError, column_rules};
use crate::dataset::Case;
use crate::settings::Fault;
use crate::volume::VolumeError;
use crate::volume::nifti::read_mask_by;

/// What the sides of a split have in the same proportions: `{column: site}` or `mask_volume`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected `mask_volume`, or a column as in `{column: site}`"
)]
pub enum Stratify {
    /// Something that is measured in the case's files.
    Measure(Measure),
    /// A fact about the case. Each value is a stratum, compared as text: `1` and `1.0` are two.
    Column {
        /// The column's name.
        column: String,
    },
}

/// What can be measured in a case's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The volume that the mask marks, in mL, in bins of equally many cases.
    MaskVolume,
}

/// The most bins of a measured quantity: finer ones would tie down chance more than they even it out.
const MOST_BINS: usize = 10;

impl Stratify {
    pub(super) fn rules(&self) -> Vec<Fault> {
        match self {
            Self::Measure(_) => Vec::new(),
            Self::Column { column } => column_rules("stratify.column", Some(column)),
        }
    }

    /// Of each unit, its number of cases in each stratum, and in all as the last; `fewest` is how
    /// many units the smaller side of a fold has.
    pub(super) fn counts(&self, units: &Units, fewest: usize) -> Result<Vec<Vec<f64>>, SplitError> {
        let cases: Vec<&Case> = units.iter().flatten().copied().collect();
        let strata = match self {
            Self::Column { column } => by_value(&cases, column)?,
            Self::Measure(Measure::MaskVolume) => {
                by_rank(&mask_volumes(&cases)?, fewest.clamp(1, MOST_BINS))
            }
        };
        let all = strata.iter().max().map_or(0, |last| last + 1);
        let mut strata = strata.into_iter();
        let counts = units.iter().map(|unit| {
            let mut counts = vec![0.0; all + 1];
            for stratum in strata.by_ref().take(unit.len()) {
                counts[stratum] += 1.0;
                counts[all] += 1.0;
            }
            counts
        });
        Ok(counts.collect())
    }
}

fn by_value(cases: &[&Case], column: &str) -> Result<Vec<usize>, SplitError> {
    let values = cases.iter().map(|case| value_of(case, column));
    let values = values.collect::<Result<Vec<&str>, _>>()?;
    let strata: BTreeSet<&str> = values.iter().copied().collect();
    let strata: Vec<&str> = strata.into_iter().collect();
    Ok(values
        .iter()
        .map(|value| strata.partition_point(|one| one < value))
        .collect())
}

/// The bin of each value, all bins having as equal a number of values as can be.
fn by_rank(values: &[f64], bins: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut bin = vec![0; values.len()];
    for (rank, &at) in order.iter().enumerate() {
        bin[at] = rank * bins / values.len();
    }
    bin
}

/// The volume of each case's mask, in mL.
fn mask_volumes(cases: &[&Case]) -> Result<Vec<f64>, VolumeError> {
    let volume = |case: &&Case| {
        let mask = read_mask_by(&case.mask, &case.mask_rule)?;
        let marked = mask.voxels.iter().filter(|voxel| **voxel != 0).count();
        Ok(marked as f64 * mask.voxel_volume_ml())
    };
    // All are read before the first error is looked for, so that it is always the same.
    let volumes: Vec<Result<f64, VolumeError>> = cases.par_iter().map(volume).collect();
    volumes.into_iter().collect()
}
