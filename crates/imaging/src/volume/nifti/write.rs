//! Writing.

use std::io::{self, Write};
use std::path::Path;

use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::GzEncoder;
use nifti::NiftiType;

use super::decode::BLOCK;
use super::forms::Forms;
use super::header::SHORTEST;
use super::{Dtype, Encoding, mark, unsupported};
use crate::files::write_atomic;
use crate::volume::{Volume, VolumeError};

/// The header, and four bytes that mark whether extensions follow.
pub(super) const FIRST_VOXEL: usize = SHORTEST + 4;

/// Whether a file of this name is gzipped; an error if the name is not one of a NIfTI file.
pub(super) fn check_name(path: &Path) -> Result<bool, VolumeError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    if name.ends_with(".nii.gz") || name.ends_with(".nii") {
        return Ok(name.ends_with(".gz"));
    }
    let why = "images are written to names that end in .nii or .nii.gz. Choose such a name";
    Err(unsupported(path, why))
}

/// Numbers that voxels can be when they are written.
pub trait Stored: Copy + Default + Into<f64> {
    /// What [`write`] does. A method, not a generic function, so that it is compiled here, for speed, and not where it is
    /// called.
    #[doc(hidden)]
    fn write(
        path: &Path,
        volume: &Volume<Self>,
        encoding: &Encoding,
        forms: &Forms,
        source: Option<mark::Source>,
    ) -> Result<(), VolumeError>;
}

macro_rules! stored {
    ($($number:ty),+) => {
        $(impl Stored for $number {
            fn write(
                path: &Path,
                volume: &Volume<Self>,
                encoding: &Encoding,
                forms: &Forms,
                source: Option<mark::Source>,
            ) -> Result<(), VolumeError> {
                write(path, volume, encoding, forms, source)
            }
        })+
    };
}

stored!(u8, u16, f32);

fn write<T: Copy + Default + Into<f64>>(
    path: &Path,
    volume: &Volume<T>,
    encoding: &Encoding,
    forms: &Forms,
    source: Option<mark::Source>,
) -> Result<(), VolumeError> {
    let gzipped = check_name(path)?;
    let shape = volume.shape();
    if shape.iter().any(|n| !(1..=i16::MAX as usize).contains(n)) {
        let why =
            format!("{shape:?} voxels do not fit NIfTI-1, which takes 1 to 32767 along an axis");
        return Err(unsupported(path, why));
    }
    let encoding = encoding.in_single_precision();
    let mut content = Hasher::new();
    for planes in planes(volume) {
        content.update(&encoding.bytes(&planes));
    }
    let mut header = header_bytes(shape, &encoding, forms);
    mark::put(&mut header, content, source);
    let stream = |out: &mut dyn Write| -> io::Result<()> {
        out.write_all(&header)?;
        for planes in planes(volume) {
            out.write_all(&encoding.bytes(&planes))?;
        }
        Ok(())
    };
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

/// Bytes of a cache line.
const LINE: usize = 64;

/// The voxels in the file's order (x fastest), some planes at a time.
fn planes<T: Copy + Default>(volume: &Volume<T>) -> impl Iterator<Item = Vec<T>> {
    let [nx, ny, nz] = volume.shape();
    let voxels = volume.voxels.as_standard_layout();
    // Of each column a cache line at a time.
    let deep = (LINE / size_of::<T>()).max(1);
    (0..nz).step_by(deep).map(move |z0| {
        let depth = deep.min(nz - z0);
        let columns = voxels.as_slice().unwrap_or_default();
        let mut planes = vec![T::default(); depth * ny * nx];
        let mut tile = [[T::default(); BLOCK]; LINE];
        for y in 0..ny {
            for x0 in (0..nx).step_by(BLOCK) {
                let width = BLOCK.min(nx - x0);
                for x in 0..width {
                    let column = &columns[((x0 + x) * ny + y) * nz + z0..][..depth];
                    for (row, value) in tile.iter_mut().zip(column) {
                        row[x] = *value;
                    }
                }
                for (z, row) in tile.iter().take(depth).enumerate() {
                    planes[(z * ny + y) * nx + x0..][..width].copy_from_slice(&row[..width]);
                }
            }
        }
        planes
    })
}

impl Dtype {
    /// The standard's code.
    fn code(self) -> NiftiType {
        match self {
            Self::Uint8 => NiftiType::Uint8,
            Self::Int8 => NiftiType::Int8,
            Self::Uint16 => NiftiType::Uint16,
            Self::Int16 => NiftiType::Int16,
            Self::Uint32 => NiftiType::Uint32,
            Self::Int32 => NiftiType::Int32,
            Self::Uint64 => NiftiType::Uint64,
            Self::Int64 => NiftiType::Int64,
            Self::Float32 => NiftiType::Float32,
            Self::Float64 => NiftiType::Float64,
        }
    }
}

/// A little-endian header (fields at the offsets of nifti1.h) without description or extension.
fn header_bytes(shape: [usize; 3], encoding: &Encoding, forms: &Forms) -> [u8; FIRST_VOXEL] {
    let mut header = [0; FIRST_VOXEL];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    let put_floats = |put: &mut dyn FnMut(usize, &[u8]), at: usize, values: &[f64]| {
        for (i, value) in values.iter().enumerate() {
            put(at + 4 * i, &(*value as f32).to_le_bytes());
        }
    };
    put(0, &(SHORTEST as i32).to_le_bytes());
    let acquisition = &forms.acquisition;
    put(39, &[acquisition.dim_info]);
    let dims = [3, shape[0], shape[1], shape[2], 1, 1, 1, 1];
    for (i, n) in dims.into_iter().enumerate() {
        put(40 + 2 * i, &(n as i16).to_le_bytes());
    }
    put(70, &(encoding.dtype.code() as i16).to_le_bytes());
    put(72, &(8 * encoding.dtype.size() as i16).to_le_bytes());
    put(74, &(acquisition.slice_start as i16).to_le_bytes());
    put_floats(&mut put, 76, &forms.pixdim);
    let scaling = [FIRST_VOXEL as f64, encoding.slope, encoding.inter];
    put_floats(&mut put, 108, &scaling);
    put(120, &(acquisition.slice_end as i16).to_le_bytes());
    put(122, &[acquisition.slice_code, forms.units]);
    put_floats(&mut put, 132, &[acquisition.slice_duration]);
    put(252, &(forms.qform_code as i16).to_le_bytes());
    put(254, &(forms.sform_code as i16).to_le_bytes());
    put_floats(&mut put, 256, &forms.quaternion);
    put_floats(&mut put, 268, &forms.origin);
    put_floats(&mut put, 280, forms.sform.as_flattened());
    put(344, b"n+1\0");
    header
}
