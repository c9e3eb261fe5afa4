//! Reading: every promise of the header is checked before it is relied on.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ndarray::{Array3, Ix3, Zip};
use nifti::volume::ndarray::IntoNdArray;
use nifti::{InMemNiftiVolume, NiftiHeader, NiftiType};

use super::{FIRST_VOXEL, HEADER_BYTES, malformed, qform, unsupported};
use crate::volume::{Affine, Volume, VolumeError};

/// A header may promise at most this many voxels; larger promises are damage.
const MOST_VOXELS: usize = 1 << 32;

/// Reads the voxels as they are, numbers or not.
pub(super) fn read(path: &Path) -> Result<Volume<f32>, VolumeError> {
    let mut stream = open(path)?;
    let mut start = Vec::with_capacity(HEADER_BYTES);
    take(path, &mut stream, HEADER_BYTES, &mut start)?;
    let mut header = parse_header(path, &start)?;
    let kind = voxel_type(path, &header)?;
    let shape = shape(path, &header)?;

    let count: usize = shape.iter().product();
    let offset = first_voxel(path, &header)?;
    skip(path, &mut stream, offset - HEADER_BYTES)?;
    let mut data = Vec::new();
    let expected = count * kind.size_of();
    take(path, &mut stream, expected, &mut data)?;
    if data.len() < expected {
        return Err(malformed(
            path,
            format!(
                "its header promises {count} voxels ({expected} bytes), but the data ends after \
                 {} bytes. The copy is incomplete: copy or download it again",
                data.len()
            ),
        ));
    }
    // A gzip checksum is only compared at the end of the stream.
    skip(path, &mut stream, 1 << 20)?;

    // The crate trusts these fields and panics where they contradict the data.
    header.bitpix = 8 * kind.size_of() as i16;
    let [x, y, z] = shape.map(|n| n as u16);
    header.dim = [3, x, y, z, 1, 1, 1, 1];
    set_scaling(path, &mut header)?;
    let parse = || -> nifti::error::Result<_> {
        InMemNiftiVolume::from_raw_data(&header, data)?.into_ndarray::<f64>()
    };
    let stored = parse().map_err(|why| malformed(path, why.to_string()))?;
    let stored = stored
        .into_dimensionality::<Ix3>()
        .map_err(|why| malformed(path, why.to_string()))?;
    let mut voxels = Array3::zeros(shape);
    Zip::from(&mut voxels)
        .and(&stored)
        .for_each(|voxel, &value| *voxel = value as f32);
    Ok(Volume {
        voxels,
        affine: affine(path, &header)?,
    })
}

/// The file's bytes, unpacked if they are gzipped whatever the name says.
fn open(path: &Path) -> Result<Box<dyn Read>, VolumeError> {
    let failed = |source| VolumeError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let start = io::BufRead::fill_buf(&mut reader).map_err(failed)?;
    if start.is_empty() {
        return Err(malformed(
            path,
            "the file is empty. Copy or download it again",
        ));
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(MultiGzDecoder::new(reader)))
    } else {
        Ok(Box::new(reader))
    }
}

/// Appends up to `count` bytes to `buffer`: fewer only at the end of the stream. Memory grows with
/// the bytes that come, not with what a header promises.
fn take(
    path: &Path,
    stream: &mut dyn Read,
    count: usize,
    buffer: &mut Vec<u8>,
) -> Result<(), VolumeError> {
    stream
        .take(count as u64)
        .read_to_end(buffer)
        .map_err(|why| damaged(path, &why))?;
    Ok(())
}

/// Passes over up to `count` bytes.
fn skip(path: &Path, stream: &mut dyn Read, count: usize) -> Result<(), VolumeError> {
    io::copy(&mut stream.take(count as u64), &mut io::sink()).map_err(|why| damaged(path, &why))?;
    Ok(())
}

fn damaged(path: &Path, why: &io::Error) -> VolumeError {
    malformed(
        path,
        format!(
            "its data cannot be unpacked ({why}). The copy is damaged or incomplete: copy or download it again"
        ),
    )
}

fn parse_header(path: &Path, start: &[u8]) -> Result<NiftiHeader, VolumeError> {
    if let Some(other) = other_kind(start) {
        return Err(malformed(path, other));
    }
    let Ok(header) = NiftiHeader::from_reader(start) else {
        return Err(malformed(
            path,
            "it has no NIfTI-1 header. Convert it to .nii.gz first, or check that it is the right \
             file",
        ));
    };
    if header.sizeof_hdr != HEADER_BYTES as i32 {
        return Err(malformed(
            path,
            "its header is damaged. Copy or download it again",
        ));
    }
    if &header.magic == b"ni1\0" {
        return Err(unsupported(
            path,
            "it is a pair of .hdr and .img. Convert the pair to one .nii.gz file, for example with \
             `fslchfiletype NIFTI_GZ`",
        ));
    }
    Ok(header)
}

