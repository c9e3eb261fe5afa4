//! `calvaria predict`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::device::{DeviceChoice, resolve_one};
use crate::evaluate::volume_ml;
use crate::layout::{PredictionFiles, RunFolder, runs_below};
use crate::predict::{self, PredictError, Predictor};
use crate::preprocess::{ImageFile, Inputs};
use crate::settings::{self, nearest};
use crate::volume::nifti::check_output;
use crate::volume::{Structures, Volume};
use crate::window::View;

/// Segment raw scans with a trained run.
///
/// Writes NAME_desc-calvaria_mask.nii.gz and NAME_desc-calvaria_brain.nii.gz on the scan's own grid, the brain with
/// the scan's own type of numbers. Of a run that finds several structures it writes their labels instead,
/// NAME_desc-calvaria_dseg.nii.gz. NAME is that of the scan's first image. A scan that cannot be segmented does not
/// stop the others.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, such as results/quickstart/seed-42; several runs (--run A --run B), or an experiment's folder
    /// with all its folds and seeds, for the mean of their probabilities.
    #[arg(long, value_name = "DIR", required = true)]
    run: Vec<PathBuf>,
    /// Raw scans (NIfTI). For a run whose cases have several images, each scan names all of them:
    /// t1=a_T1w.nii.gz,flair=a_FLAIR.nii.gz.
    #[arg(required = true, value_name = "SCAN")]
    scans: Vec<PathBuf>,
    /// Folder for the results.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Repeat the scans' folders, from the one that all of them share, below the folder for the results.
    #[arg(long)]
    keep_folders: bool,
    /// Replace files of these names that are not unchanged results of calvaria.
    #[arg(long)]
    overwrite: bool,
    /// A mask or weights on the scan's grid, for runs whose preprocessing looks at a region.
    #[arg(long, value_name = "FILE")]
    region: Option<PathBuf>,
    /// How much of a scan the network sees at once: auto, whole, or a window as in {size: [96, 96, 96], overlap: 0.25}
    /// (YAML). By default what the run's experiment says (predict.window).
    #[arg(long, value_name = "WINDOW", value_parser = window)]
    window: Option<View>,
    /// Where to compute: auto, cpu, cuda[:INDEX] or vulkan[:INDEX].
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

/// The folders of runs: those named, and for an experiment's folder those of all its finished runs.
fn runs(folders: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut runs = Vec::new();
    for folder in folders {
        if RunFolder::new(folder).config().is_file() {
            runs.push(folder.clone());
            continue;
        }
        let below = runs_below(folder, RunFolder::summary);
        if below.is_empty() {
            return Err(CliError::input(format!(
                "{} is not a run's folder, and there is no finished run below it. `calvaria run` prints the folder of each run.",
                folder.display()
            )));
        }
        runs.extend(below.iter().map(|run| run.path().to_owned()));
    }
    let mut seen = Vec::new();
    for run in &runs {
        let place = run.canonicalize().unwrap_or_else(|_| run.clone());
        if seen.contains(&place) {
            return Err(CliError::input(format!(
                "--run names {} twice: it would count double",
                run.display()
            )));
        }
        seen.push(place);
    }
    Ok(runs)
}

