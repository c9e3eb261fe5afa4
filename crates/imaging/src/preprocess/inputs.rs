//! The files of a case, read and checked against each other.

use std::path::Path;

use super::{CaseVolumes, PreprocessError};
use crate::volume::nifti::{Encoding, read_image, read_mask_by, read_scan};
use crate::volume::{Grid, MaskRule, Volume, VolumeError};

/// How far apart image and mask may put the same voxel, in mm: what float32 headers differ by.
const TOLERANCE_MM: f64 = 1e-3;

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
        }
    }

    /// Reads the mask alone.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not a mask by its rule.
    pub fn read_mask(&self) -> Result<Option<Volume<u8>>, VolumeError> {
        let read = |path| read_mask_by(path, self.mask_rule);
        self.mask.map(read).transpose()
    }

    /// Reads the files. Voxels that are infinite or not a number are let through: the pipeline deals with them.
    ///
    /// # Errors
    ///
    /// When one cannot be read, the mask is none by its rule, mask or region do not lie on the image's grid, or
    /// the region marks nothing or has a weight below 0.
    pub fn read(&self) -> Result<LoadedCase, PreprocessError> {
        let scan = read_scan(self.image)?;
        let warnings = scan.warnings();
        let case = CaseVolumes {
            image: scan.volume,
            mask: self.read_mask()?,
            region: self.region.map(read_image).transpose()?,
        };
        let image = (self.image, &case.image.grid());
        if let (Some(path), Some(mask)) = (self.mask, &case.mask) {
            check_pair(image, (path, &mask.grid()))?;
        }
        if let (Some(path), Some(region)) = (self.region, &case.region) {
            check_pair(image, (path, &region.grid()))?;
            check_region_marks(path, region)?;
            if region.voxels.iter().any(|weight| *weight < 0.0) {
                return Err(PreprocessError::NegativeRegion {
                    path: path.to_owned(),
                });
            }
        }
        Ok(LoadedCase {
            case,
            encoding: scan.encoding,
            warnings,
        })
    }
}

/// A case as its files have it.
#[derive(Clone, Debug)]
pub struct LoadedCase {
    /// Scan, mask and region.
    pub case: CaseVolumes,
    /// How the scan's file stores intensities.
    pub encoding: Encoding,
    /// What is doubtful about the scan.
    pub warnings: Vec<String>,
}

/// Checks that a mask lies on its image's grid (within 0.001 mm).
///
/// # Errors
///
/// When it does not; the message names both files, what differs and what to do.
pub fn check_pair(
    (image_path, image): (&Path, &Grid),
    (mask_path, mask): (&Path, &Grid),
) -> Result<(), PreprocessError> {
    let mismatch = |difference| PreprocessError::Mismatch {
        image: image_path.to_owned(),
        mask: mask_path.to_owned(),
        difference,
    };
    if image.shape != mask.shape {
        let (expected, found) = (image.shape, mask.shape);
        return Err(mismatch(format!(
            "its shape is {found:?}, the image's {expected:?}"
        )));
    }
    let offset = image.largest_offset(&mask.affine);
    if offset > TOLERANCE_MM {
        return Err(mismatch(format!(
            "they place the same voxel up to {offset:.3} mm apart; its affine is {:?}, the \
             image's {:?}",
            &mask.affine.0[..3],
            &image.affine.0[..3]
        )));
    }
    Ok(())
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
