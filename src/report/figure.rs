//! A metric of many runs in one figure.

use crate::layout::Epoch;
use crate::plot::{CurvePlot, Mark, Series};

/// A run's name in the figure, which several may share, and its epochs.
pub type Named = (String, Vec<Epoch>);

/// A metric of runs over their epochs, or against another metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// A column of `metrics.csv`.
    pub metric: String,
    /// The column along x; epochs if absent.
    pub against: Option<String>,
    /// A value to compare with, drawn as a dashed line.
    pub reference: Option<f64>,
}

impl Figure {
    /// The figure: a line for each run over epochs; against a metric a dot for each epoch that was validated. Epochs in
    /// which a metric is not a number are left out.
    ///
    /// # Errors
    ///
    /// The name of a column that a run does not have, and the run's.
    pub fn of(&self, runs: &[Named]) -> Result<CurvePlot, (String, String)> {
        let mut series = Vec::new();
        for (label, history) in runs {
            let column = |metric: &str| -> Result<Vec<f64>, (String, String)> {
                let values = history.iter().map(|epoch| epoch.metric(metric));
                let values: Option<Vec<f64>> = values.collect();
                values.ok_or_else(|| (metric.to_owned(), label.clone()))
            };
            let x = match &self.against {
                None => history.iter().map(|epoch| epoch.epoch as f64).collect(),
                Some(metric) => column(metric)?,
            };
            let points = x.into_iter().zip(column(&self.metric)?);
            series.push(Series {
                label: label.clone(),
                points: points.filter(|(x, y)| !x.is_nan() && !y.is_nan()).collect(),
                mark: match self.against {
                    None => Mark::Line,
                    Some(_) => Mark::Dots,
                },
            });
        }
        let x_label = self.against.clone().unwrap_or_else(|| "epoch".to_owned());
        Ok(CurvePlot {
            title: match &self.against {
                None => self.metric.clone(),
                Some(metric) => format!("{} against {metric}", self.metric),
            },
            x_label,
            y_label: self.metric.clone(),
            series,
            mean_band: false,
            reference: (self.reference).map(|value| (value, format!("{} {value}", self.metric))),
            y_range: (is_share(&self.metric) && self.reference.is_none_or(is_between_0_and_1))
                .then_some((0.0, 1.0)),
            log_y: false,
        })
    }
}

fn is_between_0_and_1(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

/// Whether a metric lies between 0 and 1.
fn is_share(metric: &str) -> bool {
    ["iou", "dice"].iter().any(|name| metric.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> Vec<Epoch> {
        let epoch = |(epoch, iou): (usize, f64)| Epoch {
            epoch,
            learning_rate: 0.1,
            train_loss: 1.0,
            train_iou: 0.0,
            train_iou_soft: 0.0,
            validation_loss: iou,
            validation_iou: iou,
            validation_iou_soft: 0.0,
            validation_dice: 0.0,
            seconds: 1.0,
            metrics: vec![("validation_sm_iou".into(), iou / 2.0)],
            structures: Vec::new(),
        };
        [(1, 0.2), (2, f64::NAN), (3, 0.6)].map(epoch).into()
    }

    #[test]
    fn epochs_without_the_metric_are_left_out_and_a_metric_may_lie_along_x() {
        let runs = [("a".to_owned(), history())];
        let over_epochs = Figure {
            metric: "validation_iou".into(),
            against: None,
            reference: None,
        };
        let plot = over_epochs.of(&runs).unwrap();
        assert_eq!(plot.series[0].points, [(1.0, 0.2), (3.0, 0.6)]);
        assert_eq!(plot.y_range, Some((0.0, 1.0)));
        let against = Figure {
            metric: "validation_sm_iou".into(),
            against: Some("validation_iou".into()),
            ..over_epochs.clone()
        };
        let plot = against.of(&runs).unwrap();
        assert_eq!(plot.series[0].points, [(0.2, 0.1), (0.6, 0.3)]);
        let unknown = Figure {
            metric: "loss".into(),
            ..over_epochs
        };
        assert_eq!(unknown.of(&runs).unwrap_err(), ("loss".into(), "a".into()));
    }
}
