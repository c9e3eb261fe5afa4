//! `calvaria evaluate`.

use std::path::PathBuf;

use super::CliError;
use crate::evaluate::{evaluate_files, labels_that_occur};
use crate::layout::CaseScores;
use crate::metric::{Evaluation, METRICS};
use crate::preprocess::GRID_TOLERANCE;
use crate::volume::{Marked, MaskRule, Named, Structures, Undeclared};

/// Score a predicted mask against a true one.
///
/// A mask consists of 0 and one positive value, or is empty; any other file is refused, unless `--label` or
/// `--threshold` tells what is marked in it, or `--labels` or `--regions` names several structures. These are scored
/// one by one: a row for each, and one of their mean. Distances are in mm, volumes in mL.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The predicted mask.
    prediction: PathBuf,
    /// The true mask, on the same grid.
    truth: PathBuf,
    /// Distance in mm up to which two surfaces agree, for `nsd`.
    #[arg(long, value_name = "MM", default_value_t = Evaluation::default().nsd_tolerance)]
    nsd_tolerance: f64,
    /// Both files are maps of labels, in which these values are marked. With --threshold it holds for the true
    /// mask alone.
    #[arg(
        long,
        value_name = "VALUE,…",
        value_delimiter = ',',
        allow_negative_numbers = true,
        value_parser = finite
    )]
    label: Vec<f64>,
    /// Both files are maps of labels, each of which is a structure, such as `anterior=1,posterior=2`; several labels
    /// together are `cortex=3+42`. With `all`, every label that occurs, called by its value.
    #[arg(long, value_name = "NAME=LABEL,…", conflicts_with_all = ["label", "threshold", "regions"], value_parser = labels)]
    labels: Option<Labels>,
    /// Both files are maps of labels, sets of which are structures that may overlap, such as
    /// `whole=1+2+4,core=1+4,enhancing=4`.
    #[arg(long, value_name = "NAME=LABEL+…,…", conflicts_with_all = ["label", "threshold"], value_parser = named_list)]
    regions: Option<NamedList>,
    /// The label of voxels in the true map that nobody looked at: they are in no score. With --labels or --regions.
    #[arg(long, value_name = "LABEL")]
    ignore: Option<u16>,
    /// What becomes of labels that are not named by --labels or --regions.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Others::Refuse)]
    undeclared: Others,
    /// The prediction is probabilities, and voxels are marked from this value on. It does not hold for the
    /// true mask.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = finite)]
    threshold: Option<f64>,
    /// How far the two files may lie apart, in voxels.
    #[arg(long, value_name = "VOXELS", default_value_t = GRID_TOLERANCE, value_parser = part_of_a_voxel)]
    grid_tolerance: f64,
}

/// What `--labels` says.
#[derive(Clone, Debug)]
enum Labels {
    /// `all`
    All,
    Named(NamedList),
}

/// Names and their labels.
#[derive(Clone, Debug)]
struct NamedList(Vec<Named>);

/// What becomes of labels that no structure names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Others {
    /// A file that has one is refused.
    Refuse,
    /// They are background.
    Background,
}

fn labels(text: &str) -> Result<Labels, String> {
    match text.trim() {
        "all" => Ok(Labels::All),
        text => named_list(text).map(Labels::Named),
    }
}

fn named_list(text: &str) -> Result<NamedList, String> {
    let one = |part: &str| {
        let (name, labels) = part
            .split_once('=')
            .ok_or_else(|| format!("`{part}` must be NAME=LABEL, as in anterior=1"))?;
        let label = |text: &str| {
            text.trim()
                .parse::<u16>()
                .map_err(|_| format!("`{text}` must be a label, a whole number from 1 to 65535"))
        };
        let labels = labels.split('+').map(label);
        Ok((
            name.trim().to_owned(),
            labels.collect::<Result<_, String>>()?,
        ))
    };
    let named = text.split(',').map(one);
    named.collect::<Result<_, String>>().map(NamedList)
}

fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it must be a number")?;
    value
        .is_finite()
        .then_some(value)
        .ok_or("it must be a number".into())
}

