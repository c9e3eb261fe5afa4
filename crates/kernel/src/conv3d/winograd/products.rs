//! The products of a convolution: register tiles of channels times positions.

// Loops over an index keep the register tiles plain to see, and to the optimiser.
#![allow(clippy::needless_range_loop)]

use super::super::simd::{Isa, MAX_LANES, Simd};

/// Destination channels that [`multiply`] handles together, for `left` channels to go.
pub(super) fn channel_group(isa: Isa, left: usize) -> usize {
    left.next_power_of_two().min(widest_group(isa))
}

/// The most of them with any instructions.
pub(super) const WIDEST_GROUP: usize = 8;

/// The most of them.
pub(super) fn widest_group(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => WIDEST_GROUP,
        _ => 4,
    }
}

/// What [`multiply`] reads: of one point, the transformed input of all channels, and the weights
/// of a group of destination channels.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) source: &'a [f32],
    /// Distance of two channels of the source.
    pub(super) stride: usize,
    /// `[source channels][taps along the width][group]`.
    pub(super) weights: &'a [f32],
    pub(super) channels: usize,
    pub(super) group: usize,
    /// Number of positions, a multiple of `MAX_LANES`.
    pub(super) line: usize,
    /// Whether the products are added to what the sums are.
    pub(super) add: bool,
}

/// For each position and each channel of the group, adds up source times weight over all source channels and
/// the three taps along the width; writes the channels to `sums`, `stride` apart.
pub(super) fn multiply(isa: Isa, product: &Product, sums: &mut [f32], stride: usize) {
    let Product {
        line,
        group,
        channels,
        ..
    } = *product;
    assert!(line.is_multiple_of(MAX_LANES) && channels > 0 && group > 0);
    assert!((channels - 1) * product.stride + line + 2 <= product.source.len());
    assert!(product.weights.len() >= channels * 3 * group);
    assert!(stride >= line && (group - 1) * stride + line <= sums.len());
    match isa {
        // SAFETY: this variant exists on a CPU with AVX-512F only; lengths are asserted above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { multiply_avx512(product, sums, stride) },
        // SAFETY: this variant exists on a CPU with AVX2 and FMA only; lengths as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { multiply_avx2(product, sums, stride) },
        // SAFETY: plain Rust needs no special CPU; lengths as above.
        Isa::Portable => unsafe { multiply_narrow::<[f32; 4]>(product, sums, stride) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn multiply_avx512(product: &Product, sums: &mut [f32], stride: usize) {
    type V = std::arch::x86_64::__m512;
    // SAFETY: as for this function. The tiles keep 24 of 32 registers for sums.
    unsafe {
        match product.group {
            8 => tiles::<V, 8, 3>(product, sums, stride),
            4 => tiles::<V, 4, 6>(product, sums, stride),
            2 => tiles::<V, 2, 8>(product, sums, stride),
            _ => tiles::<V, 1, 8>(product, sums, stride),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply_avx2(product: &Product, sums: &mut [f32], stride: usize) {
    // SAFETY: as for this function.
    unsafe { multiply_narrow::<std::arch::x86_64::__m256>(product, sums, stride) }
}

/// For instruction sets with 16 registers.
#[inline(always)]
unsafe fn multiply_narrow<V: Simd>(product: &Product, sums: &mut [f32], stride: usize) {
    // SAFETY: as for this function.
    unsafe {
        match product.group {
            4 => tiles::<V, 4, 2>(product, sums, stride),
            2 => tiles::<V, 2, 4>(product, sums, stride),
            _ => tiles::<V, 1, 8>(product, sums, stride),
        }
    }
}

/// Covers the line with tiles of `N` vectors, then of 2, then of 1.
#[inline(always)]
unsafe fn tiles<V: Simd, const C: usize, const N: usize>(
    product: &Product,
    sums: &mut [f32],
    stride: usize,
) {
    let mut at = 0;
    // SAFETY: every tile ends inside the line, which `multiply` has checked.
    unsafe {
        while at + N * V::LANES <= product.line {
            tile::<V, C, N>(product, at, sums, stride);
            at += N * V::LANES;
        }
        while at + 2 * V::LANES <= product.line {
            tile::<V, C, 2>(product, at, sums, stride);
            at += 2 * V::LANES;
        }
        while at < product.line {
            tile::<V, C, 1>(product, at, sums, stride);
            at += V::LANES;
        }
    }
}

/// `N` vectors of positions from `at` on, for `C` channels, in registers.
#[inline(always)]
unsafe fn tile<V: Simd, const C: usize, const N: usize>(
    product: &Product,
    at: usize,
    sums: &mut [f32],
    stride: usize,
) {
    // SAFETY: `multiply` has checked that `line + 2` positions of every source channel exist, that
    // there are `C` weights for each of its taps, and that the sums have room.
    unsafe {
        let mut acc = [[V::splat(0.0); N]; C];
        let sums = sums.as_mut_ptr().add(at);
        if product.add {
            for c in 0..C {
                for n in 0..N {
                    acc[c][n] = V::load(sums.add(c * stride + n * V::LANES));
                }
            }
        }
        let mut source = product.source.as_ptr().add(at);
        let mut weights = product.weights.as_ptr();
        for _ in 0..product.channels {
            for k in 0..3 {
                let mut x = [V::splat(0.0); N];
                for n in 0..N {
                    x[n] = V::load(source.add(k + n * V::LANES));
                }
                for c in 0..C {
                    let weight = V::splat(*weights.add(c));
                    for n in 0..N {
                        acc[c][n] = x[n].mul_add(weight, acc[c][n]);
                    }
                }
                weights = weights.add(C);
            }
            // One past the last channel's may lie outside, but is not read.
            source = source.wrapping_add(product.stride);
        }
        for c in 0..C {
            for n in 0..N {
                acc[c][n].store(sums.add(c * stride + n * V::LANES));
            }
        }
    }
}
