//! The products of a weight gradient: register tiles of output channels times input channels and
//! taps, added up over positions.

// Loops over an index keep the register tiles plain to see, and to the optimiser.
#![allow(clippy::needless_range_loop)]

use super::super::simd::{Isa, MAX_LANES, Simd, dispatch};

/// Writes `len` positions, a multiple of `MAX_LANES`, of some channels, which are `stride` apart, one
/// position after the other. After the last there must be room for a vector.
pub(super) fn transpose(
    isa: Isa,
    source: &[f32],
    stride: usize,
    channels: usize,
    len: usize,
    to: &mut [f32],
) {
    assert!(channels > 0 && len.is_multiple_of(MAX_LANES));
    assert!((channels - 1) * stride + len <= source.len());
    assert!(len * channels + MAX_LANES <= to.len());
    dispatch!(
        isa,
        squares(source: &[f32], stride: usize, channels: usize, len: usize, to: &mut [f32])
    );
}

#[inline(always)]
unsafe fn squares<V: Simd>(
    source: &[f32],
    stride: usize,
    channels: usize,
    len: usize,
    to: &mut [f32],
) {
    for x in (0..len).step_by(V::LANES) {
        // The last channels first: what is written after them is written again, with what belongs
        // there, by the first ones.
        for first in (0..channels).step_by(V::LANES).rev() {
            // SAFETY: `transpose` has checked that `len` positions of every channel exist. A
            // square ends at most a vector after the last position, where there is room.
            unsafe {
                let rows = std::array::from_fn(|i| {
                    let channel = (first + i).min(channels - 1);
                    source.as_ptr().add(channel * stride + x)
                });
                let to = to.as_mut_ptr().add(x * channels + first);
                V::transpose(&rows, to, channels);
            }
        }
    }
}

/// What [`accumulate`] reads: of one point, the transformed input and output gradient, one position after the
/// other.
#[derive(Clone, Copy)]
pub(super) struct Outer<'a> {
    pub(super) input: &'a [f32],
    pub(super) inputs: usize,
    pub(super) gradient: &'a [f32],
    pub(super) outputs: usize,
    /// Rows of tiles.
    pub(super) rows: usize,
    /// Positions of a row.
    pub(super) width: usize,
    /// Distance of two rows, in positions.
    pub(super) pitch: usize,
    /// Whether the products are added to what the sums are.
    pub(super) add: bool,
}

impl Outer<'_> {
    /// Distance of two output channels in the sums.
    pub(super) fn stride(inputs: usize) -> usize {
        (3 * inputs).next_multiple_of(MAX_LANES)
    }
}

