//! Voxels side by side in a vector.

/// Voxels that are worked on together.
pub(super) const LANES: usize = 8;

/// The values, fewer than [`LANES`], with zeros behind them.
#[inline(always)]
pub(super) fn filled<T: Copy + Default>(values: &[T]) -> [T; LANES] {
    let mut filled = [T::default(); LANES];
    filled[..values.len()].copy_from_slice(values);
    filled
}
