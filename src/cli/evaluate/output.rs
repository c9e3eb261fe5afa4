//! What `calvaria evaluate` shows and writes.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::CliError;
use crate::evaluate::{Calibration, MaskPairs, ReliabilityBin, ScoredFiles, StructureMeans, means};
use crate::files::{FileError, write_atomic, write_json};
use crate::layout::{CaseScores, Table, write_scores};
use crate::metric::METRICS;
use crate::report::reliability;
use crate::volume::Structures;

/// The scores of all cases.
pub(super) struct Output<'a> {
    pub(super) cases: Vec<CaseScores>,
    found: &'a MaskPairs,
    /// Of the bootstrap.
    seed: u64,
    /// Of each structure over all cases; none without probabilities.
    calibrations: Vec<Calibration>,
}

impl<'a> Output<'a> {
    pub(super) fn new(found: &'a MaskPairs, seed: u64) -> Self {
        Self {
            cases: Vec::new(),
            found,
            seed,
            calibrations: Vec::new(),
        }
    }

    /// Adds a case.
    pub(super) fn add(&mut self, scored: ScoredFiles) {
        self.calibrations
            .resize(scored.calibrations.len(), Calibration::default());
        for (all, one) in self.calibrations.iter_mut().zip(&scored.calibrations) {
            all.join(one);
        }
        self.cases.push(scored.scores);
    }

    /// The reliability curve of each structure over all cases, by its name; that of a mask has none.
    fn curves(&self) -> Vec<(String, Vec<ReliabilityBin>)> {
        let structures = self.cases.first().map_or(&[][..], |case| &case.structures);
        let calibrations = self.calibrations.iter().enumerate();
        calibrations
            .map(|(at, of)| {
                let name = structures.get(at).map(|of| of.name.clone());
                (name.unwrap_or_default(), of.curve())
            })
            .collect()
    }

    /// Writes a row a case, or a row a case and structure.
    pub(super) fn write_table(&self, path: &Path) -> Result<(), FileError> {
        write_atomic(path, |out| write_scores(out, &self.cases))
    }

    /// Writes the scores, their means, the reliability curves, and what has no partner.
    pub(super) fn write_json(&self, path: &Path) -> Result<(), FileError> {
        let structures = |case: &CaseScores| -> Map<String, Value> {
            let of = case.structures.iter();
            of.map(|of| (of.name.clone(), numbers(&of.scores)))
                .collect()
        };
        let files = |case: &CaseScores| {
            let mut pairs = self.found.pairs.iter();
            pairs.find(|pair| pair.case == case.case)
        };
        let case = |case: &CaseScores| {
            json!({
                "case": case.case,
                "prediction": files(case).map(|pair| &pair.prediction),
                "truth": files(case).map(|pair| &pair.truth),
                "scores": numbers(&case.scores),
                "structures": structures(case),
            })
        };
        let mut document = json!({
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
            "means": means(&self.cases, self.seed),
            "without_truth": self.found.without_truth,
            "without_prediction": self.found.without_prediction,
        });
        let curves: Map<String, Value> = (self.curves().into_iter())
            .map(|(name, curve)| (name, json!(curve)))
            .collect();
        if !curves.is_empty() {
            document["reliability"] = Value::Object(curves);
        }
        write_json(path, &document)
    }

    /// Writes the reliability curve of each structure, as a table and as a picture.
    pub(super) fn write_reliability(&self, folder: &Path) -> Result<(), CliError> {
        let curves = self.curves();
        let by_structure = self.cases.iter().any(|case| !case.structures.is_empty());
        let table = |out: &mut dyn Write| {
            let mut table = csv::Writer::from_writer(out);
            let structure = |name: &str| by_structure.then(|| name.to_owned());
            let columns = ["from", "to", "voxels", "probability", "frequency"];
            let header = structure(Table::STRUCTURE).into_iter();
            let header = header.chain(columns.map(str::to_owned));
            table.write_record(header).map_err(io::Error::other)?;
            for (name, curve) in &curves {
                for bin in curve {
                    let row = structure(name).into_iter().chain([
                        bin.from.to_string(),
                        bin.to.to_string(),
                        bin.voxels.to_string(),
                        bin.probability.to_string(),
                        bin.frequency.to_string(),
                    ]);
                    table.write_record(row).map_err(io::Error::other)?;
                }
            }
            table.flush()
        };
        write_atomic(&folder.join("reliability.csv"), table).map_err(CliError::work)?;
        let saved = reliability(&curves).save(folder, "reliability");
        saved.map_err(CliError::work)
    }
}

fn unit_of(metric: &str) -> &'static str {
    let known = METRICS.iter().find(|known| known.name == metric);
    known.map_or("", |known| known.unit)
}

/// The mean of every score, with its interval; of several structures one after the other.
pub(super) fn print_means(means: &[StructureMeans], cases: usize) {
    for of in means {
        match of.structure.as_str() {
            "" => outln!("mean of {cases} cases, with 95 % interval"),
            name => outln!("{name}: mean of {cases} cases, with 95 % interval"),
        }
        for mean in &of.means {
            let [low, high] = mean.interval;
            let infinite = match mean.infinite {
                0 => String::new(),
                count => format!("  (without {count} infinite)"),
            };
            let unit = unit_of(&mean.metric);
            let line = format!(
                "  {:<20}{:<11.6} {low:.4} to {high:.4} {unit}{infinite}",
                mean.metric, mean.mean
            );
            outln!("{}", line.trim_end());
        }
    }
}

/// A number as JSON has it: what is infinite or not a number is null.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn numbers(scores: &[(String, f64)]) -> Value {
    let scores = scores.iter();
    Value::Object(
        scores
            .map(|(name, value)| (name.clone(), number(*value)))
            .collect(),
    )
}

/// Shows the scores of one case.
pub(super) fn print_scores(scored: &CaseScores) {
    if !scored.structures.is_empty() {
        table(scored);
        return;
    }
    for (name, value) in &scored.scores {
        let unit = unit_of(name);
        outln!("{}", format!("{name:<20}{value:<11.6} {unit}").trim_end());
    }
}

/// A row for each structure, and one of their mean.
fn table(scored: &CaseScores) {
    let names = scored.structures.iter().map(|of| of.name.as_str());
    let names: Vec<&str> = names.chain([Structures::MEAN]).collect();
    let widths = names.iter().map(|name| name.chars().count());
    let first = widths.fold("structure".len(), usize::max);
    let line = |name: &str, cells: Vec<String>| {
        let cells = cells.iter().zip(&scored.scores);
        let cells = cells.map(|(cell, (metric, _))| {
            let width = metric.len().max(8) + 2;
            format!("{cell:>width$}")
        });
        outln!("{name:<first$}{}", cells.collect::<String>());
    };
    let metrics = scored.scores.iter().map(|(metric, _)| metric.clone());
    line("structure", metrics.collect());
    let rows = scored.structures.iter().map(|of| &of.scores);
    for (name, scores) in names.iter().zip(rows.chain([&scored.scores])) {
        let cells = scores.iter().map(|(_, value)| format!("{value:.4}"));
        line(name, cells.collect());
    }
}
