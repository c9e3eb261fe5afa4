//! A sweep's `plots/` and `report.html`.

use std::path::{Path, PathBuf};

use super::importance::importances;
use super::leaderboard::Row;
use super::parameter::{Domain, Parameter, brief, shown};
use super::{Goal, History, in_words};
use crate::report::{
    CurvePlot, Dimension, Page, ParallelPlot, ReportError, Series, SlicePlot, Table,
};

/// Draws a study's plots into `home/plots` and writes `home/report.html`.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write_report(home: &Path, history: &History) -> Result<(), ReportError> {
    let plots = home.join("plots");
    let sweep = &history.definition.sweep;
    let rows = history.leaderboard();
    // Of pruned trials the objective is that of the epoch in which they were stopped.
    let scored: Vec<(&Row<'_>, f64)> = (rows.iter())
        .filter_map(|row| Some((row, row.value.filter(|value| value.is_finite())?)))
        .collect();
    let mut figures: Vec<(String, PathBuf)> = Vec::new();
    if !scored.is_empty() {
        let objective = objective(history, &scored);
        progress(history, &scored).save(&plots, "history")?;
        figures.push((
            "The objective of each trial, and the best of those finished so far.".into(),
            plots.join("history.svg"),
        ));
        let parameters: Vec<(&str, &Parameter)> = sweep.space.parameters().collect();
        parallel(&parameters, &objective, &scored, sweep.objective.goal)
            .save(&plots, "parallel")?;
        figures.push((
            "Every trial as a line, the better the darker; broken where it does not have a parameter."
                .into(),
            plots.join("parallel.svg"),
        ));
        for (at, (key, parameter)) in parameters.iter().enumerate() {
            let stem = format!("slice-{at}");
            slice(key, parameter, &objective, &scored).save(&plots, &stem)?;
            figures.push((
                format!("The objective over {key}."),
                plots.join(format!("{stem}.svg")),
            ));
        }
    }
    let best = history.best();
    let mut summary = vec![("trials".to_owned(), rows.len().to_string())];
    for status in ["finished", "pruned", "failed", "unfinished"] {
        let count = rows.iter().filter(|row| row.trial.status.name() == status);
        summary.push((status.to_owned(), count.count().to_string()));
    }
    Page {
        title: format!("{} · {} trials", sweep.name, rows.len()),
        summary,
        verdict: best.map(|best| {
            let value = rows.iter().find(|row| row.trial.number == best.number);
            let value = value.and_then(|row| row.value).unwrap_or(f64::NAN);
            format!(
                "Best: trial-{:04} with {} {value:.4}: {}. The best of many trials is also best by luck: \
                 run it again with other seeds to know its value.",
                best.number,
                sweep.objective.metric,
                in_words(&best.assignment)
            )
        }),
        figures,
        tables: tables(history, &rows),
        links: links(home, history),
        config_yaml: serde_yaml::to_string(sweep).unwrap_or_default(),
        environment: Vec::new(),
    }
    .save(&home.join("report.html"))
}

