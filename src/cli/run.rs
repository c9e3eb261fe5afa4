//! `calvaria run`.

use std::path::{Path, PathBuf};

use super::{CliError, Results};
use crate::console::{Console, Verbosity};
use crate::device::DeviceChoice;
use crate::experiment::{self, Experiment, Resolved};
use crate::layout::RunFolder;
use crate::predict::experiment_of;
use crate::run::{self, Options, RunSummary, mean_over_runs, structures_over_runs};
use crate::settings::{ConfigError, repeated};

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
    /// Start over, replacing finished or unfinished runs of the same name. Without it a finished run is left as
    /// it is, and an unfinished one resumes.
    #[arg(long)]
    force: bool,
    /// Check the settings, the network and, if the data are there, the cases' names and the split, then stop.
    /// `calvaria list cases` reads the files.
    #[arg(long)]
    dry_run: bool,
    /// Refuse data other than those that a sweep has fixed in this file, its data.json; trials of sweeps are started
    /// with it.
    #[arg(long, value_name = "FILE")]
    fixed_data: Option<PathBuf>,
    #[command(flatten)]
    results: Results,
}

impl Args {
    /// How to run the experiment in `file`: a run's own config.yaml means exactly that run.
    fn options(&self, file: &Path, verbosity: Verbosity) -> Options {
        Options {
            results: self.results.results.clone(),
            force: self.force,
            seeds: self.seeds.clone(),
            folds: match self.folds.0.is_empty() {
                true => run::recorded_folds(file),
                false => self.folds.0.clone(),
            },
            device: self.device.clone(),
            fixed_data: self.fixed_data.clone(),
            command: std::env::args().collect(),
            console: Console::new(verbosity),
            ..Options::default()
        }
    }
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

pub(super) fn main(args: &Args, verbosity: Verbosity) -> Result<(), CliError> {
    if let Some(twice) = repeated(&args.experiments) {
        return Err(CliError::input(format!(
            "{} is named twice. Name each experiment once.",
            twice.display()
        )));
    }
    let load = |file: &PathBuf| Ok((file.clone(), experiment::load(file, &args.overrides)?));
    let loaded = args.experiments.iter().map(load);
    let loaded: Vec<(PathBuf, Resolved)> = loaded
        .collect::<Result<_, ConfigError>>()
        .map_err(CliError::input)?;
    let names: Vec<&str> = loaded
        .iter()
        .map(|(_, one)| &*one.experiment.name)
        .collect();
    if let Some(name) = repeated(&names) {
        return Err(CliError::input(format!(
            "two of the experiments have the name `{name}`, and so the same folder of results. Give each a `name` of its \
             own, or run them one by one with different --results."
        )));
    }
    if args.dry_run {
        for (file, Resolved { experiment, .. }) in &loaded {
            dry_run(file, experiment, &args.options(file, verbosity))?;
        }
        return Ok(());
    }
    let interrupter = super::interrupter();
    for (file, Resolved { experiment, .. }) in &loaded {
        let options = Options {
            interrupter: interrupter.clone(),
            ..args.options(file, verbosity)
        };
        let summaries = run::run(experiment, &options).map_err(|error| CliError::of_run(&error))?;
        show(&experiment.name, &summaries);
    }
    Ok(())
}

fn dry_run(file: &Path, experiment: &Experiment, options: &Options) -> Result<(), CliError> {
    let described = experiment.described();
    let data = match described.as_ref().map(Experiment::cases) {
        Ok(Ok(cases)) => {
            let runs = run::variants(experiment, options, &cases).map_err(CliError::input)?;
            let doubts = run::doubts(experiment, options, &cases).map_err(CliError::input)?;
            doubts.iter().for_each(|doubt| errln!("warning: {doubt}"));
            let runs = match runs.len() {
                1 => "1 run".to_owned(),
                count => format!("{count} runs"),
            };
            format!("{} cases, {runs}", cases.len())
        }
        Ok(Err(why)) => format!("not checked: {why}"),
        Err(why) => format!("not checked: {why}"),
    };
    let experiment = &experiment.described_if_there().map_err(CliError::input)?;
    run::check_fits(experiment).map_err(CliError::input)?;
    let network = experiment.network::<burn::backend::Flex>(&Default::default());
    outln!(
        "{}: {} with {} parameters, {} epochs of batches of {}: all right.",
        file.display(),
        experiment.model.name(),
        network.parameter_count(),
        experiment.train.epochs,
        experiment.train.batch_size,
    );
    outln!("  data: {data}");
    Ok(())
}

/// How a scan is written for a run's network.
fn scan(run: &Path) -> String {
    let names = experiment_of(run).map(|experiment| experiment.scan_names());
    match names.as_deref() {
        Ok([_, _, ..]) => {
            let images = names
                .iter()
                .flatten()
                .map(|name| format!("{name}=SCAN_{name}.nii.gz"));
            images.collect::<Vec<_>>().join(",")
        }
        _ => "SCAN.nii.gz".into(),
    }
}

fn show(name: &str, summaries: &[RunSummary]) {
    for summary in summaries {
        outln!("\n{name} {}", summary.variant);
        for (label, value) in summary.rows().into_iter().chain(summary.structure_rows()) {
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
            "  {:<24}calvaria predict --run {} {} -o OUT",
            "to segment a scan",
            summary.folder.display(),
            scan(&summary.folder)
        );
    }
    if summaries.len() > 1 {
        outln!("\n{name}: {} runs, mean ± sd", summaries.len());
        let means = mean_over_runs(summaries).into_iter();
        for (label, value) in means.chain(structures_over_runs(summaries)) {
            outln!("  {label:<24}{value}");
        }
    }
}
