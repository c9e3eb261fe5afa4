//! The curves of runs.

use crate::experiment::Reporting;
use crate::layout::Epoch;
use crate::metric::BatchMetric;
use crate::plot::{CurvePlot, Mark, Series};
use crate::statistics::mean;

/// One value per epoch, as a curve.
pub(super) fn series(label: &str, history: &[Epoch], value: impl Fn(&Epoch) -> f64) -> Series {
    let points = history
        .iter()
        .map(|epoch| (epoch.epoch as f64, value(epoch)));
    Series {
        label: label.to_owned(),
        points: points.collect(),
        mark: Mark::Line,
    }
}

/// One value of every epoch that was validated, as a curve.
pub(super) fn validation_series(
    label: &str,
    history: &[Epoch],
    value: impl Fn(&Epoch) -> f64,
) -> Series {
    let validated = history.iter().filter(|epoch| epoch.is_validated());
    let validated: Vec<Epoch> = validated.cloned().collect();
    series(label, &validated, value)
}

/// The validation IoU of a run: of several structures their mean, and a thin curve for each.
pub(super) fn structure_series(history: &[Epoch]) -> Vec<Series> {
    let names = history
        .first()
        .into_iter()
        .flat_map(|epoch| &epoch.structures);
    let names: Vec<&str> = names.map(|of| of.name.as_str()).collect();
    let label = match names.len() {
        0 => "validation".to_owned(),
        count => mean_of(count),
    };
    let mut all = vec![validation_series(&label, history, |epoch| {
        epoch.validation_iou
    })];
    all.extend(names.into_iter().map(|name| {
        let key = format!("validation_iou/{name}");
        Series {
            mark: Mark::Part,
            ..validation_series(name, history, |epoch| {
                epoch.metric(&key).unwrap_or(f64::NAN)
            })
        }
    }));
    all
}

/// A metric of batches after every epoch that was validated.
pub(super) fn metric_series(label: &str, history: &[Epoch], metric: &BatchMetric) -> Series {
    let column = metric.column();
    validation_series(label, history, |epoch| {
        epoch.metric(&column).unwrap_or(f64::NAN)
    })
}

/// The validation scores of a run of one mask: the IoU of volumes and, where there are any, metrics of batches.
pub(super) fn score_curves(
    history: &[Epoch],
    metrics: &[BatchMetric],
    report: &Reporting,
) -> CurvePlot {
    let mut series = structure_series(history);
    if metrics.is_empty() {
        return iou_curves(series, volume_reference(report));
    }
    if let Some(volumes) = series.first_mut() {
        volumes.label = "IoU of volumes".into();
    }
    let others = metrics
        .iter()
        .map(|metric| metric_series(metric.name(), history, metric));
    series.extend(others);
    let of_metric = || metrics.iter().find_map(|one| metric_reference(report, one));
    let reference = volume_reference(report).or_else(of_metric);
    CurvePlot {
        title: "Validation IoU of volumes, and metrics of batches".into(),
        y_label: "score on the validation cases".into(),
        mean_band: false,
        ..iou_curves(series, reference)
    }
}

/// A metric of batches, a curve for each run.
pub(super) fn metric_curves(
    series: Vec<Series>,
    metric: &BatchMetric,
    report: &Reporting,
) -> CurvePlot {
    CurvePlot {
        title: format!("Validation {}", metric.name()),
        y_label: format!("{} (mean over validation batches)", metric.name()),
        ..iou_curves(series, metric_reference(report, metric))
    }
}

/// The published IoU of volumes, and its name.
pub(super) fn volume_reference(report: &Reporting) -> Option<(f64, String)> {
    let iou = report.volume_reference()?;
    Some((iou, format!("published IoU {iou}")))
}

/// The published value of a metric of batches, and its name.
fn metric_reference(report: &Reporting, metric: &BatchMetric) -> Option<(f64, String)> {
    let value = report.reference_of(metric.name())?;
    Some((value, format!("published {} {value}", metric.name())))
}

/// A sentence that compares the best epochs' metric of batches with a published one.
pub(super) fn metric_verdict(
    histories: &[&[Epoch]],
    metrics: &[BatchMetric],
    report: &Reporting,
) -> Option<String> {
    let compared =
        |metric: &BatchMetric| Some((metric.clone(), report.reference_of(metric.name())?));
    let (metric, reference) = metrics.iter().find_map(compared)?;
    let column = metric.column();
    let best = |history: &&[Epoch]| {
        let values = history.iter().filter_map(|epoch| epoch.metric(&column));
        values.filter(|value| value.is_finite()).reduce(f64::max)
    };
    let best: Vec<f64> = histories.iter().filter_map(best).collect();
    if best.is_empty() {
        return None;
    }
    let value = mean(&best);
    let position = match value < reference {
        true => "below",
        false => "not below",
    };
    let runs = match best.len() {
        1 => "of the best epoch".to_owned(),
        count => format!("of the best epochs of {count} runs, their mean"),
    };
    let name = metric.name();
    Some(format!(
        "Validation {name} {runs}: {value:.4}, {position} the published {reference}. This is not the IoU of volumes. \
         The best of many epochs is a little optimistic."
    ))
}

