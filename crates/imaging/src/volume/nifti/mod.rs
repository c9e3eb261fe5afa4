//! NIfTI files of either version, whole, gzipped or as a pair of `.hdr` and `.img`.
//!
//! The `nifti` crate parses NIfTI-1's header. Around it stands what it leaves open: NIfTI-2, nothing
//! is trusted before it is checked against the data that is really there, the affine is built here,
//! and reading voxels and writing are done here (the crate panics on contradictory headers; its
//! writer is not atomic and cuts dotted names).

mod decode;
mod header;
mod qform;
mod read;
mod write;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use self::read::read;
use self::write::write;
use super::{MaskRule, Volume, VolumeError};

/// The type of a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Whole numbers from 0 to 255.
    Uint8,
    /// Whole numbers from -128 to 127.
    Int8,
    /// Whole numbers from 0 to 65535.
    Uint16,
    /// Whole numbers from -32768 to 32767.
    Int16,
    /// Whole numbers from 0 to 2^32 - 1.
    Uint32,
    /// Whole numbers from -2^31 to 2^31 - 1.
    Int32,
    /// Whole numbers from 0 to 2^64 - 1.
    Uint64,
    /// Whole numbers from -2^63 to 2^63 - 1.
    Int64,
    /// Single precision, which voxels have in memory.
    Float32,
    /// Double precision.
    Float64,
}

impl Dtype {
    /// All types, in the order of their listing.
    pub const ALL: [Self; 10] = [
        Self::Uint8,
        Self::Int8,
        Self::Uint16,
        Self::Int16,
        Self::Uint32,
        Self::Int32,
        Self::Uint64,
        Self::Int64,
        Self::Float32,
        Self::Float64,
    ];

    /// Bytes of one number.
    fn size(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 => 2,
            Self::Uint32 | Self::Int32 | Self::Float32 => 4,
            Self::Uint64 | Self::Int64 | Self::Float64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Uint32 => "uint32",
            Self::Int32 => "int32",
            Self::Uint64 => "uint64",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        })
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|dtype| dtype.to_string());
        Self::ALL
            .into_iter()
            .find(|dtype| dtype.to_string() == name)
            .ok_or_else(|| format!("allowed: {}", names().join(", ")))
    }
}

/// How a file stores intensities: the intensity is `stored * slope + inter`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoding {
    /// The type of the stored numbers. Where it holds whole numbers only, what is written is
    /// rounded and clamped.
    pub dtype: Dtype,
    /// What stored numbers are multiplied by.
    pub slope: f64,
    /// What is added then.
    pub inter: f64,
    /// The header's code of the units of space and time (2: mm). Kept, but as in other programs
    /// without effect: affines are taken to be in mm.
    pub units: u8,
}

impl From<Dtype> for Encoding {
    fn from(dtype: Dtype) -> Self {
        Self {
            dtype,
            slope: 1.0,
            inter: 0.0,
            units: 2,
        }
    }
}

/// How a header places its voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Its sform, a whole affine.
    Sform,
    /// Its qform: a rotation, voxel sizes and an offset.
    Qform,
    /// Neither: which side is left is not known, and the first voxel is taken to lie at the origin.
    VoxelSizes,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sform => "sform",
            Self::Qform => "qform",
            Self::VoxelSizes => "voxel sizes",
        })
    }
}

/// A scan as its file has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// The intensities, which may be infinite or not a number.
    pub volume: Volume<f32>,
    /// How the file stores them, for writing others in the same way.
    pub encoding: Encoding,
    /// How the header places them.
    pub placement: Placement,
}

impl Scan {
    /// What is doubtful about the scan though it can be used, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.placement == Placement::VoxelSizes {
            warnings.push(
                "the header has neither sform nor qform: the voxel sizes are used, and which side \
                 is left is not known"
                    .to_owned(),
            );
        }
        let unit = match self.encoding.units & 7 {
            1 => "metres",
            3 => "micrometres",
            _ => "",
        };
        if !unit.is_empty() {
            warnings.push(format!(
                "the header's unit is {unit}, but positions are taken to be in mm"
            ));
        }
        warnings
    }
}

/// Reads a file with one 3-D volume of real numbers of any type and byte order: `.nii`, or `.hdr`
/// and `.img` (either may be named), gzipped or not. The header's scaling is applied.
///
/// The affine is the sform's where its code is above 0 (NIfTI-1's float32 widened to float64), else
/// the qform's, else the voxel sizes alone.
///
/// # Errors
///
/// When the file is missing, damaged, of another kind, or holds several volumes or colours.
pub fn read_scan(path: &Path) -> Result<Scan, VolumeError> {
    read(path)
}

/// Reads a scan as [`read_scan`], for those who need numbers and nothing else.
///
/// # Errors
///
/// As [`read_scan`], and when a voxel is infinite or not a number.
pub fn read_image(path: &Path) -> Result<Volume<f32>, VolumeError> {
    let Volume { voxels, affine } = read(path)?.volume;
    if let Some((index, value)) = voxels.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(malformed(
            path,
            format!(
                "voxel {index:?} is {value}, which is not an intensity. Replace such voxels (by 0, \
                 say) before using the scan"
            ),
        ));
    }
    Ok(Volume { voxels, affine })
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
    let Volume { voxels, affine } = read_image(path)?;
    let voxels = rule.apply(&voxels).map_err(|why| VolumeError::NotMask {
        path: path.to_owned(),
        why,
    })?;
    Ok(Volume { voxels, affine })
}

/// Checks that a scan can be written under this name, before any work is done for it.
///
/// # Errors
///
/// When the name ends neither in `.nii` nor in `.nii.gz`.
pub fn check_output_name(path: &Path) -> Result<(), VolumeError> {
    write::check_name(path).map(drop)
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
    write(path, volume, &encoding.into())
}

/// Writes a mask as bytes, otherwise as [`write_image`].
///
/// # Errors
///
/// As [`write_image`].
pub fn write_mask(path: &Path, volume: &Volume<u8>) -> Result<(), VolumeError> {
    write(path, volume, &Dtype::Uint8.into())
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
