//! From a raw scan to a mask on the scan's own grid.

mod brain;
mod clean;
mod decide;
mod error;
mod mirror;
mod network;
mod opinions;
mod plausible;
mod postprocess;
mod probabilities;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::Array3;

pub use brain::Segmented;
pub use error::PredictError;
pub use opinions::Uncertainty;
pub use postprocess::{Choosing, Chosen, Sketch, Sketching, Step, choose};
pub use probabilities::Probabilities;

use crate::device::{DeviceChoice, DeviceName, resolve_one};
use crate::experiment::{self, Choice, Experiment, Postprocess, Prediction};
use crate::files::{FileError, read_bytes};
use crate::layout::RunFolder;
use crate::preprocess::{Applied, CaseVolumes, Inputs, Pipeline};
use crate::train::Checkpoints;
use crate::volume::{Grid, Structures, Volume};
use crate::window::View;
use decide::decide;
use mirror::Mirror;
use network::Network;
use opinions::Opinions;
use plausible::UsualVolumes;

/// A trained network with everything that comes before and after it; or several, whose probabilities are averaged.
pub struct Predictor {
    /// At least one.
    groups: Vec<Group>,
    settings: Prediction,
    postprocess: Postprocess,
    mirrors: Vec<Mirror>,
    tells_uncertainty: bool,
    structures: Arc<Structures>,
    images: Vec<String>,
    usual_volumes: UsualVolumes,
}

/// Networks that see the same prepared images.
struct Group {
    pipeline: Pipeline,
    networks: Vec<Box<dyn Network>>,
}

/// A segmented scan, on the scan's own grid.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// The probability of each structure.
    pub probabilities: Probabilities,
    /// The class map (see [`Structures`]); of one mask, ones where there is brain.
    pub mask: Volume<u8>,
    /// How doubtful each structure is, from 0 to 1: what is missing of the Dice that its probabilities promise; where it is
    /// not found the largest probability.
    pub doubts: Vec<f64>,
    /// How sure the networks are of each voxel, if that is wanted: [`Predictor::tell_uncertainty`].
    pub uncertainty: Option<Uncertainty>,
    /// What is doubtful about the result, in words.
    pub warnings: Vec<String>,
}

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

/// Whether all voxels are the same.
fn is_blank(image: &Volume<f32>) -> bool {
    let mut voxels = image.voxels.iter();
    let first = voxels.next();
    voxels.all(|voxel| Some(voxel) == first)
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

    fn networks_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Network>> {
        self.groups.iter_mut().flat_map(|group| &mut group.networks)
    }

    /// How many networks there are.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.networks.len()).sum()
    }

    /// Lets the networks see this much of a scan at once, instead of what their experiments say.
    ///
    /// # Panics
    ///
    /// When a scan is segmented, if it is a window without a size, and a network was not trained on patches:
    /// [`View::rules`].
    pub fn see(&mut self, view: &View) {
        self.networks_mut()
            .for_each(|network| network.see(view.clone()));
    }

    /// Tells with every scan from now on how sure the networks are of each voxel.
    pub fn tell_uncertainty(&mut self) {
        self.tells_uncertainty = true;
    }

    /// What the networks find.
    pub fn structures(&self) -> &Structures {
        &self.structures
    }

    /// The images that they see, in order.
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// Segments a raw scan; a mask that comes with it is not looked at.
    ///
    /// # Errors
    ///
    /// When the scan has not the networks' number of images, it cannot be preprocessed, or the device fails. A scan that is
    /// blank is none: nothing is found in it.
    pub fn predict(&self, scan: CaseVolumes) -> Result<Predicted, PredictError> {
        if scan.images.len() != self.images.len() || scan.images.is_empty() {
            return Err(PredictError::Images {
                given: scan.images.len(),
                wanted: self.images.join(", "),
            });
        }
        let native = scan.grid();
        if scan.images.iter().all(is_blank) {
            return Ok(self.nothing(&native));
        }
        let mut scan = Some(CaseVolumes { mask: None, ..scan });
        let mut opinions = self.opinions();
        let mut doubts: Vec<String> = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            // The last group may have the scan itself.
            let raw = match at + 1 == self.groups.len() {
                true => scan.take(),
                false => scan.clone(),
            };
            let Some(raw) = raw else {
                unreachable!("the scan is taken by the last group");
            };
            let Applied { case, warnings, .. } = group.pipeline.apply_in_full(raw)?.useful()?;
            for doubt in warnings {
                if !doubts.contains(&doubt) {
                    doubts.push(doubt);
                }
            }
            self.ask(group, &case.images, &mut opinions)?;
        }
        let mut predicted = self.decided(opinions, &native);
        predicted.warnings.splice(0..0, doubts);
        Ok(predicted)
    }

    /// Segments images, all of one grid, that have been through the preprocessing, onto the grid of their scan. Networks
    /// whose preprocessing is not the first one's are not asked.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn predict_prepared(
        &self,
        images: &[Volume<f32>],
        native: &Grid,
    ) -> Result<Predicted, PredictError> {
        let mut opinions = self.opinions();
        self.ask(&self.groups[0], images, &mut opinions)?;
        Ok(self.decided(opinions, native))
    }

    /// What is found in a scan in which there is nothing to see.
    fn nothing(&self, native: &Grid) -> Predicted {
        let blank = |value| Volume {
            voxels: Array3::from_elem(native.shape, value),
            affine: native.affine,
        };
        let channels = (0..self.structures.outputs()).map(|channel| {
            let is_background = channel == 0 && self.structures.is_exclusive();
            blank(f32::from(u8::from(is_background)))
        });
        let (mask, probabilities) = decide(
            channels.collect(),
            native,
            &self.structures,
            &self.postprocess,
        );
        Predicted {
            probabilities,
            mask,
            doubts: vec![1.0; self.structures.count()],
            uncertainty: None,
            warnings: vec![
                "the scan is blank, all its voxels are the same: the mask is empty".into(),
            ],
        }
    }

    fn opinions(&self) -> Opinions<'_> {
        Opinions::of(&self.structures, self.tells_uncertainty)
    }

    /// Adds what a group's networks say of every mirrored view.
    fn ask(
        &self,
        group: &Group,
        images: &[Volume<f32>],
        opinions: &mut Opinions,
    ) -> Result<(), PredictError> {
        let grid = images[0].grid();
        for network in &group.networks {
            for mirror in &self.mirrors {
                let channels = network.probabilities(&mirror.of(images))?;
                opinions.add(mirror.back(channels), &grid);
            }
        }
        Ok(())
    }

    fn decided(&self, opinions: Opinions, native: &Grid) -> Predicted {
        let (channels, uncertainty) = opinions.mean();
        let threshold = |structure: usize| self.postprocess.structures[structure].threshold;
        let doubts = opinions::doubts(&channels, &self.structures, threshold);
        let (mask, probabilities) = decide(channels, native, &self.structures, &self.postprocess);
        let warnings = plausible::doubts(&mask, &self.structures, &self.usual_volumes);
        Predicted {
            probabilities,
            mask,
            doubts,
            uncertainty,
            warnings,
        }
    }
}
