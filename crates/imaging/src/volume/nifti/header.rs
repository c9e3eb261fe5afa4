//! The contents of a header of either version, checked as far as possible without the data.

use std::path::Path;

use nifti::{Endianness, NiftiHeader, NiftiType};

use super::forms::{Acquisition, Forms};
use super::{Dtype, malformed, unsupported};
use crate::volume::{Affine, VolumeError};

/// Bytes of the longest header, NIfTI-2's.
pub(super) const LONGEST: usize = 540;

/// Bytes of NIfTI-1's.
pub(super) const SHORTEST: usize = 348;

/// A header may promise at most this many voxels; larger promises are damage.
const MOST_VOXELS: u64 = 1 << 32;

/// Voxels are at least this large along each axis, in mm; smaller ones are a wrong unit or damage.
const LEAST_VOXEL: f64 = 1e-3;

/// What is needed to read the voxels and to place them.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) shape: [usize; 3],
    /// How many volumes of that shape follow each other.
    pub(super) volumes: usize,
    pub(super) dtype: Dtype,
    pub(super) big_endian: bool,
    /// Whether the voxels are in the same file, not in the `.img` beside it.
    pub(super) alone: bool,
    /// Bytes before the first voxel, in the file that holds the voxels.
    pub(super) offset: usize,
    /// Stored values are multiplied by this, …
    pub(super) slope: f64,
    /// … then this is added.
    pub(super) inter: f64,
    pub(super) affine: Affine,
    pub(super) forms: Forms,
}

impl Header {
    /// Parses the first bytes of a file: [`LONGEST`], or all if there are fewer.
    pub(super) fn parse(path: &Path, start: &[u8]) -> Result<Self, VolumeError> {
        if let Some(other) = other_kind(start) {
            return Err(malformed(path, other));
        }
        Fields::parse(path, start)?.check(path)
    }
}

/// What the file is, where it is something else that is often found under a scan's name.
fn other_kind(start: &[u8]) -> Option<&'static str> {
    let analyze = |start: &[u8]| {
        let size = start.first_chunk().map(|bytes| i32::from_le_bytes(*bytes));
        size.is_some_and(|size| size == 348 || size.swap_bytes() == 348)
            && start.get(344..348) == Some(&[0; 4])
    };
    if start.starts_with(b"version https://git-lfs") {
        Some("it is a Git LFS pointer, not the data. Run `git lfs pull` to get the data")
    } else if start.starts_with(b"/annex/objects/") {
        Some("it is a git-annex pointer, not the data. Run `git annex get` to get the data")
    } else if start.get(128..132) == Some(b"DICM") {
        Some("it is a DICOM file. Convert the series with `dcm2niix` first")
    } else if std::str::from_utf8(start).is_ok_and(|text| !text.contains('\0')) {
        Some("it is a text file. Check that it is the right file")
    } else if start.len() < SHORTEST {
        Some("it ends within the header. The copy is incomplete: copy or download it again")
    } else if analyze(start) {
        Some(
            "it is an ANALYZE 7.5 header, which does not say which side is left. Convert the scan \
             from its source to NIfTI",
        )
    } else {
        None
    }
}

/// The fields of a header of either version that are used here, as stored.
struct Fields {
    /// Whether numbers are kept to float64 (NIfTI-2) or to float32.
    double: bool,
    big_endian: bool,
    magic: [u8; 3],
    dim: [i64; 8],
    datatype: i16,
    pixdim: [f64; 4],
    offset: f64,
    slope: f64,
    inter: f64,
    units: i32,
    qform_code: i32,
    sform_code: i32,
    quaternion: [f64; 3],
    origin: [f64; 3],
    sform: [[f64; 4]; 3],
    acquisition: Acquisition,
}

impl Fields {
    fn parse(path: &Path, start: &[u8]) -> Result<Self, VolumeError> {
        let size = start.first_chunk().map_or(0, |b| i32::from_le_bytes(*b));
        if size == LONGEST as i32 || size.swap_bytes() == LONGEST as i32 {
            match <&[u8; LONGEST]>::try_from(start) {
                Ok(start) => Ok(Self::second(start, size != LONGEST as i32)),
                Err(_) => Err(malformed(
                    path,
                    "it ends within the header. The copy is incomplete: copy or download it again",
                )),
            }
        } else {
            match NiftiHeader::from_reader(start) {
                Ok(header) if header.sizeof_hdr == SHORTEST as i32 => Ok(Self::first(&header)),
                Ok(_) => Err(malformed(
                    path,
                    "its header is damaged. Copy or download it again",
                )),
                Err(_) => Err(malformed(
                    path,
                    "it has no NIfTI header. Convert it to .nii.gz first, or check that it is the \
                     right file",
                )),
            }
        }
    }

