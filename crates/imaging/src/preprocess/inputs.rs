//! The files of a case, read and checked against each other.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{CaseVolumes, PreprocessError, reading};
use crate::volume::nifti::{Encoding, Forms, Origin, Scan};
use crate::volume::{Marked, MaskRule, Structures};

/// Parts of a voxel that a mask may lie from its scan unless something else is set: more than programs' rounding of
/// headers, less than anyone sees.
pub const GRID_TOLERANCE: f64 = 0.1;

/// One of a case's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// What a run calls it, such as `flair`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// Which of the volumes of a 4-D file it is, from 0 on; `None` for a 3-D file.
    pub volume: Option<usize>,
}

impl ImageFile {
    /// The name of the image of a run that has one.
    pub const ONLY: &str = "image";

    /// The one image of a case.
    pub fn only(path: impl Into<PathBuf>) -> Self {
        Self::new(Self::ONLY, path)
    }

    /// An image in a file of its own.
    pub fn new(name: &str, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            path: path.into(),
            volume: None,
        }
    }
}

/// The files that a case is made from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The case's name.
    pub id: &'a str,
    /// The scan's images, at least one, in the order in which the network takes them.
    pub images: Cow<'a, [ImageFile]>,
    /// The image whose grid all take, which need not be one of them; `None` if they lie on one grid as they are.
    pub onto: Option<&'a ImageFile>,
    /// What to find in them, where it is known.
    pub mask: Option<&'a Path>,
    /// Which of the mask's voxels are marked.
    pub mask_rule: &'a MaskRule,
    /// Where intensity steps may look (a mask, or weights), known before the prediction.
    pub region: Option<&'a Path>,
    /// How far images, mask and region may lie from the grid of all, in voxels.
    pub grid_tolerance: f64,
}

impl<'a> Inputs<'a> {
    /// A scan of one image alone, called by its file.
    pub fn scan(image: &Path, region: Option<&'a Path>) -> Self {
        Self::images(vec![ImageFile::only(image)], region)
    }

    /// A scan alone, of several images that lie on one grid; at least one.
    pub fn images(images: impl Into<Cow<'a, [ImageFile]>>, region: Option<&'a Path>) -> Self {
        Self {
            id: "",
            images: images.into(),
            onto: None,
            mask: None,
            mask_rule: &MaskRule::STRICT,
            region,
            grid_tolerance: GRID_TOLERANCE,
        }
    }

    /// The images, and last the one whose grid they take if it is none of them.
    pub fn files(&self) -> impl Iterator<Item = &ImageFile> {
        let onto = self.onto.filter(|onto| !self.images.contains(onto));
        self.images.iter().chain(onto)
    }

    /// The images' names, in their order.
    pub fn names(&self) -> Vec<String> {
        self.images.iter().map(|image| image.name.clone()).collect()
    }

    /// What the mask is a class map of, if it is not a mask of one structure.
    pub fn structures(&self) -> Option<&Structures> {
        match &self.mask_rule.marked {
            Marked::Structures(structures) => Some(structures).filter(|of| !of.is_mask()),
            _ => None,
        }
    }

    /// The file of the first image, by which messages call the case.
    ///
    /// # Panics
    ///
    /// If there is no image.
    pub fn first(&self) -> &Path {
        &self.images[0].path
    }

    /// Reads the files. Voxels that are infinite or not a number are let through: the pipeline deals with them.
    ///
    /// With [`Inputs::onto`], images on other grids are resampled onto that image's: linearly, each voxel reaching half a
    /// voxel beyond its centre, and outside lies what [`background`](crate::volume::resample::background) finds.
    ///
    /// # Errors
    ///
    /// When one cannot be read, the mask is none by its rule, images, mask or region do not lie on one grid, or
    /// the region marks nothing or has a weight below 0.
    ///
    /// # Panics
    ///
    /// If there is no image.
    pub fn read(&self) -> Result<LoadedCase, PreprocessError> {
        self.place(self.read_images()?)
    }

    /// Reads the images alone, each as its file has it. A file that holds several is read once.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn read_images(&self) -> Result<Vec<Scan>, PreprocessError> {
        reading::read_images(self)
    }

    /// The second half of [`Inputs::read`]: puts the images, as [`Inputs::read_images`] has read them, on one grid, and
    /// reads mask and region.
    ///
    /// # Errors
    ///
    /// As [`Inputs::read`].
    ///
    /// # Panics
    ///
    /// If these are not the images of [`Inputs::read_images`], or none.
    pub fn place(&self, scans: Vec<Scan>) -> Result<LoadedCase, PreprocessError> {
        reading::place(self, scans)
    }
}

/// A case as its files have it.
#[derive(Clone, Debug)]
pub struct LoadedCase {
    /// Images, mask and region.
    pub case: CaseVolumes,
    /// How the first image's file stores intensities.
    pub encoding: Encoding,
    /// What results take over from the scan's files: the place of the image whose grid all take, and that they are
    /// made from the first image.
    pub origin: Origin,
    /// Voxels of the first image that single precision cannot keep ([`Scan::rounded`]).
    pub rounded: usize,
    /// What is doubtful about the scan.
    pub warnings: Vec<String>,
}

/// Checks that a mask lies on its scan's grid, up to `tolerance` voxels ([`Forms::fits`]), and returns what to report
/// about it.
///
/// # Errors
///
/// When it does not; the message names both files, what differs and what to do.
pub fn check_pair(
    (image_path, image): (&Path, &Forms),
    (mask_path, mask): (&Path, &Forms),
    tolerance: f64,
) -> Result<Option<String>, PreprocessError> {
    image
        .fits("the scan", mask, tolerance)
        .map_err(|difference| PreprocessError::Mismatch {
            image: image_path.to_owned(),
            mask: mask_path.to_owned(),
            difference,
        })
}
