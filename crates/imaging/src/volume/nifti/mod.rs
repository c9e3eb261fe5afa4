//! NIfTI files of either version, whole, gzipped or as a pair of `.hdr` and `.img`.
//!
//! The `nifti` crate parses NIfTI-1's header. Around it stands what it leaves open: NIfTI-2, nothing
//! is trusted before it is checked against the data that is really there, the affine is built here,
//! and reading voxels and writing are done here (the crate panics on contradictory headers; its
//! writer is not atomic and cuts dotted names).

mod decode;
mod encoding;
mod forms;
mod header;
mod mark;
mod members;
mod pieces;
mod qform;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use self::encoding::{Dtype, Encoding};
pub use self::forms::{Forms, Placement};
pub use self::pieces::Pieces;
use self::read::{read, read_some};
pub use self::write::{Encoded, Stored};
use super::{MaskRule, Volume, VolumeError};

/// A scan as its file has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The intensities, which may be infinite or not a number.
    pub volume: Volume<f32>,
    /// How the file stores them, for writing others in the same way.
    pub encoding: Encoding,
    /// How the header places them.
    pub forms: Forms,
    /// Voxels that single precision cannot keep: their stored whole number changes, or their real number by more than
    /// 1e-4 of the range of all.
    pub rounded: usize,
}

impl Scan {
    /// What is doubtful about the scan though it can be used, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.forms.doubts();
        if self.rounded > 0 {
            warnings.push(format!(
                "{} voxels hold numbers that are rounded, because voxels are kept in single precision",
                self.rounded
            ));
        }
        warnings
    }

    /// The voxels, which must all be numbers; `path` is the scan's file.
    ///
    /// # Errors
    ///
    /// When a voxel is infinite or not a number.
    pub fn into_image(self, path: &Path) -> Result<Volume<f32>, VolumeError> {
        if self.volume.is_finite() {
            return Ok(self.volume);
        }
        let mut voxels = self.volume.voxels.indexed_iter();
        if let Some((index, value)) = voxels.find(|(_, value)| !value.is_finite()) {
            return Err(malformed(
                path,
                format!(
                    "voxel {index:?} is {value}, which is not an intensity. Replace such voxels (by 0, \
                     say) before using the scan"
                ),
            ));
        }
        Ok(self.volume)
    }

    /// As [`Self::into_image`], and `rule` decides which voxels are marked.
    ///
    /// # Errors
    ///
    /// As [`Self::into_image`], and when the file is not a mask by this rule.
    pub fn into_mask(self, path: &Path, rule: &MaskRule) -> Result<Volume<u8>, VolumeError> {
        let Volume { voxels, affine } = self.into_image(path)?;
        let voxels = rule.apply(&voxels).map_err(|why| VolumeError::NotMask {
            path: path.to_owned(),
            why,
        })?;
        Ok(Volume { voxels, affine })
    }
}

/// Reads a file with one 3-D volume of real numbers of any type and byte order: `.nii`, or `.hdr`
/// and `.img` (either may be named), gzipped or not. The header's scaling is applied.
///
/// The affine, in mm whatever the header's unit, is the sform's where its code is above 0 (NIfTI-1's float32
/// widened to float64), else the qform's, else the voxel sizes alone.
///
/// # Errors
///
/// When the file is missing, damaged, of another kind, or holds several volumes or colours.
pub fn read_scan(path: &Path) -> Result<Scan, VolumeError> {
    read(path)
}

/// Reads some of the volumes of a 4-D file, such as the images of a scan of several, otherwise as [`read_scan`]: each
/// by its index from 0 on. The file is read once; a 3-D file has the volume 0 alone.
///
/// # Errors
///
/// As [`read_scan`], and when the file has fewer volumes.
pub fn read_volumes(
    path: &Path,
    wanted: &BTreeSet<usize>,
) -> Result<BTreeMap<usize, Scan>, VolumeError> {
    read_some(path, wanted)
}

/// How many volumes a file holds: 1 of a 3-D file.
///
/// # Errors
///
/// When the file is missing, of another kind, or its header is damaged.
pub fn count_volumes(path: &Path) -> Result<usize, VolumeError> {
    read::count_volumes(path)
}

