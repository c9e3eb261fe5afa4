//! Which scans are segmented by which runs, and where the results go.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::Args;
use crate::cli::CliError;
use crate::dataset::Fold;
use crate::files::read_text;
use crate::layout::{BidsDataset, PredictionFiles, RunFolder, WantedMaps};
use crate::predict;
use crate::preprocess::{ImageFile, Inputs, LoadedCase};
use crate::run::check_scans;
use crate::volume::Structures;
use crate::volume::nifti::check_output;

/// Runs and the scans that they segment together.
pub(super) struct Job {
    pub(super) runs: Vec<PathBuf>,
    pub(super) scans: Vec<Scan>,
}

/// A scan to segment.
#[derive(Clone)]
pub(super) struct Scan {
    pub(super) images: Vec<ImageFile>,
    /// The image onto whose grid all are moved where they lie on different ones.
    pub(super) onto: Option<ImageFile>,
    pub(super) region: Option<PathBuf>,
}

impl Scan {
    pub(super) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            onto: self.onto.as_ref(),
            ..Inputs::images(&self.images[..], self.region.as_deref())
        }
    }
}

/// The cases that each run was validated on.
pub(super) fn of_validation(runs: &[PathBuf]) -> Result<Vec<Job>, CliError> {
    let of_run = |folder: &PathBuf| {
        let experiment = predict::experiment_of(folder).map_err(CliError::input)?;
        let described = experiment.described().map_err(CliError::input)?;
        let cases = described.cases().map_err(CliError::input)?;
        let path = RunFolder::new(folder).split();
        let text = read_text(&path).map_err(CliError::input)?;
        let fold: Fold = serde_json::from_str(&text)
            .map_err(|why| CliError::input(format!("{}: {why}", path.display())))?;
        let validation = fold.validation.iter().map(|id| {
            let case = cases.iter().find(|case| case.id == *id);
            case.ok_or_else(|| {
                CliError::input(format!(
                    "{} was validated on the case {id}, which its data no longer have. Put it back, or name the scans.",
                    folder.display()
                ))
            })
        });
        let validation = validation.collect::<Result<Vec<_>, CliError>>()?;
        check_scans(folder, &validation).map_err(CliError::input)?;
        let scans = validation.into_iter().map(|case| Scan {
            images: case.images.clone(),
            onto: case.onto.clone(),
            region: case.region.clone(),
        });
        Ok(Job {
            runs: vec![folder.clone()],
            scans: scans.collect(),
        })
    };
    runs.iter().map(of_run).collect()
}

/// A scan and where its results go.
pub(super) struct Planned {
    /// The place of its job.
    pub(super) job: usize,
    pub(super) scan: Scan,
    /// A number of the runs, their settings and the region.
    pub(super) maker: u32,
    pub(super) files: PredictionFiles,
    /// Whether they are there, unchanged, and made by the same runs.
    pub(super) is_done: bool,
    /// Maps of the same scan that other runs have made and that are not made again: they would be taken for this result's.
    pub(super) outdated: Vec<PathBuf>,
}

impl Planned {
    /// The file of the first image, by which messages call the scan.
    pub(super) fn path(&self) -> &Path {
        &self.scan.images[0].path
    }

    pub(super) fn read(&self) -> Result<LoadedCase, CliError> {
        self.scan.inputs().read().map_err(CliError::input)
    }
}

/// Where each scan's results go, checked before any work: nothing that is there is lost, and no result replaces
/// another.
pub(super) fn plan(
    args: &Args,
    jobs: &[Job],
    (structures, maps): (&Structures, WantedMaps),
) -> Result<Vec<Planned>, CliError> {
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
    let scans = || jobs.iter().flat_map(|job| &job.scans);
    let firsts: Vec<&Path> = scans().map(|scan| &*scan.images[0].path).collect();
    let shared = shared_folder(&firsts);
    let mut scan_of: HashMap<PathBuf, &Path> = HashMap::new();
    let mut planned: Vec<Planned> = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let maker = |inputs: Option<&Inputs>| {
            let maker = predict::fingerprint(&job.runs, args.window.as_ref(), inputs);
            maker.map_err(CliError::input)
        };
        let usual = maker(None)?;
        for one in &job.scans {
            let in_files = one.images.iter().chain(&one.onto);
            let is_usual =
                one.region.is_none() && in_files.into_iter().all(|of| of.volume.is_none());
            let maker = match is_usual {
                true => usual,
                false => maker(Some(&one.inputs()))?,
            };
            let inputs = one.inputs();
            let paths: Vec<&Path> = inputs.files().map(|image| &*image.path).collect();
            let scan = &*one.images[0].path;
            let folder = match (args.keep_folders, &shared) {
                (true, Some(shared)) => args.output.join(below(scan, shared)),
                _ => args.output.clone(),
            };
            let named = |maps| match args.bids {
                true => BidsDataset::new(&args.output)
                    .files(scan, structures, maps)
                    .map_err(|why| CliError::input(format!("{why}."))),
                false => Ok(PredictionFiles::with_maps(scan, &folder, structures, maps)),
            };
            let files = named(maps)?;
            let all = named(WantedMaps {
                probabilities: true,
                entropy: !args.bids,
                disagreement: !args.bids,
            })?;
            let is_outdated = |file: &&Path| {
                let made_by = check_output(file, &paths, false);
                !files.all().any(|own| own == *file)
                    && made_by.is_ok_and(|made_by| made_by.is_some_and(|of| of != maker))
            };
            let outdated = all.all().filter(is_outdated).map(Path::to_owned);
            let outdated: Vec<PathBuf> = outdated.collect();
            let mut is_done = outdated.is_empty();
            for file in files.all() {
                let made_by =
                    check_output(file, &paths, args.overwrite).map_err(CliError::input)?;
                is_done &= made_by == Some(maker);
            }
            if let Some(first) = scan_of.insert(files.mask.clone(), scan) {
                let remedy = match folder_of(first) == folder_of(scan) {
                    _ if args.validation && first == scan => {
                        "Several runs were validated on it: name those of one seed and one repetition"
                    }
                    true => "Name each scan once, or rename one of them",
                    false => {
                        "Use --keep-folders, or segment them into different folders (--output)"
                    }
                };
                return Err(CliError::input(format!(
                    "the results of {} and {} would have the same name, {}. {remedy}.",
                    first.display(),
                    scan.display(),
                    files.mask.display()
                )));
            }
            planned.push(Planned {
                job: at,
                scan: one.clone(),
                maker,
                files,
                is_done,
                outdated,
            });
        }
    }
    let place = |path: &Path| std::path::absolute(path).ok();
    let written = planned.iter().flat_map(|scan| scan.files.all());
    let written: HashSet<Option<PathBuf>> = written.map(place).collect();
    let mut all = scans()
        .flat_map(|scan| &scan.images)
        .map(|image| &image.path);
    if let Some(scan) = all.find(|scan| written.contains(&place(scan))) {
        return Err(CliError::input(format!(
            "{} would be replaced by the result of another scan. Choose another folder for the results (--output).",
            scan.display()
        )));
    }
    Ok(planned)
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
