//! All runs of an experiment together: their curves and `report.html`.

use std::path::{Path, PathBuf};

use super::cases::Cases;
use super::curves::{
    iou_curves, learning_rates, losses, metric_curves, metric_series, metric_verdict, series,
    structure_series_of_runs, validation_series, volume_reference,
};
use super::run::{environment, postprocessing, verdict};
use super::strips::{strip, structure_strips};
use super::{Page, ReportError, Table};
use crate::experiment::Experiment;
use crate::files::read_text;
use crate::layout::{Epoch, RunFolder};
use crate::plot::Series;
use crate::predict::Chosen;

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
    type Curve = fn(&str, &[Epoch], fn(&Epoch) -> f64) -> Series;
    let curves = |curve: Curve, value: fn(&Epoch) -> f64| -> Vec<Series> {
        let of_run = |(label, history): &(&String, Vec<Epoch>)| curve(label, history, value);
        histories.iter().map(of_run).collect()
    };
    let (metrics, report) = (&experiment.validate.metrics, &experiment.report);
    let reference = volume_reference(report);
    let ious = curves(validation_series, |epoch| epoch.validation_iou);
    iou_curves(ious, reference.clone()).save(&plots, "validation_iou")?;
    let validated = curves(validation_series, |epoch| epoch.validation_loss);
    losses(validated).save(&plots, "validation_loss")?;
    learning_rates(curves(series, |epoch| epoch.learning_rate)).save(&plots, "learning_rate")?;
    let cases = Cases::join(tables);
    let structure_tables = cases.structure_tables();
    let by_structure = !structure_tables.is_empty();
    strip(cases.scores(), by_structure).save(&plots, "cases")?;
    let mut figures = vec![
        (
            "validation_iou",
            "Validation IoU of every run, with mean and standard deviation.",
        ),
        ("validation_loss", "Validation loss of every run."),
        ("learning_rate", "Learning rate of every run."),
        (
            "cases",
            match by_structure {
                false => "IoU of each validation case on its own grid, in every run.",
                true => {
                    "IoU of each validation case on its own grid, mean over its structures, in every run."
                }
            },
        ),
    ];
    if by_structure {
        structure_strips(cases.dice_by_structure()).save(&plots, "structures")?;
        figures.push((
            "structures",
            "Dice of each structure in the validation cases, on their own grids, in every run.",
        ));
    }
    let all: Vec<&[Epoch]> = histories
        .iter()
        .map(|(_, history)| history.as_slice())
        .collect();
    if let Some(curves) = structure_series_of_runs(&all) {
        iou_curves(curves, reference).save(&plots, "validation_iou_structures")?;
        figures.insert(
            1,
            (
                "validation_iou_structures",
                "Validation IoU of each structure, mean over the runs, and the mean over the structures.",
            ),
        );
    }
    let mut figures: Vec<(String, String)> = (figures.into_iter())
        .map(|(stem, caption)| (stem.to_owned(), caption.to_owned()))
        .collect();
    for metric in metrics {
        let of_run =
            |(label, history): &(&String, Vec<Epoch>)| metric_series(label, history, metric);
        let curves = histories.iter().map(of_run).collect();
        metric_curves(curves, metric, report).save(&plots, &metric.column())?;
        let caption = format!(
            "Validation {} of every run, a mean over planes, with mean and standard deviation.",
            metric.name()
        );
        figures.insert(1, (metric.column(), caption));
    }
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
        verdict: verdict(&cases.ious(), report.volume_reference())
            .or(metric_verdict(&all, metrics, report)),
        figures: (figures.into_iter())
            .map(|(stem, caption)| (caption, plots.join(format!("{stem}.svg"))))
            .collect(),
        tables: [("Runs".into(), table(runs))]
            .into_iter()
            .chain(postprocessing_of(runs)?)
            .chain(structure_tables)
            .chain([("Cases".into(), cases.table())])
            .collect(),
        links,
        config_yaml: read_text(&RunFolder::new(&first.folder).config())?,
        environment: environment(&RunFolder::new(&first.folder))?,
    }
    .save(&files.report())
}

/// The table of the post-processing that all runs have chosen together, if they have.
fn postprocessing_of(runs: &[Finished]) -> Result<Option<(String, Table)>, ReportError> {
    let read = |run: &Finished| Chosen::read(&RunFolder::new(&run.folder));
    let chosen: Vec<Option<Chosen>> = runs.iter().map(read).collect::<Result<_, _>>()?;
    let first = chosen.first().cloned().flatten();
    let is_shared = chosen.iter().all(|of| *of == first);
    Ok(first.filter(|_| is_shared).map(postprocessing))
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
