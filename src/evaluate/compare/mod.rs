//! Whether one experiment's scores are better than another's, case by case.

mod comparison;
mod scores;
mod wanted;

use std::path::PathBuf;

use thiserror::Error;

pub use comparison::Comparison;
pub use scores::{Common, Scores, in_common};
pub use wanted::Wanted;

use crate::layout::TableError;
use crate::statistics::holm;

/// The score that depends on a tolerance.
const NSD: &str = "nsd";
/// The score that shows whether two runs were scored against the same masks.
const TRUTH: &str = "true_volume_ml";

/// Two experiments cannot be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// A folder holds no scores.
    #[error(
        "{} holds no finished run: no cases.csv in it or below it. Name a run's folder \
         (results/quickstart/seed-42) or an experiment's (results/quickstart).",
        path.display()
    )]
    NoScores {
        /// The folder.
        path: PathBuf,
    },
    /// A table of scores cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A run is not finished.
    #[error("{} is not finished: its scores are not those of its settings. Run its experiment again, and then compare.", run.display())]
    Unfinished {
        /// The run.
        run: PathBuf,
    },
    /// Runs of one experiment were scored in different ways.
    #[error(
        "{} was scored with other settings than {}: {differences}. Run the experiment again, with all folds and seeds: its \
         runs are scored again, not trained.", second.display(), first.display()
    )]
    Scoring {
        /// A run.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What differs.
        differences: String,
    },
    /// Two experiments count surfaces as one at different distances.
    #[error(
        "nsd is up to {first_mm} mm in {first} and up to {second_mm} mm in {second} (evaluate.nsd_tolerance). Run one of them again \
         with the other's setting: it is scored again, not trained."
    )]
    Tolerance {
        /// One experiment.
        first: String,
        /// Its tolerance.
        first_mm: f64,
        /// The other.
        second: String,
        /// Its tolerance.
        second_mm: f64,
    },
    /// A metric is in neither table.
    #[error("{run} has no metric `{metric}`. It has: {}.", known.join(", "))]
    Metric {
        /// The experiment.
        run: String,
        /// The metric asked for.
        metric: String,
        /// The metrics that there are.
        known: Vec<String>,
    },
    /// A score is not a number.
    #[error(
        "{metric} of case {case} is not a number in {run}. Repair its cases.csv, or leave the metric out."
    )]
    NoNumber {
        /// The experiment.
        run: String,
        /// The metric.
        metric: String,
        /// The case.
        case: String,
    },
    /// The experiments validated different cases.
    #[error(
        "{first} and {second} have different cases, so they cannot be paired: {}. Compare runs of \
         one split.",
        differences.join("; ")
    )]
    Cases {
        /// One experiment.
        first: String,
        /// The other.
        second: String,
        /// What only one of them has.
        differences: Vec<String>,
    },
    /// A case was scored against different masks.
    #[error(
        "case {case} has a true {what} of {first_ml:.3} mL in {first} and of {second_ml:.3} mL in \
         {second}: they were scored on different grids or against different masks."
    )]
    Truth {
        /// The case.
        case: String,
        /// `mask`, or the structure.
        what: String,
        /// One experiment.
        first: String,
        /// Volume of its mask.
        first_ml: f64,
        /// The other.
        second: String,
        /// Volume of its mask.
        second_ml: f64,
    },
    /// The experiments find nothing in common.
    #[error(
        "{first} and {second} have no structure in common: {first} has {has}, {second} has {other}. Compare runs that \
         find the same."
    )]
    Structures {
        /// One experiment.
        first: String,
        /// Its structures.
        has: String,
        /// The other.
        second: String,
        /// Its structures.
        other: String,
    },
}

/// Compares every experiment but the first with the first, in every score that is `wanted`. The bootstrap depends on
/// `seed` alone.
///
/// # Errors
///
/// When cases or true masks differ, or a score is missing.
pub fn compare(
    experiments: &[Scores],
    wanted: &[Wanted],
    seed: u64,
) -> Result<Vec<Comparison>, CompareError> {
    let Some((first, others)) = experiments.split_first() else {
        return Ok(Vec::new());
    };
    let mut comparisons = Vec::new();
    for second in others {
        check_cases(first, second)?;
        for one in wanted {
            if one.metric.name == NSD {
                check_tolerance(first, second)?;
            }
            comparisons.push(Comparison::of(first, second, one, seed)?);
        }
    }
    let p: Vec<f64> = comparisons.iter().map(|comparison| comparison.p).collect();
    for (comparison, p) in comparisons.iter_mut().zip(holm(&p)) {
        comparison.p = p;
    }
    Ok(comparisons)
}

fn check_tolerance(first: &Scores, second: &Scores) -> Result<(), CompareError> {
    match [first, second].map(|one| one.nsd_tolerance) {
        [Some(first_mm), Some(second_mm)] if first_mm != second_mm => {
            Err(CompareError::Tolerance {
                first: first.name.clone(),
                first_mm,
                second: second.name.clone(),
                second_mm,
            })
        }
        _ => Ok(()),
    }
}

fn check_cases(first: &Scores, second: &Scores) -> Result<(), CompareError> {
    let only = |a: &Scores, b: &Scores| -> Option<String> {
        let missing = a.cases.keys().filter(|case| !b.cases.contains_key(*case));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        (!missing.is_empty()).then(|| format!("only {} has {}", a.name, missing.join(", ")))
    };
    let differences: Vec<String> = [only(first, second), only(second, first)]
        .into_iter()
        .flatten()
        .collect();
    if !differences.is_empty() {
        return Err(CompareError::Cases {
            first: first.name.clone(),
            second: second.name.clone(),
            differences,
        });
    }
    // Of several structures each is compared, and not their mean.
    let masks = match first.structures.as_slice() {
        [] => vec![("mask".to_owned(), TRUTH.to_owned())],
        structures => (structures.iter())
            .map(|name| (name.clone(), format!("{TRUTH}/{name}")))
            .collect(),
    };
    let all = first.cases.iter();
    for ((case, scores), (what, key)) in all.flat_map(|case| masks.iter().map(move |of| (case, of)))
    {
        let volumes = [scores, &second.cases[case]].map(|scores| scores.get(key).copied());
        if let [Some(first_ml), Some(second_ml)] = volumes
            && (first_ml - second_ml).abs() > 1e-6 * first_ml
        {
            return Err(CompareError::Truth {
                case: case.clone(),
                what: what.clone(),
                first: first.name.clone(),
                first_ml,
                second: second.name.clone(),
                second_ml,
            });
        }
    }
    Ok(())
}
