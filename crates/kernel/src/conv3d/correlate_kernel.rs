//! The inner loops of [`super::correlate`]: register tiles of channels times positions.

// Loops over an index keep the register tiles plain to see, and to the optimiser.
#![allow(clippy::needless_range_loop)]

use super::simd::{Isa, MAX_LANES, Simd};

/// Destination channels that the kernels handle together, for `left` channels to go.
pub(super) fn channel_group(isa: Isa, left: usize) -> usize {
    let most = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => 8,
        _ => 4,
    };
    left.next_power_of_two().min(most)
}

/// What [`correlate`] reads.
pub(super) struct Args<'a> {
    pub(super) block: &'a [f32],
    /// Where each product finds its source in the block.
    pub(super) offsets: &'a [u32],
    /// Where each product finds its weight in a row.
    pub(super) weights: &'a [u32],
    /// The largest of the offsets and of the weights.
    pub(super) last: [usize; 2],
    /// The weights of each channel of the group.
    pub(super) rows: [&'a [f32]; 8],
    /// The bias of each channel of the group.
    pub(super) bias: [f32; 8],
    /// Number of positions, a multiple of `MAX_LANES`.
    pub(super) line: usize,
}

/// For each position and each of `group` channels, adds up `block[position + offset] * weight`
/// over all products; writes channel after channel to `sums`.
pub(super) fn correlate(isa: Isa, group: usize, args: &Args, sums: &mut [f32]) {
    let [offset, weight] = args.last;
    assert!(args.offsets.len() == args.weights.len());
    assert!(args.line.is_multiple_of(MAX_LANES) && offset + args.line <= args.block.len());
    assert!(args.rows.iter().all(|row| weight < row.len()) && sums.len() >= args.line * group);
    match isa {
        // SAFETY: this variant exists on a CPU with AVX-512F only; lengths are asserted above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { correlate_avx512(group, args, sums) },
        // SAFETY: this variant exists on a CPU with AVX2 and FMA only; lengths as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { correlate_avx2(group, args, sums) },
        // SAFETY: plain Rust needs no special CPU; lengths as above.
        Isa::Portable => unsafe { lines_narrow::<[f32; 4]>(group, args, sums) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn correlate_avx512(group: usize, args: &Args, sums: &mut [f32]) {
    type V = std::arch::x86_64::__m512;
    // SAFETY: as for this function. The tiles keep 24 of 32 registers for sums.
    unsafe {
        match group {
            8 => tiles::<V, 8, 3>(args, sums),
            4 => tiles::<V, 4, 6>(args, sums),
            2 => tiles::<V, 2, 8>(args, sums),
            _ => tiles::<V, 1, 8>(args, sums),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn correlate_avx2(group: usize, args: &Args, sums: &mut [f32]) {
    // SAFETY: as for this function.
    unsafe { lines_narrow::<std::arch::x86_64::__m256>(group, args, sums) }
}

/// For instruction sets with 16 registers: tiles keep 8 of them for sums, as with 12 the compiler
/// runs out of registers.
#[inline(always)]
unsafe fn lines_narrow<S: Simd>(group: usize, args: &Args, sums: &mut [f32]) {
    // SAFETY: as for this function.
    unsafe {
        match group {
            4 => tiles::<S, 4, 2>(args, sums),
            2 => tiles::<S, 2, 4>(args, sums),
            _ => tiles::<S, 1, 8>(args, sums),
        }
    }
}

/// Covers the line with tiles of `V` vectors, then of 2, then of 1.
#[inline(always)]
unsafe fn tiles<S: Simd, const C: usize, const V: usize>(args: &Args, sums: &mut [f32]) {
    let mut at = 0;
    // SAFETY: every tile ends inside the line, which `correlate` has checked.
    unsafe {
        while at + V * S::LANES <= args.line {
            tile::<S, C, V>(args, at, sums);
            at += V * S::LANES;
        }
        while at + 2 * S::LANES <= args.line {
            tile::<S, C, 2>(args, at, sums);
            at += 2 * S::LANES;
        }
        while at < args.line {
            tile::<S, C, 1>(args, at, sums);
            at += S::LANES;
        }
    }
}

/// `V` vectors of positions from `at` on, for `C` channels, in registers.
#[inline(always)]
unsafe fn tile<S: Simd, const C: usize, const V: usize>(args: &Args, at: usize, sums: &mut [f32]) {
    // SAFETY: `correlate` has checked that `line` positions after every offset lie in the block,
    // that there are `C` weights for each offset, and that the sums have room.
    unsafe {
        let mut acc = [[S::splat(0.0); V]; C];
        for c in 0..C {
            acc[c] = [S::splat(args.bias[c]); V];
        }
        let block = args.block.as_ptr().add(at);
        let mut rows = [args.rows[0].as_ptr(); C];
        for c in 1..C {
            rows[c] = args.rows[c].as_ptr();
        }
        for (&offset, &weight) in args.offsets.iter().zip(args.weights) {
            let from = block.add(offset as usize);
            let mut x = [S::splat(0.0); V];
            for v in 0..V {
                x[v] = S::load(from.add(v * S::LANES));
            }
            for c in 0..C {
                let weight = S::splat(*rows[c].add(weight as usize));
                for v in 0..V {
                    acc[c][v] = x[v].mul_add(weight, acc[c][v]);
                }
            }
        }
        for c in 0..C {
            for v in 0..V {
                acc[c][v].store(sums.as_mut_ptr().add(c * args.line + at + v * S::LANES));
            }
        }
    }
}
