//! NIfTI-1 files, whole or gzipped.
//!
//! The `nifti` crate parses headers and voxel types. Around it stands what it leaves open: nothing
//! is trusted before it is checked against the data that is really there, the affine is built here,
//! and writing is done here (the crate's writer is not atomic and cuts dotted names).

mod qform;
mod read;
mod write;

use std::path::Path;

use nifti::NiftiType;

use self::read::read;
use self::write::write;
use super::{Volume, VolumeError};

/// How voxels are stored in a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Whole numbers from 0 to 255; other values are rounded and clamped.
    Uint8,
    /// Whole numbers from -32768 to 32767; other values are rounded and clamped.
    Int16,
    /// The values as they are.
    Float32,
}

/// Reads a scan: a `.nii` or `.nii.gz` file with one 3-D volume of real numbers of any type and
/// byte order. The header's scaling is applied.
///
/// The affine is the sform's where its code is above 0 (float32 widened to float64), else the
/// qform's, else the voxel sizes alone.
///
/// # Errors
///
/// When the file is missing, damaged, of another kind, holds several volumes or colours, or has a
/// voxel that is infinite or not a number.
pub fn read_image(path: &Path) -> Result<Volume<f32>, VolumeError> {
    let Volume { voxels, affine } = read(path)?;
    if let Some((index, value)) = voxels.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(malformed(
            path,
            format!(
                "voxel {index:?} is {value}, which is no intensity. Replace such voxels (by 0, \
                 say) before using the scan"
            ),
        ));
    }
    Ok(Volume { voxels, affine })
}

/// Reads a mask: as [`read_image`], and every voxel other than 0 becomes 1.
///
/// # Errors
///
/// As [`read_image`].
pub fn read_mask(path: &Path) -> Result<Volume<u8>, VolumeError> {
    let Volume { voxels, affine } = read_image(path)?;
    Ok(Volume {
        voxels: voxels.mapv(|value| u8::from(value != 0.0)),
        affine,
    })
}

/// Writes a scan, gzipped if the name ends in `.gz`. The file is there whole or not at all.
///
/// The affine is stored in float32: reading it back gives it to about 1e-7 of its size.
///
/// # Errors
///
/// When the file cannot be written or the volume is too large for the format.
pub fn write_image(path: &Path, volume: &Volume<f32>, dtype: Dtype) -> Result<(), VolumeError> {
    match dtype {
        // A cast from float to integer keeps within the integer's range.
        Dtype::Uint8 => write(
            path,
            volume,
            NiftiType::Uint8,
            |value| [value.round() as u8],
        ),
        Dtype::Int16 => write(path, volume, NiftiType::Int16, |value| {
            (value.round() as i16).to_le_bytes()
        }),
        Dtype::Float32 => write(path, volume, NiftiType::Float32, f32::to_le_bytes),
    }
}

/// Writes a mask as bytes, gzipped if the name ends in `.gz`. The file is there whole or not at all.
///
/// # Errors
///
/// As [`write_image`].
pub fn write_mask(path: &Path, volume: &Volume<u8>) -> Result<(), VolumeError> {
    write(path, volume, NiftiType::Uint8, |value| [value])
}

const HEADER_BYTES: usize = 348;

/// The header, and four bytes that say whether extensions follow.
const FIRST_VOXEL: usize = 352;

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
