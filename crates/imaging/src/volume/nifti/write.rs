//! Writing.

use std::io::{self, Write};
use std::path::Path;

use crc32fast::Hasher;
use flate2::Compression;
use flate2::write::GzEncoder;
use nifti::NiftiType;
use rayon::prelude::*;

use super::forms::Forms;
use super::header::SHORTEST;
use super::{Dtype, Encoding, Origin, mark, unsupported};
use crate::files::write_atomic;
use crate::volume::{Grid, Volume, VolumeError};

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
pub trait Stored: Copy + Default + Into<f64> + Send + Sync {
    /// The values as bytes, if that is what they are.
    #[doc(hidden)]
    fn as_bytes(values: &[Self]) -> Option<&[u8]>;

    /// What [`Encoded::of`] does. A method, not a generic function, so that it is compiled here, for speed, and not where
    /// it is called.
    #[doc(hidden)]
    fn encode(volume: &Volume<Self>, encoding: &Encoding) -> Encoded;
}

macro_rules! stored {
    ($($number:ty: $as_bytes:expr),+) => {
        $(impl Stored for $number {
            fn as_bytes(values: &[Self]) -> Option<&[u8]> {
                $as_bytes(values)
            }

            fn encode(volume: &Volume<Self>, encoding: &Encoding) -> Encoded {
                encode(volume, encoding)
            }
        })+
    };
}

stored!(u8: Some, u16: |_| None, f32: |_| None);

/// A volume as the bytes that a file has for it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The numbers in the file's order: x fastest.
    bytes: Vec<u8>,
    grid: Grid,
    encoding: Encoding,
}

impl Encoded {
    /// What a file with this encoding holds of `volume`.
    pub fn of<T: Stored>(volume: &Volume<T>, encoding: impl Into<Encoding>) -> Self {
        T::encode(volume, &encoding.into())
    }

    /// Gives every voxel outside of `mask`, whose bytes are not 0 inside, the intensity 0, or what the encoding has for it.
    ///
    /// # Panics
    ///
    /// If the two have not the same shape, or the mask is not of bytes.
    pub fn clear_outside(&mut self, mask: &Self) {
        assert_eq!(self.grid.shape, mask.grid.shape, "one shape");
        assert_eq!(mask.encoding.dtype, Dtype::Uint8, "a mask of bytes");
        let mut zero = [0; 8];
        let size = self.encoding.dtype.size();
        self.encoding.put(&[0.0_f32], &mut zero[..size]);
        match size {
            1 => self.clear::<1>(mask, zero),
            2 => self.clear::<2>(mask, zero),
            4 => self.clear::<4>(mask, zero),
            _ => self.clear::<8>(mask, zero),
        }
    }

    /// Puts the first `SIZE` bytes of `zero` in place of the numbers, each of as many, outside of a mask.
    fn clear<const SIZE: usize>(&mut self, mask: &Self, zero: [u8; 8]) {
        let mut outside = [0; SIZE];
        outside.copy_from_slice(&zero[..SIZE]);
        let (numbers, _) = self.bytes.as_chunks_mut::<SIZE>();
        let numbers = numbers.par_iter_mut().zip(&mask.bytes);
        numbers.with_min_len(1 << 12).for_each(|(number, inside)| {
            if *inside == 0 {
                *number = outside;
            }
        });
    }

    /// Writes it as [`write_like`](super::write_like) does.
    ///
    /// # Errors
    ///
    /// As [`write_image`](super::write_image).
    pub fn write_like(&self, path: &Path, scan: &Origin) -> Result<(), VolumeError> {
        let forms = scan.forms.moved_to(&self.grid);
        let source = mark::Source {
            scan: scan.checksum,
            maker: scan.maker,
        };
        self.write(path, &forms, Some(source))
    }

    /// Writes it to `path`: see [`write_image`](super::write_image).
    pub(super) fn write(
        &self,
        path: &Path,
        forms: &Forms,
        source: Option<mark::Source>,
    ) -> Result<(), VolumeError> {
        let gzipped = check_name(path)?;
        let shape = self.grid.shape;
        if shape.iter().any(|n| !(1..=i16::MAX as usize).contains(n)) {
            let why = format!(
                "{shape:?} voxels do not fit NIfTI-1, which takes 1 to 32767 along an axis"
            );
            return Err(unsupported(path, why));
        }
        let mut content = Hasher::new();
        content.update(&self.bytes);
        let mut header = header_bytes(shape, &self.encoding, forms);
        mark::put(&mut header, content, source);
        let stream = |out: &mut dyn Write| -> io::Result<()> {
            out.write_all(&header)?;
            out.write_all(&self.bytes)
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
}

/// Bytes of a cache line.
const LINE: usize = 64;

fn encode<T: Stored>(volume: &Volume<T>, encoding: &Encoding) -> Encoded {
    let encoding = encoding.in_single_precision();
    let shape = volume.shape();
    let voxels = volume.voxels.as_standard_layout();
    let columns = voxels.as_slice().unwrap_or_default();
    let size = encoding.dtype.size();
    let mut bytes = vec![0; columns.len() * size];
    // As many planes at once as the voxels of a cache line.
    let deep = (LINE / size_of::<T>()).max(1);
    let slabs = bytes.par_chunks_mut((deep * shape[0] * shape[1] * size).max(1));
    slabs.enumerate().for_each(|(slab, bytes)| {
        encode_slab(columns, shape, slab * deep, &encoding, bytes);
    });
    Encoded {
        bytes,
        grid: volume.grid(),
        encoding,
    }
}

/// Fills `bytes` with the planes from `z0` on, of voxels that lie in columns along z.
///
/// In tiles whose rows and columns are cache lines, one behind the other along y: so memory is read and written in few places
/// at once.
fn encode_slab<T: Stored>(
    columns: &[T],
    [nx, ny, nz]: [usize; 3],
    z0: usize,
    encoding: &Encoding,
    bytes: &mut [u8],
) {
    let size = encoding.dtype.size();
    let edge = (LINE / size_of::<T>()).max(1);
    let depth = edge.min(nz - z0);
    let mut tile = [[T::default(); LINE]; LINE];
    for x0 in (0..nx).step_by(edge) {
        let width = edge.min(nx - x0);
        for y in 0..ny {
            for x in 0..width {
                let column = &columns[((x0 + x) * ny + y) * nz + z0..][..depth];
                for (row, value) in tile.iter_mut().zip(column) {
                    row[x] = *value;
                }
            }
            for (z, row) in tile.iter().take(depth).enumerate() {
                let place = &mut bytes[((z * ny + y) * nx + x0) * size..][..width * size];
                encoding.put(&row[..width], place);
            }
        }
    }
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
