//! `calvaria augment`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use ndarray::Array3;
use serde::Serialize;

use super::{CliError, Results};
use crate::augment::{Drawn, DrawnOn, Sample};
use crate::console::{Console, Verbosity};
use crate::dataset::{Order, Sampling, TrainingCase};
use crate::experiment;
use crate::plot::{ContactSheet, SlicePlane, Tile, is_own_picture};
use crate::run::{Preparation, prepare_case};

/// Draw what augmentation makes of a case, as a contact sheet.
///
/// The samples are those that training sees: the case as prepared, then its first sample of epochs 1, 2, … Of several
/// images each has a tile.
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
    /// Replace a file that is not an unchanged picture of calvaria.
    #[arg(long)]
    overwrite: bool,
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
    drawn: &'a [DrawnOn],
}

pub(super) fn main(args: &Args, verbosity: Verbosity) -> Result<(), CliError> {
    let resolved = experiment::load(&args.experiment, &args.overrides).map_err(CliError::input)?;
    let experiment = &resolved.experiment;
    if experiment.augment.0.is_empty() {
        return Err(CliError::input(format!(
            "{} has no augmentations. Give it some, such as --set augment=[flip, gamma]; `calvaria \
             list augmentations` lists them.",
            args.experiment.display()
        )));
    }
    let (interrupter, console) = (super::interrupter(), Console::new(verbosity));
    let mut preparation = Preparation::new(&args.results.results, &interrupter, &console);
    let case = prepare_case(experiment, args.case.as_deref(), &mut preparation);
    let case = case.map_err(|error| CliError::of_run(&error))?;
    let output = match &args.output {
        Some(output) => output.clone(),
        None => PathBuf::from(format!(
            "{}-augmented.png",
            case.id.replace(['/', '\\'], "_")
        )),
    };
    if output
        .extension()
        .is_none_or(|extension| extension != "png")
    {
        return Err(CliError::input(format!(
            "the sheet is a PNG, so its name must end in .png: {}",
            output.display()
        )));
    }
    if !args.overwrite && output.symlink_metadata().is_ok() && !is_own_picture(&output) {
        return Err(CliError::input(format!(
            "{} exists, and it is not an unchanged picture of calvaria. Choose another name (--output), or replace the \
             file with --overwrite.",
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
        .map_err(CliError::work)?;
    let mut tiles = tiles_of(&case, plain, "as prepared", &[]);
    let mut all_drawn = Vec::new();
    for epoch in 1..=args.n {
        let (sample, drawn) = case.sample(&augmented, epoch, 0).map_err(CliError::work)?;
        tiles.extend(tiles_of(&case, sample, &format!("epoch {epoch}"), &drawn));
        all_drawn.push(drawn);
    }
    let sheet = ContactSheet {
        title: format!("{}: {}, seed {}", experiment.name, case.id, experiment.seed),
        planes: args.plane.slices(),
        tiles,
        images: case.images.len(),
        structures: Arc::clone(&case.structures),
    };
    sheet.save(&output).map_err(CliError::work)?;
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
            serde_json::to_string_pretty(&listing).map_err(CliError::work)?
        );
        return Ok(());
    }
    outln!("{}", output.display());
    for (epoch, drawn) in (1..).zip(&all_drawn) {
        let summaries: Vec<String> = drawn.iter().map(|one| one.summary(&case.images)).collect();
        let line = match summaries.is_empty() {
            true => "nothing".to_owned(),
            false => summaries.join("; "),
        };
        let epoch: u64 = epoch;
        outln!("epoch {epoch}: {line}");
    }
    Ok(())
}

/// A tile for each image of a sample.
fn tiles_of(case: &TrainingCase, sample: Sample, heading: &str, drawn: &[DrawnOn]) -> Vec<Tile> {
    let several = sample.images.len() > 1;
    let note = |one: &DrawnOn| match one.drawn {
        Drawn::Mixup(_) => format!(
            "{} (its partner depends on the batch: not shown)",
            one.drawn.summary()
        ),
        _ => one.drawn.summary(),
    };
    let tile = |(place, image): (usize, Array3<f32>)| Tile {
        notes: (drawn.iter().filter(|one| one.is_for(place)).map(note)).collect(),
        affine: sample.affine,
        image,
        mask: sample.mask.clone(),
        heading: match case.images.get(place).filter(|_| several) {
            Some(name) => format!("{heading}: {name}"),
            None => heading.to_owned(),
        },
    };
    sample.images.into_iter().enumerate().map(tile).collect()
}