/// A view as it stands on the command line.
fn window(text: &str) -> Result<View, String> {
    settings::from_yaml(text).map_err(|why| why.to_string())
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    if args.region.is_some() && args.scans.len() > 1 {
        return Err(CliError::input(
            "--region belongs to one scan: segment the scans one by one",
        ));
    }
    let mut told = Vec::new();
    let device = resolve_one(&args.device, |warning| {
        super::warn_of_device(warning);
        told.push(warning.to_owned());
    });
    let device = device.map_err(|error| match error.is_input() {
        true => CliError::input(error),
        false => CliError::work(error),
    })?;
    let runs = runs(&args.run)?;
    let of_run = predict::experiment_of(&runs[0]).map_err(CliError::input)?;
    let faults = args
        .window
        .as_ref()
        .map(|view| view.rules(of_run.patch_size()));
    if let Some(fault) = faults.iter().flatten().next() {
        return Err(CliError::input(format!("--window: {}", fault.message)));
    }
    let names = of_run.image_names();
    let scans = args.scans.iter().map(|text| images(text, &names));
    let scans: Vec<Vec<ImageFile>> = scans.collect::<Result<_, _>>()?;
    let outputs = plan(args, &scans, &of_run.structures())?;
    let opened = Predictor::open_all(&runs, &DeviceChoice::Named(vec![device]), |warning| {
        if !told.iter().any(|told| told == warning) {
            super::warn_of_device(warning);
        }
    });
    let mut predictor = opened.map_err(|error| match error {
        PredictError::Device(ref device) if !device.is_input() => CliError::work(error),
        _ => CliError::input(error),
    })?;
    if let Some(view) = &args.window {
        predictor.see(view);
    }
    let mut failed = Vec::new();
    for (scan, files) in scans.iter().zip(&outputs) {
        let inputs = Inputs {
            onto: of_run.data.masks.onto.as_deref(),
            ..Inputs::images(scan, args.region.as_deref())
        };
        match segment(&predictor, &inputs, files, quiet) {
            Err(error) if scans.len() > 1 => {
                errln!("error: {}", error.message);
                failed.push(inputs.first().display().to_string());
            }
            done => done?,
        }
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(CliError::work(format!(
            "{count} of {} scans could not be segmented: {}.",
            scans.len(),
            failed.join(", ")
        ))),
    }
}

/// The images of a scan as it stands on the command line: a file, or `t1=FILE,flair=FILE` for a run with several
/// images, in any order.
fn images(scan: &Path, names: &[String]) -> Result<Vec<ImageFile>, CliError> {
    if let [name] = names {
        // `t1=FILE` may be written, and may be a file's name.
        let named = scan
            .to_str()
            .and_then(|text| text.strip_prefix(name.as_str())?.strip_prefix('='));
        let path = named.filter(|_| !scan.exists()).map_or(scan, Path::new);
        return Ok(vec![ImageFile::new(name, path)]);
    }
    let wanted: Vec<String> = names.iter().map(|name| format!("{name}=FILE")).collect();
    let wanted = wanted.join(",");
    let refuse = |why: String| {
        CliError::input(format!(
            "{}: {why}. A scan of this run is written as {wanted}",
            scan.display()
        ))
    };
    let text = scan
        .to_str()
        .ok_or_else(|| refuse("it is not text".into()))?;
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found: Vec<(&str, String)> = Vec::new();
    for part in text.split(',') {
        let named = part
            .split_once('=')
            .filter(|(name, _)| !name.contains(['/', '.']));
        match (named, found.last_mut()) {
            (Some((name, path)), _) if known.contains(&name) => found.push((name, path.to_owned())),
            (Some((name, _)), _) => {
                let meant = nearest(name, &known);
                let meant = meant.map_or(String::new(), |name| format!(" (did you mean {name}?)"));
                return Err(refuse(format!("the run has no image `{name}`{meant}")));
            }
            // A comma within a path does not part images.
            (None, Some((_, path))) => {
                *path += ",";
                *path += part;
            }
            (None, None) => {
                let count = names.len();
                return Err(refuse(format!(
                    "the run sees {count} images, and this names one file"
                )));
            }
        }
    }
    let order = names.iter().map(|name| {
        let mut files = found.iter().filter(|(of, _)| of == name);
        match (files.next(), files.next()) {
            (Some((_, path)), None) if !path.is_empty() => Ok(ImageFile::new(name, path)),
            (Some(_), Some(_)) => Err(refuse(format!("it names `{name}` twice"))),
            _ => Err(refuse(format!("the image `{name}` is missing"))),
        }
    });
    order.collect()
}

fn segment(
    predictor: &Predictor,
    inputs: &Inputs,
    files: &PredictionFiles,
    quiet: bool,
) -> Result<(), CliError> {
    let path = inputs.first();
    let scan = inputs.read().map_err(CliError::input)?;
    super::warn(path, &scan.warnings, quiet);
    let predicted = predictor
        .segment(scan, files)
        .map_err(|error| match error {
            PredictError::Preprocess(_) => CliError::input(format!("{}: {error}", path.display())),
            other => CliError::work(format!("{}: {other}", path.display())),
        })?;
    super::warn(path, &predicted.warnings, quiet);
    if !quiet {
        let path = path.display();
        match predictor.structures().is_mask() {
            true => outln!("{path}: brain of {:.0} mL", volume_ml(&predicted.mask)),
            false => outln!(
                "{path}: {}",
                volumes(&predicted.mask, predictor.structures())
            ),
        }
        for file in files.all() {
            outln!("  {}", file.display());
        }
    }
    Ok(())
}