fn part_of_a_voxel(text: &str) -> Result<f64, String> {
    let value = finite(text)?;
    (0.0..=1.0)
        .contains(&value)
        .then_some(value)
        .ok_or("it must be from 0 to 1".into())
}

impl Args {
    /// The structures as they are read from the prediction, which ignores nothing, and from the truth; none of one mask.
    fn structures(&self) -> Result<Option<[Structures; 2]>, CliError> {
        let undeclared = match self.undeclared {
            Others::Refuse => Undeclared::Refused,
            Others::Background => Undeclared::Background,
        };
        let both = |of: &dyn Fn(Option<u16>) -> Result<Structures, CliError>| {
            Ok(Some([of(None)?, of(self.ignore)?]))
        };
        match (&self.labels, &self.regions) {
            (Some(Labels::All), _) => {
                let found = labels_that_occur(&self.prediction, &self.truth, self.ignore);
                let truth = found.map_err(CliError::input)?;
                let named: Vec<Named> = (truth.names().into_iter())
                    .filter_map(|name| Some((name.to_owned(), vec![name.parse().ok()?])))
                    .collect();
                let prediction = Structures::labels(&named, None, undeclared);
                Ok(Some([
                    prediction.map_err(|why| wrong("--labels", why))?,
                    truth,
                ]))
            }
            (Some(Labels::Named(NamedList(named))), _) => both(&|ignored| {
                Structures::labels(named, ignored, undeclared).map_err(|why| wrong("--labels", why))
            }),
            (None, Some(NamedList(named))) => {
                // Nothing is written, so any label of each does.
                let order = named
                    .iter()
                    .filter_map(|(_, labels)| labels.first().copied());
                let order: Vec<u16> = order.collect();
                both(&|ignored| {
                    Structures::regions(named, Some(&order), ignored, undeclared)
                        .map_err(|why| wrong("--regions", why))
                })
            }
            (None, None) if self.ignore.is_some() => Err(CliError::input(
                "--ignore needs --labels or --regions, which name what is scored.",
            )),
            (None, None) if self.undeclared != Others::Refuse => Err(CliError::input(
                "--undeclared needs --labels or --regions, which name what is scored.",
            )),
            (None, None) => Ok(None),
        }
    }

    /// How the prediction is read, and how the true mask.
    fn rules(&self) -> Result<[MaskRule; 2], CliError> {
        if let Some(structures) = self.structures()? {
            let rule = |structures| MaskRule {
                marked: Marked::Structures(structures),
                ..MaskRule::ANY_PART
            };
            return Ok(structures.map(rule));
        }
        let of_labels = match self.label.is_empty() {
            true => Marked::OneValue,
            false => Marked::Labels(self.label.clone()),
        };
        let prediction = self.threshold.map_or(of_labels.clone(), Marked::From);
        Ok([
            MaskRule {
                marked: prediction,
                ..MaskRule::ANY_PART
            },
            MaskRule {
                marked: of_labels,
                allow_empty: true,
                ..MaskRule::STRICT
            },
        ])
    }
}

fn wrong(flag: &str, why: impl std::fmt::Display) -> CliError {
    CliError::input(format!("{flag}: {why}."))
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    let settings = Evaluation {
        nsd_tolerance: args.nsd_tolerance,
    };
    settings.validate().map_err(CliError::input)?;
    let [prediction, truth] = args.rules()?;
    let prediction = (&*args.prediction, &prediction);
    let truth = (&*args.truth, &truth);
    let scored = evaluate_files(prediction, truth, args.grid_tolerance, &settings);
    let (scored, warnings) = scored.map_err(CliError::input)?;
    for warning in warnings.iter().filter(|_| !quiet) {
        errln!("warning: {warning}.");
    }
    if !scored.structures.is_empty() {
        table(&scored);
        return Ok(());
    }
    for (name, value) in &scored.scores {
        let unit = METRICS.iter().find(|metric| metric.name == *name);
        let unit = unit.map_or("", |metric| metric.unit);
        outln!("{}", format!("{name:<20}{value:<11.6} {unit}").trim_end());
    }
    Ok(())
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