    /// NIfTI-1, which the `nifti` crate parses.
    fn first(header: &NiftiHeader) -> Self {
        let row = |row: [f32; 4]| row.map(f64::from);
        Self {
            double: false,
            big_endian: header.endianness == Endianness::Big,
            magic: [header.magic[0], header.magic[1], header.magic[2]],
            dim: header.dim.map(i64::from),
            datatype: header.datatype,
            pixdim: [0, 1, 2, 3].map(|i| f64::from(header.pixdim[i])),
            offset: f64::from(header.vox_offset),
            slope: f64::from(header.scl_slope),
            inter: f64::from(header.scl_inter),
            units: i32::from(header.xyzt_units),
            qform_code: i32::from(header.qform_code),
            sform_code: i32::from(header.sform_code),
            quaternion: [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from),
            origin: [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from),
            sform: [header.srow_x, header.srow_y, header.srow_z].map(row),
            acquisition: Acquisition {
                dim_info: header.dim_info,
                slice_start: header.slice_start.into(),
                slice_end: header.slice_end.into(),
                slice_code: header.slice_code,
                slice_duration: header.slice_duration.into(),
            },
        }
    }

    /// NIfTI-2, which the crate does not know; offsets as in nifti2.h.
    fn second(start: &[u8; LONGEST], big_endian: bool) -> Self {
        fn bytes<const N: usize>(start: &[u8; LONGEST], at: usize, big_endian: bool) -> [u8; N] {
            let mut bytes: [u8; N] = std::array::from_fn(|i| start[at + i]);
            if big_endian {
                bytes.reverse();
            }
            bytes
        }
        let long = |at| i64::from_le_bytes(bytes(start, at, big_endian));
        let int = |at| i32::from_le_bytes(bytes(start, at, big_endian));
        let double = |at| f64::from_le_bytes(bytes(start, at, big_endian));
        let doubles = |at: usize| move |i: usize| double(at + 8 * i);
        Self {
            double: true,
            big_endian,
            magic: [start[4], start[5], start[6]],
            dim: std::array::from_fn(|i| long(16 + 8 * i)),
            datatype: i16::from_le_bytes(bytes(start, 12, big_endian)),
            pixdim: std::array::from_fn(doubles(104)),
            offset: long(168) as f64,
            slope: double(176),
            inter: double(184),
            units: int(500),
            qform_code: int(344),
            sform_code: int(348),
            quaternion: std::array::from_fn(doubles(352)),
            origin: std::array::from_fn(doubles(376)),
            sform: std::array::from_fn(|row| std::array::from_fn(doubles(400 + 32 * row))),
            acquisition: Acquisition {
                dim_info: start[524],
                slice_start: long(224),
                slice_end: long(232),
                // One byte in either version.
                slice_code: int(496) as u8,
                slice_duration: double(208),
            },
        }
    }

    fn check(&self, path: &Path) -> Result<Header, VolumeError> {
        let alone = match &self.magic {
            b"n+1" | b"n+2" => true,
            b"ni1" | b"ni2" => false,
            _ => {
                return Err(malformed(
                    path,
                    "its header is damaged. Copy or download it again",
                ));
            }
        };
        let (slope, inter) = self.scaling(path)?;
        let (shape, volumes) = self.shape(path)?;
        let forms = self.forms(shape);
        Ok(Header {
            shape,
            volumes,
            dtype: self.dtype(path)?,
            big_endian: self.big_endian,
            alone,
            offset: self.first_voxel(path, alone)?,
            slope,
            inter,
            affine: affine(path, &forms)?,
            forms,
        })
    }

    /// Voxels along the three axes, and the number of volumes.
    fn shape(&self, path: &Path) -> Result<([usize; 3], usize), VolumeError> {
        let invalid = || {
            let why = format!(
                "its dimensions {:?} are not valid. Copy or download it again",
                self.dim
            );
            malformed(path, why)
        };
        let rank = usize::try_from(self.dim[0]).map_err(|_| invalid())?;
        let dims = self.dim.get(1..=rank).filter(|dims| !dims.is_empty());
        let dims = dims.ok_or_else(invalid)?;
        if dims.iter().any(|n| *n < 1) {
            return Err(invalid());
        }
        let product = |dims: &[i64]| {
            let factors = dims.iter().map(|n| n.unsigned_abs());
            factors.fold(1u64, u64::saturating_mul)
        };
        let &[x, y, z, ref rest @ ..] = dims else {
            return Err(unsupported(
                path,
                "it is not a 3-D image. A whole volume is needed",
            ));
        };
        if product(&[x, y, z]) > MOST_VOXELS {
            return Err(malformed(
                path,
                format!(
                    "its header promises {x} x {y} x {z} voxels, more than any scan. Copy or \
                     download it again"
                ),
            ));
        }
        let volumes = usize::try_from(product(rest)).unwrap_or(usize::MAX);
        Ok(([x, y, z].map(|n| n as usize), volumes))
    }