/// Reads a scan as [`read_scan`], for those who need numbers and nothing else.
///
/// # Errors
///
/// As [`read_scan`], and when a voxel is infinite or not a number.
pub fn read_image(path: &Path) -> Result<Volume<f32>, VolumeError> {
    read(path)?.into_image(path)
}

/// Reads a mask of 0 and one positive value, either of which may be missing: see [`MaskRule::ANY_PART`].
///
/// # Errors
///
/// As [`read_image`], and when the file has other values.
pub fn read_mask(path: &Path) -> Result<Volume<u8>, VolumeError> {
    read_mask_by(path, &MaskRule::ANY_PART)
}

/// Reads a mask: as [`read_image`], and `rule` decides which voxels are marked.
///
/// # Errors
///
/// As [`read_image`], and when the file is not a mask by this rule.
pub fn read_mask_by(path: &Path, rule: &MaskRule) -> Result<Volume<u8>, VolumeError> {
    read(path)?.into_mask(path, rule)
}

/// Checks that a scan can be written to this file, before any work is done for it: that its name is one of a NIfTI
/// file, and that nothing is lost. A file of another origin is never replaced, and neither is one that was written
/// here from other images than `scan`'s, in their order, or has been changed since, unless `overwrite` is set.
///
/// Returns what made the unchanged result of this scan that is there ([`Origin::maker`]), if it says so.
///
/// # Errors
///
/// When the name ends neither in `.nii` nor in `.nii.gz`, or there is such a file.
pub fn check_output(
    path: &Path,
    scan: &[&Path],
    overwrite: bool,
) -> Result<Option<u32>, VolumeError> {
    write::check_name(path)?;
    if path.symlink_metadata().is_err() || (overwrite && !path.is_dir()) {
        return Ok(None);
    }
    let is_file = !path.is_dir();
    match is_file
        .then(|| mark::of(path, mark::checksum(scan)))
        .flatten()
    {
        Some(source) => Ok(source.maker),
        None => Err(VolumeError::Exists {
            path: path.to_owned(),
        }),
    }
}

/// Writes a scan as NIfTI-1 to a file whose name ends in `.nii` or `.nii.gz`, which decides whether
/// it is gzipped. The file is never incomplete.
///
/// The affine is stored in float32: reading it back gives it to about 1e-7 of its size.
///
/// # Errors
///
/// When the name ends otherwise, the file cannot be written, or the volume is too large for the
/// format.
pub fn write_image(
    path: &Path,
    volume: &Volume<f32>,
    encoding: impl Into<Encoding>,
) -> Result<(), VolumeError> {
    let forms = Forms::of(&volume.grid());
    Encoded::of(volume, encoding).write(path, &forms, None)
}

/// Writes a mask as bytes, otherwise as [`write_image`].
///
/// # Errors
///
/// As [`write_image`].
pub fn write_mask(path: &Path, volume: &Volume<u8>) -> Result<(), VolumeError> {
    let forms = Forms::of(&volume.grid());
    Encoded::of(volume, Dtype::Uint8).write(path, &forms, None)
}

/// What a result takes over from its scan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Origin {
    /// How the file that results are placed by places its voxels.
    pub forms: Forms,
    /// The checksum of the files of the scan's images.
    checksum: u32,
    /// A number of what makes the results, by which work that is done is known ([`check_output`]).
    pub maker: Option<u32>,
}

impl Origin {
    /// Of the scan whose images lie in these files, in the order in which they are used; `forms` are those of the
    /// image whose grid all take.
    pub fn of(images: &[&Path], forms: Forms) -> Self {
        Self {
            forms,
            checksum: mark::checksum(images),
            maker: None,
        }
    }
}

/// Writes a volume that was made from a scan, so that every program finds the two in the same place; otherwise as
/// [`write_image`].
///
/// # Errors
///
/// As [`write_image`].
pub fn write_like<T: Stored>(
    path: &Path,
    volume: &Volume<T>,
    encoding: impl Into<Encoding>,
    scan: &Origin,
) -> Result<(), VolumeError> {
    Encoded::of(volume, encoding).write_like(path, scan)
}

fn malformed(path: &Path, why: impl Into<String>) -> VolumeError {
    VolumeError::Malformed {
        path: path.to_owned(),
        why: why.into(),
    }
}

fn unsupported(path: &Path, why: impl Into<String>) -> VolumeError {
    VolumeError::Unsupported {
        path: path.to_owned(),
        why: why.into(),
    }
}
