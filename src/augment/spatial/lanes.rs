//! Voxels side by side in a vector.

/// Voxels that are worked on together.
pub(super) const LANES: usize = 8;

/// The whole part of `at`, from 0 to 2^23, and what is left of it. Unlike a cast, this takes only
/// instructions that work on vectors.
#[inline(always)]
pub(super) fn split(at: f32) -> (u32, f32) {
    /// From here to twice this, a float32 is its last bits and has no others.
    const WHOLE: f32 = (1 << 23) as f32;
    let whole = at.floor();
    ((whole + WHOLE).to_bits() - WHOLE.to_bits(), at - whole)
}
