//! Preprocessing: what is done to a scan before a network sees it, one file per step.

mod bias;
pub mod cache;
mod centre;
mod error;
mod field_of_view;
mod inputs;
mod otsu;
mod reading;
mod voxel_selection;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::{self, Fault, Faults, within};
use crate::volume::{Grid, Volume};

pub use centre::Centre;
pub use error::PreprocessError;
pub use inputs::{GRID_TOLERANCE, ImageFile, Inputs, LoadedCase, check_pair};

use field_of_view::Content;
pub use voxel_selection::VoxelSelection;

/// What every step does: the contract of a member of [`Step`].
///
/// A field that is a path is marked in its schema by `#[schemars(extend("format" = "path"))]`: it is then
/// relative to the file that sets it, and results depend on what the file at the path holds.
pub trait CaseStep {
    /// What it works on.
    fn work(&self) -> Work<'_>;

    /// Whether scans with voxels that are infinite or not a number can be given to it.
    fn repairs_voxels(&self) -> bool {
        false
    }

    /// Whether it has to learn from the training cases before it can be applied.
    fn must_learn(&self) -> bool {
        false
    }

    /// Learns from the training cases as the steps before leave them; there is at least one.
    ///
    /// # Errors
    ///
    /// The first case that cannot be loaded, or that it cannot learn from.
    fn learn(
        &mut self,
        _cases: &mut dyn Iterator<Item = Result<CaseVolumes, PreprocessError>>,
    ) -> Result<(), PreprocessError> {
        Ok(())
    }

    /// The images that its settings name, each with the field that does.
    fn images(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

/// What a step works on: each member of [`Step`] is one of the two.
pub enum Work<'a> {
    /// The intensities of one image at a time.
    Intensities(&'a dyn ChangesImage),
    /// The grid of the whole case.
    Grid(&'a dyn MovesCase),
}

/// A step that changes intensities.
///
/// The mask is what the network learns to predict: at prediction time there is none, so no such step sees it. The
/// region exists at both times.
pub trait ChangesImage {
    /// Changes one image of a case.
    ///
    /// # Errors
    ///
    /// What is wrong with this image and what to do, without the step's name.
    fn change(&self, image: &mut Volume<f32>, about: About) -> Result<(), String>;
}

/// What a step may know about an image besides its voxels.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What the run calls it.
    pub name: &'a str,
    /// The case's region, on the image's grid.
    pub region: Option<&'a Volume<f32>>,
}

/// A step that moves a case onto another grid, image by image in the same way.
pub trait MovesCase {
    /// The case on its new grid. Where the grid depends on what an image shows, it is the first.
    ///
    /// # Errors
    ///
    /// When the step cannot do its work on this case.
    fn moved(&self, case: CaseVolumes) -> Result<CaseVolumes, PreprocessError>;
}

crate::family! {
    /// One step of preprocessing.
    pub enum Step: CaseStep, listed as "preprocessing" {
        /// Sets voxels that are infinite or not a number to 0.
        "nan_to_zero" => nan_to_zero::NanToZero,
        /// Corrects the slow brightness drift of MRI (N4ITK).
        "n4" => pub n4::N4,
        /// Permutes and flips the axes.
        "reorient" => reorient::Reorient,
        /// Moves image and mask onto another grid.
        "resample" => resample::Resample,
        /// Cuts off or adds voxels at the edges.
        "crop_pad" => crop_pad::CropPad,
        /// Clips the intensities to percentiles.
        "clip" => clip::Clip,
        /// Maps the intensities linearly onto a range.
        "rescale" => rescale::Rescale,
        /// Shifts and scales the intensities to mean 0 and standard deviation 1.
        "zscore" => zscore::Zscore,
        /// Maps the intensities' percentiles onto landmarks learnt from the training cases.
        "nyul" => nyul::Nyul,
    }
}

/// A scan on its way through the steps, with what goes along with it.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseVolumes {
    /// The images, at least one, all on one grid.
    pub images: Vec<Volume<f32>>,
    /// What the run calls them, in the same order.
    pub names: Vec<String>,
    /// What to find in it, on the scan's grid, where it is known: its classes, 0 for none of them.
    pub mask: Option<Volume<u8>>,
    /// How much each voxel counts where a step uses the region (0 for not at all),
    /// on the scan's grid. Known before the prediction.
    pub region: Option<Volume<f32>>,
}

impl From<Volume<f32>> for CaseVolumes {
    /// A scan of one image alone.
    fn from(image: Volume<f32>) -> Self {
        Self {
            images: vec![image],
            names: vec![ImageFile::ONLY.to_owned()],
            mask: None,
            region: None,
        }
    }
}

impl CaseVolumes {
    /// The first image.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn first(&self) -> &Volume<f32> {
        &self.images[0]
    }

    /// The grid of all images.
    ///
    /// # Panics
    ///
    /// If there is no image.
    pub fn grid(&self) -> Grid {
        self.first().grid()
    }
}

/// How long a step took.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTime {
    /// The step's name in YAML.
    pub step: &'static str,
    /// Its wall time.
    pub time: Duration,
}

/// A case after all steps.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The case.
    pub case: CaseVolumes,
    /// How long each step took.
    pub times: Vec<StepTime>,
    /// What is doubtful about it, in words.
    pub warnings: Vec<String>,
    /// Whether the grid at the end holds less than half of the mask, or of the foreground of a scan without a mask. The
    /// last warning then has the details.
    pub is_cut_off: bool,
}

impl Applied {
    /// The case, if it is of use for training and prediction.
    ///
    /// # Errors
    ///
    /// When most of it is cut off.
    pub fn useful(mut self) -> Result<Self, PreprocessError> {
        match self.is_cut_off {
            true => Err(PreprocessError::OutsideGrid(
                self.warnings.pop().unwrap_or_default(),
            )),
            false => Ok(self),
        }
    }
}

