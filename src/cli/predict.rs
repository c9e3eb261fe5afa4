//! `calvaria predict`.

mod jobs;
mod qc;
mod record;
mod scan;
mod scans;

use std::path::PathBuf;
use std::time::Instant;

use super::CliError;
use crate::console::duration;
use crate::device::{DeviceChoice, DeviceName, resolve_one};
use crate::layout::{RunFolder, SweepFolder, WantedMaps, runs_below};
use crate::predict::{self, PredictError, Predictor};
use crate::settings;
use crate::window::View;
use jobs::{Job, Planned, Scan, plan};
use record::Record;
use scan::{segment, tell, write};

/// Segment raw scans with a trained run.
///
/// Writes NAME_desc-calvaria_mask.nii.gz and NAME_desc-calvaria_brain.nii.gz on the scan's own grid, the brain with
/// the scan's own type of numbers. Of a run that finds several structures it writes their labels instead,
/// NAME_desc-calvaria_dseg.nii.gz. NAME is that of the scan's first image. A scan that cannot be segmented does not
/// stop the others. Of several scans calvaria-predictions.csv has volumes and doubts, the most doubtful first: a doubt is
/// what is missing of the Dice that the probabilities promise, from 0 to 1. A single scan joins such a table if it is there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, such as results/quickstart/seed-42; several runs (--run A --run B), or an experiment's folder
    /// with all its folds and seeds, for the mean of their probabilities.
    #[arg(long, value_name = "DIR", required = true)]
    run: Vec<PathBuf>,
    /// Raw scans (NIfTI), folders of them, or patterns such as 'raw/*_T1w.nii.gz'. Of a BIDS dataset the T1-weighted scans
    /// are taken. For a run whose cases have several images, each scan names all of them:
    /// t1=a_T1w.nii.gz,flair=a_FLAIR.nii.gz; or all scans at once: 't1=raw/{id}_T1w.nii.gz,flair=raw/{id}_FLAIR.nii.gz'. A 4-D
    /// file holds them in the run's order; of one with others as well, each is named by its place, from 0 on:
    /// t1=a.nii.gz@1,flair=a.nii.gz@3.
    #[arg(required_unless_present = "validation", value_name = "SCAN")]
    scans: Vec<PathBuf>,
    /// Instead of scans, segment the validation cases of each run with that run. For all folds of an experiment these are
    /// cross-validated predictions: no network has trained on the case.
    #[arg(long, conflicts_with_all = ["scans", "region"])]
    validation: bool,
    /// Folder for the results.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// Repeat the scans' folders, from the one that all of them share, below the folder for the results.
    #[arg(long)]
    keep_folders: bool,
    /// Write a derivative dataset of BIDS: sub-01/anat/sub-01_desc-brain_mask.nii.gz and so on, with JSON files. The scans must
    /// be named as in BIDS.
    #[arg(long, conflicts_with_all = ["keep_folders", "uncertainty"])]
    bids: bool,
    /// Segment scans again that these runs have segmented, and replace files of these names that are not unchanged results of
    /// calvaria. Otherwise scans that are done are passed over.
    #[arg(long)]
    overwrite: bool,
    /// Also write the probability of each structure (NAME_desc-calvaria_probseg.nii.gz), in steps of 1/255.
    #[arg(long)]
    probabilities: bool,
    /// Also write how sure the networks are of each voxel: the entropy of the probabilities and, of several networks or
    /// mirrored views, how much of it is their disagreement. Both are from 0 to 1.
    #[arg(long)]
    uncertainty: bool,
    /// Write a page into this folder that shows every scan of calvaria-predictions.csv with what was found in it, the most
    /// doubtful first: DIR/index.html. Keys mark good and bad ones; the marks can be saved as a table.
    #[arg(long, value_name = "DIR")]
    qc: Option<PathBuf>,
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
        if SweepFolder::new(folder).record().is_file() {
            return Err(CliError::input(format!(
                "{} is a sweep's folder, and its trials are of different settings. Name a trial's folder: {} has the best first.",
                folder.display(),
                SweepFolder::new(folder).table().display()
            )));
        }
        let below = runs_below(folder, RunFolder::summary);
        if below.is_empty() {
            return Err(CliError::input(format!(
                "{} is not a run's folder, and no folder below it is a finished run. `calvaria run` prints the folder of each run.",
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

/// Checks that every network can see this much of a scan.
fn check_window(args: &Args, runs: &[PathBuf]) -> Result<(), CliError> {
    let Some(view) = &args.window else {
        return Ok(());
    };
    for folder in runs {
        let patch = predict::experiment_of(folder)
            .map_err(CliError::input)?
            .patch_size();
        settings::validate(view, |view| view.rules(patch)).map_err(|faults| {
            CliError::input(format!("--window, for {}: {faults}", folder.display()))
        })?;
    }
    Ok(())
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
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
    check_window(args, &runs)?;
    let jobs = match args.validation {
        true => jobs::of_validation(&runs)?,
        false => {
            let mut scans = Vec::new();
            for text in &args.scans {
                scans.extend(scans::of(text, &of_run)?);
            }
            if args.region.is_some() && scans.len() > 1 {
                return Err(CliError::input(
                    "--region belongs to one scan: segment the scans one by one",
                ));
            }
            let scan = |(images, onto)| Scan {
                images,
                onto,
                region: args.region.clone(),
            };
            vec![Job {
                runs: runs.clone(),
                scans: scans.into_iter().map(scan).collect(),
            }]
        }
    };
    let views = of_run.predict.tta.as_ref().map_or(0, |tta| tta.flip.len());
    let maps = WantedMaps {
        probabilities: args.probabilities,
        entropy: args.uncertainty,
        disagreement: args.uncertainty && (jobs[0].runs.len() > 1 || views > 0),
    };
    let mut planned = plan(args, &jobs, (&of_run.structures(), maps))?;
    let mut record = Record::open(args, planned.len())?;
    for scan in &mut planned {
        scan.is_done &= record.has(&scan.files);
    }
    let (done, left): (Vec<Planned>, Vec<Planned>) =
        planned.into_iter().partition(|scan| scan.is_done);
    if !done.is_empty() && !quiet {
        let (count, files) = match done.len() {
            1 => ("1 scan".to_owned(), "its result is"),
            count => (format!("{count} scans"), "their results are"),
        };
        outln!(
            "{count} passed over: {files} in {} (--overwrite segments again)",
            args.output.display()
        );
    }
    // An interruption may have come between an image and its JSON file.
    for scan in &done {
        record.describe(scan, &jobs[scan.job].runs, &of_run.structures())?;
    }
    let mut failed = Vec::new();
    let (started, count) = (Instant::now(), left.len());
    let mut opened: Option<(usize, Predictor)> = None;
    let mut ahead = None;
    for (at, scan) in left.iter().enumerate() {
        let runs = &jobs[scan.job].runs;
        let predictor = match opened.take().filter(|(job, _)| *job == scan.job) {
            Some((_, predictor)) => predictor,
            None => open(args, runs, device, &mut told)?,
        };
        let read = match ahead.take() {
            Some(read) => read,
            None => scan.read(),
        };
        let segmented = segment(&predictor, scan, read, quiet);
        // The next scan is read while this one is written.
        let (written, next) = rayon::join(
            || segmented.and_then(|(segmented, remarks)| write(scan, &segmented, &remarks)),
            || left.get(at + 1).map(Planned::read),
        );
        ahead = next;
        match written {
            Err(error) if count > 1 => {
                errln!("error: {}", error.message);
                failed.push(scan.path().display().to_string());
            }
            Err(error) => return Err(error),
            Ok(rows) => {
                if !quiet {
                    let progress = match at {
                        _ if count == 1 => String::new(),
                        at => {
                            let left =
                                started.elapsed() / (at + 1) as u32 * (count - at - 1) as u32;
                            format!(" ({} of {count}, {} left)", at + 1, duration(left))
                        }
                    };
                    tell(scan, &rows, &progress);
                }
                record.describe(scan, runs, predictor.structures())?;
                record.put(rows)?;
            }
        }
        opened = Some((scan.job, predictor));
    }
    if let Some((path, _)) = record.table.as_ref().filter(|_| !quiet && count > 0) {
        outln!("{}", path.display());
    }
    record.show(args, &of_run.structures())?;
    match failed.len() {
        0 => Ok(()),
        failures => Err(CliError::work(format!(
            "{failures} of {count} scans could not be segmented: {}.",
            failed.join(", ")
        ))),
    }
}

/// The networks of these runs; `told` are the warnings about the device so far.
fn open(
    args: &Args,
    runs: &[PathBuf],
    device: DeviceName,
    told: &mut Vec<String>,
) -> Result<Predictor, CliError> {
    let opened = Predictor::open_all(runs, &DeviceChoice::Named(vec![device]), |warning| {
        if !told.iter().any(|told| told == warning) {
            super::warn_of_device(warning);
            told.push(warning.to_owned());
        }
    });
    let mut predictor = opened.map_err(|error| match error {
        PredictError::Device(ref device) if !device.is_input() => CliError::work(error),
        _ => CliError::input(error),
    })?;
    if let Some(view) = &args.window {
        predictor.see(view);
    }
    if args.uncertainty {
        predictor.tell_uncertainty();
    }
    Ok(predictor)
}