/// For `sums`, which is `[output channel][tap along the width][input channel]`, adds up gradient
/// times input over all positions. What lies between the products of two output channels is arbitrary.
pub(super) fn accumulate(isa: Isa, outer: &Outer, sums: &mut [f32]) {
    let &Outer {
        inputs,
        outputs,
        rows,
        width,
        pitch,
        ..
    } = outer;
    let stride = Outer::stride(inputs);
    assert!(rows > 0 && width > 0 && outputs > 0);
    let last = (rows - 1) * pitch + width - 1;
    assert!(last * inputs + stride <= outer.input.len());
    assert!((last + 1) * outputs <= outer.gradient.len());
    assert!(outputs * stride <= sums.len());
    match isa {
        // SAFETY: this variant exists on a CPU with AVX-512F only; lengths are asserted above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { accumulate_avx512(outer, sums) },
        // SAFETY: this variant exists on a CPU with AVX2 and FMA only; lengths as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { accumulate_avx2(outer, sums) },
        // SAFETY: plain Rust needs no special CPU; lengths as above.
        Isa::Portable => unsafe { accumulate_narrow::<[f32; 4]>(outer, sums) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn accumulate_avx512(outer: &Outer, sums: &mut [f32]) {
    type V = std::arch::x86_64::__m512;
    let mut channel = 0;
    // SAFETY: as for this function. The tiles keep up to 24 of 32 registers for sums.
    unsafe {
        while channel + 8 <= outer.outputs {
            tiles::<V, 8, 3>(outer, channel, sums);
            channel += 8;
        }
        rest::<V, 6, 8>(outer, channel, sums);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn accumulate_avx2(outer: &Outer, sums: &mut [f32]) {
    // SAFETY: as for this function.
    unsafe { accumulate_narrow::<std::arch::x86_64::__m256>(outer, sums) }
}

/// For instruction sets with 16 registers.
#[inline(always)]
unsafe fn accumulate_narrow<V: Simd>(outer: &Outer, sums: &mut [f32]) {
    // SAFETY: as for this function.
    unsafe { rest::<V, 2, 4>(outer, 0, sums) }
}

/// The output channels from `channel` on, four and one at a time, with `FOUR` and `ONE` vectors.
#[inline(always)]
unsafe fn rest<V: Simd, const FOUR: usize, const ONE: usize>(
    outer: &Outer,
    mut channel: usize,
    sums: &mut [f32],
) {
    // SAFETY: as for this function; the channels end with the last.
    unsafe {
        while channel + 4 <= outer.outputs {
            tiles::<V, 4, FOUR>(outer, channel, sums);
            channel += 4;
        }
        while channel < outer.outputs {
            tiles::<V, 1, ONE>(outer, channel, sums);
            channel += 1;
        }
    }
}

/// Covers the products of `C` channels with tiles of `N` vectors, then of 2, then of 1.
#[inline(always)]
unsafe fn tiles<V: Simd, const C: usize, const N: usize>(
    outer: &Outer,
    channel: usize,
    sums: &mut [f32],
) {
    let end = 3 * outer.inputs;
    let mut at = 0;
    // SAFETY: every tile begins before the last product and, as the sums of an output channel are
    // whole vectors, ends inside of them.
    unsafe {
        while at + (N - 1) * V::LANES < end {
            tile::<V, C, N>(outer, channel, at, sums);
            at += N * V::LANES;
        }
        while at + V::LANES < end {
            tile::<V, C, 2>(outer, channel, at, sums);
            at += 2 * V::LANES;
        }
        while at < end {
            tile::<V, C, 1>(outer, channel, at, sums);
            at += V::LANES;
        }
    }
}

/// `N` vectors of products from `at` on, for `C` channels, in registers.
#[inline(always)]
unsafe fn tile<V: Simd, const C: usize, const N: usize>(
    outer: &Outer,
    channel: usize,
    at: usize,
    sums: &mut [f32],
) {
    let stride = Outer::stride(outer.inputs);
    // SAFETY: `accumulate` has checked that the input has a channel's sums from the last
    // position on, that the gradient has all channels of it, and that the sums have room.
    unsafe {
        let mut acc = [[V::splat(0.0); N]; C];
        for row in 0..outer.rows {
            let position = row * outer.pitch;
            let mut input = outer.input.as_ptr().add(position * outer.inputs + at);
            let gradient = outer.gradient.as_ptr();
            let mut gradient = gradient.add(position * outer.outputs + channel);
            for _ in 0..outer.width {
                let mut x = [V::splat(0.0); N];
                for n in 0..N {
                    x[n] = V::load(input.add(n * V::LANES));
                }
                for c in 0..C {
                    let g = V::splat(*gradient.add(c));
                    for n in 0..N {
                        acc[c][n] = x[n].mul_add(g, acc[c][n]);
                    }
                }
                // One past the last position's may lie outside, but is not read.
                input = input.wrapping_add(outer.inputs);
                gradient = gradient.wrapping_add(outer.outputs);
            }
        }
        for c in 0..C {
            for n in 0..N {
                let sum = sums.as_mut_ptr();
                let sum = sum.add((channel + c) * stride + at + n * V::LANES);
                if outer.add {
                    acc[c][n] = acc[c][n].add(V::load(sum));
                }
                acc[c][n].store(sum);
            }
        }
    }
}