    fn dtype(&self, path: &Path) -> Result<Dtype, VolumeError> {
        use NiftiType::{
            Complex64, Complex128, Complex256, Float32, Float64, Float128, Int8, Int16, Int32,
            Int64, Rgb24, Rgba32, Uint8, Uint16, Uint32, Uint64,
        };
        // The crate names a code through a header of its own.
        let named = NiftiHeader {
            datatype: self.datatype,
            ..NiftiHeader::default()
        };
        let why = match named.data_type().ok() {
            Some(Uint8) => return Ok(Dtype::Uint8),
            Some(Int8) => return Ok(Dtype::Int8),
            Some(Uint16) => return Ok(Dtype::Uint16),
            Some(Int16) => return Ok(Dtype::Int16),
            Some(Uint32) => return Ok(Dtype::Uint32),
            Some(Int32) => return Ok(Dtype::Int32),
            Some(Uint64) => return Ok(Dtype::Uint64),
            Some(Int64) => return Ok(Dtype::Int64),
            Some(Float32) => return Ok(Dtype::Float32),
            Some(Float64) => return Ok(Dtype::Float64),
            Some(Rgb24 | Rgba32) => {
                "it holds colours. A scan with one intensity per voxel is needed"
            }
            Some(Complex64 | Complex128 | Complex256) => {
                "it holds complex numbers. Save their magnitude as a file of its own"
            }
            Some(Float128) => "it holds 128-bit numbers. Save it as float32",
            None => {
                let why = format!(
                    "its data type {} is unknown. Save it as int16 or float32",
                    self.datatype
                );
                return Err(malformed(path, why));
            }
        };
        Err(unsupported(path, why))
    }

    /// Bytes before the first voxel. Extensions are skipped by it.
    fn first_voxel(&self, path: &Path, alone: bool) -> Result<usize, VolumeError> {
        let least = match (alone, self.double) {
            (false, _) => 0.0,
            // The header, and four bytes that mark whether extensions follow.
            (true, false) => SHORTEST as f64 + 4.0,
            (true, true) => LONGEST as f64 + 4.0,
        };
        match self.offset {
            // Some programs leave it at 0 in single files, where it can only mean the least.
            0.0 => Ok(least as usize),
            offset if offset >= least && offset < 1e9 => Ok(offset as usize),
            offset => Err(malformed(
                path,
                format!("its header places the voxels at byte {offset}. Copy or download it again"),
            )),
        }
    }

    /// No slope, or one that is not a number, means no scaling.
    fn scaling(&self, path: &Path) -> Result<(f64, f64), VolumeError> {
        if !self.slope.is_finite() || self.slope == 0.0 {
            Ok((1.0, 0.0))
        } else if self.inter.is_finite() {
            Ok((self.slope, self.inter))
        } else {
            let why = format!(
                "its intensity offset scl_inter is {}. Set it to 0",
                self.inter
            );
            Err(malformed(path, why))
        }
    }

    fn forms(&self, shape: [usize; 3]) -> Forms {
        Forms {
            shape,
            pixdim: self.pixdim,
            qform_code: self.qform_code,
            quaternion: self.quaternion,
            origin: self.origin,
            sform_code: self.sform_code,
            sform: self.sform,
            // One byte in either version.
            units: self.units as u8,
            acquisition: self.acquisition,
            epsilon: match self.double {
                true => f64::EPSILON,
                false => f32::EPSILON.into(),
            },
        }
    }
}

/// Where the form that counts places the voxels.
fn affine(path: &Path, forms: &Forms) -> Result<Affine, VolumeError> {
    let (placement, affine) = forms.placement();
    match affine.inverse() {
        Some(_) if affine.spacing().iter().all(|size| *size >= LEAST_VOXEL) => Ok(affine),
        Some(_) => Err(malformed(
            path,
            format!(
                "its {placement} has voxels of {:?} mm, smaller than any scanner's. Correct the header's voxel sizes or \
                 its unit",
                affine.spacing()
            ),
        )),
        None => Err(malformed(
            path,
            format!(
                "its {placement} places no voxel in space (axes that are zero, parallel or not \
                 finite). Correct the header, for example with `fslorient`"
            ),
        )),
    }
}
