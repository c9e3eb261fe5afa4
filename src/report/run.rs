//! A run's `plots/` and `report.html`.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::cases::Cases;
use super::curves::{
    iou_curves, learning_rates, loss_curves, metric_curves, metric_series, metric_verdict,
    score_curves, series, structure_series, volume_reference,
};
use super::strips::{strip, structure_strips};
use super::{Page, ReportError, Table};
use crate::console::duration;
use crate::evaluate::Segmented;
use crate::experiment::Experiment;
use crate::files::read_text;
use crate::layout::{CaseScores, Epoch, RunFolder};
use crate::metric::BatchMetric;
use crate::plot::{Overlay, STRUCTURE_COLOURS as COLOURS};
use crate::predict::{Chosen, Step};
use crate::statistics::{Paired, mean};
use crate::volume::Structures;

/// A case that the page shows as a picture.
pub struct Highlight {
    /// Its rank: best, median or worst.
    pub label: &'static str,
    /// Its scores.
    pub scores: CaseScores,
    /// Its scan and masks.
    pub segmented: Segmented,
}

/// Draws the plots of the scored run in `folder`.
///
/// # Errors
///
/// When the run's table of epochs cannot be read or a file cannot be written.
pub fn draw_run(
    folder: &Path,
    experiment: &Experiment,
    cases: &[CaseScores],
    highlights: &[Highlight],
) -> Result<(), ReportError> {
    let run = RunFolder::new(folder);
    let plots = run.plots();
    let history = run.read_metrics()?;
    let (metrics, report) = (&experiment.validate.metrics, &experiment.report);
    let structures = experiment.structures();
    match structures.is_mask() {
        true => score_curves(&history, metrics, report).save(&plots, "validation_iou")?,
        false => {
            let reference = volume_reference(report);
            iou_curves(structure_series(&history), reference).save(&plots, "validation_iou")?;
            for metric in metrics {
                let curve = metric_series(metric.name(), &history, metric);
                let plot = metric_curves(vec![curve], metric, report);
                plot.save(&plots, &metric.column())?;
            }
        }
    }
    loss_curves(&history).save(&plots, "loss")?;
    let rate = series("learning rate", &history, |epoch| epoch.learning_rate);
    learning_rates(vec![rate]).save(&plots, "learning_rate")?;
    let values = cases.iter().map(|case| (case.case.clone(), case.iou()));
    strip(values.collect(), !structures.is_mask()).save(&plots, "cases")?;
    if !structures.is_mask() {
        structure_strips(Cases::read(&run)?.dice_by_structure()).save(&plots, "structures")?;
    }
    let images = experiment.image_names();
    let image = (images.len() > 1).then(|| images[0].as_str());
    for highlight in highlights {
        let overlay = overlay(highlight, &structures, image);
        overlay.save(&plots, &format!("overlay_{}", highlight.label))?;
    }
    Ok(())
}

