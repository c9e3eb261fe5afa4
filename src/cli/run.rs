//! `calvaria run`.

use burn::backend::autodiff::checkpoint::strategy::{BalancedCheckpointing, NoCheckpointing};
use std::path::{Path, PathBuf};

use burn_train::Interrupter;

use super::device::{on_device, resolve};
use super::{Failed, Results};
use crate::console::{Console, Verbosity};
use crate::dataset::Fold;
use crate::device::DeviceChoice;
use crate::experiment::{self, Resolved};
use crate::kernel::TrainingBackend;
use crate::layout::RunFolder;
use crate::run::{self, Options, RunSummary, over_all};
use crate::settings;

/// Run experiments: prepare the data, train, score and report.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Experiment files.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<PathBuf>,
    /// Override a value, such as model.unet.filters=24 (the value is YAML).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where to compute: auto (the experiment's `devices`, or a GPU where there is one), cpu,
    /// cuda[:INDEX], vulkan[:INDEX], or several GPUs that share each step: cuda:0,cuda:1.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Run once for each of these seeds instead of the experiment's own.
    #[arg(long, value_delimiter = ',', value_name = "SEED,…")]
    seeds: Vec<u64>,
    /// Run only these folds of the split (numbered from 0), or all.
    #[arg(long, default_value = "all", value_name = "all|FOLD,…")]
    folds: Folds,
    /// Continue an unfinished run (this is also what happens without the flag).
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Start over, replacing finished or unfinished runs of the same name.
    #[arg(long)]
    force: bool,
    /// Check everything that can be checked without training, the split too if the data are
    /// there, then stop.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    results: Results,
}

impl Args {
    /// How to run the experiment in `file`. A run's own config.yaml means that run: of its split, the
    /// fold that is noted beside it.
    fn options(&self, file: &Path, device: &str) -> Options {
        let run = RunFolder::new(file.parent().unwrap_or(Path::new("")));
        let own = file == run.config();
        let folds = match (own, self.folds.0.is_empty()) {
            (true, true) => read_fold(&run.split()),
            _ => self.folds.0.clone(),
        };
        Options {
            results: self.results.results.clone(),
            force: self.force,
            seeds: self.seeds.clone(),
            folds,
            command: std::env::args().collect(),
            device: device.to_owned(),
        }
    }
}

fn read_fold(split: &Path) -> Vec<usize> {
    let text = std::fs::read_to_string(split).ok();
    let fold = text.and_then(|text| serde_json::from_str::<Fold>(&text).ok());
    fold.map(|fold| fold.index).into_iter().collect()
}

#[derive(Clone, Debug)]
struct Folds(Vec<usize>);

impl std::str::FromStr for Folds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(Vec::new()));
        }
        text.split(',')
            .map(|fold| fold.trim().parse())
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|_| "write `all`, or fold numbers such as 0,2".into())
    }
}

pub(super) fn main(args: &Args, verbosity: Verbosity) -> Result<(), Failed> {
    let resolved: Vec<(&Path, Resolved)> = args
        .experiments
        .iter()
        .map(|path| Ok((path.as_path(), experiment::load(path, &args.overrides)?)))
        .collect::<Result<_, settings::ConfigError>>()
        .map_err(Failed::input)?;
    if args.dry_run {
        for (path, resolved) in &resolved {
            dry_run(path, resolved, args)?;
        }
        return Ok(());
    }
    let interrupter = super::interrupter();
    for (path, resolved) in &resolved {
        let work = (args, *path, resolved, &interrupter);
        let named = &resolved.experiment.devices;
        let devices = match &args.device {
            DeviceChoice::Auto if !named.is_empty() => resolve(&DeviceChoice::Named(named.clone())),
            choice => resolve(choice),
        }?;
        if resolved.experiment.train.checkpointing {
            on_device!(&devices, BalancedCheckpointing, run_one(work, verbosity))?;
        } else {
            on_device!(&devices, NoCheckpointing, run_one(work, verbosity))?;
        }
    }
    Ok(())
}

fn dry_run(path: &Path, resolved: &Resolved, args: &Args) -> Result<(), Failed> {
    let experiment = &resolved.experiment;
    let data = match experiment.data.cases() {
        Ok(cases) => {
            let options = args.options(path, "");
            let runs = run::variants(experiment, &options, &cases).map_err(Failed::input)?;
            format!("{} cases, {} runs", cases.len(), runs.len())
        }
        Err(why) => format!("not checked: {why}"),
    };
    let network = experiment
        .model
        .init::<burn::backend::Flex>(experiment.seed, &Default::default());
    outln!(
        "{}: {} with {} parameters, {} epochs of batches of {}: all right.",
        path.display(),
        experiment.model.name(),
        network.parameter_count(),
        experiment.train.epochs,
        experiment.train.batch_size,
    );
    outln!("  data: {data}");
    Ok(())
}

fn run_one<B: TrainingBackend>(
    (args, path, resolved, interrupter): (&Args, &Path, &Resolved, &Interrupter),
    verbosity: Verbosity,
    devices: &[B::Device],
    names: &str,
) -> Result<(), Failed> {
    let options = args.options(path, names);
    let console = Console::new(verbosity);
    let summaries =
        run::run::<B>(resolved, &options, devices, interrupter, &console).map_err(|error| {
            console.finish();
            console.log(&format!("error: {error}"));
            Failed::of_run(&error)
        })?;
    show(&resolved.experiment.name, &summaries);
    Ok(())
}

fn show(name: &str, summaries: &[RunSummary]) {
    for summary in summaries {
        outln!("\n{name} {}", summary.variant);
        for (label, value) in summary.rows() {
            outln!("  {label:<24}{value}");
        }
        outln!(
            "  {:<24}{}",
            "report",
            RunFolder::new(&summary.folder).report().display()
        );
        outln!(
            "  {:<24}{}",
            "plots",
            RunFolder::new(&summary.folder).plots().display()
        );
        outln!(
            "  {:<24}calvaria predict --run {} SCAN.nii.gz -o OUT",
            "to segment a scan",
            summary.folder.display()
        );
    }
    if summaries.len() > 1 {
        outln!("\n{name}: {} runs, mean ± sd", summaries.len());
        for (label, value) in over_all(summaries) {
            outln!("  {label:<24}{value}");
        }
    }
}
