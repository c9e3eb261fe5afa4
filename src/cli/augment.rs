//! `calvaria augment`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::{Failed, Results};
use crate::augment::{Drawn, Sample};
use crate::console::{Console, Verbosity};
use crate::dataset::{Case, Order, Sampling, TrainingCase};
use crate::experiment::{self, Experiment};
use crate::plot::{ContactSheet, SlicePlane, Tile};
use crate::run::Preparation;
use crate::settings::nearest;

/// Draw what augmentation makes of a case, as a contact sheet.
///
/// The samples are those that training sees: the case as prepared, then its first sample of epochs 1, 2, …
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The experiment's file.
    experiment: PathBuf,
    /// Override a value, such as data.nfbs.root=/data/NFBS (the value is YAML).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The case; by default the first that trains.
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// Augmented samples to draw.
    #[arg(short, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=60))]
    n: u64,
    /// The PNG to write; by default CASE-augmented.png.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The slice to show.
    #[arg(long, value_enum, default_value_t = Plane::All)]
    plane: Plane,
    /// Print what was drawn as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    results: Results,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Plane {
    Axial,
    Coronal,
    Sagittal,
    All,
}

impl Plane {
    fn slices(self) -> Vec<SlicePlane> {
        match self {
            Self::Axial => vec![SlicePlane::Axial],
            Self::Coronal => vec![SlicePlane::Coronal],
            Self::Sagittal => vec![SlicePlane::Sagittal],
            Self::All => vec![SlicePlane::Axial, SlicePlane::Coronal, SlicePlane::Sagittal],
        }
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Listing<'a> {
    file: String,
    case: &'a str,
    seed: u64,
    tiles: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Listed<'a> {
    epoch: u64,
    drawn: &'a [Drawn],
}

pub(super) fn main(args: &Args, verbosity: Verbosity) -> Result<(), Failed> {
    let resolved = experiment::load(&args.experiment, &args.overrides).map_err(Failed::input)?;
    let experiment = &resolved.experiment;
    if experiment.augment.0.is_empty() {
        return Err(Failed::input(format!(
            "{} has no augmentations. Give it some, such as --set augment=[flip, gamma]; `calvaria \
             list augmentations` says what there is.",
            args.experiment.display()
        )));
    }
    let case = prepared(args, experiment, verbosity)?;
    let output = match &args.output {
        Some(output) => output.clone(),
        None => PathBuf::from(format!(
            "{}-augmented.png",
            case.id.replace(['/', '\\'], "_")
        )),
    };
    if output.extension().is_none_or(|ending| ending != "png") {
        return Err(Failed::input(format!(
            "the sheet is a PNG, so its name must end in .png: {}",
            output.display()
        )));
    }
    let sampling = |order| Sampling {
        seed: experiment.seed,
        order,
        batch_size: 1,
        workers: 1,
    };
    let augmented = sampling(Order::Shuffled {
        batches: 0,
        patch: experiment.train.patch.clone(),
        augment: experiment.augment.clone(),
    });
    let (plain, _) = case
        .sample(&sampling(Order::Sequential), 0, 0)
        .map_err(Failed::work)?;
    let mut tiles = vec![tile(plain, "as prepared".into(), &[])];
    let mut all_drawn = Vec::new();
    for epoch in 1..=args.n {
        let (sample, drawn) = case.sample(&augmented, epoch, 0).map_err(Failed::work)?;
        tiles.push(tile(sample, format!("epoch {epoch}"), &drawn));
        all_drawn.push(drawn);
    }
    let sheet = ContactSheet {
        title: format!("{}: {}, seed {}", experiment.name, case.id, experiment.seed),
        planes: args.plane.slices(),
        tiles,
    };
    sheet.save(&output).map_err(Failed::work)?;
    if args.json {
        let tiles = (1..)
            .zip(&all_drawn)
            .map(|(epoch, drawn)| Listed { epoch, drawn });
        let listing = Listing {
            file: output.display().to_string(),
            case: &case.id,
            seed: experiment.seed,
            tiles: tiles.collect(),
        };
        outln!(
            "{}",
            serde_json::to_string_pretty(&listing).map_err(Failed::work)?
        );
        return Ok(());
    }
    outln!("{}", output.display());
    for (tile, drawn) in sheet.tiles[1..].iter().zip(&all_drawn) {
        let summaries: Vec<String> = drawn.iter().map(Drawn::summary).collect();
        let line = match summaries.is_empty() {
            true => "nothing".to_owned(),
            false => summaries.join("; "),
        };
        outln!("{}: {line}", tile.heading);
    }
    Ok(())
}

/// The case asked for, preprocessed as training on the first fold would.
fn prepared(
    args: &Args,
    experiment: &Experiment,
    verbosity: Verbosity,
) -> Result<TrainingCase, Failed> {
    let cases = experiment.data.cases().map_err(Failed::input)?;
    let folds = experiment
        .split
        .folds(&cases, experiment.seed)
        .map_err(Failed::input)?;
    let training = folds
        .into_iter()
        .next()
        .map(|fold| fold.train)
        .unwrap_or_default();
    let id = match (&args.case, training.first()) {
        (Some(id), _) => id.as_str(),
        (None, Some(first)) => first.as_str(),
        (None, None) => return Err(Failed::input("the split leaves no case to train on")),
    };
    let Some(case) = cases.iter().find(|case| case.id == id) else {
        let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
        let suggestion =
            nearest(id, &ids).map_or(String::new(), |id| format!(" Did you mean {id}?"));
        return Err(Failed::input(format!(
            "there is no case {id} among the {} of this experiment.{suggestion} `calvaria list cases` \
             names them all.",
            ids.len()
        )));
    };
    let (interrupter, console) = (super::interrupter(), Console::new(verbosity));
    let mut preparation = Preparation::new(&args.results.results, &interrupter, &console);
    let learnt_from: Vec<&Case> = cases
        .iter()
        .filter(|case| training.contains(&case.id))
        .collect();
    let pipeline = preparation
        .learn(experiment.preprocess.clone(), &learnt_from)
        .map_err(Failed::input)?;
    let data = preparation
        .prepare(std::slice::from_ref(case), &pipeline, false)
        .map_err(Failed::input)?;
    let prepared = data
        .select(std::slice::from_ref(&case.id))
        .into_iter()
        .next();
    prepared.ok_or_else(|| Failed::work(format!("case {} was not prepared", case.id)))
}

fn tile(sample: Sample, heading: String, drawn: &[Drawn]) -> Tile {
    let note = |drawn: &Drawn| match drawn {
        Drawn::Mixup(_) => format!(
            "{} (its partner depends on the batch: not shown)",
            drawn.summary()
        ),
        _ => drawn.summary(),
    };
    Tile {
        notes: drawn.iter().map(note).collect(),
        affine: sample.affine,
        image: sample.image,
        mask: sample.mask,
        heading,
    }
}