/// Writes `report.html` of the finished run in `folder` from its tables, its plots and its
/// environment. `summary` has its headline numbers.
///
/// # Errors
///
/// When a file cannot be read or the page cannot be written.
pub fn write_run(
    folder: &Path,
    experiment: &Experiment,
    summary: &[(String, String)],
) -> Result<(), ReportError> {
    let run = RunFolder::new(folder);
    let plots = run.plots();
    let cases = Cases::read(&run)?;
    let structure_tables = cases.structure_tables();
    let by_structure = !structure_tables.is_empty();
    let repeated = match cases.dice_by_structure().len() > COLOURS {
        true => format!(" After {COLOURS} structures the colours start over."),
        false => String::new(),
    };
    let drawn = [
        (
            "validation_iou",
            match by_structure {
                false => validation_caption(experiment),
                true => "Validation IoU after each epoch: the mean over the structures, and each structure."
                    .to_owned(),
            },
        ),
        ("loss", "Loss after each epoch.".to_owned()),
        ("learning_rate", "Learning rate.".to_owned()),
        (
            "cases",
            match by_structure {
                false => "IoU of each validation case on its own grid.".to_owned(),
                true => "IoU of each validation case on its own grid, mean over its structures.".to_owned(),
            },
        ),
        (
            "structures",
            "Dice of each structure in the validation cases, on their own grids.".to_owned(),
        ),
    ];
    let overlays = cases.highlights().map(|(label, case)| {
        let caption = match by_structure {
            false => {
                format!("The {label} validation case, {case}: true outline and predicted outline.")
            }
            true => format!(
                "The {label} validation case by the mean IoU of its structures, {case}: the truth is filled, the \
                 prediction a line.{repeated}"
            ),
        };
        (label, caption)
    });
    let overlays = overlays.map(|(label, caption)| (format!("overlay_{label}"), caption));
    let drawn = drawn.map(|(stem, caption)| (stem.to_owned(), caption));
    let metrics = experiment.validate.metrics.iter().map(|metric| {
        let caption = format!("Validation {} after each epoch.", metric.name());
        (metric.column(), caption)
    });
    let figures = drawn.into_iter().chain(metrics).chain(overlays);
    let mut summary = summary.to_vec();
    let history = run.read_metrics()?;
    summary.extend(speed(&history));
    let environment = environment(&run)?;
    let memory = environment
        .iter()
        .find(|(name, _)| name == "peak_memory_mib");
    summary.extend(memory.map(|(_, mib)| ("peak memory".into(), format!("{mib} MiB"))));
    Page {
        title: format!("{} · {}", experiment.name, folder.display()),
        summary,
        verdict: verdict(&cases.ious(), experiment.report.volume_reference()).or(metric_verdict(
            &[&history],
            &experiment.validate.metrics,
            &experiment.report,
        )),
        figures: figures
            .map(|(stem, caption)| (caption, plots.join(format!("{stem}.svg"))))
            .filter(|(_, file)| file.exists())
            .collect(),
        links: run
            .links()
            .into_iter()
            .map(|name| (name.clone(), name))
            .collect(),
        tables: (Chosen::read(&run)?.map(postprocessing).into_iter())
            .chain(structure_tables)
            .chain([("Cases".into(), cases.table())])
            .collect(),
        config_yaml: read_text(&run.config())?,
        environment,
    }
    .save(&run.report())
}

/// What the plot of validation scores shows of one mask.
fn validation_caption(experiment: &Experiment) -> String {
    let names: Vec<&str> = (experiment.validate.metrics.iter())
        .map(BatchMetric::name)
        .collect();
    match names.is_empty() {
        true => "Validation IoU after each epoch.".to_owned(),
        false => format!(
            "Validation after each epoch: the IoU of volumes, and {}, a mean over planes.",
            names.join(" and ")
        ),
    }
}

/// The table of a chosen post-processing.
pub(super) fn postprocessing(chosen: Chosen) -> (String, Table) {
    let runs = match chosen.runs.len() {
        1 => "this run".to_owned(),
        count => format!("{count} runs together"),
    };
    let (cases, their) = match chosen.cases {
        1 => ("the one validation case".to_owned(), "its"),
        count => (format!("the {count} validation cases"), "their"),
    };
    let note = format!(
        "Chosen by {cases} of {runs}, so {their} scores with it are a little optimistic. Mean Dice on the scans' own grids: {:.4} \
         before, {:.4} after; {} changes were tried.",
        chosen.dice_before, chosen.dice_after, chosen.tried
    );
    let step = |step: &Step| {
        let dice = [format!("{:.4}", step.dice), format!("{:+.4}", step.gain)];
        let cells = std::iter::once(step.what.clone()).chain(dice);
        cells.map(Into::into).collect()
    };
    let table = Table {
        note: Some(note),
        columns: match chosen.steps.is_empty() {
            true => Vec::new(),
            false => ["change", "Dice", "gain"].map(Into::into).into(),
        },
        rows: chosen.steps.iter().map(step).collect(),
        ..Table::default()
    };
    ("Post-processing".into(), table)
}

