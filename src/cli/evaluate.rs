//! `calvaria evaluate`.

mod output;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::CliError;
use crate::evaluate::{
    self, EvaluateError, FilesToScore, MaskPair, MaskPairs, ScoredFiles, evaluate_files,
    labels_that_occur, probability_files,
};
use crate::layout::CaseScores;
use crate::metric::Evaluation;
use crate::preprocess::GRID_TOLERANCE;
use crate::volume::{Marked, MaskRule, Named, Structures, Undeclared};
use output::{Output, print_means, print_scores};

/// Score a predicted mask against a true one, or many.
///
/// Two folders stand for all masks in them. Two masks are a pair if their names are the same, or if one name begins with the
/// other and a `_`. A prediction of calvaria counts by its scan's name. Patterns say more: 'out/{id}_mask.nii.gz' 'labels/{id}.nii.gz'.
/// Masks without a partner are listed. The means over cases have 95 % bootstrap intervals.
///
/// A mask consists of 0 and one positive value, or is empty; any other file is refused, unless `--label` or
/// `--threshold` tells what is marked in it, or `--labels` or `--regions` names several structures. These are scored
/// one by one: a row for each, and one of their mean. Distances are in mm, volumes in mL.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The predicted mask, or the folder or pattern of many.
    prediction: PathBuf,
    /// The true mask, on the same grid, or the folder or pattern of many.
    truth: PathBuf,
    /// Writes the scores: a row a case, or a row a case and structure.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Writes the scores, their means and what has no partner.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Distance in mm up to which two surfaces agree, for `nsd`.
    #[arg(long, value_name = "MM", default_value_t = Evaluation::default().nsd_tolerance)]
    nsd_tolerance: f64,
    /// Also count connected pieces, such as lesions: true ones, those of them that are found, and false ones.
    #[arg(long)]
    pieces: bool,
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
    /// The probabilities of the prediction, as `predict --probabilities` writes them: their folder, a pattern with {id} and
    /// {structure}, or a file. Their calibration is scored: `ece` over 15 bins of equal width, `ece_foreground` without
    /// voxels that are neither true nor have a probability of at least 0.01, and the Brier score.
    #[arg(long, value_name = "WHERE", conflicts_with_all = ["label", "threshold"])]
    probabilities: Option<PathBuf>,
    /// Writes reliability.csv, and the curve as reliability.png and reliability.svg, into this folder: of all voxels with
    /// about the same probability the part that is true, over all cases. With --probabilities.
    #[arg(long, value_name = "FOLDER", requires = "probabilities")]
    reliability: Option<PathBuf>,
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
    /// `pairs` are all that is scored.
    fn structures(&self, pairs: &[MaskPair]) -> Result<Option<[Structures; 2]>, CliError> {
        let undeclared = match self.undeclared {
            Others::Refuse => Undeclared::Refused,
            Others::Background => Undeclared::Background,
        };
        let both = |of: &dyn Fn(Option<u16>) -> Result<Structures, CliError>| {
            Ok(Some([of(None)?, of(self.ignore)?]))
        };
        match (&self.labels, &self.regions) {
            (Some(Labels::All), _) => {
                let files = pairs
                    .iter()
                    .flat_map(|pair| [&*pair.prediction, &*pair.truth]);
                let files: Vec<&Path> = files.collect();
                let found = labels_that_occur(&files, self.ignore);
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
    fn rules(&self, pairs: &[MaskPair]) -> Result<[MaskRule; 2], CliError> {
        if let Some(structures) = self.structures(pairs)? {
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
        pieces: args.pieces,
    };
    settings.validate().map_err(CliError::input)?;
    if MaskPairs::are_meant(&args.prediction, &args.truth) {
        return many(args, &settings, quiet);
    }
    let pairs = MaskPairs {
        pairs: vec![MaskPair {
            case: args.prediction.display().to_string(),
            prediction: args.prediction.clone(),
            truth: args.truth.clone(),
        }],
        ..MaskPairs::default()
    };
    let scored = args.score(&pairs.pairs, &settings, quiet)?.pop();
    let Some(scored) = scored else {
        unreachable!("one pair has one result");
    };
    let mut output = Output::new(&pairs, args.seed);
    output.add(scored.map_err(CliError::input)?);
    args.write(&output)?;
    print_scores(&output.cases[0]);
    Ok(())
}

/// Scores many masks. One that cannot be scored does not stop the others.
fn many(args: &Args, settings: &Evaluation, quiet: bool) -> Result<(), CliError> {
    let found = MaskPairs::find(&args.prediction, &args.truth).map_err(CliError::input)?;
    let scored = args.score(&found.pairs, settings, quiet)?;
    let mut output = Output::new(&found, args.seed);
    let mut failed = Vec::new();
    for (pair, scored) in found.pairs.iter().zip(scored) {
        match scored {
            Ok(scored) => output.add(ScoredFiles {
                scores: CaseScores {
                    case: pair.case.clone(),
                    ..scored.scores
                },
                ..scored
            }),
            Err(error) => {
                errln!("error: {error}");
                failed.push(pair.case.as_str());
            }
        }
    }
    args.write(&output)?;
    for (files, lack) in [
        (&found.without_truth, "no true mask"),
        (&found.without_prediction, "no prediction"),
    ] {
        for file in files.iter().filter(|_| !quiet) {
            errln!("warning: {} has {lack}.", file.display());
        }
    }
    print_means(
        &evaluate::means(&output.cases, args.seed),
        output.cases.len(),
    );
    match failed.len() {
        0 => Ok(()),
        count => Err(CliError::input(format!(
            "{count} of {} masks could not be scored: {}.",
            found.pairs.len(),
            failed.join(", ")
        ))),
    }
}

impl Args {
    /// The scores of each pair, or why it has none.
    fn score(
        &self,
        pairs: &[MaskPair],
        settings: &Evaluation,
        quiet: bool,
    ) -> Result<Vec<Result<ScoredFiles, EvaluateError>>, CliError> {
        self.check_outputs(pairs)?;
        let [prediction, truth] = self.rules(pairs)?;
        let probabilities = match &self.probabilities {
            Some(of) => {
                let names = match &truth.marked {
                    Marked::Structures(structures) => structures.names(),
                    _ => Structures::Mask.names(),
                };
                probability_files(of, pairs, &names).map_err(CliError::input)?
            }
            None => vec![Vec::new(); pairs.len()],
        };
        let scored = pairs.par_iter().zip(&probabilities).map(|(pair, files)| {
            let files = FilesToScore {
                prediction: (&pair.prediction, &prediction),
                truth: (&pair.truth, &truth),
                probabilities: files,
            };
            evaluate_files(&files, self.grid_tolerance, settings)
        });
        let scored: Vec<Result<_, _>> = scored.collect();
        // In the order of the pairs, whichever was scored first.
        let scored = scored.into_iter().map(|one| {
            let scored = one?;
            for warning in scored.warnings.iter().filter(|_| !quiet) {
                errln!("warning: {warning}.");
            }
            Ok(scored)
        });
        Ok(scored.collect())
    }

    /// Checks that no mask would be replaced by a table.
    fn check_outputs(&self, pairs: &[MaskPair]) -> Result<(), CliError> {
        let place = |path: &Path| path.canonicalize().ok();
        for (flag, path) in [("--csv", &self.csv), ("--json", &self.json)] {
            let Some(written) = path.as_deref().and_then(place) else {
                continue;
            };
            let mut masks = pairs
                .iter()
                .flat_map(|pair| [&pair.prediction, &pair.truth]);
            if let Some(mask) = masks.find(|mask| place(mask).as_ref() == Some(&written)) {
                return Err(CliError::input(format!(
                    "{flag} would replace the mask {}. Choose another file.",
                    mask.display()
                )));
            }
        }
        Ok(())
    }

    /// Writes the files that are asked for.
    fn write(&self, output: &Output) -> Result<(), CliError> {
        if let Some(path) = &self.csv {
            output.write_table(path).map_err(CliError::work)?;
        }
        if let Some(path) = &self.json {
            output.write_json(path).map_err(CliError::work)?;
        }
        match &self.reliability {
            Some(folder) => output.write_reliability(folder),
            None => Ok(()),
        }
    }
}
