//! Voxels side by side in a vector.

/// Voxels that are worked on together.
pub(super) const LANES: usize = 8;

/// The whole part of `at`, from 0 to 2^23, and the remainder. It takes only instructions that work on vectors;
/// a cast does not.
#[inline(always)]
pub(super) fn split(at: f32) -> (u32, f32) {
    /// From here to twice this, a float32 is its last bits and has no others.
    const WHOLE: f32 = (1 << 23) as f32;
    let whole = at.floor();
    ((whole + WHOLE).to_bits() - WHOLE.to_bits(), at - whole)
}
