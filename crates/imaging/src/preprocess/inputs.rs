//! The files of a case, read and checked against each other.

use std::path::Path;

use super::{CaseVolumes, PreprocessError};
use crate::volume::nifti::{Encoding, Forms, Origin, Scan, read_scan};
use crate::volume::{MaskRule, Volume};

/// Parts of a voxel that a mask may lie from its scan unless something else is set: more than programs' rounding of
/// headers, less than anyone sees.
pub const GRID_TOLERANCE: f64 = 0.1;

/// The files that a case is made from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The case's name.
    pub id: &'a str,
    /// The scan.
    pub image: &'a Path,
    /// What to find in it, where it is known.
    pub mask: Option<&'a Path>,
    /// Which of the mask's voxels are marked.
    pub mask_rule: &'a MaskRule,
    /// Where intensity steps may look (a mask, or weights), known before the prediction.
    pub region: Option<&'a Path>,
    /// How far mask and region may lie from the scan, in voxels.
    pub grid_tolerance: f64,
}

impl<'a> Inputs<'a> {
    /// A scan alone, called by its file.
    pub fn scan(image: &'a Path, region: Option<&'a Path>) -> Self {
        Self {
            id: "",
            image,
            mask: None,
            mask_rule: &MaskRule::STRICT,
            region,
            grid_tolerance: GRID_TOLERANCE,
        }
    }

    /// Reads the files. Voxels that are infinite or not a number are let through: the pipeline deals with them.
    ///
    /// # Errors
    ///
    /// When one cannot be read, the mask is none by its rule, mask or region do not lie on the image's grid, or
    /// the region marks nothing or has a weight below 0.
    pub fn read(&self) -> Result<LoadedCase, PreprocessError> {
        let scan = read_scan(self.image)?;
        let mut warnings = scan.warnings();
        let mask = self
            .mask
            .map(|path| self.place_mask(path, &scan, &mut warnings));
        let region = self
            .region
            .map(|path| self.place_region(path, &scan, &mut warnings));
        let (mask, region) = (mask.transpose()?, region.transpose()?);
        Ok(LoadedCase {
            case: CaseVolumes {
                image: scan.volume,
                mask,
                region,
            },
            encoding: scan.encoding,
            origin: Origin::of(self.image, scan.forms),
            rounded: scan.rounded,
            warnings,
        })
    }

    fn place_mask(
        &self,
        path: &Path,
        scan: &Scan,
        warnings: &mut Vec<String>,
    ) -> Result<Volume<u8>, PreprocessError> {
        let (read, noted) = self.read_beside(path, scan)?;
        let mut mask = read.into_mask(path, self.mask_rule)?;
        place(&mut mask, scan, path, noted, warnings);
        Ok(mask)
    }

    fn place_region(
        &self,
        path: &Path,
        scan: &Scan,
        warnings: &mut Vec<String>,
    ) -> Result<Volume<f32>, PreprocessError> {
        let (read, noted) = self.read_beside(path, scan)?;
        let mut region = read.into_image(path)?;
        place(&mut region, scan, path, noted, warnings);
        check_region_marks(path, &region)?;
        if region.voxels.iter().any(|weight| *weight < 0.0) {
            return Err(PreprocessError::NegativeRegion {
                path: path.to_owned(),
            });
        }
        Ok(region)
    }

    /// A file that must lie on the scan's grid, and what is noted about its place.
    fn read_beside(
        &self,
        path: &Path,
        scan: &Scan,
    ) -> Result<(Scan, Option<String>), PreprocessError> {
        let read = read_scan(path)?;
        let scan = (self.image, &scan.forms);
        let noted = check_pair(scan, (path, &read.forms), self.grid_tolerance)?;
        Ok((read, noted))
    }
}

/// Where something is `noted` about a mask's place, its voxels are the scan's from here on.
fn place<T>(
    mask: &mut Volume<T>,
    scan: &Scan,
    path: &Path,
    noted: Option<String>,
    warnings: &mut Vec<String>,
) {
    if let Some(noted) = noted {
        mask.affine = scan.volume.affine;
        warnings.push(format!("the mask {}: {noted}", path.display()));
    }
}

/// A case as its files have it.
#[derive(Clone, Debug)]
pub struct LoadedCase {
    /// Scan, mask and region.
    pub case: CaseVolumes,
    /// How the scan's file stores intensities.
    pub encoding: Encoding,
    /// What results take over from the scan's file.
    pub origin: Origin,
    /// Voxels of the scan that single precision cannot keep ([`Scan::rounded`]).
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

/// Checks that a region marks something.
fn check_region_marks(path: &Path, region: &Volume<f32>) -> Result<(), PreprocessError> {
    if region.voxels.iter().any(|weight| *weight != 0.0) {
        return Ok(());
    }
    Err(PreprocessError::EmptyRegion {
        path: path.to_owned(),
    })
}
