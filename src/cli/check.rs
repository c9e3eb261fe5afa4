//! `calvaria check`.

use std::path::{Path, PathBuf};

use burn::backend::autodiff::checkpoint::strategy::{BalancedCheckpointing, NoCheckpointing};
use burn_train::Interrupter;

use super::Failed;
use super::device::{on_device, resolve_one};
use crate::console::{Console, Verbosity};
use crate::device::DeviceChoice;
use crate::experiment::{self, Resolved};
use crate::golden::{self, Golden, Moved};
use crate::kernel::TrainingBackend;
use crate::run::{self, Options};
use crate::settings;

/// Lines of a table after which the rest is only counted.
const SHOWN: usize = 12;

/// Run fixed-seed experiments again and tell which of their stored numbers moved: exit code 1 if any
/// did.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these of the folder's experiments.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Folder with the experiments (NAME.yaml) and what they came to (NAME.json).
    #[arg(long, value_name = "DIR", default_value = "results/golden")]
    golden: PathBuf,
    /// Where to compute: auto, cpu, cuda or cuda:INDEX.
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Store what the experiments come to now, and why it is right.
    #[arg(long, value_name = "REASON")]
    update: Option<String>,
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), Failed> {
    if args
        .update
        .as_ref()
        .is_some_and(|reason| reason.trim().is_empty())
    {
        return Err(Failed::input(
            "--update wants a reason that whoever reads the stored numbers will understand.",
        ));
    }
    let files = golden::experiments(&args.golden, &args.names).map_err(Failed::input)?;
    let resolved: Vec<(&Path, Resolved)> = files
        .iter()
        .map(|path| Ok((path.as_path(), experiment::load(path, &[])?)))
        .collect::<Result<_, settings::ConfigError>>()
        .map_err(Failed::input)?;
    let device = resolve_one(&args.device)?;
    let results = tempfile::tempdir().map_err(Failed::work)?;
    let interrupter = super::interrupter();
    let mut changed = 0;
    for (file, resolved) in &resolved {
        let work = (resolved, results.path(), &interrupter);
        let now = if resolved.experiment.train.checkpointing {
            on_device!(&device, BalancedCheckpointing, outcome(work))?
        } else {
            on_device!(&device, NoCheckpointing, outcome(work))?
        };
        changed += usize::from(settle(file, now, args, quiet)?);
    }
    match (changed, &args.update) {
        (0, _) => {
            outln!("{} experiments came to what is stored.", files.len());
            Ok(())
        }
        (_, Some(_)) => {
            outln!("{changed} of {} experiments were stored anew.", files.len());
            Ok(())
        }
        _ => Err(Failed::work(format!(
            "{changed} of {} experiments came to something else than what is stored. If that is as \
             it should be, store it: calvaria check --update REASON",
            files.len()
        ))),
    }
}

fn outcome<B: TrainingBackend>(
    (resolved, results, interrupter): (&Resolved, &Path, &Interrupter),
    devices: &[B::Device],
    name: &str,
) -> Result<Golden, Failed> {
    let options = Options {
        results: results.to_owned(),
        device: name.to_owned(),
        ..Options::default()
    };
    let console = Console::new(Verbosity::Quiet);
    let runs =
        run::run::<B>(resolved, &options, devices, interrupter, &console).map_err(|error| {
            let failed = match error.is_interruption() {
                true => Failed::interrupted,
                false => Failed::work,
            };
            failed(format!("{}: {error}", resolved.experiment.name))
        })?;
    Golden::of(&runs, name).map_err(Failed::work)
}

/// Compares or stores; whether anything is different now.
fn settle(file: &Path, now: Golden, args: &Args, quiet: bool) -> Result<bool, Failed> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let stored = Golden::stored(file).map_err(Failed::input)?;
    let moved = stored.as_ref().map(|stored| stored.moved(&now));
    let values: usize = now.rows.values().map(|row| row.len()).sum();
    let said = match (&stored, &moved) {
        (Some(stored), Some(moved)) if moved.is_empty() => {
            if stored.platform == now.platform {
                "the same".to_owned()
            } else {
                format!(
                    "the same within the tolerance (stored on {})",
                    stored.platform
                )
            }
        }
        (_, Some(moved)) => format!("{} of {values} values moved", moved.len()),
        _ => "nothing is stored".into(),
    };
    if !quiet || moved.as_ref().is_none_or(|moved| !moved.is_empty()) {
        outln!("{name:<28}{said}");
    }
    table(moved.as_deref().unwrap_or_default());
    let differs = moved.is_none_or(|moved| !moved.is_empty());
    if let (true, Some(reason)) = (differs, &args.update) {
        let now = Golden {
            reason: reason.clone(),
            ..now
        };
        now.store(file).map_err(Failed::work)?;
    }
    Ok(differs)
}

fn table(moved: &[Moved]) {
    let Some(widest) = moved.iter().map(|moved| moved.row.len()).max() else {
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
    for change in moved.iter().take(SHOWN) {
        outln!(
            "  {:<width$}{:<22}{:>22}{:>22}{:>12}",
            change.row,
            change.metric,
            change.before.clone().unwrap_or_else(none),
            change.after.clone().unwrap_or_else(none),
            change.by().map_or_else(none, |by| format!("{by:+.2e}"))
        );
    }
    if moved.len() > SHOWN {
        outln!("  … and {} more", moved.len() - SHOWN);
    }
}
