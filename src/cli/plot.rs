//! `calvaria plot`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::layout::{RunFolder, runs_below};
use crate::report::{Figure, Named};

/// Draw a metric of runs over their epochs, in one figure.
///
/// Runs of one experiment have one colour. The metrics are the columns of metrics.csv.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of runs (results/quickstart/seed-42) or of experiments (results/quickstart).
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The metric.
    #[arg(long, value_name = "NAME", default_value = "validation_iou")]
    metric: String,
    /// Another metric to draw it against, a dot for each epoch, in place of epochs.
    #[arg(long, value_name = "NAME")]
    against: Option<String>,
    /// A value to compare with, such as a published one: a dashed line.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = number)]
    reference: Option<f64>,
    /// The file to write; its name ends in .svg or .png.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let is_known = |of: &OsStr| {
        ["svg", "png"]
            .iter()
            .any(|known| of.eq_ignore_ascii_case(known))
    };
    if !args.output.extension().is_some_and(is_known) {
        return Err(CliError::input(format!(
            "{}: a figure is an SVG or a PNG. Let the name end in .svg or .png.",
            args.output.display()
        )));
    }
    let runs = named(&args.runs)?;
    let figure = Figure {
        metric: args.metric.clone(),
        against: args.against.clone(),
        reference: args.reference,
    };
    let plot = figure.of(&runs).map_err(|(metric, run)| {
        CliError::input(format!(
            "{run} has no metric `{metric}`. Name a column of its metrics.csv, such as validation_iou."
        ))
    })?;
    plot.save_as(&args.output).map_err(CliError::work)?;
    outln!("{}", args.output.display());
    Ok(())
}

fn number(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
    value.ok_or_else(|| "it must be a number".to_owned())
}

/// The runs in `folders`, named by what tells them apart: the folder or, where there is only one, the run in it.
fn named(folders: &[PathBuf]) -> Result<Vec<Named>, CliError> {
    let shared = shared_folders(folders);
    let mut named = Vec::new();
    for folder in folders {
        let runs = runs_below(folder, RunFolder::metrics);
        if runs.is_empty() {
            return Err(CliError::input(format!(
                "{} holds no run: no metrics.csv in it or below it. Name a run's folder (results/quickstart/seed-42) or an \
                 experiment's (results/quickstart).",
                folder.display()
            )));
        }
        for run in runs {
            let of = match folders {
                [only] => run.path().strip_prefix(only).unwrap_or(run.path()),
                _ => folder.as_path(),
            };
            let label: PathBuf = match folders {
                [only] if of.as_os_str().is_empty() => only.clone(),
                [_] => of.to_owned(),
                _ => of.components().skip(shared).collect(),
            };
            let history = run.read_metrics().map_err(CliError::input)?;
            if history.is_empty() {
                return Err(CliError::input(format!(
                    "{} has no epochs. Wait for its first one, or leave the run out.",
                    run.metrics().display()
                )));
            }
            named.push((label.display().to_string(), history));
        }
    }
    Ok(named)
}

/// How many folders all of `paths` begin with; a path keeps its last name.
fn shared_folders(paths: &[PathBuf]) -> usize {
    let names = |path: &Path| path.components().count() - 1;
    let Some((first, others)) = paths.split_first() else {
        return 0;
    };
    let begins_alike = |other: &PathBuf| {
        let pairs = first.components().zip(other.components());
        let alike = pairs.take_while(|(one, other)| one == other).count();
        alike.min(names(other))
    };
    let shared = others.iter().map(begins_alike).min();
    shared.unwrap_or(0).min(names(first))
}
