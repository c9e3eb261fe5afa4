//! A run's `plots/` and `report.html`, and the curves of several runs together.

use std::path::{Path, PathBuf};

use super::{CurvePlot, Overlay, ReportError, RunReport, Series, StripPlot, Table};
use crate::config::Experiment;
use crate::evaluate::{CaseScores, Segmented};
use crate::files::read_text;
use crate::track::{Epoch, read_history};

/// A case that the report shows as a picture.
pub struct Highlight {
    /// Its rank: best, median or worst.
    pub label: &'static str,
    /// Its scores.
    pub scores: CaseScores,
    /// Its scan and masks.
    pub segmented: Segmented,
}

/// Draws the plots of the finished run in `folder` and writes its report.
///
/// # Errors
///
/// When the run's tables cannot be read or a file cannot be written.
pub fn write_run(
    folder: &Path,
    experiment: &Experiment,
    summary: &[(String, String)],
    cases: &[CaseScores],
    highlights: &[Highlight],
) -> Result<(), ReportError> {
    let plots = folder.join("plots");
    let history = read_history(&folder.join("metrics.csv"))?;
    let reference = experiment.report.reference_iou;
    iou_curves(vec![iou_series("validation", &history)], reference)
        .save(&plots, "validation_iou")?;
    loss_curves(&history).save(&plots, "loss")?;
    learning_rate(&history).save(&plots, "learning_rate")?;
    strip(cases).save(&plots, "cases")?;
    let mut figures = vec![
        figure(
            "Validation IoU after each epoch.",
            &plots,
            "validation_iou.svg",
        ),
        figure("Loss after each epoch.", &plots, "loss.svg"),
        figure("Learning rate.", &plots, "learning_rate.svg"),
        figure(
            "IoU of each validation case on its own grid.",
            &plots,
            "cases.svg",
        ),
    ];
    for highlight in highlights {
        let stem = format!("overlay_{}", highlight.label);
        overlay(highlight).save(&plots, &stem)?;
        figures.push((
            format!(
                "The {} validation case, {}: true outline and predicted outline.",
                highlight.label, highlight.scores.case
            ),
            plots.join(format!("{stem}.svg")),
        ));
    }
    RunReport {
        title: format!("{} · {}", experiment.name, folder.display()),
        summary: summary.to_vec(),
        figures,
        cases: table(cases),
        config_yaml: read_text(&folder.join("config.yaml"))?,
        environment: environment(folder)?,
    }
    .save(&folder.join("report.html"))
}

/// Draws the validation curves of several runs (label and folder) with their mean and band into
/// `home/plots`.
///
/// # Errors
///
/// When a run's table cannot be read or the plot cannot be written.
pub fn write_comparison(
    home: &Path,
    runs: &[(String, PathBuf)],
    reference: Option<f64>,
) -> Result<(), ReportError> {
    let mut series = Vec::new();
    for (label, folder) in runs {
        series.push(iou_series(
            label,
            &read_history(&folder.join("metrics.csv"))?,
        ));
    }
    iou_curves(series, reference).save(&home.join("plots"), "validation_iou")
}

fn figure(caption: &str, plots: &Path, name: &str) -> (String, PathBuf) {
    (caption.to_owned(), plots.join(name))
}

fn points(history: &[Epoch], value: impl Fn(&Epoch) -> f64) -> Vec<(f64, f64)> {
    history
        .iter()
        .map(|epoch| (epoch.epoch as f64, value(epoch)))
        .collect()
}

fn iou_series(label: &str, history: &[Epoch]) -> Series {
    Series {
        label: label.to_owned(),
        points: points(history, |epoch| epoch.validation_iou),
    }
}

fn iou_curves(series: Vec<Series>, reference: Option<f64>) -> CurvePlot {
    CurvePlot {
        title: "Validation IoU".into(),
        x_label: "epoch".into(),
        y_label: "IoU (mean over validation cases)".into(),
        mean_band: series.len() > 1,
        series,
        reference: reference.map(|iou| (iou, format!("published baseline {iou}"))),
        y_range: Some((0.0, 1.0)),
        log_y: false,
    }
}

fn loss_curves(history: &[Epoch]) -> CurvePlot {
    let series = |label: &str, value: fn(&Epoch) -> f64| Series {
        label: label.into(),
        points: points(history, value),
    };
    CurvePlot {
        title: "Loss".into(),
        x_label: "epoch".into(),
        y_label: "loss (mean over samples)".into(),
        series: vec![
            series("train", |epoch| epoch.train_loss),
            series("validation", |epoch| epoch.validation_loss),
        ],
        mean_band: false,
        reference: None,
        y_range: None,
        log_y: false,
    }
}

fn learning_rate(history: &[Epoch]) -> CurvePlot {
    CurvePlot {
        title: "Learning rate".into(),
        x_label: "epoch".into(),
        y_label: "learning rate (last step)".into(),
        series: vec![Series {
            label: "learning rate".into(),
            points: points(history, |epoch| epoch.learning_rate),
        }],
        mean_band: false,
        reference: None,
        y_range: None,
        log_y: false,
    }
}

fn strip(cases: &[CaseScores]) -> StripPlot {
    StripPlot {
        title: "Validation cases on their own grids".into(),
        label: "IoU".into(),
        values: cases
            .iter()
            .map(|case| (case.case.clone(), case.iou()))
            .collect(),
    }
}

fn overlay(highlight: &Highlight) -> Overlay<'_> {
    let segmented = &highlight.segmented;
    Overlay {
        image: &segmented.image,
        truth: &segmented.truth,
        prediction: &segmented.predicted.mask,
        title: format!(
            "{} ({} of the validation cases): IoU {:.3}",
            highlight.scores.case,
            highlight.label,
            highlight.scores.iou()
        ),
    }
}

fn table(cases: &[CaseScores]) -> Table {
    let names = cases.first().into_iter().flat_map(|case| &case.scores);
    Table {
        columns: std::iter::once("case".to_owned())
            .chain(names.map(|(name, _)| (*name).to_owned()))
            .collect(),
        rows: cases
            .iter()
            .map(|case| {
                let values = case.scores.iter().map(|(_, value)| format!("{value:.4}"));
                std::iter::once(case.case.clone()).chain(values).collect()
            })
            .collect(),
    }
}

fn environment(folder: &Path) -> Result<Vec<(String, String)>, ReportError> {
    let text = read_text(&folder.join("environment.json"))?;
    // The run wrote this file itself; one that was edited into something else is shown as it is.
    let values: serde_json::Map<String, serde_json::Value> = match serde_json::from_str(&text) {
        Ok(values) => values,
        Err(_) => return Ok(vec![("environment.json".into(), text)]),
    };
    Ok(values
        .into_iter()
        .map(|(name, value)| match value {
            serde_json::Value::String(text) => (name, text),
            other => (name, other.to_string()),
        })
        .collect())
}
