//! `calvaria summary`.

use std::path::PathBuf;

use super::CliError;
use crate::run::Overview;

/// Show what came out of experiments, a row for each.
///
/// GRID: on the network's grid, after the best epochs, mean over the runs. The others are on the scans' own grids, means
/// over the cases, a case of several runs by its mean; a metric of batches is that of the epoch where it is best. MIN and
/// CPU MIN: minutes of a run, and of all its threads together. MIB: the most memory that one had.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of runs (results/quickstart/seed-42) or of experiments (results/quickstart).
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let rows = args.runs.iter().map(|folder| Overview::read(folder));
    let rows: Vec<Overview> = rows.collect::<Result<_, _>>().map_err(CliError::input)?;
    let mut metrics: Vec<&str> = Vec::new();
    for (metric, _) in rows.iter().flat_map(|row| &row.metrics) {
        if !metrics.contains(&metric.as_str()) {
            metrics.push(metric);
        }
    }
    let head = ["experiment", "runs", "cases", "grid IoU", "grid Dice"];
    let last = [
        "IoU",
        "Dice",
        "HD95 mm",
        "worst IoU",
        "min",
        "CPU min",
        "MiB",
    ];
    let names = metrics
        .iter()
        .map(|name| name.trim_start_matches("validation_"));
    let head: Vec<String> = head
        .into_iter()
        .chain(names)
        .chain(last)
        .map(str::to_owned)
        .collect();
    let table: Vec<Vec<String>> = std::iter::once(head)
        .chain(rows.iter().map(|row| cells(row, &metrics)))
        .collect();
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..table[0].len()).filter_map(width).collect();
    for row in &table {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        outln!("{line}");
    }
    Ok(())
}

fn cells(row: &Overview, metrics: &[&str]) -> Vec<String> {
    let score = |value: f64| match value.is_nan() {
        true => "-".to_owned(),
        false => format!("{value:.4}"),
    };
    let count = |value: Option<f64>, decimals: usize| match value {
        None => "-".to_owned(),
        Some(value) => format!("{value:.decimals$}"),
    };
    let of = |metric: &&str| {
        let found = row.metrics.iter().find(|(name, _)| name == metric);
        found.map_or_else(|| "-".to_owned(), |(_, value)| score(*value))
    };
    let usage = row.usage;
    [
        row.folder.display().to_string(),
        row.runs.to_string(),
        row.cases.to_string(),
        score(row.grid_iou),
        score(row.grid_dice),
    ]
    .into_iter()
    .chain(metrics.iter().map(of))
    .chain([
        score(row.iou),
        score(row.dice),
        count((!row.hd95.is_nan()).then_some(row.hd95), 2),
        format!("{} {}", score(row.worst.0), row.worst.1),
        count(usage.and_then(|of| Some(of.wall_seconds? / 60.0)), 1),
        count(usage.and_then(|of| Some(of.cpu_seconds? / 60.0)), 1),
        count(usage.and_then(|of| of.peak_memory_mib), 0),
    ])
    .collect()
}