/// What the file is, where it is something else that is often found under a scan's name.
fn other_kind(start: &[u8]) -> Option<&'static str> {
    let sizeof_hdr = start
        .first_chunk::<4>()
        .map(|bytes| i32::from_le_bytes(*bytes));
    if start.starts_with(b"version https://git-lfs") {
        Some("it is a Git LFS pointer, not the data. Run `git lfs pull` to get the data")
    } else if start.starts_with(b"/annex/objects/") {
        Some("it is a git-annex pointer, not the data. Run `git annex get` to get the data")
    } else if start.get(128..132) == Some(b"DICM") {
        Some("it is a DICOM file. Convert the series with `dcm2niix` first")
    } else if sizeof_hdr.is_some_and(|size| size == 540 || size.swap_bytes() == 540) {
        Some("it is a NIfTI-2 file. Save it as NIfTI-1 first")
    } else if std::str::from_utf8(start).is_ok_and(|text| !text.contains('\0')) {
        Some("it is a text file. Check that it is the right file")
    } else if start.len() < HEADER_BYTES {
        Some("it ends within the header. The copy is incomplete: copy or download it again")
    } else {
        None
    }
}

fn voxel_type(path: &Path, header: &NiftiHeader) -> Result<NiftiType, VolumeError> {
    use NiftiType::*;
    let Ok(kind) = header.data_type() else {
        let why = format!(
            "its data type {} is unknown. Save it as int16 or float32",
            header.datatype
        );
        return Err(malformed(path, why));
    };
    match kind {
        Rgb24 | Rgba32 => Err(unsupported(
            path,
            "it holds colours. A scan with one intensity per voxel is needed",
        )),
        Complex64 | Complex128 | Complex256 => Err(unsupported(
            path,
            "it holds complex numbers. Save their magnitude as a file of its own",
        )),
        Float128 => Err(unsupported(
            path,
            "it holds 128-bit numbers. Save it as float32",
        )),
        _ => Ok(kind),
    }
}

fn shape(path: &Path, header: &NiftiHeader) -> Result<[usize; 3], VolumeError> {
    let Ok(dims) = header.dim() else {
        return Err(malformed(
            path,
            format!(
                "its dimensions {:?} are not valid. Copy or download it again",
                header.dim
            ),
        ));
    };
    let dims: Vec<usize> = dims.iter().copied().map(usize::from).collect();
    let [x, y, z, rest @ ..] = &dims[..] else {
        return Err(unsupported(
            path,
            "it is no 3-D image. A whole volume is needed",
        ));
    };
    let volumes: usize = rest.iter().fold(1, |product, n| product.saturating_mul(*n));
    if volumes > 1 {
        return Err(unsupported(
            path,
            format!("it holds {volumes} volumes. Save the one to use as a 3-D file of its own"),
        ));
    }
    if x * y * z > MOST_VOXELS {
        return Err(malformed(
            path,
            format!(
                "its header promises {x} x {y} x {z} voxels, more than any scan. Copy or download it again"
            ),
        ));
    }
    Ok([*x, *y, *z])
}

/// Bytes before the first voxel. Extensions are skipped by it.
fn first_voxel(path: &Path, header: &NiftiHeader) -> Result<usize, VolumeError> {
    let offset = header.vox_offset;
    match offset {
        // Some programs leave it at 0 in single files, where it can only mean the least.
        0.0 => Ok(FIRST_VOXEL),
        _ if offset >= FIRST_VOXEL as f32 && offset < 1e9 => Ok(offset as usize),
        _ => Err(malformed(
            path,
            format!("its header puts the voxels at byte {offset}. Copy or download it again"),
        )),
    }
}

/// No slope, or one that is no number, means no scaling (0 to the crate).
fn set_scaling(path: &Path, header: &mut NiftiHeader) -> Result<(), VolumeError> {
    if !header.scl_slope.is_finite() || header.scl_slope == 0.0 {
        (header.scl_slope, header.scl_inter) = (0.0, 0.0);
    } else if !header.scl_inter.is_finite() {
        let why = format!(
            "its intensity offset scl_inter is {}. Set it to 0",
            header.scl_inter
        );
        return Err(malformed(path, why));
    }
    Ok(())
}

fn affine(path: &Path, header: &NiftiHeader) -> Result<Affine, VolumeError> {
    let (source, affine) = if header.sform_code > 0 {
        let row = |row: [f32; 4]| row.map(f64::from);
        let rows = [
            row(header.srow_x),
            row(header.srow_y),
            row(header.srow_z),
            [0.0, 0.0, 0.0, 1.0],
        ];
        ("sform", Affine(rows))
    } else if header.qform_code > 0 {
        ("qform", qform::decode(header))
    } else {
        let sizes = [1, 2, 3].map(|axis| f64::from(header.pixdim[axis].abs()));
        ("voxel sizes", Affine::diagonal(sizes, [0.0; 3]))
    };
    match affine.inverse() {
        Some(_) => Ok(affine),
        None => Err(malformed(
            path,
            format!(
                "its {source} places no voxel in space (axes that are zero, parallel or not \
                 finite). Correct the header, for example with `fslorient`"
            ),
        )),
    }
}
