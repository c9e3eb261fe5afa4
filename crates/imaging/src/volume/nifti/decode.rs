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
const BLOCK: usize = 16;

/// From the file's order (x fastest) to the array's (z fastest).
fn transposed<const N: usize>(
    header: &Header,
    bytes: &[u8],
    number: impl Fn([u8; N]) -> f64 + Sync,
) -> Option<Array3<f32>> {
    let [nx, ny, nz] = header.shape;
    let (numbers, _) = bytes.as_chunks::<N>();
    // Whether there is room. The system hands out zeros, which are made where they are first touched: below, by all
    // threads.
    Vec::<f32>::new().try_reserve_exact(nx * ny * nz).ok()?;
    let mut voxels = vec![0.0; nx * ny * nz];
    voxels
        .par_chunks_mut(BLOCK * ny * nz)
        .enumerate()
        .for_each(|(block, voxels)| {
            let x0 = block * BLOCK;
            let width = BLOCK.min(nx - x0);
            let mut tile = [[0.0; BLOCK]; BLOCK];
            // One tile behind the other along y: so memory is read and written in few places at once.
            for z0 in (0..nz).step_by(BLOCK) {
                let depth = BLOCK.min(nz - z0);
                for y in 0..ny {
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

/// How many voxels single precision cannot keep: stored whole numbers that are not what they were, and real numbers
/// that change by more than [`VISIBLE`] of the range of all.
pub(super) fn rounded(header: &Header, bytes: &[u8], voxels: &Array3<f32>) -> usize {
    let (slope, inter) = (header.slope, header.inter);
    macro_rules! of {
        ($number:ty) => {
            if header.big_endian {
                whole(bytes, (slope, inter), |b| {
                    <$number>::from_be_bytes(b) as f64
                })
            } else {
                whole(bytes, (slope, inter), |b| {
                    <$number>::from_le_bytes(b) as f64
                })
            }
        };
    }
    match header.dtype {
        // Exact in single precision.
        Dtype::Uint8 | Dtype::Int8 | Dtype::Uint16 | Dtype::Int16
            if (slope, inter) == (1.0, 0.0) =>
        {
            0
        }
        Dtype::Float32 => 0,
        Dtype::Uint8 => of!(u8),
        Dtype::Int8 => of!(i8),
        Dtype::Uint16 => of!(u16),
        Dtype::Int16 => of!(i16),
        Dtype::Uint32 => of!(u32),
        Dtype::Int32 => of!(i32),
        Dtype::Uint64 => of!(u64),
        Dtype::Int64 => of!(i64),
        Dtype::Float64 => {
            let number = |b: [u8; 8]| match header.big_endian {
                true => f64::from_be_bytes(b),
                false => f64::from_le_bytes(b),
            };
            let values = voxels
                .as_slice_memory_order()
                .unwrap_or_default()
                .par_iter()
                .copied();
            let low = values.clone().reduce(|| f32::INFINITY, f32::min);
            let high = values.reduce(|| f32::NEG_INFINITY, f32::max);
            let least = VISIBLE * (f64::from(high) - f64::from(low));
            let (numbers, _) = bytes.as_chunks::<8>();
            let changed = |stored: &&[u8; 8]| {
                let value = number(**stored) * slope + inter;
                (f64::from(value as f32) - value).abs() > least
            };
            numbers.par_iter().filter(changed).count()
        }
    }
}

/// Part of the range of intensities from which a change is worth a word.
const VISIBLE: f64 = 1e-4;

fn whole<const N: usize>(
    bytes: &[u8],
    (slope, inter): (f64, f64),
    number: impl Fn([u8; N]) -> f64 + Sync,
) -> usize {
    let (numbers, _) = bytes.as_chunks::<N>();
    let changed = |stored: &&[u8; N]| {
        let number = number(**stored);
        let value = f64::from((number * slope + inter) as f32);
        // Half a step up or down is another number.
        ((value - inter) / slope - number).abs() >= 0.5
    };
    numbers.par_iter().filter(changed).count()
}
