//! `calvaria compare`.

use std::path::PathBuf;

use super::CliError;
use crate::evaluate::compare::{Comparison, Scores, compare, metric};
use crate::settings::repeated;
use crate::statistics::printable;

/// Compare runs or experiments case by case, and report whether they differ significantly.
///
/// A distance is infinite where one of the masks is empty. Where both runs have an infinite distance, that is a tie.
/// Where only one has, it counts as the largest difference of all in p; mean, interval and median leave the case out.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of runs (results/quickstart/seed-42) or of experiments with all their seeds and folds
    /// (results/quickstart). All others are compared with the first.
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Metrics to compare, separated by commas.
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "iou"
    )]
    metrics: Vec<String>,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let metrics = args.metrics.iter().map(|name| metric(name));
    let metrics: Vec<_> = metrics.collect::<Result<_, _>>().map_err(CliError::input)?;
    if let Some(twice) = repeated(&args.metrics) {
        return Err(CliError::input(format!(
            "--metrics names {twice} twice: each counts as a comparison. Name it once."
        )));
    }
    let experiments = args.runs.iter().map(|folder| Scores::read(folder));
    let experiments: Vec<_> = experiments
        .collect::<Result<_, _>>()
        .map_err(CliError::input)?;
    for doubt in Scores::doubts(&experiments) {
        errln!("warning: {doubt}.");
    }
    let comparisons = compare(&experiments, &metrics, args.seed).map_err(CliError::input)?;
    table(&comparisons);
    for comparison in &comparisons {
        outln!("{comparison}");
    }
    if comparisons.len() > 1 {
        outln!(
            "p is Wilcoxon's (paired, two-sided), after Holm's correction for {} comparisons.",
            comparisons.len()
        );
    }
    Ok(())
}

fn table(comparisons: &[Comparison]) {
    outln!(
        "{:<20}{:>10}{:>10}{:>10}{:>22}{:>10}{:>10}{:>7}",
        "metric",
        "first",
        "second",
        "mean",
        "95 % interval",
        "median",
        "p",
        "cases"
    );
    for comparison in comparisons {
        let paired = &comparison.paired;
        let plain = |value: f64| match value.is_nan() {
            true => "-".to_owned(),
            false => format!("{:.4}", printable(value, 4)),
        };
        let signed = |value: f64| match value.is_nan() {
            true => "-".to_owned(),
            false => format!("{:+.4}", printable(value, 4)),
        };
        let ([first, second], [low, high]) =
            (comparison.means.map(plain), paired.interval.map(signed));
        outln!(
            "{:<20}{first:>10}{second:>10}{:>10}{:>22}{:>10}{:>10.4}{:>7}",
            comparison.metric.name,
            signed(paired.mean),
            format!("[{low}, {high}]"),
            signed(paired.median),
            comparison.p,
            paired.pairs
        );
    }
    outln!();
}