/// The volume of each structure.
fn volumes(mask: &Volume<u8>, structures: &Structures) -> String {
    let volumes = structures
        .names()
        .into_iter()
        .enumerate()
        .map(|(structure, name)| {
            let ml = volume_ml(&structures.mask_of(structure, mask));
            match ml >= 10.0 {
                true => format!("{name} of {ml:.0} mL"),
                false => format!("{name} of {ml:.2} mL"),
            }
        });
    volumes.collect::<Vec<_>>().join(", ")
}

/// Where each scan's results go, checked before any work: nothing that is there is lost, and no result replaces
/// another.
fn plan(
    args: &Args,
    scans: &[Vec<ImageFile>],
    structures: &Structures,
) -> Result<Vec<PredictionFiles>, CliError> {
    let name = args.output.to_string_lossy().to_lowercase();
    if name.ends_with(".nii") || name.ends_with(".nii.gz") {
        return Err(CliError::input(format!(
            "--output names the folder for the results, not a file, and {} looks like a file. The results are called \
             after the scan.",
            args.output.display()
        )));
    }
    if args.output.exists() && !args.output.is_dir() {
        return Err(CliError::input(format!(
            "--output names the folder for the results, and {} is a file. Choose a folder.",
            args.output.display()
        )));
    }
    let firsts: Vec<&Path> = scans.iter().map(|images| &*images[0].path).collect();
    let shared = shared_folder(&firsts);
    let mut scan_of: HashMap<PathBuf, &Path> = HashMap::new();
    let mut outputs = Vec::new();
    for (images, &scan) in scans.iter().zip(&firsts) {
        let paths: Vec<&Path> = images.iter().map(|image| &*image.path).collect();
        let folder = match (args.keep_folders, &shared) {
            (true, Some(shared)) => args.output.join(below(scan, shared)),
            _ => args.output.clone(),
        };
        let files = PredictionFiles::of(scan, &folder, structures);
        for file in files.all() {
            check_output(file, &paths, args.overwrite).map_err(CliError::input)?;
        }
        if let Some(first) = scan_of.insert(files.mask.clone(), scan) {
            let remedy = match folder_of(first) == folder_of(scan) {
                true => "Name each scan once, or rename one of them",
                false => "Use --keep-folders, or segment them into different folders (--output)",
            };
            return Err(CliError::input(format!(
                "the results of {} and {} would have the same name, {}. {remedy}.",
                first.display(),
                scan.display(),
                files.mask.display()
            )));
        }
        outputs.push(files);
    }
    let mut all = scans.iter().flatten().map(|image| &image.path);
    let replaced = all.find(|scan| {
        let mut files = outputs.iter().flat_map(PredictionFiles::all);
        files.any(|file| std::path::absolute(file).ok() == std::path::absolute(scan).ok())
    });
    match replaced {
        Some(scan) => Err(CliError::input(format!(
            "{} would be replaced by the result of another scan. Choose another folder for the results (--output).",
            scan.display()
        ))),
        None => Ok(outputs),
    }
}

/// The deepest folder that holds all scans, where their paths can be compared.
fn shared_folder(scans: &[&Path]) -> Option<PathBuf> {
    let folders: Option<Vec<PathBuf>> = scans.iter().map(|scan| folder_of(scan)).collect();
    folders?.into_iter().reduce(|shared, folder| {
        let same = shared.components().zip(folder.components());
        same.take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    })
}

/// A scan's folder, from `shared` on.
fn below(scan: &Path, shared: &Path) -> PathBuf {
    let folder = folder_of(scan);
    let below = folder
        .as_deref()
        .and_then(|folder| folder.strip_prefix(shared).ok());
    below.unwrap_or(Path::new("")).to_owned()
}

/// A scan's folder, whole and without `..`, so that it can be compared.
fn folder_of(scan: &Path) -> Option<PathBuf> {
    let scan = std::path::absolute(scan).ok()?;
    let folder = scan.parent()?;
    Some(folder.canonicalize().unwrap_or(folder.to_owned()))
}
