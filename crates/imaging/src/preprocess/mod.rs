//! Preprocessing: what is done to a scan before a network sees it, one file per step.

mod bias;
pub mod cache;
mod centre;
mod error;
mod field_of_view;
mod inputs;
mod otsu;
mod pipeline;
mod reading;
mod voxel_selection;

use crate::channels::Selective;
use crate::settings::Fault;
use crate::volume::{Grid, Volume};

pub use centre::Centre;
pub use error::PreprocessError;
pub use inputs::{GRID_TOLERANCE, ImageFile, Inputs, LoadedCase, check_pair};
pub use pipeline::{Applied, Pipeline, StepTime};
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

impl Step {
    /// What the step does.
    fn behaviour(&self) -> &dyn CaseStep {
        with_member!(self, step => step)
    }

    fn behaviour_mut(&mut self) -> &mut dyn CaseStep {
        with_member!(self, step => step)
    }
}

impl Selective for Step {
    fn name(&self) -> &'static str {
        Self::name(self)
    }

    fn defaults() -> Vec<Self> {
        Self::defaults()
    }

    fn rules(&self) -> Vec<Fault> {
        Self::rules(self)
    }

    fn concerns_all(&self) -> Option<&'static str> {
        match self.behaviour().work() {
            Work::Grid(_) => Some("changes the grid of all images alike"),
            Work::Intensities(_) => None,
        }
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

/// What is wrong with one of a case's images, which is named if there are several.
fn of_image(names: &[String], name: &str, why: &str) -> String {
    match names.len() {
        1 => why.to_owned(),
        _ => format!("on the image `{name}`, {why}"),
    }
}
