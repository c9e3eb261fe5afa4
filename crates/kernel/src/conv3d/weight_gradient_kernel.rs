//! The inner loops of [`super::weight_gradient`]: register tiles of channels times taps.

// Loops over an index keep the register tiles plain to see, and to the optimiser.
#![allow(clippy::needless_range_loop)]

use super::simd::{Isa, MAX_LANES, Simd};

/// Output channels that the kernels handle together, for `left` channels to go.
pub(super) fn channel_group(left: usize) -> usize {
    match left {
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}

/// What [`accumulate`] reads.
pub(super) struct Args<'a> {
    pub(super) block: &'a [f32],
    /// Distance of two planes in the block.
    pub(super) plane: usize,
    /// Where each product finds its input in the block.
    pub(super) offsets: &'a [u32],
    pub(super) lines: &'a [f32],
    /// Distance of two planes in the lines.
    pub(super) line: usize,
    /// Distance of two channels in the lines.
    pub(super) channel: usize,
    pub(super) planes: usize,
    /// Positions in each plane, a multiple of `MAX_LANES`.
    pub(super) length: usize,
}

/// Adds to `sums`, which is `[channels of the group][products]`, the sum over all positions of
/// gradient times input.
pub(super) fn accumulate(isa: Isa, group: usize, args: &Args, sums: &mut [f32]) {
    let last = args.offsets.iter().max().map_or(0, |&last| last as usize);
    assert!(args.length.is_multiple_of(MAX_LANES) && args.planes > 0);
    assert!(last + (args.planes - 1) * args.plane + args.length <= args.block.len());
    let last = (group - 1) * args.channel + (args.planes - 1) * args.line;
    assert!(last + args.length <= args.lines.len());
    assert!(sums.len() >= group * args.offsets.len());
    match isa {
        // SAFETY: this variant exists on a CPU with AVX-512F only; lengths are asserted above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { accumulate_avx512(group, args, sums) },
        // SAFETY: this variant exists on a CPU with AVX2 and FMA only; lengths as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { accumulate_avx2(group, args, sums) },
        // SAFETY: plain Rust needs no special CPU; lengths as above.
        Isa::Portable => unsafe { accumulate_narrow::<[f32; 4], 2>(group, args, sums) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn accumulate_avx512(group: usize, args: &Args, sums: &mut [f32]) {
    type V = std::arch::x86_64::__m512;
    // SAFETY: as for this function. The tiles keep up to 24 of 32 registers for sums.
    unsafe {
        match group {
            4 => tiles::<V, 4, 6>(args, sums),
            2 => tiles::<V, 2, 9>(args, sums),
            _ => tiles::<V, 1, 9>(args, sums),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn accumulate_avx2(group: usize, args: &Args, sums: &mut [f32]) {
    // SAFETY: as for this function.
    unsafe { accumulate_narrow::<std::arch::x86_64::__m256, 3>(group, args, sums) }
}

/// For instruction sets with 16 registers: tiles of four channels keep `4 * K` of them for sums.
#[inline(always)]
unsafe fn accumulate_narrow<S: Simd, const K: usize>(group: usize, args: &Args, sums: &mut [f32]) {
    // SAFETY: as for this function.
    unsafe {
        match group {
            4 => tiles::<S, 4, K>(args, sums),
            2 => tiles::<S, 2, 3>(args, sums),
            _ => tiles::<S, 1, 9>(args, sums),
        }
    }
}

/// Covers the products with tiles of `K`, then of 1.
#[inline(always)]
unsafe fn tiles<S: Simd, const C: usize, const K: usize>(args: &Args, sums: &mut [f32]) {
    let (offsets, rest) = args.offsets.as_chunks::<K>();
    // SAFETY: as for this function; the tiles end with the offsets.
    unsafe {
        for (k, offsets) in offsets.iter().enumerate() {
            tile::<S, C, K>(args, offsets, k * K, sums);
        }
        for (k, &offset) in rest.iter().enumerate() {
            tile::<S, C, 1>(args, &[offset], offsets.len() * K + k, sums);
        }
    }
}

/// `C` channels times `K` products, from product `at` on, in registers.
#[inline(always)]
unsafe fn tile<S: Simd, const C: usize, const K: usize>(
    args: &Args,
    offsets: &[u32; K],
    at: usize,
    sums: &mut [f32],
) {
    // SAFETY: `accumulate` has checked that all positions of all planes lie in the block, for
    // every offset, and in the lines, for every channel.
    unsafe {
        let mut acc = [[S::splat(0.0); K]; C];
        for z in 0..args.planes {
            let block = args.block.as_ptr().add(z * args.plane);
            let lines = args.lines.as_ptr().add(z * args.line);
            for i in (0..args.length).step_by(S::LANES) {
                let mut x = [S::splat(0.0); K];
                for k in 0..K {
                    x[k] = S::load(block.add(offsets[k] as usize + i));
                }
                for c in 0..C {
                    let g = S::load(lines.add(c * args.channel + i));
                    for k in 0..K {
                        acc[c][k] = g.mul_add(x[k], acc[c][k]);
                    }
                }
            }
        }
        let products = args.offsets.len();
        for k in 0..K {
            let mut c = 0;
            while c + 4 <= C {
                let four = [acc[c][k], acc[c + 1][k], acc[c + 2][k], acc[c + 3][k]];
                for (i, sum) in S::sum4(four).iter().enumerate() {
                    *sums.get_unchecked_mut((c + i) * products + at + k) += sum;
                }
                c += 4;
            }
            while c < C {
                *sums.get_unchecked_mut(c * products + at + k) += acc[c][k].sum();
                c += 1;
            }
        }
    }
}
