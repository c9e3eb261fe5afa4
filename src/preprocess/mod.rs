//! Preprocessing: what is done to a scan before a network sees it, one step a file.

mod bias;
pub mod cache;
mod centre;
mod clip;
mod crop_pad;
mod inputs;
pub mod n4;
mod nan_to_zero;
mod nyul;
mod otsu;
mod over;
mod reorient;
mod resample;
mod rescale;
mod statistics;
mod zscore;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::volume::{Volume, VolumeError};

pub use centre::Centre;
pub use clip::Clip;
pub use crop_pad::CropPad;
pub use inputs::{Inputs, Raw, check_pair};
pub use n4::N4;
pub use nan_to_zero::NanToZero;
pub use nyul::Nyul;
pub use over::Over;
pub use reorient::Reorient;
pub use resample::Resample;
pub use rescale::Rescale;
pub use zscore::Zscore;

crate::family! {
    /// One step of preprocessing.
    pub enum Step {
        /// Sets voxels that are infinite or not a number to 0.
        "nan_to_zero" => NanToZero(NanToZero),
        /// Corrects the slow brightness drift of MRI (N4ITK).
        "n4" => N4(N4),
        /// Permutes and flips the axes.
        "reorient" => Reorient(Reorient),
        /// Moves image and mask onto another grid.
        "resample" => Resample(Resample),
        /// Cuts off or adds voxels at the edges.
        "crop_pad" => CropPad(CropPad),
        /// Clips the intensities to percentiles.
        "clip" => Clip(Clip),
        /// Maps the intensities linearly onto a range.
        "rescale" => Rescale(Rescale),
        /// Shifts and scales the intensities to mean 0 and standard deviation 1.
        "zscore" => Zscore(Zscore),
        /// Maps the intensities' percentiles onto landmarks learnt from the training cases.
        "nyul" => Nyul(Nyul),
    }
}

impl Step {
    /// The mask is what the network shall learn: at prediction time there is none, so no intensity
    /// step may look at it. The region is there at both times.
    fn apply(&self, mut case: Prepared) -> Result<Prepared, PreprocessError> {
        match self {
            Self::Reorient(step) => return Ok(step.apply(&case)),
            Self::Resample(step) => return step.apply(case),
            Self::CropPad(step) => return step.apply(case),
            Self::NanToZero(step) => step.apply(&mut case),
            Self::N4(step) => case.image = step.corrected(&case)?.image,
            Self::Clip(step) => step.apply(&mut case)?,
            Self::Rescale(step) => step.apply(&mut case)?,
            Self::Zscore(step) => step.apply(&mut case)?,
            Self::Nyul(step) => step.apply(&mut case)?,
        }
        Ok(case)
    }
}

/// A scan on its way through the steps, with what goes along with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// The scan.
    pub image: Volume<f32>,
    /// What to find in it (0 or 1), on the scan's grid, where it is known.
    pub mask: Option<Volume<u8>>,
    /// How much each voxel counts where a step is told to look at the region (0 for not at all),
    /// on the scan's grid. Known before the prediction.
    pub region: Option<Volume<f32>>,
}

impl From<Volume<f32>> for Prepared {
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

/// The steps in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Pipeline(pub Vec<Step>);

impl Pipeline {
    /// Checks every step's values.
    ///
    /// # Errors
    ///
    /// A sentence that names the step, the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        self.0.iter().try_for_each(Step::validate)
    }

    /// Takes a case through all steps.
    ///
    /// # Errors
    ///
    /// When the scan has voxels that are no number, or a step cannot do its work on it or leaves
    /// such voxels.
    pub fn apply(&self, case: Prepared) -> Result<Prepared, PreprocessError> {
        self.apply_timed(case).map(|(case, _)| case)
    }

    /// As [`Pipeline::apply`], and says how long each step took.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::apply`].
    pub fn apply_timed(
        &self,
        mut case: Prepared,
    ) -> Result<(Prepared, Vec<StepTime>), PreprocessError> {
        if !matches!(self.0.first(), Some(Step::NanToZero(_))) {
            check_finite(&case.image)?;
        }
        let mut times = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            let started = Instant::now();
            case = step.apply(case)?;
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
        Ok((case, times))
    }

    /// The files that steps read besides the case: what a result depends on.
    pub fn files(&self) -> Vec<&Path> {
        self.0
            .iter()
            .filter_map(|step| match step {
                Step::Resample(resample) => resample.onto.as_deref(),
                _ => None,
            })
            .collect()
    }

    /// The pipeline with relative paths taken from `folder`.
    pub fn anchored(mut self, folder: &Path) -> Self {
        for step in &mut self.0 {
            if let Step::Resample(Resample {
                onto: Some(path), ..
            }) = step
            {
                *path = folder.join(&*path);
            }
        }
        self
    }

    /// The position of the first step that has to learn from the training cases before it can be
    /// applied.
    pub fn first_to_learn(&self) -> Option<usize> {
        let learns = |step: &Step| matches!(step, Step::Nyul(nyul) if nyul.landmarks.is_none());
        self.0.iter().position(learns)
    }

    /// The pipeline with its first step that learns taught by `cases`: the training cases as the
    /// steps before it leave them.
    ///
    /// # Errors
    ///
    /// The first case that cannot be had, or that the step cannot learn from.
    pub fn learnt(
        mut self,
        cases: impl Iterator<Item = Result<Prepared, PreprocessError>>,
    ) -> Result<Self, PreprocessError> {
        if let Some(at) = self.first_to_learn()
            && let Step::Nyul(nyul) = &self.0[at]
        {
            self.0[at] = Step::Nyul(nyul.learn(cases)?);
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

/// A case could not be preprocessed. Every message says what to do.
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
    /// The scan has voxels that are no number.
    #[error(
        "voxel {first:?} is {value}, which is no intensity ({count} such voxels in all). Add \
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
    /// A region's weight is below 0.
    #[error(
        "the region {} has values below 0, which are no weights. Use 0 outside and 1 inside, or \
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
    /// The mask or the region marks nothing.
    #[error(
        "the mask {} is empty: no voxel differs from 0. Check that it is the right file, or leave \
         the case out.", path.display()
    )]
    EmptyMask {
        /// The mask's file.
        path: PathBuf,
    },
}