fn objective(history: &History, scored: &[(&Row<'_>, f64)]) -> Dimension {
    let values = scored.iter().map(|(_, value)| *value);
    Dimension {
        label: history.definition.sweep.objective.metric.clone(),
        low: values.clone().fold(f64::INFINITY, f64::min),
        high: values.fold(f64::NEG_INFINITY, f64::max),
        log: false,
        names: Vec::new(),
    }
}

fn dimension(key: &str, parameter: &Parameter) -> Dimension {
    let (low, high, log, names) = match &parameter.domain {
        Domain::Choice(values) => (0.0, 0.0, false, values.iter().map(shown).collect()),
        Domain::Real { low, high, log, .. } => (*low, *high, *log, Vec::new()),
        Domain::Int { low, high, log, .. } => (*low as f64, *high as f64, *log, Vec::new()),
    };
    Dimension {
        label: key.to_owned(),
        low,
        high,
        log,
        names,
    }
}

/// Where a trial stands in a parameter: its number, or that of its choice.
fn place(key: &str, parameter: &Parameter, row: &Row<'_>) -> Option<f64> {
    let value = row.trial.assignment.get(key)?;
    match &parameter.domain {
        Domain::Choice(_) => parameter.domain.number(value),
        _ => value.as_f64(),
    }
}

fn progress(history: &History, scored: &[(&Row<'_>, f64)]) -> CurvePlot {
    let objective = &history.definition.sweep.objective;
    let mut all: Vec<(usize, f64, bool)> = (scored.iter())
        .map(|(row, value)| (row.trial.number, *value, row.rank.is_some()))
        .collect();
    all.sort_by_key(|(number, ..)| *number);
    let mut best: Option<f64> = None;
    let mut line = Vec::new();
    for (number, value, _) in all.iter().filter(|(.., finished)| *finished) {
        if best.is_none_or(|best| objective.goal.is_better(*value, best)) {
            best = Some(*value);
        }
        line.extend(best.map(|best| (*number as f64, best)));
    }
    let points = all
        .iter()
        .map(|(number, value, _)| (*number as f64, *value));
    CurvePlot {
        title: "History".into(),
        x_label: "trial".into(),
        y_label: objective.metric.clone(),
        series: vec![
            Series {
                label: "trial".into(),
                points: points.collect(),
                joined: false,
            },
            Series {
                label: "best so far".into(),
                points: line,
                joined: true,
            },
        ],
        mean_band: false,
        reference: None,
        y_range: None,
        log_y: false,
    }
}

fn parallel(
    parameters: &[(&str, &Parameter)],
    objective: &Dimension,
    scored: &[(&Row<'_>, f64)],
    goal: Goal,
) -> ParallelPlot {
    let mut sorted: Vec<&(&Row<'_>, f64)> = scored.iter().collect();
    sorted.sort_by(|(_, a), (_, b)| goal.loss(*b).total_cmp(&goal.loss(*a)));
    let trial = |(row, value): &&(&Row<'_>, f64)| {
        let places = parameters
            .iter()
            .map(|(key, parameter)| place(key, parameter, row));
        places.chain([Some(*value)]).collect()
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

fn slice(
    key: &str,
    parameter: &Parameter,
    objective: &Dimension,
    scored: &[(&Row<'_>, f64)],
) -> SlicePlot {
    let trials = scored
        .iter()
        .filter_map(|(row, value)| Some((place(key, parameter, row)?, *value)));
    SlicePlot {
        title: key.to_owned(),
        parameter: dimension(key, parameter),
        objective: objective.clone(),
        trials: trials.collect(),
    }
}

fn tables(history: &History, rows: &[Row<'_>]) -> Vec<(String, Table)> {
    let sweep = &history.definition.sweep;
    let keys: Vec<&str> = sweep.space.parameters().map(|(key, _)| key).collect();
    let fixed = [
        "trial",
        "rank",
        "status",
        "value",
        "sd",
        "95 % interval",
        "epochs",
    ];
    let columns = fixed.iter().chain(&keys).map(|name| (*name).to_owned());
    let row = |row: &Row<'_>| {
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.4}"));
        let interval = row.spread.map(|spread| {
            let [low, high] = spread.interval;
            format!("{low:.4} to {high:.4}")
        });
        let mut cells = vec![
            format!("trial-{:04}", row.trial.number),
            row.rank.map_or_else(String::new, |rank| rank.to_string()),
            row.trial.status.name().to_owned(),
            number(row.value),
            number(row.spread.map(|spread| spread.sd)),
            interval.unwrap_or_default(),
            row.trial.reached().to_string(),
        ];
        let values = keys.iter().map(|key| row.trial.assignment.get(*key));
        cells.extend(values.map(|value| value.map(brief).unwrap_or_default()));
        cells
    };
    let board = Table {
        columns: columns.collect(),
        rows: rows.iter().map(row).collect(),
    };
    let mut tables = vec![("Trials".to_owned(), board)];
    if let Some(found) = importances(history) {
        let share = |share: f64| format!("{:.1}", 100.0 * share);
        let mut rows: Vec<Vec<String>> = (found.parameters.iter())
            .map(|one| vec![one.key.clone(), share(one.share), share(one.sd)])
            .collect();
        rows.push(vec![
            "together only".into(),
            share(found.interactions),
            String::new(),
        ]);
        let heading = format!(
            "Importance: how much of the objective's variance over the whole space each parameter explains \
             alone, as a random forest sees it after {} finished trials (it describes the forest, not the truth)",
            found.trials
        );
        let columns = ["parameter", "share in %", "sd over trees"].map(str::to_owned);
        let columns = columns.to_vec();
        tables.push((heading, Table { columns, rows }));
    }
    tables
}

/// The table, and the report of every run that has one.
fn links(home: &Path, history: &History) -> Vec<(String, String)> {
    let mut links = vec![("sweep.csv".to_owned(), "sweep.csv".to_owned())];
    for trial in &history.trials {
        for part in &history.definition.parts {
            let run = super::driver::job_id(trial.number, *part).to_string();
            let place = format!("{run}/report.html");
            if home.join(&place).exists() {
                links.push((run, place));
            }
        }
    }
    links
}
