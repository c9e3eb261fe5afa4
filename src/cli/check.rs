//! `calvaria check`.

mod pages;

use std::path::PathBuf;

use super::CliError;
use crate::device::DeviceChoice;
use crate::golden::{CheckOptions, Checked, Difference, check};
use crate::run::Options;

/// Lines of a table after which the rest is only counted.
const SHOWN: usize = 12;

/// Run fixed-seed experiments again and compare their results with those stored; or the commands of pages.
///
/// Exit code 1 if any differs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these of the folder's experiments.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder with the experiments (NAME.yaml) and their results (NAME.json).
    #[arg(long, value_name = "DIR", default_value = "results/golden")]
    golden: PathBuf,
    /// Where to compute: auto, cpu, cuda[:INDEX] or vulkan[:INDEX].
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Store the results where they differ, and why they are right.
    #[arg(long, value_name = "REASON")]
    update: Option<String>,
    /// Repeat the commands of these pages that only read stored results (summary, compare, plot), and compare what they
    /// print and draw with what the pages show.
    #[arg(
        long,
        value_name = "PAGE",
        num_args = 0..,
        default_missing_values = PAGES,
        conflicts_with_all = ["names", "golden", "device", "update"]
    )]
    reference: Option<Vec<PathBuf>>,
    /// Store what the commands print and draw where it differs.
    #[arg(long, requires = "reference")]
    write: bool,
}

/// The pages of stored results.
const PAGES: [&str; 2] = ["docs/reproduction.md", "results/reference/README.md"];

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    if let Some(pages) = &args.reference {
        return pages::main(pages, args.write, quiet);
    }
    let options = CheckOptions {
        folder: args.golden.clone(),
        names: args.names.clone(),
        device: args.device.clone(),
        update: args.update.clone(),
    };
    let run = Options {
        interrupter: super::interrupter(),
        ..Options::default()
    };
    let (mut count, mut different) = (0, 0);
    let report = |checked: &Checked| {
        count += 1;
        different += usize::from(checked.is_different());
        show(checked, quiet);
    };
    check(&options, &run, report).map_err(|error| match error {
        _ if error.is_interruption() => CliError::interrupted(error),
        _ if error.is_input() => CliError::input(error),
        _ => CliError::work(error),
    })?;
    match (different, &args.update) {
        (0, _) => {
            outln!("{count} experiments match the stored results.");
            Ok(())
        }
        (_, Some(_)) => {
            outln!("The results of {different} of {count} experiments were stored.");
            Ok(())
        }
        _ => Err(CliError::work(format!(
            "{different} of {count} experiments differ from the stored results. If the change is intended, store the new results: calvaria check --update REASON"
        ))),
    }
}

fn show(checked: &Checked, quiet: bool) {
    let values: usize = checked.now.rows.values().map(|row| row.len()).sum();
    let result = match &checked.stored {
        None => "nothing is stored".to_owned(),
        Some(_) if checked.is_different() => {
            format!("{} of {values} values differ", checked.differences.len())
        }
        Some(stored) if stored.platform == checked.now.platform => "the same".into(),
        Some(stored) => format!(
            "the same within the tolerance (stored on {})",
            stored.platform
        ),
    };
    if !quiet || checked.is_different() {
        outln!("{:<28}{result}", checked.name);
    }
    table(&checked.differences);
}

fn table(differences: &[Difference]) {
    let Some(widest) = differences.iter().map(|one| one.row.len()).max() else {
        return;
    };
    let width = widest + 2;
    outln!(
        "  {:<width$}{:<22}{:>22}{:>22}{:>12}",
        "where",
        "metric",
        "stored",
        "now",
        "by"
    );
    let none = || "none".to_owned();
    for difference in differences.iter().take(SHOWN) {
        outln!(
            "  {:<width$}{:<22}{:>22}{:>22}{:>12}",
            difference.row,
            difference.metric,
            difference.before.clone().unwrap_or_else(none),
            difference.after.clone().unwrap_or_else(none),
            difference.by().map_or_else(none, |by| format!("{by:+.2e}"))
        );
    }
    if differences.len() > SHOWN {
        outln!("  … and {} more", differences.len() - SHOWN);
    }
}
