//! A sweep's `plots/` and `report.html`.

use std::path::{Path, PathBuf};

use super::config::in_words;
use super::history::{History, Status, Trial};
use super::leaderboard::Row;
use crate::layout::SweepFolder;
use crate::plot::{Bar, BarPlot, CurvePlot, Dimension, Mark, ParallelPlot, Series, SlicePlot};
use crate::report::{Cell, Page, ReportError, Table};
use crate::search::Goal;
use crate::search::importance::Importances;
use crate::search::parameter::{Domain, Parameter, brief, flow};
use crate::settings::to_yaml;
use crate::statistics::printable;

/// Draws a study's plots into `home/plots` and writes `home/report.html`.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write_report(home: &Path, history: &History) -> Result<(), ReportError> {
    let home = &SweepFolder::new(home);
    let plots = home.plots();
    let sweep = &history.definition.sweep;
    let rows = history.leaderboard();
    // The objective of a pruned trial is that of its last epoch.
    let scored: Vec<(&Row<'_>, f64)> = (rows.iter())
        .filter_map(|row| Some((row, row.value.filter(|value| value.is_finite())?)))
        .collect();
    let mut figures: Vec<(String, PathBuf)> = Vec::new();
    if !scored.is_empty() {
        let objective = objective(history, &scored);
        progress(history, &scored).save(&plots, "history")?;
        figures.push((
            "The objective of each trial, and the best finished trial so far. Pruned trials are hollow dots at \
             the objective of their last epoch. Failed trials are not shown."
                .into(),
            plots.join("history.svg"),
        ));
        let parameters: Vec<(&str, &Parameter)> = sweep.space.parameters().collect();
        parallel(&parameters, &objective, &scored, sweep.objective.goal)
            .save(&plots, "parallel")?;
        figures.push((
            "One line per trial; better trials are darker. A line passes through \"none\" where its trial does \
             not have the parameter. Choices with a # are numbered in the order of the configuration below."
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
    let mut tables = vec![("Trials".to_owned(), trials(home, history, &rows))];
    tables.extend(failures(home, history).map(|table| ("Failed trials".to_owned(), table)));
    let importance = match history.importances() {
        Ok(found) => {
            bars(&found).save(&plots, "importance")?;
            Table {
                figure: Some(plots.join("importance.svg")),
                ..shares(&found)
            }
        }
        Err(why) => Table {
            note: Some(format!("Not available: {why}.")),
            ..Table::default()
        },
    };
    tables.push(("Importance of parameters".to_owned(), importance));
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
            let value = printable(value, 4);
            format!(
                "Best: trial-{:04} with {} {value:.4}: {}. The best of many trials is partly luck: repeat it with other seeds to estimate its value.",
                best.number,
                sweep.objective.metric,
                in_words(&best.assignment)
            )
        }),
        figures,
        tables,
        links: links(home, history),
        config_yaml: to_yaml(sweep).unwrap_or_default(),
        environment: Vec::new(),
    }
    .save(&home.report())
}

