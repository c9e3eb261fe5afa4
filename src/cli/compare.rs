//! `calvaria compare`.

use std::path::PathBuf;

use super::CliError;
use crate::evaluate::compare::{Comparison, Scores, Wanted, compare, in_common};
use crate::settings::repeated;
use crate::statistics::printable;

/// Compare runs or experiments case by case, and report whether they differ significantly.
///
/// A distance is infinite where one of the masks is empty. Where both runs have an infinite distance, that is a tie.
/// Where only one has, it counts as the largest difference of all in p; mean, interval and median leave the case out.
///
/// Of runs that find several structures, a metric is the mean over the structures that all runs have; `dice/anterior`
/// is that of one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of runs (results/quickstart/seed-42) or of experiments with all their seeds and folds
    /// (results/quickstart). All others are compared with the first.
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Metrics to compare, separated by commas: `dice`, or of one structure `dice/anterior`.
    #[arg(
        long,
        visible_alias = "metric",
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "iou"
    )]
    metrics: Vec<String>,
    /// Also compare each structure that all runs have. Each counts as a comparison, so p grows with their number.
    #[arg(long)]
    structures: bool,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let wanted = args.metrics.iter().map(|name| Wanted::named(name));
    let mut wanted: Vec<Wanted> = wanted.collect::<Result<_, _>>().map_err(CliError::input)?;
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
    let common = in_common(experiments).map_err(CliError::input)?;
    for left_out in &common.left_out {
        errln!("warning: {left_out}.");
    }
    if args.structures {
        if common.structures().is_empty() {
            return Err(CliError::input(
                "--structures: these runs find one mask, and have no structures. Leave the flag out.",
            ));
        }
        wanted = by_structure(wanted, common.structures());
    }
    let comparisons = compare(&common.experiments, &wanted, args.seed).map_err(CliError::input)?;
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

/// After each metric over all structures that of each one.
fn by_structure(wanted: Vec<Wanted>, structures: &[String]) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for one in wanted {
        let each = structures.iter().map(|structure| Wanted {
            metric: one.metric,
            structure: Some(structure.clone()),
        });
        let each: Vec<Wanted> = match one.structure {
            None => each.collect(),
            Some(_) => Vec::new(),
        };
        for next in [one].into_iter().chain(each) {
            if all.iter().all(|before| before.name() != next.name()) {
                all.push(next);
            }
        }
    }
    all
}

fn table(comparisons: &[Comparison]) {
    let widths = comparisons.iter().map(|one| one.name().chars().count() + 2);
    let width = widths.fold(20, usize::max);
    outln!(
        "{:<width$}{:>10}{:>10}{:>10}{:>22}{:>10}{:>10}{:>7}",
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
            "{:<width$}{first:>10}{second:>10}{:>10}{:>22}{:>10}{:>10.4}{:>7}",
            comparison.name(),
            signed(paired.mean),
            format!("[{low}, {high}]"),
            signed(paired.median),
            comparison.p,
            paired.pairs
        );
    }
    outln!();
}
