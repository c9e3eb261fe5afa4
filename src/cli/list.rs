//! `calvaria list`.

use std::path::PathBuf;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::CliError;
use crate::augment::Transform;
use crate::dataset::{Inspection, ScanFacts, Source, Split};
use crate::experiment;
use crate::jobs::Executor;
use crate::loss::Loss;
use crate::metric::{Better, METRICS};
use crate::model::Model;
use crate::optimizer::Optimizer;
use crate::preprocess::Step;
use crate::schedule::Schedule;
use crate::search::{Pruner, Sampler};
use crate::settings;

/// List what can be named in an experiment or a sweep, or an experiment's cases.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list.
    #[arg(value_enum)]
    what: What,
    /// The experiment, for `cases`.
    experiment: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    Augmentations,
    Cases,
    Executors,
    Losses,
    Metrics,
    Models,
    Optimizers,
    Preprocessing,
    Pruners,
    Samplers,
    Schedules,
    Sources,
    Splits,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    match args.what {
        What::Augmentations => members(&Transform::defaults()),
        What::Losses => members(&Loss::defaults()),
        What::Metrics => metrics(),
        What::Models => members(&Model::defaults()),
        What::Optimizers => members(&Optimizer::defaults()),
        What::Preprocessing => members(&Step::defaults()),
        What::Schedules => members(&Schedule::defaults()),
        What::Sources => members(&Source::defaults()),
        What::Splits => members(&Split::defaults()),
        What::Samplers => members(&Sampler::defaults()),
        What::Pruners => members(&Pruner::defaults()),
        What::Executors => members(&Executor::defaults()),
        What::Cases => cases(args),
    }
}

/// Each member, as YAML with comments that can be copied into an experiment.
fn members<T: JsonSchema + Serialize>(defaults: &[T]) -> Result<(), CliError> {
    out!("{}", settings::describe(defaults).map_err(CliError::work)?);
    Ok(())
}

/// Each metric with its unit and which values are good, as YAML with comments.
fn metrics() -> Result<(), CliError> {
    for metric in METRICS {
        let better = match metric.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
            Better::Neither => "neither",
        };
        let unit = if metric.unit.is_empty() {
            "0 to 1"
        } else {
            metric.unit
        };
        out!("{}", settings::comment(metric.description, 0));
        out!(
            "{}",
            settings::comment(&format!("Reference: {}", metric.reference), 0)
        );
        outln!("{}: {{unit: {unit}, better: {better}}}\n", metric.name);
    }
    Ok(())
}

fn cases(args: &Args) -> Result<(), CliError> {
    let path = args.experiment.as_ref().ok_or_else(|| {
        CliError::input("name the experiment: calvaria list cases experiments/quickstart.yaml")
    })?;
    let resolved = experiment::load(path, &[]).map_err(CliError::input)?;
    let cases = resolved.experiment.data.cases().map_err(CliError::input)?;
    let inspected: Vec<Inspection> = cases.par_iter().map(Inspection::of).collect();
    let mut table = csv::Writer::from_writer(std::io::stdout());
    let header = [
        "case",
        "subject",
        "shape",
        "spacing_mm",
        "orientation",
        "mask_ml",
        "problems",
    ];
    // A reader who left (`| head`) is no reason to fail.
    let _ = table.write_record(header);
    for (case, found) in cases.iter().zip(&inspected) {
        let [shape, spacing, axes] = match &found.scan {
            None => [const { String::new() }; 3],
            Some(ScanFacts {
                shape: [x, y, z],
                spacing: [dx, dy, dz],
                axes,
            }) => [
                format!("{x}x{y}x{z}"),
                format!("{dx:.3}x{dy:.3}x{dz:.3}"),
                axes.to_string(),
            ],
        };
        let volume = found.mask_ml.map_or(String::new(), |ml| format!("{ml:.1}"));
        let problems = found.problems.join("; ");
        let _ = table.write_record([
            &case.id,
            &case.subject,
            &shape,
            &spacing,
            &axes,
            &volume,
            &problems,
        ]);
    }
    let _ = table.flush();
    let wrong = inspected.iter().filter(|found| !found.problems.is_empty());
    match wrong.count() {
        0 => Ok(()),
        wrong => Err(CliError::input(format!(
            "{wrong} of {} cases have problems (last column).",
            cases.len()
        ))),
    }
}
