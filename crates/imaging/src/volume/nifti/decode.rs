//! From a file's bytes to voxels.

use ndarray::Array3;
use rayon::prelude::*;

use super::Dtype;
use super::header::Header;

/// The scaled voxels of `bytes`, as many as `header` states; `None` if memory is lacking.
pub(super) fn decode(header: &Header, bytes: &[u8]) -> Option<Array3<f32>> {
    /// Takes the primitive type's bytes apart, in the file's order.
    macro_rules! of {
        ($number:ty) => {
            if header.big_endian {
                transposed(header, bytes, |b| <$number>::from_be_bytes(b) as f64)
            } else {
                transposed(header, bytes, |b| <$number>::from_le_bytes(b) as f64)
            }
        };
    }
    match header.dtype {
        Dtype::Uint8 => of!(u8),
        Dtype::Int8 => of!(i8),
        Dtype::Uint16 => of!(u16),
        Dtype::Int16 => of!(i16),
        Dtype::Uint32 => of!(u32),
        Dtype::Int32 => of!(i32),
        Dtype::Uint64 => of!(u64),
        Dtype::Int64 => of!(i64),
        Dtype::Float32 => of!(f32),
        Dtype::Float64 => of!(f64),
    }
}

/// Voxels along an edge of the tiles in which the order of axes is reversed: a tile's rows fill whole
/// cache lines.
pub(super) const BLOCK: usize = 16;

/// From the file's order (x fastest) to the array's (z fastest).
fn transposed<const N: usize>(
    header: &Header,
    bytes: &[u8],
    number: impl Fn([u8; N]) -> f64 + Sync,
) -> Option<Array3<f32>> {
    let [nx, ny, nz] = header.shape;
    let (numbers, _) = bytes.as_chunks::<N>();
    let mut voxels: Vec<f32> = Vec::new();
    voxels.try_reserve_exact(nx * ny * nz).ok()?;
    voxels.resize(nx * ny * nz, 0.0);
    voxels
        .par_chunks_mut(BLOCK * ny * nz)
        .enumerate()
        .for_each(|(block, voxels)| {
            let x0 = block * BLOCK;
            let width = BLOCK.min(nx - x0);
            let mut tile = [[0.0; BLOCK]; BLOCK];
            for y in 0..ny {
                for z0 in (0..nz).step_by(BLOCK) {
                    let depth = BLOCK.min(nz - z0);
                    for z in 0..depth {
                        let row = &numbers[((z0 + z) * ny + y) * nx + x0..][..width];
                        for (column, stored) in tile.iter_mut().zip(row) {
                            let value = number(*stored) * header.slope + header.inter;
                            column[z] = value as f32;
                        }
                    }
                    for (x, column) in tile.iter().take(width).enumerate() {
                        let start = (x * ny + y) * nz + z0;
                        voxels[start..start + depth].copy_from_slice(&column[..depth]);
                    }
                }
            }
        });
    Array3::from_shape_vec(header.shape, voxels).ok()
}

/// How many of the whole numbers are too large to be exact in single precision; scaled ones are rounded anyway.
pub(super) fn rounded(header: &Header, bytes: &[u8]) -> usize {
    macro_rules! of {
        ($number:ty) => {
            if header.big_endian {
                inexact(bytes, |b| {
                    let number = <$number>::from_be_bytes(b);
                    number as f32 as $number != number
                })
            } else {
                inexact(bytes, |b| {
                    let number = <$number>::from_le_bytes(b);
                    number as f32 as $number != number
                })
            }
        };
    }
    match header.dtype {
        _ if (header.slope, header.inter) != (1.0, 0.0) => 0,
        Dtype::Uint32 => of!(u32),
        Dtype::Int32 => of!(i32),
        Dtype::Uint64 => of!(u64),
        Dtype::Int64 => of!(i64),
        _ => 0,
    }
}

fn inexact<const N: usize>(bytes: &[u8], is: impl Fn([u8; N]) -> bool + Sync) -> usize {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.par_iter().filter(|number| is(**number)).count()
}
