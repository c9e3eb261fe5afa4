//! Preprocessing: what is done to a scan before a network sees it, one file per step.

mod bias;
pub mod cache;
mod centre;
mod field_of_view;
mod inputs;
mod otsu;
mod voxel_selection;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::settings::{self, Fault, Faults, within};
use crate::volume::{Volume, VolumeError};

pub use centre::Centre;
pub use inputs::{GRID_TOLERANCE, Inputs, LoadedCase, check_pair};

use field_of_view::Content;
pub use voxel_selection::VoxelSelection;

/// What every step does: the contract of a member of [`Step`].
///
/// The mask is what the network learns to predict: at prediction time there is none, so no intensity step may
/// look at it. The region exists at both times.
///
/// A field that is a path is marked in its schema by `#[schemars(extend("format" = "path"))]`: it is then
/// relative to the file that sets it, and results depend on what the file at the path holds.
pub trait CaseStep {
    /// The case after the step.
    ///
    /// # Errors
    ///
    /// When the step cannot do its work on this case.
    fn apply(&self, case: CaseVolumes) -> Result<CaseVolumes, PreprocessError>;

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

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
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
    /// The scan.
    pub image: Volume<f32>,
    /// What to find in it (0 or 1), on the scan's grid, where it is known.
    pub mask: Option<Volume<u8>>,
    /// How much each voxel counts where a step uses the region (0 for not at all),
    /// on the scan's grid. Known before the prediction.
    pub region: Option<Volume<f32>>,
}

impl From<Volume<f32>> for CaseVolumes {
    /// A scan alone.
    fn from(image: Volume<f32>) -> Self {
        Self {
            image,
            mask: None,
            region: None,
        }
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
            check_finite(&case.image)?;
        }
        let mut times = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            let started = Instant::now();
            case = with_member!(step, step => step.apply(case))?;
            times.push(StepTime {
                step: step.name(),
                time: started.elapsed(),
            });
            if !case.image.is_finite() {
                return Err(PreprocessError::Step {
                    step: step.name(),
                    why: "its result has voxels that are infinite or not a number. Look at the \
                          scan for extreme intensities"
                        .into(),
                });
            }
        }
        let missing = content.missing_in(&case.image.grid(), self.remedy_for_grid(&case));
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

fn check_finite(image: &Volume<f32>) -> Result<(), PreprocessError> {
    if image.is_finite() {
        return Ok(());
    }
    let mut broken = image
        .voxels
        .indexed_iter()
        .filter(|(_, value)| !value.is_finite());
    match broken.next() {
        None => Ok(()),
        Some((first, value)) => Err(PreprocessError::NotFinite {
            first: first.into(),
            value: *value,
            count: 1 + broken.count(),
        }),
    }
}

/// A case could not be preprocessed. Every message has a remedy.
#[derive(Debug, Error)]
pub enum PreprocessError {
    /// A file could not be read or written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The cache's folder could not be used.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    /// A step cannot do its work on this case.
    #[error("the preprocessing step `{step}` failed: {why}.")]
    Step {
        /// The step's name in YAML.
        step: &'static str,
        /// What is wrong and what to do.
        why: String,
    },
    /// The scan has voxels that are infinite or not a number.
    #[error(
        "voxel {first:?} is {value}, which is not an intensity ({count} such voxels in all). Add \
         `nan_to_zero` as the first preprocessing step to take them as 0, or repair the scan."
    )]
    NotFinite {
        /// The first of them.
        first: [usize; 3],
        /// Its value.
        value: f32,
        /// How many there are.
        count: usize,
    },
    /// A case failed.
    #[error("{}: {source}", image.display())]
    Case {
        /// The case's scan.
        image: PathBuf,
        /// What is wrong with it.
        source: Box<PreprocessError>,
    },
    /// Most of the mask or of the foreground is lost.
    #[error("{0}.")]
    OutsideGrid(String),
    /// A region's weight is below 0.
    #[error(
        "the region {} has values below 0, which are not weights. Use 0 outside and 1 inside, or \
         weights between them.", path.display()
    )]
    NegativeRegion {
        /// The region's file.
        path: PathBuf,
    },
    /// Mask or region does not lie on the image's grid.
    #[error(
        "the mask {} does not fit the image {}: {difference}. Use the mask that was drawn on this \
         image, or resample it onto the image's grid first.", mask.display(), image.display()
    )]
    Mismatch {
        /// The image's file.
        image: PathBuf,
        /// The mask's or the region's file.
        mask: PathBuf,
        /// Both shapes or both affines.
        difference: String,
    },
    /// The region marks nothing.
    #[error(
        "the region {} is empty: no voxel differs from 0. Check that it is the right file, or leave \
         it out.", path.display()
    )]
    EmptyRegion {
        /// The region's file.
        path: PathBuf,
    },
    /// A case to train on has no mask.
    #[error("{} has no mask to train on.", image.display())]
    NoMask {
        /// The case's prepared image.
        image: PathBuf,
    },
}
