//! New tensors written in parallel.

use rayon::prelude::*;

/// Values that one task works on: 128 KiB, which stay in a core's cache from one pass to the next.
pub(super) const PART: usize = 1 << 15;

/// A new vector of `len` values in maps of `size`: `fill` is handed the number of a map, where in the
/// map its part starts, and the part, which is all 0. How the work is cut depends on the sizes alone.
pub(super) fn collect(
    len: usize,
    size: usize,
    fill: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    // Zeros of fresh memory cost nothing.
    let mut values = vec![0.0; len];
    let maps = values.par_chunks_mut(size.max(1)).enumerate();
    maps.for_each(|(map, values)| {
        let parts = values.par_chunks_mut(PART).enumerate();
        parts.for_each(|(i, part)| fill(map, i * PART, part));
    });
    values
}

/// A new vector of `len` values in maps of `size`, each made whole by `fill`, which is handed its
/// number.
pub(super) fn collect_maps(
    len: usize,
    size: usize,
    fill: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut values = vec![0.0; len];
    let maps = values.par_chunks_mut(size.max(1)).enumerate();
    maps.for_each(|(map, values)| fill(map, values));
    values
}