fn objective(history: &History, scored: &[(&Row<'_>, f64)]) -> Dimension {
    let values = scored.iter().map(|(_, value)| *value);
    Dimension {
        label: history.definition.sweep.objective.metric.clone(),
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

fn progress(history: &History, scored: &[(&Row<'_>, f64)]) -> CurvePlot {
    let objective = &history.definition.sweep.objective;
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
        y_label: objective.metric.clone(),
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

fn parallel(
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

fn slice(
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

fn trials(home: &SweepFolder, history: &History, rows: &[Row<'_>]) -> Table {
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
        "log",
    ];
    let columns = fixed.iter().chain(&keys).map(|name| (*name).to_owned());
    let row = |row: &Row<'_>| {
        let number = |value: Option<f64>| {
            value.map_or_else(String::new, |v| format!("{:.4}", printable(v, 4)))
        };
        let interval = row.spread.map(|spread| {
            let [low, high] = spread.interval.map(|value| printable(value, 4));
            format!("{low:.4} to {high:.4}")
        });
        let mut cells = vec![
            name(home, history, row.trial),
            row.rank
                .map_or_else(String::new, |rank| rank.to_string())
                .into(),
            row.trial.status.name().to_owned().into(),
            number(row.value).into(),
            number(row.spread.map(|spread| spread.sd)).into(),
            interval.unwrap_or_default().into(),
            row.trial.reached().to_string().into(),
            logs(home, history, row.trial),
        ];
        let values = keys.iter().map(|key| row.trial.assignment.get(*key));
        cells.extend(values.map(|value| value.map(brief).unwrap_or_default().into()));
        cells
    };
    Table {
        columns: columns.collect(),
        rows: rows.iter().map(row).collect(),
        ..Table::default()
    }
}

/// The errors of failed trials; none if no trial failed.
fn failures(home: &SweepFolder, history: &History) -> Option<Table> {
    let row = |trial: &Trial| match &trial.status {
        Status::Failed { error } => Some(vec![
            name(home, history, trial),
            logs(home, history, trial),
            Cell::Details(gist(error).to_owned(), error.clone()),
        ]),
        _ => None,
    };
    let rows: Vec<Vec<Cell>> = history.trials.iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| Table {
        columns: ["trial", "log", "error"].map(str::to_owned).into(),
        rows,
        ..Table::default()
    })
}

/// The most informative line of an error: the program's own message if there is one, else the first line.
fn gist(error: &str) -> &str {
    let message = error.lines().rfind(|line| line.starts_with("error: "));
    message.or(error.lines().next()).unwrap_or_default()
}

/// A trial's name with a link to its page, or to its folder if there is no page.
fn name(home: &SweepFolder, history: &History, trial: &Trial) -> Cell {
    let folder = trial.folder();
    let names = match history.definition.parts[..] {
        [part] => vec![folder.clone(), part.job(trial.number).to_string()],
        _ => vec![folder.clone()],
    };
    let report = (names.iter()).find_map(|name| home.link(&home.run(name).report()));
    let place = report.or_else(|| {
        let link = names
            .iter()
            .rev()
            .find_map(|name| home.link(home.run(name).path()));
        link.map(|link| format!("{link}/"))
    });
    match place {
        Some(place) => Cell::Links(vec![(folder, place)]),
        None => folder.into(),
    }
}

/// The logs of a trial's runs.
fn logs(home: &SweepFolder, history: &History, trial: &Trial) -> Cell {
    let parts = &history.definition.parts;
    let links = parts.iter().filter_map(|part| {
        let name = if parts.len() > 1 {
            part.to_string()
        } else {
            "log".into()
        };
        let log = home.run_log(part.job(trial.number).as_str());
        Some((name, home.link(&log)?))
    });
    Cell::Links(links.collect())
}

fn bars(found: &Importances) -> BarPlot {
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
        title: "Importance of parameters".into(),
        subtitle: found.caveat(),
        label: "share of the variance in % ± standard deviation over the forest's trees".into(),
        bars: bars.chain([together]).collect(),
    }
}

fn shares(found: &Importances) -> Table {
    let share = |share: f64| format!("{:.1}", 100.0 * share);
    let mut rows: Vec<Vec<Cell>> = (found.parameters.iter())
        .map(|one| {
            vec![
                one.key.clone().into(),
                share(one.share).into(),
                share(one.sd).into(),
            ]
        })
        .collect();
    rows.push(vec![
        "only together".to_owned().into(),
        share(found.interactions).into(),
        String::new().into(),
    ]);
    let columns = ["parameter", "share in %", "sd over trees"].map(str::to_owned);
    Table {
        note: Some(found.caveat()),
        figure: None,
        columns: columns.into(),
        rows,
    }
}

/// Links to the table of trials and to the page of every run that has one.
fn links(home: &SweepFolder, history: &History) -> Vec<(String, String)> {
    let table = home.link(&home.table());
    let mut links = Vec::from_iter(table.map(|name| (name.clone(), name)));
    for trial in &history.trials {
        for part in &history.definition.parts {
            let run = part.job(trial.number).to_string();
            let report = home.link(&home.run(&run).report());
            links.extend(report.map(|report| (run, report)));
        }
    }
    links
}
