//! All runs of an experiment together: their curves and `report.html`.

use std::path::{Path, PathBuf};

use super::cases::Cases;
use super::run::{environment, iou_curves, learning_rates, losses, series, strip, verdict};
use super::{Page, ReportError, Table};
use crate::experiment::Experiment;
use crate::files::read_text;
use crate::layout::{Epoch, RunFolder};
use crate::plot::Series;

/// A finished run of an experiment.
pub struct Finished {
    /// Seed and fold, as in the folder's name.
    pub variant: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Names and values of its headline numbers.
    pub summary: Vec<(String, String)>,
}

/// Draws the curves of all runs of an experiment into `home/plots` and writes `home/report.html`.
/// `summary` has the numbers over all runs.
///
/// # Errors
///
/// When a run's files cannot be read or something cannot be written.
pub fn write_experiment(
    home: &Path,
    experiment: &Experiment,
    runs: &[Finished],
    summary: Vec<(String, String)>,
) -> Result<(), ReportError> {
    let files = RunFolder::new(home);
    let plots = files.plots();
    let (mut histories, mut tables) = (Vec::new(), Vec::new());
    for run in runs {
        let folder = RunFolder::new(&run.folder);
        histories.push((&run.variant, folder.read_metrics()?));
        let cases = Cases::read(&folder)?;
        tables.push((run.variant.clone(), cases));
    }
    let curves = |value: fn(&Epoch) -> f64| -> Vec<Series> {
        let curve = |(label, history): &(&String, Vec<Epoch>)| series(label, history, value);
        histories.iter().map(curve).collect()
    };
    let reference = experiment.report.reference_iou;
    iou_curves(curves(|epoch| epoch.validation_iou), reference).save(&plots, "validation_iou")?;
    losses(curves(|epoch| epoch.validation_loss)).save(&plots, "validation_loss")?;
    learning_rates(curves(|epoch| epoch.learning_rate)).save(&plots, "learning_rate")?;
    let cases = Cases::join(tables);
    strip(cases.scores()).save(&plots, "cases")?;
    let figures = [
        (
            "validation_iou",
            "Validation IoU of every run, with mean and standard deviation.",
        ),
        ("validation_loss", "Validation loss of every run."),
        ("learning_rate", "Learning rate of every run."),
        (
            "cases",
            "IoU of each validation case on its own grid, in every run.",
        ),
    ];
    let mut links: Vec<(String, String)> = (runs.iter())
        .filter_map(|run| {
            let page = RunFolder::new(&run.folder).report();
            let page = page.strip_prefix(home).ok()?;
            Some((
                format!("report of {}", run.variant),
                page.display().to_string(),
            ))
        })
        .collect();
    links.extend(files.links().into_iter().map(|name| (name.clone(), name)));
    let Some(first) = runs.first() else {
        return Ok(());
    };
    Page {
        title: format!("{} · {} runs", experiment.name, runs.len()),
        summary,
        verdict: verdict(&cases.ious(), reference),
        figures: figures
            .map(|(stem, caption)| (caption.to_owned(), plots.join(format!("{stem}.svg"))))
            .into(),
        tables: vec![
            ("Runs".into(), table(runs)),
            ("Cases".into(), cases.table()),
        ],
        links,
        config_yaml: read_text(&RunFolder::new(&first.folder).config())?,
        environment: environment(&RunFolder::new(&first.folder))?,
    }
    .save(&files.report())
}

fn table(runs: &[Finished]) -> Table {
    let names = runs.first().into_iter().flat_map(|run| &run.summary);
    let columns = std::iter::once("run".to_owned()).chain(names.map(|(name, _)| name.clone()));
    let row = |run: &Finished| {
        let values = run.summary.iter().map(|(_, value)| value.clone());
        let cells = std::iter::once(run.variant.clone()).chain(values);
        cells.map(Into::into).collect()
    };
    Table {
        columns: columns.collect(),
        rows: runs.iter().map(row).collect(),
        ..Table::default()
    }
}
