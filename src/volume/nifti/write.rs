//! Writing.

use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use nifti::NiftiType;

use super::{FIRST_VOXEL, HEADER_BYTES, qform, unsupported};
use crate::files::write_atomic;
use crate::volume::{Affine, Volume, VolumeError};

/// Writes the voxels, each made into `bytes` of the given kind.
pub(super) fn write<T: Copy, const N: usize>(
    path: &Path,
    volume: &Volume<T>,
    kind: NiftiType,
    bytes: impl Fn(T) -> [u8; N],
) -> Result<(), VolumeError> {
    let shape = volume.shape();
    if shape.iter().any(|n| !(1..=i16::MAX as usize).contains(n)) {
        let why =
            format!("{shape:?} voxels do not fit NIfTI-1, which takes 1 to 32767 along an axis");
        return Err(unsupported(path, why));
    }
    let header = header_bytes(shape, &volume.affine, kind);
    let stream = |out: &mut dyn Write| -> io::Result<()> {
        out.write_all(&header)?;
        // The file's order is x fastest; a plane at a time keeps the calls few.
        for plane in volume.voxels.axis_iter(ndarray::Axis(2)) {
            let plane: Vec<u8> = plane.t().iter().flat_map(|value| bytes(*value)).collect();
            out.write_all(&plane)?;
        }
        Ok(())
    };
    let gzipped = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    write_atomic(path, |out| {
        if !gzipped {
            return stream(out);
        }
        let mut packed = GzEncoder::new(out, Compression::fast());
        stream(&mut packed)?;
        packed.finish().map(drop)
    })?;
    Ok(())
}

/// A little-endian header (fields at the offsets of nifti1.h) with both affines, and no extension.
fn header_bytes(shape: [usize; 3], affine: &Affine, kind: NiftiType) -> [u8; FIRST_VOXEL] {
    let mut header = [0; FIRST_VOXEL];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    let put_floats = |put: &mut dyn FnMut(usize, &[u8]), at: usize, values: &[f64]| {
        for (i, value) in values.iter().enumerate() {
            put(at + 4 * i, &(*value as f32).to_le_bytes());
        }
    };
    put(0, &(HEADER_BYTES as i32).to_le_bytes());
    let dims = [3, shape[0], shape[1], shape[2], 1, 1, 1, 1];
    for (i, n) in dims.into_iter().enumerate() {
        put(40 + 2 * i, &(n as i16).to_le_bytes());
    }
    put(70, &(kind as i16).to_le_bytes());
    put(72, &(8 * kind.size_of() as i16).to_le_bytes());
    let (quaternion, qfac) = qform::encode(affine).unzip();
    let spacing = affine.spacing();
    put_floats(
        &mut put,
        76,
        &[qfac.unwrap_or(1.0), spacing[0], spacing[1], spacing[2]],
    );
    put_floats(&mut put, 108, &[FIRST_VOXEL as f64, 1.0, 0.0]); // vox_offset, slope, intercept
    put(123, &[2]); // xyzt_units: mm
    let scanner = 1i16.to_le_bytes();
    if let Some(quaternion) = quaternion {
        put(252, &scanner);
        put_floats(&mut put, 256, &quaternion);
        put_floats(
            &mut put,
            268,
            &[affine.0[0][3], affine.0[1][3], affine.0[2][3]],
        );
    }
    put(254, &scanner);
    put_floats(&mut put, 280, affine.0[..3].as_flattened());
    put(344, b"n+1\0");
    header
}
