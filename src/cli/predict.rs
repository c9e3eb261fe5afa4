//! `calvaria predict`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::CliError;
use crate::device::DeviceChoice;
use crate::evaluate::volume_ml;
use crate::layout::PredictionFiles;
use crate::predict::{PredictError, Predictor};
use crate::preprocess::Inputs;
use crate::volume::nifti::check_output;

/// Segment raw scans with a trained run.
///
/// Writes NAME_desc-calvaria_mask.nii.gz and NAME_desc-calvaria_brain.nii.gz on the scan's own grid, the brain with
/// the scan's own type of numbers. A scan that cannot be segmented does not stop the others.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, such as results/quickstart/seed-42.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Raw scans (NIfTI).
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
    /// Where to compute: auto, cpu, cuda[:INDEX] or vulkan[:INDEX].
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    if args.region.is_some() && args.scans.len() > 1 {
        return Err(CliError::input(
            "--region belongs to one scan: segment the scans one by one",
        ));
    }
    let outputs = plan(args)?;
    let predictor = Predictor::open(&args.run, &args.device, super::warn_of_device);
    let predictor = predictor.map_err(|error| match error {
        PredictError::Device(ref device) if !device.is_input() => CliError::work(error),
        _ => CliError::input(error),
    })?;
    let mut failed = Vec::new();
    for (scan, files) in args.scans.iter().zip(&outputs) {
        match segment(&predictor, scan, files, args, quiet) {
            Err(error) if args.scans.len() > 1 => {
                errln!("error: {}", error.message);
                failed.push(scan.display().to_string());
            }
            done => done?,
        }
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(CliError::work(format!(
            "{count} of {} scans could not be segmented: {}.",
            args.scans.len(),
            failed.join(", ")
        ))),
    }
}

fn segment(
    predictor: &Predictor,
    path: &Path,
    files: &PredictionFiles,
    args: &Args,
    quiet: bool,
) -> Result<(), CliError> {
    let scan = Inputs::scan(path, args.region.as_deref()).read();
    let scan = scan.map_err(CliError::input)?;
    super::warn(path, &scan.warnings, quiet);
    let predicted = predictor
        .segment(scan, files)
        .map_err(|error| match error {
            PredictError::Preprocess(_) => CliError::input(format!("{}: {error}", path.display())),
            other => CliError::work(format!("{}: {other}", path.display())),
        })?;
    super::warn(path, &predicted.warnings, quiet);
    if !quiet {
        outln!(
            "{}: brain of {:.0} mL\n  {}\n  {}",
            path.display(),
            volume_ml(&predicted.mask),
            files.mask.display(),
            files.brain.display()
        );
    }
    Ok(())
}

/// Where each scan's results go, checked before any work: nothing that is there is lost, and no result replaces
/// another.
fn plan(args: &Args) -> Result<Vec<PredictionFiles>, CliError> {
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
    let shared = shared_folder(&args.scans);
    let mut scan_of: HashMap<PathBuf, &Path> = HashMap::new();
    let mut outputs = Vec::new();
    for scan in &args.scans {
        let folder = match (args.keep_folders, &shared) {
            (true, Some(shared)) => args.output.join(below(scan, shared)),
            _ => args.output.clone(),
        };
        let files = PredictionFiles::of(scan, &folder);
        for file in files.all() {
            check_output(file, scan, args.overwrite).map_err(CliError::input)?;
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
    let replaced = args.scans.iter().find(|scan| {
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
fn shared_folder(scans: &[PathBuf]) -> Option<PathBuf> {
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
