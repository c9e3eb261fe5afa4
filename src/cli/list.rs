//! `calvaria list`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use rayon::prelude::*;

use super::CliError;
use crate::dataset::{Inspection, LabelFound, Masks, ScanFacts, Source};
use crate::experiment;
use crate::families::FAMILIES;
use crate::metric::{Better, METRICS};
use crate::settings;

/// What is listed besides the families.
const CASES: &str = "cases";
const METRIC_TABLE: &str = "metrics";

/// List what can be named in an experiment or a sweep, or an experiment's cases.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list.
    #[arg(value_parser = PossibleValuesParser::new(subjects()))]
    what: String,
    /// The experiment, for `cases`.
    experiment: Option<PathBuf>,
}

/// Everything that can be listed, in order.
fn subjects() -> Vec<&'static str> {
    let families = FAMILIES.iter().map(|family| family.plural);
    let mut all: Vec<&str> = families.chain([CASES, METRIC_TABLE]).collect();
    all.sort_unstable();
    all
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    match args.what.as_str() {
        CASES => cases(args),
        METRIC_TABLE => metrics(),
        plural => {
            let mut named = FAMILIES.iter().filter(|family| family.plural == plural);
            named.try_for_each(|family| {
                out!("{}", family.describe().map_err(CliError::work)?);
                if family.plural == Source::FAMILY.plural {
                    out!("\n{}", settings::comment(Masks::ABOUT, 0));
                }
                Ok(())
            })
        }
    }
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
    let experiment = resolved.experiment.described().map_err(CliError::input)?;
    let cases = experiment.cases().map_err(CliError::input)?;
    let inspected: Vec<Inspection> = cases.par_iter().map(Inspection::of).collect();
    let mut table = csv::Writer::from_writer(std::io::stdout());
    let has_images = inspected.iter().any(|found| !found.images.is_empty());
    let has_labels = cases
        .iter()
        .any(|case| case.inputs().structures().is_some());
    let mut header = vec![
        "case",
        "subject",
        "shape",
        "spacing_mm",
        "orientation",
        "mask_ml",
    ];
    header.extend(has_images.then_some("images"));
    header.extend(has_labels.then_some("labels"));
    header.extend(["problems", "notes"]);
    // A closed pipe (`| head`) is not an error.
    let _ = table.write_record(header);
    for (case, found) in cases.iter().zip(&inspected) {
        let facts = found.scan.as_ref().map(grid).unwrap_or_default();
        let mut row = vec![case.id.clone(), case.subject.clone()];
        row.extend(facts);
        row.push(found.mask_ml.map_or(String::new(), |ml| format!("{ml:.1}")));
        let images = found.images.iter();
        let images = images.map(|(name, facts)| format!("{name} {}", grid(facts).join(" ")));
        row.extend(has_images.then(|| images.collect::<Vec<_>>().join("; ")));
        let labels = found.labels.iter().map(LabelFound::to_string);
        row.extend(has_labels.then(|| labels.collect::<Vec<_>>().join("; ")));
        row.extend([found.problems.join("; "), found.notes.join("; ")]);
        let _ = table.write_record(row);
    }
    let _ = table.flush();
    let wrong = inspected.iter().filter(|found| !found.problems.is_empty());
    let mut told = Vec::new();
    match wrong.count() {
        0 => {}
        wrong => told.push(format!(
            "{wrong} of {} cases have problems (in the column of that name).",
            cases.len()
        )),
    }
    let all_are_read = inspected.iter().all(|found| found.mask_ml.is_some());
    if has_labels && all_are_read {
        let structures = experiment.structures();
        let names = structures.names().into_iter();
        let absent: Vec<&str> = names
            .filter(|name| !inspected.iter().any(|found| found.has(name)))
            .collect();
        if !absent.is_empty() {
            told.push(format!(
                "No case has {}: no mask has a voxel of it. Check the labels ({}), or leave it out.",
                absent.join(", "),
                structures.describe()
            ));
        }
    }
    match told.is_empty() {
        true => Ok(()),
        false => Err(CliError::input(told.join(" "))),
    }
}

/// A grid in words: its shape, its spacing, its orientation.
fn grid(facts: &ScanFacts) -> [String; 3] {
    let [x, y, z] = facts.shape;
    let [dx, dy, dz] = facts.spacing;
    [
        format!("{x}x{y}x{z}"),
        format!("{dx:.3}x{dy:.3}x{dz:.3}"),
        facts.axes.to_string(),
    ]
}
