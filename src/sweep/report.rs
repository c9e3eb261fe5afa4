//! A sweep's `plots/` and `report.html`.

use std::path::{Path, PathBuf};

use super::config::in_words;
use super::figures::{bars, both, front, objective, parallel, progress, slice};
use super::history::History;
use super::leaderboard::Row;
use super::trial::{Status, Trial};
use crate::layout::SweepFolder;
use crate::report::{Cell, Page, ReportError, Table};
use crate::search::importance::Importances;
use crate::search::parameter::{Parameter, brief};
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
    let parameters: Vec<(&str, &Parameter)> = sweep.space.parameters().collect();
    let mut figures: Vec<(String, PathBuf)> = Vec::new();
    if let [first, second] = &sweep.objective[..] {
        let points = both(&rows);
        if !points.is_empty() {
            front(history, &points).save(&plots, "pareto")?;
            figures.push((
                format!(
                    "{} and {} of each finished trial. On the Pareto front no other trial is better in one and as good in \
                     the other; the line bounds what was reached.",
                    first.metric, second.metric
                ),
                plots.join("pareto.svg"),
            ));
        }
    }
    for (index, of) in sweep.objective.iter().enumerate() {
        // The objective of a pruned trial is that of its last epoch, or of its ended runs.
        let scored: Vec<(&Row<'_>, f64)> = (rows.iter())
            .filter_map(|row| Some((row, row.value_of(index).filter(|value| value.is_finite())?)))
            .collect();
        if scored.is_empty() {
            continue;
        }
        let suffix = suffix(index);
        let objective = objective(of, &scored);
        progress(of, &scored).save(&plots, &format!("history{suffix}"))?;
        figures.push((
            "The objective of each trial, and the best finished trial so far. Pruned trials are hollow dots at \
             the objective where they stopped. Failed trials are not shown."
                .into(),
            plots.join(format!("history{suffix}.svg")),
        ));
        parallel(&parameters, &objective, &scored, of.goal)
            .save(&plots, &format!("parallel{suffix}"))?;
        figures.push((
            "One line per trial; better trials are darker. A line passes through \"none\" where its trial does \
             not have the parameter. Choices with a # are numbered in the order of the configuration below."
                .into(),
            plots.join(format!("parallel{suffix}.svg")),
        ));
        for (at, (key, parameter)) in parameters.iter().enumerate() {
            let stem = format!("slice-{at}{suffix}");
            slice(key, parameter, &objective, &scored).save(&plots, &stem)?;
            figures.push((
                format!("{} over {key}.", of.metric),
                plots.join(format!("{stem}.svg")),
            ));
        }
    }
    let mut tables = vec![("Trials".to_owned(), trials(home, history, &rows))];
    tables.extend(failures(home, history).map(|table| ("Failed trials".to_owned(), table)));
    for (index, of) in sweep.objective.iter().enumerate() {
        let title = match sweep.objective.single() {
            Some(_) => "Importance of parameters".to_owned(),
            None => format!("Importance of parameters for {}", of.metric),
        };
        let stem = format!("importance{}", suffix(index));
        let importance = match history.importances(index) {
            Ok(found) => {
                bars(&title, &found).save(&plots, &stem)?;
                Table {
                    figure: Some(plots.join(format!("{stem}.svg"))),
                    ..shares(&found)
                }
            }
            Err(why) => Table {
                note: Some(format!("Not available: {why}.")),
                ..Table::default()
            },
        };
        tables.push((title, importance));
    }
    let mut summary = vec![("trials".to_owned(), rows.len().to_string())];
    for status in ["finished", "pruned", "failed", "unfinished"] {
        let count = rows.iter().filter(|row| row.trial.status.name() == status);
        summary.push((status.to_owned(), count.count().to_string()));
    }
    Page {
        title: format!("{} · {} trials", sweep.name, rows.len()),
        summary,
        verdict: verdict(history, &rows),
        figures,
        tables,
        links: links(home, history),
        config_yaml: to_yaml(sweep).unwrap_or_default(),
        environment: Vec::new(),
    }
    .save(&home.report())
}

/// What ends the names of an objective's figures, counted from 0.
fn suffix(objective: usize) -> &'static str {
    match objective {
        0 => "",
        _ => "-second",
    }
}

/// The best trial, or those of the Pareto front.
fn verdict(history: &History, rows: &[Row<'_>]) -> Option<String> {
    let in_words = |row: &Row<'_>| {
        let values = row.values_in_words(history);
        let parameters = in_words(&row.trial.assignment);
        (format!("trial-{:04}", row.trial.number), values, parameters)
    };
    let luck =
        "The best of many trials is partly luck: repeat it with other seeds to estimate its value.";
    let objectives = &history.definition.sweep.objective;
    if let Some(of) = objectives.single() {
        let best = rows.iter().find(|row| row.rank == Some(1))?;
        let (name, value, parameters) = in_words(best);
        return Some(format!(
            "Best: {name} with {} {value}: {parameters}. {luck}",
            of.metric
        ));
    }
    let front = rows.iter().filter(|row| row.is_on_front).map(in_words);
    let front: Vec<String> = front
        .map(|(name, values, parameters)| format!("{name} ({values}): {parameters}"))
        .collect();
    (!front.is_empty()).then(|| {
        format!(
            "On the Pareto front of {}: {}. {luck}",
            objectives.names(),
            front.join("; ")
        )
    })
}

fn trials(home: &SweepFolder, history: &History, rows: &[Row<'_>]) -> Table {
    let sweep = &history.definition.sweep;
    let keys: Vec<&str> = sweep.space.parameters().map(|(key, _)| key).collect();
    let mut columns: Vec<String> = ["trial", "rank", "status"].map(str::to_owned).into();
    let several = sweep.objective.single().is_none();
    for objective in sweep.objective.iter() {
        columns.extend(match several {
            true => ["", " sd", " 95 % interval"].map(|of| format!("{}{of}", objective.metric)),
            false => ["value", "sd", "95 % interval"].map(str::to_owned),
        });
    }
    columns.extend(["epochs", "log"].map(str::to_owned));
    columns.extend(keys.iter().map(|key| (*key).to_owned()));
    let row = |row: &Row<'_>| {
        let number = |value: Option<f64>| {
            value.map_or_else(String::new, |v| format!("{:.4}", printable(v, 4)))
        };
        let rank = row.rank.map_or_else(String::new, |rank| rank.to_string());
        let mut cells = vec![
            name(home, history, row.trial),
            rank.into(),
            row.trial.status.name().to_owned().into(),
        ];
        for objective in 0..sweep.objective.len() {
            let spread = row.spread_of(objective);
            let interval = spread.map(|spread| {
                let [low, high] = spread.interval.map(|value| printable(value, 4));
                format!("{low:.4} to {high:.4}")
            });
            cells.extend([
                number(row.value_of(objective)).into(),
                number(spread.map(|spread| spread.sd)).into(),
                interval.unwrap_or_default().into(),
            ]);
        }
        cells.extend([
            row.trial.reached().to_string().into(),
            logs(home, history, row.trial),
        ]);
        let values = keys.iter().map(|key| row.trial.assignment.get(*key));
        cells.extend(values.map(|value| value.map(brief).unwrap_or_default().into()));
        cells
    };
    Table {
        columns,
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