/// The mean time of an epoch.
fn speed(history: &[Epoch]) -> Option<(String, String)> {
    let seconds: Vec<f64> = history.iter().map(|epoch| epoch.seconds).collect();
    let time = Duration::try_from_secs_f64(mean(&seconds)).ok()?;
    Some(("time per epoch, with validation".into(), duration(time)))
}

/// A sentence that compares the cases' IoUs with a published one.
pub(super) fn verdict(ious: &[f64], reference: Option<f64>) -> Option<String> {
    let reference = reference?;
    let against = Paired::of(&vec![reference; ious.len()], ious, 42);
    let mean = reference + against.mean;
    let [low, high] = against.interval.map(|bound| reference + bound);
    let numbers = format!("{mean:.4} [{low:.4}, {high:.4}]");
    let cases = match ious.len() {
        0 => return None,
        1 => {
            return Some(format!(
                "The IoU of the only validation case on its own grid is {mean:.4}; the reference is \
             {reference}. One case allows no conclusion about others."
            ));
        }
        cases => cases,
    };
    let position = if low > reference {
        format!(
            "It is above the reference of {reference} by {:.4}",
            against.mean
        )
    } else if high < reference {
        format!(
            "It is below the reference of {reference} by {:.4}",
            -against.mean
        )
    } else {
        format!(
            "The interval contains the reference of {reference}: these cases show no significant difference"
        )
    };
    Some(format!(
        "IoU on the scans' own grids: {numbers} (mean and 95 % bootstrap interval over {cases} \
         cases). {position}. Unless dataset and split are the same, the reference was measured on other \
         cases."
    ))
}

/// The picture of a case; `image` names the one that is shown, where a case has several.
fn overlay<'a>(
    highlight: &'a Highlight,
    structures: &'a Structures,
    image: Option<&str>,
) -> Overlay<'a> {
    let segmented = &highlight.segmented;
    let shown = image.map_or_else(String::new, |image| format!(", on {image}"));
    Overlay {
        image: &segmented.image,
        truth: &segmented.truth,
        prediction: &segmented.prediction,
        structures,
        title: format!(
            "{} ({} of the validation cases): IoU {:.3}{shown}",
            highlight.scores.case,
            highlight.label,
            highlight.scores.iou()
        ),
    }
}

/// The environment of a run's last session.
pub(super) fn environment(run: &RunFolder) -> Result<Vec<(String, String)>, ReportError> {
    let text = read_text(&run.environment())?;
    // A file that somebody edited is shown as it is.
    let record: Value = match serde_json::from_str(&text) {
        Ok(record) => record,
        Err(_) => return Ok(vec![("environment.json".into(), text)]),
    };
    let sessions = record["sessions"].as_array().cloned().unwrap_or_default();
    let last = sessions.last().and_then(Value::as_object);
    let entries = last
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null());
    let mut rows: Vec<(String, String)> = entries
        .map(|(name, value)| (name.clone(), in_words(value)))
        .collect();
    rows.push(("sessions".into(), sessions.len().to_string()));
    let inputs = record["inputs"].as_object().map_or(0, serde_json::Map::len);
    let inputs = format!("{inputs} cases; environment.json has the SHA-256 of their files");
    rows.push(("inputs".into(), inputs));
    Ok(rows)
}

fn in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(in_words).collect::<Vec<_>>().join(" "),
        Value::Number(number) if number.is_f64() => {
            format!("{:.1}", number.as_f64().unwrap_or_default())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_says_what_the_cases_can_tell() {
        let sentence = |ious: &[f64]| verdict(ious, Some(0.86)).unwrap();
        assert!(sentence(&[0.91, 0.92, 0.93]).contains("above the reference of 0.86 by 0.06"));
        assert!(sentence(&[0.71, 0.72, 0.73]).contains("below the reference of 0.86 by 0.14"));
        assert!(sentence(&[0.80, 0.86, 0.92]).contains("no significant difference"));
        assert!(sentence(&[0.92]).contains("only validation case"));
        assert_eq!(verdict(&[], Some(0.86)), None);
        assert_eq!(verdict(&[0.9], None), None);
    }
}
