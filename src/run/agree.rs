//! Whether the files of a finished run agree with each other.

use super::{RunError, RunSummary};
use crate::layout::{CaseScores, Epoch, RunFolder};
use crate::statistics::mean;

/// Sums in another order may differ by this part.
const ROUNDING: f64 = 1e-9;

/// What of a finished run's `summary.json` its tables do not give, and which scores of a case contradict each other, in
/// words. None if all agree.
///
/// # Errors
///
/// When a file cannot be read.
pub fn contradictions(run: &RunFolder) -> Result<Vec<String>, RunError> {
    let summary = RunSummary::read(&run.summary())?;
    let table = |error: crate::layout::TableError| RunError::Setup(error.to_string());
    let history = run.read_metrics().map_err(table)?;
    let cases = run.read_cases().map_err(table)?;
    let validated = history.iter().filter(|epoch| epoch.is_validated());
    // The first of equals, as in training.
    let best = validated.reduce(
        |best: &Epoch, of| match of.validation_iou > best.validation_iou {
            true => of,
            false => best,
        },
    );
    let (epoch, iou) = best.map_or((0, f64::NAN), |of| (of.epoch, of.validation_iou));
    let ious: Vec<f64> = cases.iter().map(CaseScores::iou).collect();
    let numbers = [
        ("epochs", summary.epochs as f64, history.len() as f64),
        ("best_epoch", summary.best_epoch as f64, epoch as f64),
        ("best_iou", summary.best_iou, iou),
        ("native_iou", summary.native_iou, mean(&ious)),
        ("cases", summary.cases as f64, cases.len() as f64),
    ];
    let differs = numbers.into_iter().filter(|(_, of, now)| !agree(*of, *now));
    let mut found: Vec<String> = differs
        .map(|(name, of, now)| format!("{name} is {of} in summary.json, and {now} by the tables"))
        .collect();
    found.extend(cases.iter().filter_map(of_case));
    Ok(found)
}

/// Dice and IoU of a mask are two forms of one number; means over structures are not.
fn of_case(case: &CaseScores) -> Option<String> {
    let (iou, dice) = (case.score("iou")?, case.score("dice")?);
    let expected = 2.0 * iou / (1.0 + iou);
    (case.structures.is_empty() && !agree(dice, expected)).then(|| {
        format!(
            "case {} has an IoU of {iou}, which is a Dice of {expected}, and a Dice of {dice} in cases.csv",
            case.case
        )
    })
}

fn agree(one: f64, other: f64) -> bool {
    (one - other).abs() <= ROUNDING * one.abs().max(1.0) || (one.is_nan() && other.is_nan())
}