fn mean_of(structures: usize) -> String {
    match structures {
        1 => "mean of 1 structure".into(),
        count => format!("mean of {count} structures"),
    }
}

/// As [`structure_series`], means over runs at the epochs that all of them have; none of one mask.
pub(super) fn structure_series_of_runs(histories: &[&[Epoch]]) -> Option<Vec<Series>> {
    let of_runs: Vec<Vec<Series>> = histories.iter().map(|one| structure_series(one)).collect();
    let (first, others) = of_runs.split_first()?;
    if first.len() < 2 {
        return None;
    }
    let epochs = of_runs.iter().map(|run| run[0].points.len()).min()?;
    let over_runs = |(at, curve): (usize, &Series)| {
        let point = |epoch: usize| {
            let (x, y) = curve.points[epoch];
            let rest = others
                .iter()
                .filter_map(|run| Some(run.get(at)?.points[epoch].1));
            (x, mean(&[y].into_iter().chain(rest).collect::<Vec<_>>()))
        };
        Series {
            points: (0..epochs).map(point).collect(),
            ..curve.clone()
        }
    };
    Some(first.iter().enumerate().map(over_runs).collect())
}

pub(super) fn iou_curves(series: Vec<Series>, reference: Option<(f64, String)>) -> CurvePlot {
    let has_parts = series.iter().any(|one| one.mark == Mark::Part);
    CurvePlot {
        title: "Validation IoU".into(),
        x_label: "epoch".into(),
        y_label: "IoU (mean over validation cases)".into(),
        mean_band: series.len() > 1 && !has_parts,
        series,
        reference,
        // A structure that is not found lies on 0, and is to be seen.
        y_range: Some((if has_parts { -0.02 } else { 0.0 }, 1.0)),
        log_y: false,
    }
}

pub(super) fn loss_curves(history: &[Epoch]) -> CurvePlot {
    losses(vec![
        series("train", history, |epoch| epoch.train_loss),
        validation_series("validation", history, |epoch| epoch.validation_loss),
    ])
}

pub(super) fn losses(series: Vec<Series>) -> CurvePlot {
    CurvePlot {
        title: "Loss".into(),
        x_label: "epoch".into(),
        y_label: "loss (mean over samples)".into(),
        series,
        mean_band: false,
        reference: None,
        y_range: None,
        log_y: false,
    }
}

pub(super) fn learning_rates(series: Vec<Series>) -> CurvePlot {
    CurvePlot {
        title: "Learning rate".into(),
        x_label: "epoch".into(),
        y_label: "learning rate (last step)".into(),
        series,
        mean_band: false,
        reference: None,
        y_range: None,
        log_y: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::StructureEpoch;

    fn history(epochs: usize, iou: f64) -> Vec<Epoch> {
        let structure = |name: &str, iou| StructureEpoch {
            name: name.into(),
            iou,
            dice: 0.0,
        };
        let epoch = |epoch| Epoch {
            epoch,
            learning_rate: 0.1,
            train_loss: 1.0,
            train_iou: 0.0,
            train_iou_soft: 0.0,
            validation_loss: 1.0,
            validation_iou: iou,
            validation_iou_soft: 0.0,
            validation_dice: 0.0,
            seconds: 1.0,
            metrics: Vec::new(),
            structures: vec![
                structure("anterior", iou + 0.1),
                structure("posterior", iou - 0.1),
            ],
        };
        (1..=epochs).map(epoch).collect()
    }

    #[test]
    fn curves_of_structures_are_means_over_the_epochs_that_all_runs_have() {
        let runs = [history(3, 0.5), history(2, 0.7)];
        let runs: Vec<&[Epoch]> = runs.iter().map(Vec::as_slice).collect();
        let found = structure_series_of_runs(&runs).unwrap();
        let names: Vec<&str> = found.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(names, ["mean of 2 structures", "anterior", "posterior"]);
        assert_eq!(found[1].points.len(), 2);
        assert!((found[1].points[1].1 - 0.7).abs() < 1e-12);
        assert_eq!(found[0].mark, Mark::Line);
        assert_eq!(found[2].mark, Mark::Part);
        let mut plain = history(2, 0.5);
        plain.iter_mut().for_each(|epoch| epoch.structures.clear());
        assert_eq!(structure_series_of_runs(&[&plain]), None);
        assert_eq!(structure_series(&plain)[0].label, "validation");
    }
}
