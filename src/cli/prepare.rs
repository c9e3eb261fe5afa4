//! `calvaria prepare`.

use std::path::PathBuf;

use super::{CliError, Results};
use crate::console::{Console, Verbosity};
use crate::experiment;
use crate::preprocess::cache::{Cache, Entry, Pruned};
use crate::run::{self, Preparation};

/// Preprocess experiments' cases into the cache without training, or look after the cache.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Experiment files.
    #[arg(value_name = "EXPERIMENT", required_unless_present_any = ["list", "prune"])]
    experiments: Vec<PathBuf>,
    /// Override a value, such as data.nfbs.root=/data/NFBS (the value is YAML).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// List the cached cases: one line per case, with its steps and its size.
    #[arg(long)]
    list: bool,
    /// Delete from the cache what the EXPERIMENTs do not use; without any, what is damaged, left
    /// over, or made by another version. What a process works with, such as a run in progress, is kept.
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    results: Results,
}

pub(super) fn main(args: &Args, verbosity: Verbosity) -> Result<(), CliError> {
    let results = &args.results.results;
    let (interrupter, console) = (super::interrupter(), Console::new(verbosity));
    let mut preparation = Preparation::new(results, &interrupter, &console);
    for experiment in &args.experiments {
        let resolved = experiment::load(experiment, &args.overrides).map_err(CliError::input)?;
        run::prepare(&resolved.experiment, &mut preparation)
            .map_err(|error| CliError::of_run(&error))?;
    }
    if !args.list && !args.prune {
        return Ok(());
    }
    let used = |entry: &Entry| preparation.used().contains(&entry.folder);
    let unneeded = |entry: &Entry| match args.experiments.is_empty() {
        true => entry.record.is_none(),
        false => !used(entry),
    };
    let cache = Cache::new(results.join("cache"));
    let mut entries = cache.entries().map_err(CliError::work)?;
    if args.prune {
        let unneeded = entries.extract_if(.., |entry| unneeded(entry)).collect();
        let Pruned { removed, kept } = cache.prune(unneeded).map_err(CliError::work)?;
        console.say(&format!("Pruned {}.", counted(&removed)));
        if !kept.is_empty() {
            console.say(&format!(
                "Kept {}: other processes work with them, such as runs in progress.",
                counted(&kept)
            ));
        }
        entries.extend(kept);
        entries.sort_by(|a, b| a.folder.cmp(&b.folder));
    }
    if args.list {
        for entry in &entries {
            let name = entry.folder.file_name().unwrap_or_default();
            let about = match &entry.record {
                Some(record) => {
                    let [x, y, z] = record.shape;
                    let steps = match record.steps.is_empty() {
                        true => "no steps".to_owned(),
                        false => record.steps.join(" > "),
                    };
                    format!("{x}x{y}x{z}  {steps}  {}", record.source.display())
                }
                None => "damaged, left over, or made by another version".to_owned(),
            };
            let mark = if used(entry) { "  (used)" } else { "" };
            outln!(
                "{}  {}  {about}{mark}",
                name.display(),
                megabytes(entry.bytes)
            );
        }
        let total = entries.iter().map(|entry| entry.bytes).sum();
        console.say(&format!("{} cases, {}.", entries.len(), megabytes(total)));
    }
    Ok(())
}

fn counted(entries: &[Entry]) -> String {
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    format!("{} cases ({})", entries.len(), megabytes(bytes))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
