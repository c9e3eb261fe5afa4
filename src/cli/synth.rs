//! `calvaria synth`.

use std::path::{Path, PathBuf};

use super::CliError;
use crate::augment::DrawnOn;
use crate::files::create_folder;
use crate::plot::{ContactSheet, SlicePlane, Tile};
use crate::preprocess::ImageFile;
use crate::settings::{from_yaml, read_as};
use crate::synth::{Anatomy, Synthesis, Synthetic};
use crate::volume::Volume;
use crate::volume::nifti::{Dtype, write_image, write_mask};

/// The settings without --settings.
const HEADS: &str = include_str!("../../configs/synth/heads.yaml");
/// Scans are whole numbers, as from a scanner: a brightness of 1 is 1000.
const THOUSAND: f32 = 1000.0;
/// The most scans that a sheet shows.
const TILES: u64 = 40;

/// Make scans of any contrast, with masks, from maps of labels.
///
/// The maps are taken in turn. A scan depends on the seed, its map and its number alone. sheet.png shows the first forty.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of the maps: files NAME.nii.gz or NAME.nii of whole-number labels (experiments/data/labelmaps).
    #[arg(value_name = "MAPS")]
    maps: PathBuf,
    /// How many scans.
    #[arg(short, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    n: u64,
    /// Folder to write NUMBER_image.nii.gz, NUMBER_mask.nii.gz and sheet.png into; new or empty.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// A file of settings (such as configs/synth/heads.yaml); by default that one: brains in whole heads.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The seed.
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    let synthesis: Synthesis = match &args.settings {
        Some(file) => read_as(file, Synthesis::rules).map_err(CliError::input)?,
        None => from_yaml(HEADS).map_err(CliError::work)?,
    };
    let maps = maps(&args.maps)?;
    create_folder(&args.output).map_err(CliError::work)?;
    let mut inside = std::fs::read_dir(&args.output).map_err(CliError::work)?;
    if inside.next().is_some() {
        return Err(CliError::input(format!(
            "{} is not empty. Choose a new folder.",
            args.output.display()
        )));
    }
    let used = maps
        .len()
        .min(usize::try_from(args.n).unwrap_or(usize::MAX));
    let anatomies = maps[..used]
        .iter()
        .map(|path| Anatomy::read(path, name(path), &synthesis));
    let anatomies: Vec<Anatomy> = anatomies
        .collect::<Result<_, _>>()
        .map_err(CliError::input)?;
    let (mut tiles, width) = (Vec::new(), args.n.to_string().len());
    let interrupter = super::interrupter();
    for (index, anatomy) in (0..args.n).zip(anatomies.iter().cycle()) {
        if interrupter.should_stop() {
            return Err(CliError::work(format!(
                "stopped after {index} of {} scans.",
                args.n
            )));
        }
        let made = synthesis.scan(anatomy, args.seed, index);
        let number = format!("{:0width$}", index + 1);
        if !made.sample.mask.iter().any(|voxel| *voxel != 0) {
            errln!(
                "warning: {number}: nothing of the mask is seen. Look at field_of_view and size_mm in the settings."
            );
        }
        write(&args.output, &number, &made)?;
        if !quiet {
            outln!(
                "{number}: {}, {}: {}",
                anatomy.id,
                made.contrast,
                summary(&made.drawn)
            );
        }
        if index < TILES {
            tiles.push(tile(&number, anatomy, made));
        }
    }
    let sheet = ContactSheet {
        title: format!("{} scans of {} maps, seed {}", args.n, used, args.seed),
        planes: vec![SlicePlane::Axial, SlicePlane::Coronal, SlicePlane::Sagittal],
        tiles,
        images: 1,
        structures: std::sync::Arc::default(),
    };
    let path = args.output.join("sheet.png");
    sheet.save(&path).map_err(CliError::work)?;
    outln!("{}", path.display());
    Ok(())
}

/// The maps in a folder, by name.
fn maps(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let unreadable = |why: std::io::Error| {
        CliError::input(format!(
            "cannot read {}: {why}. Name the folder of the maps.",
            folder.display()
        ))
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut maps: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    maps.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Systems keep files of their own under such names.
        !name.starts_with('.') && (name.ends_with(".nii.gz") || name.ends_with(".nii"))
    });
    maps.sort();
    match maps.is_empty() {
        true => Err(CliError::input(format!(
            "{} holds no maps: no files NAME.nii.gz or NAME.nii.",
            folder.display()
        ))),
        false => Ok(maps),
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".nii");
    name.trim_end_matches("_dseg").to_owned()
}

fn write(folder: &Path, number: &str, made: &Synthetic) -> Result<(), CliError> {
    let (sample, file) = (&made.sample, |what: &str| {
        folder.join(format!("{number}_{what}.nii.gz"))
    });
    let image = Volume {
        voxels: sample.images[0].mapv(|value| value * THOUSAND),
        affine: sample.affine,
    };
    write_image(&file("image"), &image, Dtype::Int16).map_err(CliError::work)?;
    let mask = Volume {
        voxels: sample.mask.clone(),
        affine: sample.affine,
    };
    write_mask(&file("mask"), &mask).map_err(CliError::work)
}

fn summary(drawn: &[DrawnOn]) -> String {
    let images = [ImageFile::ONLY.to_owned()];
    let all: Vec<String> = drawn.iter().map(|one| one.summary(&images)).collect();
    all.join("; ")
}

fn tile(number: &str, anatomy: &Anatomy, made: Synthetic) -> Tile {
    let Synthetic {
        sample,
        contrast,
        drawn,
    } = made;
    let image = sample.images.into_iter().next().unwrap_or_default();
    Tile {
        heading: format!("{number}: {}, {contrast}", anatomy.id),
        notes: drawn.iter().map(|one| one.drawn.summary()).collect(),
        affine: sample.affine,
        image,
        mask: sample.mask,
    }
}
