//! The figures of a sweep's report.

use super::history::History;
use super::leaderboard::Row;
use super::objective::Objective;
use crate::plot::{Bar, BarPlot, CurvePlot, Dimension, Mark, ParallelPlot, Series, SlicePlot};
use crate::search::Goal;
use crate::search::importance::Importances;
use crate::search::parameter::{Domain, Parameter, flow};

/// The two objectives of each finished trial that has finite ones.
pub(super) fn both<'a>(rows: &'a [Row<'a>]) -> Vec<(&'a Row<'a>, (f64, f64))> {
    let point = |row: &'a Row<'a>| {
        let point = (row.value_of(0)?, row.value_of(1)?);
        (point.0.is_finite() && point.1.is_finite()).then_some((row, point))
    };
    rows.iter().filter_map(point).collect()
}

/// One objective over the other.
pub(super) fn front(history: &History, points: &[(&Row<'_>, (f64, f64))]) -> CurvePlot {
    let objectives = &history.definition.sweep.objective;
    let those = |is_on_front: bool| {
        let chosen = points
            .iter()
            .filter(|(row, _)| row.is_on_front == is_on_front);
        Vec::from_iter(chosen.map(|(_, point)| *point))
    };
    // From the best in the first objective on, the height stays what a trial reached up to the next one.
    let mut line = those(true);
    line.sort_by(|a, b| {
        objectives[0]
            .goal
            .loss(a.0)
            .total_cmp(&objectives[0].goal.loss(b.0))
    });
    let series = |label: &str, mark, points| Series {
        label: label.into(),
        points,
        mark,
    };
    CurvePlot {
        title: "Pareto front".into(),
        x_label: objectives[0].label(),
        y_label: objectives[1].label(),
        series: [
            series("other trials", Mark::Dots, those(false)),
            series("Pareto front", Mark::Dots, those(true)),
            series("reached", Mark::Steps, line),
        ]
        .into_iter()
        .filter(|series| !series.points.is_empty())
        .collect(),
        mean_band: false,
        reference: None,
        y_range: None,
        log_y: false,
    }
}

pub(super) fn objective(of: &Objective, scored: &[(&Row<'_>, f64)]) -> Dimension {
    let values = scored.iter().map(|(_, value)| *value);
    Dimension {
        label: of.label(),
        low: values.clone().fold(f64::INFINITY, f64::min),
        high: values.fold(f64::NEG_INFINITY, f64::max),
        log: false,
        step: None,
        names: Vec::new(),
    }
}

fn dimension(key: &str, parameter: &Parameter) -> Dimension {
    let mut dimension = Dimension {
        label: key.to_owned(),
        low: 0.0,
        high: 0.0,
        log: false,
        step: None,
        names: Vec::new(),
    };
    match &parameter.domain {
        Domain::Choice(values) => dimension.names = values.iter().map(flow).collect(),
        Domain::Real { low, high, log, .. } => {
            (dimension.low, dimension.high, dimension.log) = (*low, *high, *log);
        }
        Domain::Int {
            low,
            high,
            step,
            log,
        } => {
            (dimension.low, dimension.high, dimension.log) = (*low as f64, *high as f64, *log);
            dimension.step = Some(*step as f64);
        }
    }
    dimension
}

/// A trial's position on the axis of a parameter: the value, or the number of the choice.
fn position(key: &str, parameter: &Parameter, row: &Row<'_>) -> Option<f64> {
    let value = row.trial.assignment.get(key)?;
    match &parameter.domain {
        Domain::Choice(_) => parameter.domain.number(value),
        _ => value.as_f64(),
    }
}

pub(super) fn progress(objective: &Objective, scored: &[(&Row<'_>, f64)]) -> CurvePlot {
    let mut all: Vec<(usize, f64, bool)> = (scored.iter())
        .map(|(row, value)| (row.trial.number, *value, row.rank.is_some()))
        .collect();
    all.sort_by_key(|(number, ..)| *number);
    let mut best: Option<f64> = None;
    let mut line = Vec::new();
    for (number, value, finished) in &all {
        if *finished && best.is_none_or(|best| objective.goal.is_better(*value, best)) {
            best = Some(*value);
        }
        line.extend(best.map(|best| (*number as f64, best)));
    }
    let those = |finished: bool| {
        let chosen = all.iter().filter(move |(.., is)| *is == finished);
        chosen.map(|(number, value, _)| (*number as f64, *value))
    };
    let series = |label: &str, mark, points: Vec<(f64, f64)>| Series {
        label: label.into(),
        points,
        mark,
    };
    CurvePlot {
        title: "History".into(),
        x_label: "trial".into(),
        y_label: objective.label(),
        series: [
            series("finished", Mark::Dots, those(true).collect()),
            series("best so far", Mark::Steps, line),
            series("pruned", Mark::Rings, those(false).collect()),
        ]
        .into_iter()
        .filter(|series| !series.points.is_empty())
        .collect(),
        mean_band: false,
        reference: None,
        y_range: None,
        log_y: false,
    }
}

pub(super) fn parallel(
    parameters: &[(&str, &Parameter)],
    objective: &Dimension,
    scored: &[(&Row<'_>, f64)],
    goal: Goal,
) -> ParallelPlot {
    let mut sorted: Vec<&(&Row<'_>, f64)> = scored.iter().collect();
    sorted.sort_by(|(_, a), (_, b)| goal.loss(*b).total_cmp(&goal.loss(*a)));
    let trial = |(row, value): &&(&Row<'_>, f64)| {
        let positions = parameters
            .iter()
            .map(|(key, parameter)| position(key, parameter, row));
        positions.chain([Some(*value)]).collect()
    };
    ParallelPlot {
        title: "Trials".into(),
        dimensions: (parameters.iter())
            .map(|(key, parameter)| dimension(key, parameter))
            .chain([objective.clone()])
            .collect(),
        trials: sorted.iter().map(trial).collect(),
    }
}

pub(super) fn slice(
    key: &str,
    parameter: &Parameter,
    objective: &Dimension,
    scored: &[(&Row<'_>, f64)],
) -> SlicePlot {
    let trials = scored
        .iter()
        .filter_map(|(row, value)| Some((position(key, parameter, row)?, *value)));
    SlicePlot {
        title: key.to_owned(),
        parameter: dimension(key, parameter),
        objective: objective.clone(),
        trials: trials.collect(),
    }
}

pub(super) fn bars(title: &str, found: &Importances) -> BarPlot {
    let bars = found.parameters.iter().map(|one| Bar {
        label: one.key.clone(),
        value: 100.0 * one.share,
        sd: Some(100.0 * one.sd),
    });
    let together = Bar {
        label: "only together".into(),
        value: 100.0 * found.interactions,
        sd: None,
    };
    BarPlot {
        title: title.into(),
        subtitle: found.caveat(),
        label: "share of the variance in % ± standard deviation over the forest's trees".into(),
        bars: bars.chain([together]).collect(),
    }
}
