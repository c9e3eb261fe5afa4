//! From the folders of runs to their networks.

use std::path::{Path, PathBuf};

use super::mirror::Mirror;
use super::network;
use super::plausible::UsualVolumes;
use super::{Chosen, Group, PredictError, Predictor};
use crate::device::{DeviceChoice, DeviceName, resolve_one};
use crate::experiment::{self, Choice, Experiment};
use crate::files::{FileError, read_bytes};
use crate::layout::RunFolder;
use crate::preprocess::Inputs;
use crate::train::Checkpoints;
use crate::window::View;

/// The experiment of the run in `folder`.
///
/// # Errors
///
/// When the folder is not a run's.
pub fn experiment_of(folder: &Path) -> Result<Experiment, PredictError> {
    let resolved = experiment::load(&RunFolder::new(folder).config(), &[]);
    let resolved = resolved.map_err(|source| PredictError::Config {
        folder: folder.to_owned(),
        source,
    })?;
    Ok(resolved.experiment)
}

/// A number of what the runs in `folders` make of a scan: it changes with their settings, the post-processing that they
/// have chosen and their weights, with how much
/// of a scan they see at once, if that is not what they say, with the region that is given along with the scan, with the
/// places of the scan's images in 4-D files, and with the program's version.
///
/// # Errors
///
/// When a file cannot be read.
pub fn fingerprint(
    folders: &[PathBuf],
    view: Option<&View>,
    scan: Option<&Inputs>,
) -> Result<u32, FileError> {
    let mut hash = crc32fast::Hasher::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let run = RunFolder::new(folder);
        files.extend([run.config(), Checkpoints::of(folder).best()]);
        files.extend(Some(run.postprocess()).filter(|path| path.exists()));
    }
    files.extend(scan.and_then(|scan| scan.region).map(Path::to_owned));
    for file in files {
        hash.update(&read_bytes(&file)?);
    }
    for image in scan.iter().flat_map(|scan| scan.files()) {
        if let Some(at) = image.volume {
            hash.update(format!("{}@{at}", image.name).as_bytes());
        }
    }
    hash.update(format!("{view:?} {}", env!("CARGO_PKG_VERSION")).as_bytes());
    Ok(hash.finalize())
}

impl Predictor {
    /// The best network of the run in `folder`, on one device. `warn` gets the warnings about both.
    ///
    /// # Errors
    ///
    /// When the device cannot be used, the folder is not a run's or its weights cannot be read.
    pub fn open(
        folder: &Path,
        device: &DeviceChoice,
        warn: impl FnMut(&str),
    ) -> Result<Self, PredictError> {
        Self::open_all(&[folder.to_owned()], device, warn)
    }

    /// The best networks of the runs in `folders`, as [`Self::open`]; what they have in common is the first one's.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; and when the runs do not see the same images, or do not find the same structures.
    ///
    /// # Panics
    ///
    /// If there is no folder.
    pub fn open_all(
        folders: &[PathBuf],
        device: &DeviceChoice,
        mut warn: impl FnMut(&str),
    ) -> Result<Self, PredictError> {
        let device = resolve_one(device, &mut warn)?;
        let mut opened: Option<Self> = None;
        for folder in folders {
            let mut experiment = experiment_of(folder)?;
            let run = RunFolder::new(folder);
            if !run.summary().exists() {
                warn(&format!(
                    "{} is not finished: the best of the epochs so far is used.",
                    folder.display()
                ));
            }
            if experiment.predict.postprocess == Some(Choice::Auto) {
                match Chosen::read(&run)? {
                    Some(chosen) => experiment.predict = chosen.predict,
                    None => warn(&format!(
                        "{} has not chosen its post-processing yet: that of its settings is used. Run its experiment \
                         again.",
                        folder.display()
                    )),
                }
            }
            let mut one = Self::new(&experiment, &Checkpoints::of(folder).best(), device)?;
            one.usual_volumes = UsualVolumes::of(&run, &one.structures);
            one.networks_mut()
                .try_for_each(|network| network.measure())?;
            match &mut opened {
                None => opened = Some(one),
                Some(all) => {
                    if all.settings != one.settings {
                        warn(&format!(
                            "{} has other settings under `predict` than {}, whose are used.",
                            folder.display(),
                            folders[0].display()
                        ));
                    }
                    all.join(one).map_err(|what| PredictError::Apart {
                        folder: folder.clone(),
                        first: folders[0].clone(),
                        what,
                    })?;
                }
            }
        }
        let Some(opened) = opened else {
            panic!("there is no run");
        };
        Ok(opened)
    }

    /// The network of `experiment` with the weights in `weights`.
    ///
    /// # Errors
    ///
    /// When the weights cannot be read or are another network's, or the device fails.
    pub fn new(
        experiment: &Experiment,
        weights: &Path,
        device: DeviceName,
    ) -> Result<Self, PredictError> {
        let structures = experiment.structures();
        let settings = experiment.predict.clone();
        Ok(Self {
            groups: vec![Group {
                pipeline: experiment.preprocess.clone(),
                networks: vec![network::load(experiment, weights, device)?],
            }],
            mirrors: Mirror::all(&settings.tta.clone().unwrap_or_default(), &structures),
            postprocess: settings.postprocess_of(&structures),
            settings,
            tells_uncertainty: false,
            structures,
            images: experiment.image_names(),
            usual_volumes: UsualVolumes::default(),
        })
    }

    /// Takes in another predictor's networks; or says what the two do not share.
    fn join(&mut self, other: Self) -> Result<(), &'static str> {
        if self.images != other.images {
            return Err("images");
        }
        if self.structures != other.structures {
            return Err("structures");
        }
        self.usual_volumes.widen(&other.usual_volumes);
        for group in other.groups {
            let mut own = self.groups.iter_mut();
            match own.find(|own| own.pipeline == group.pipeline) {
                Some(own) => own.networks.extend(group.networks),
                None => self.groups.push(group),
            }
        }
        Ok(())
    }
}