/// The steps in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Pipeline(pub Vec<Step>);

impl Pipeline {
    /// What is wrong with the steps that the ranges of their fields do not show.
    pub fn rules(&self) -> Vec<Fault> {
        let steps = self.0.iter().enumerate();
        steps
            .flat_map(|(index, step)| within(&index.to_string(), step.rules()))
            .collect()
    }

    /// Checks every step's values.
    ///
    /// # Errors
    ///
    /// Each field that is wrong, and what it may be.
    pub fn validate(&self) -> Result<(), Faults> {
        settings::validate(self, Self::rules)
    }

    /// Takes a case through all steps.
    ///
    /// # Errors
    ///
    /// When the scan has voxels that are infinite or not a number, a step cannot do its work on it or leaves
    /// such voxels, or the grid at the end holds less than half of the mask (or of the foreground of a scan without one).
    pub fn apply(&self, case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        let applied = self.apply_in_full(case)?.useful()?;
        Ok(applied.case)
    }

    /// As [`Pipeline::apply`], and also returns how long each step took and what is doubtful; a case that is cut off
    /// is no error.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::apply`], but for what the grid does not hold.
    pub fn apply_in_full(&self, mut case: CaseVolumes) -> Result<Applied, PreprocessError> {
        let content = Content::of(&case);
        let repairs = |step: &Step| with_member!(step, step => step.repairs_voxels());
        if !self.0.first().is_some_and(repairs) {
            check_finite(&case)?;
        }
        let mut times = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            let started = Instant::now();
            case = step.apply(case)?;
            times.push(StepTime {
                step: step.name(),
                time: started.elapsed(),
            });
        }
        let missing = content.missing_in(&case.grid(), self.remedy_for_grid(&case));
        Ok(Applied {
            case,
            times,
            is_cut_off: missing.as_ref().is_some_and(|missing| missing.is_most),
            warnings: missing.into_iter().map(|missing| missing.message).collect(),
        })
    }

    /// What helps if the grid does not hold the head.
    fn remedy_for_grid(&self, case: &CaseVolumes) -> &'static str {
        let around_origin =
            |step: &Step| matches!(step, Step::Resample(step) if step.is_around_origin());
        if case.mask.is_some() {
            "Give `resample` or `crop_pad` a larger `shape`, or set its `centre: head`"
        } else if self.0.iter().any(around_origin) {
            "The grid lies around the world's origin: set the origin in the scan's header to the middle of the \
             head, or use a run whose grid has `centre: head`"
        } else {
            "Crop the scan around the head first, or use a run with a larger grid"
        }
    }

    /// The files that steps read besides the case: what a result depends on.
    pub fn files(&self) -> Vec<PathBuf> {
        settings::paths(self)
    }

    /// The pipeline with relative paths taken from `folder`.
    pub fn anchored(self, folder: &Path) -> Self {
        settings::anchored(self, folder)
    }

    /// The position of the first step that has to learn from the training cases before it can be
    /// applied.
    pub fn first_to_learn(&self) -> Option<usize> {
        let must_learn = |step: &Step| with_member!(step, step => step.must_learn());
        self.0.iter().position(must_learn)
    }

    /// The pipeline after its first learning step has learnt from `cases`: the training cases as the steps
    /// before it leave them.
    ///
    /// # Errors
    ///
    /// The first case that cannot be loaded, or that the step cannot learn from.
    pub fn learnt(
        mut self,
        mut cases: impl Iterator<Item = Result<CaseVolumes, PreprocessError>>,
    ) -> Result<Self, PreprocessError> {
        if let Some(at) = self.first_to_learn() {
            with_member!(&mut self.0[at], step => step.learn(&mut cases))?;
        }
        Ok(self)
    }
}

impl Step {
    /// A case after this step.
    fn apply(&self, mut case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        let failed = |why: String| PreprocessError::Step {
            step: self.name(),
            why,
        };
        match with_member!(self, step => step.work()) {
            Work::Grid(step) => case = step.moved(case)?,
            Work::Intensities(step) => {
                for (image, name) in case.images.iter_mut().zip(&case.names) {
                    let region = case.region.as_ref();
                    let changed = step.change(image, About { name, region });
                    changed.map_err(|why| failed(of_image(&case.names, name, &why)))?;
                }
            }
        }
        let mut images = case.images.iter().zip(&case.names);
        match images.find(|(image, _)| !image.is_finite()) {
            None => Ok(case),
            Some((_, name)) => {
                let why = "its result has voxels that are infinite or not a number. Look at the scan for extreme \
                           intensities";
                Err(failed(of_image(&case.names, name, why)))
            }
        }
    }
}

/// What is wrong with one of a case's images, which is named if there are several.
fn of_image(names: &[String], name: &str, why: &str) -> String {
    match names.len() {
        1 => why.to_owned(),
        _ => format!("on the image `{name}`, {why}"),
    }
}

fn check_finite(case: &CaseVolumes) -> Result<(), PreprocessError> {
    for (image, name) in case.images.iter().zip(&case.names) {
        if image.is_finite() {
            continue;
        }
        let voxels = image.voxels.indexed_iter();
        let mut broken = voxels.filter(|(_, value)| !value.is_finite());
        if let Some((first, value)) = broken.next() {
            return Err(PreprocessError::NotFinite {
                image: (case.images.len() > 1).then(|| name.clone()),
                first: first.into(),
                value: *value,
                count: 1 + broken.count(),
            });
        }
    }
    Ok(())
}
