//! Why a case could not be preprocessed.

use std::path::PathBuf;

use thiserror::Error;

use super::ImageFile;
use crate::volume::VolumeError;

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
        "voxel {first:?}{} is {value}, which is not an intensity ({count} such voxels in all). Add \
         `nan_to_zero` as the first preprocessing step to take them as 0, or repair the scan.", of(image.as_deref())
    )]
    NotFinite {
        /// The image that has them, where there are several.
        image: Option<String>,
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
    /// A case's map of labels is wrong.
    #[error("in the case {case}, {source}")]
    Labels {
        /// The case's name.
        case: String,
        /// What is wrong with which file.
        source: VolumeError,
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
    /// Images of a case lie on different grids.
    #[error(
        "the image `{}` ({}) does not lie on the grid of `{}` ({}): {difference}. To resample all images of a case onto \
         one grid on reading, set beside the data's source {remedy}.",
        images[0].name, images[0].path.display(), images[1].name, images[1].path.display()
    )]
    Images {
        /// One image, and the one on whose grid it should lie.
        images: Box<[ImageFile; 2]>,
        /// Both shapes or both affines.
        difference: String,
        /// The key to set.
        remedy: String,
    },
    /// An image shows nothing of where the others lie.
    #[error(
        "nothing of the image `{}` ({}) lies where the image `{}` ({}) does, onto whose grid it is to be resampled. \
         Check that both are of one scan, or correct the header that is wrong.",
        images[0].name, images[0].path.display(), images[1].name, images[1].path.display()
    )]
    Apart {
        /// The image, and the one whose grid all take.
        images: Box<[ImageFile; 2]>,
    },
    /// A mask lies on the grid of another image than that which all take.
    #[error(
        "the mask {} lies on the grid of the image `{other}`, not on that of `{reference}`, which all images take. Set \
         `onto: {other}` beside the data's source, or resample the mask onto the grid of `{reference}` first.",
        mask.display()
    )]
    OnOther {
        /// The mask's or the region's file.
        mask: PathBuf,
        /// The image on whose grid it lies.
        other: String,
        /// The image whose grid all take.
        reference: String,
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

/// Which image something is of, where there are several.
fn of(image: Option<&str>) -> String {
    image.map_or(String::new(), |name| format!(" of the image `{name}`"))
}
