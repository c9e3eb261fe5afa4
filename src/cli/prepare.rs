//! `calvaria prepare`.

use std::path::PathBuf;

use super::{Failed, Results};
use crate::config;
use crate::run;
use crate::track::Console;

/// Preprocess an experiment's cases into the cache, without training.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Experiment file.
    experiment: PathBuf,
    /// Override a value, such as data.nfbs.root=/data/NFBS (the value is YAML).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    #[command(flatten)]
    results: Results,
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), Failed> {
    let resolved = config::load(&args.experiment, &args.overrides).map_err(Failed::input)?;
    let experiment = &resolved.experiment;
    let cases = experiment.data.cases().map_err(Failed::input)?;
    run::prepare(
        experiment,
        &cases,
        &args.results.results,
        &super::interrupter(),
        &Console::new(quiet),
    )
    .map(|_| ())
    .map_err(Failed::input)
}
