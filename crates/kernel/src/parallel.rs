//! New tensors written in parallel.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::shared::ask_for_huge_pages;

/// Values that one task works on: 128 KiB, which stay in a core's cache from one pass to the next.
pub(super) const PART: usize = 1 << 15;

/// A new vector of `len` values in maps of `size`: `fill` is handed the number of a map, where in the
/// map its part starts, and the part, which is all 0. Parts are whole units of `unit` values, but for a
/// map's last. How the work is cut depends on the sizes alone.
pub(super) fn collect(
    len: usize,
    size: usize,
    unit: usize,
    fill: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let fill = |map: usize, start: usize, part: &mut [_]| fill(map, start, zeroed(part));
    // SAFETY: every value is set to 0 at least.
    unsafe { collect_written(len, size, unit, fill) }
}

/// As [`collect`], of parts that are not set to 0 first.
///
/// # Safety
///
/// `fill` must write every value of its part.
pub(super) unsafe fn collect_written(
    len: usize,
    size: usize,
    unit: usize,
    fill: impl Fn(usize, usize, &mut [MaybeUninit<f32>]) + Sync,
) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(len);
    let spare = &mut values.spare_capacity_mut()[..len];
    ask_for_huge_pages(spare);
    let unit = unit.max(1);
    let part_len = (PART / unit).max(1) * unit;
    let maps = spare.par_chunks_mut(size.max(1)).enumerate();
    maps.for_each(|(map, values)| {
        let parts = values.par_chunks_mut(part_len).enumerate();
        parts.for_each(|(i, part)| {
            // So that a value which is not written fails the tests.
            #[cfg(test)]
            part.fill(MaybeUninit::new(f32::NAN));
            fill(map, i * part_len, part);
        });
    });
    // SAFETY: the parts are all of the `len` values, and each was written (the caller vouches).
    unsafe { values.set_len(len) };
    values
}

/// The values, set to 0. Those of a part are in the cache when they are written again; a whole tensor would
/// be written to main memory twice.
fn zeroed(part: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    for value in &mut *part {
        value.write(0.0);
    }
    // SAFETY: all values were written just now.
    unsafe { &mut *(std::ptr::from_mut(part) as *mut [f32]) }
}
