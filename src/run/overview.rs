//! An experiment in a row: its scores, its time and its memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{RunError, RunSummary, contradictions};
use crate::evaluate::compare::Scores;
use crate::layout::{Epoch, RunFolder, Usage, runs_below};
use crate::statistics::mean;

/// What came out of an experiment, over all its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// Its folder.
    pub folder: PathBuf,
    /// Finished runs.
    pub runs: usize,
    /// Different validation cases.
    pub cases: usize,
    /// IoU on the network's grid after the best epochs, mean over the runs.
    pub grid_iou: f64,
    /// Dice there.
    pub grid_dice: f64,
    /// Metrics of batches (`validate.metrics`) in the epochs where they are best, means over the runs.
    pub metrics: Vec<(String, f64)>,
    /// IoU on the scans' own grids, mean over the cases.
    pub iou: f64,
    /// Dice there.
    pub dice: f64,
    /// 95th percentile of the surfaces' distances in mm, mean over the cases; infinite if one mask was empty.
    pub hd95: f64,
    /// The lowest IoU there, and its case.
    pub worst: (f64, String),
    /// What a run used: means over the runs of its times, and the most memory that one had. None where one does not know it.
    pub usage: Option<Usage>,
}

impl Overview {
    /// Reads what came out of a run, or of all runs below an experiment's folder.
    ///
    /// # Errors
    ///
    /// When there is no finished run, a run is not finished, the runs were scored in different ways, or a file cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RunError> {
        let scores = Scores::read(folder).map_err(|error| RunError::Setup(error.to_string()))?;
        let files = [RunFolder::cases, RunFolder::config, RunFolder::metrics];
        let begun = files.into_iter().flat_map(|file| runs_below(folder, file));
        if let Some(run) = begun.into_iter().find(|run| !run.summary().is_file()) {
            return Err(RunError::Setup(format!(
                "{} has no summary.json: it is not finished. Run its experiment again.",
                run.path().display()
            )));
        }
        let runs = runs_below(folder, RunFolder::cases);
        for run in &runs {
            if let Some(what) = contradictions(run)?.first() {
                let run = run.path().display();
                return Err(RunError::Setup(format!(
                    "{run}: {what}. Put its files back, or run its experiment again."
                )));
            }
        }
        let best = runs.iter().map(best_epoch).collect::<Result<Vec<_>, _>>()?;
        let over_runs = |value: fn(&Epoch) -> f64| {
            let values = best.iter().flatten().map(value);
            mean(&values.collect::<Vec<_>>())
        };
        let column = |metric: &str| -> Vec<f64> {
            let values = scores.cases.values().filter_map(|of| of.get(metric));
            values.copied().collect()
        };
        let ious = scores.cases.iter().filter_map(|(case, of)| {
            let iou = of.get("iou")?;
            Some((*iou, case.clone()))
        });
        let worst = ious.min_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Self {
            folder: folder.to_owned(),
            runs: runs.len(),
            cases: scores.cases.len(),
            grid_iou: over_runs(|epoch| epoch.validation_iou),
            grid_dice: over_runs(|epoch| epoch.validation_dice),
            metrics: best_metrics(&runs)?,
            iou: mean(&column("iou")),
            dice: mean(&column("dice")),
            hd95: mean(&column("hd95")),
            worst: worst.unwrap_or((f64::NAN, String::new())),
            usage: usage(&runs),
        })
    }
}

fn usage(runs: &[RunFolder]) -> Option<Usage> {
    let used: Vec<Usage> = runs.iter().map(RunFolder::usage).collect::<Option<_>>()?;
    let over_runs = |value: fn(&Usage) -> Option<f64>| {
        let values: Option<Vec<f64>> = used.iter().map(value).collect();
        values.map(|of| mean(&of))
    };
    let peaks = used.iter().filter_map(|of| of.peak_memory_mib);
    Some(Usage {
        wall_seconds: over_runs(|of| of.wall_seconds),
        cpu_seconds: over_runs(|of| of.cpu_seconds),
        peak_memory_mib: peaks.reduce(f64::max),
    })
}

fn epochs(run: &RunFolder) -> Result<Vec<Epoch>, RunError> {
    run.read_metrics()
        .map_err(|error| RunError::Setup(error.to_string()))
}

/// The epoch whose weights a run kept.
fn best_epoch(run: &RunFolder) -> Result<Option<Epoch>, RunError> {
    let summary = RunSummary::read(&run.summary())?;
    let mut history = epochs(run)?.into_iter();
    Ok(history.find(|epoch| epoch.epoch == summary.best_epoch))
}

/// The best value of each metric of batches in each run, means over the runs; those that all runs have.
fn best_metrics(runs: &[RunFolder]) -> Result<Vec<(String, f64)>, RunError> {
    let mut best: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in runs {
        let mut of_run: BTreeMap<String, f64> = BTreeMap::new();
        for (metric, value) in epochs(run)?.into_iter().flat_map(|of| of.metrics) {
            let best = of_run.entry(metric).or_insert(f64::NAN);
            *best = best.max(value);
        }
        for (metric, value) in of_run {
            best.entry(metric).or_default().push(value);
        }
    }
    best.retain(|_, values| values.len() == runs.len());
    let means = best
        .into_iter()
        .map(|(metric, values)| (metric, mean(&values)));
    Ok(means.collect())
}
