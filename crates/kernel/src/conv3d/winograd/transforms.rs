//! The transforms of tiles and of weights.
//!
//! Along an axis, a tile of four values that are to be computed takes six values in; their
//! transform is the value of a polynomial at 0, 2/3, -2/3, 3/2, -3/2 and infinity. With these
//! points, of all that were tried, rounding errors are smallest: about twice those of the
//! direct sum. 2/3 times 3/2 is 1, which saves products.

// Loops over an index keep the register tiles plain to see, and to the optimiser.
#![allow(clippy::needless_range_loop)]

use super::super::simd::{Isa, MAX_LANES, Simd, dispatch};

/// Positions of a tile along an axis.
pub(super) const TILE: usize = 4;
/// Values that a tile reads along an axis.
pub(super) const SPAN: usize = 6;
/// Transformed values of a tile of two axes.
pub(super) const POINTS: usize = SPAN * SPAN;

/// The points that are neither 0 nor infinite are these and their negatives.
const A: f32 = 2.0 / 3.0;
const B: f32 = 1.5;
const AA: f32 = 4.0 / 9.0;
const BB: f32 = 2.25;
/// `A^2 + B^2`.
const S: f32 = 97.0 / 36.0;

/// Transforms a tile of rows: `to[point * stride + x]` for each `x` of the `SPAN * SPAN` rows.
pub(super) fn transform_input(isa: Isa, rows: &[&[f32]; POINTS], to: &mut [f32], stride: usize) {
    let len = rows[0].len();
    assert!(len >= MAX_LANES && rows.iter().all(|row| row.len() == len));
    assert!((POINTS - 1) * stride + len <= to.len());
    dispatch!(isa, input(rows: &[&[f32]; POINTS], to: &mut [f32], stride: usize));
}

#[inline(always)]
unsafe fn input<V: Simd>(rows: &[&[f32]; POINTS], to: &mut [f32], stride: usize) {
    let len = rows[0].len();
    let mut x = 0;
    loop {
        // SAFETY: `transform_input` has checked that every row, and `to` for every point, have
        // `len` values, and `x` is at most `len - LANES`.
        unsafe {
            let to = to.as_mut_ptr().add(x);
            let mut half = [[V::splat(0.0); SPAN]; SPAN];
            for i in 0..SPAN {
                let mut row = [V::splat(0.0); SPAN];
                for j in 0..SPAN {
                    row[j] = V::load(rows[i * SPAN + j].as_ptr().add(x));
                }
                half[i] = input_axis(row);
            }
            for j in 0..SPAN {
                let mut column = [V::splat(0.0); SPAN];
                for i in 0..SPAN {
                    column[i] = half[i][j];
                }
                let column = input_axis(column);
                for i in 0..SPAN {
                    column[i].store(to.add((i * SPAN + j) * stride));
                }
            }
        }
        if x + V::LANES >= len {
            return;
        }
        // The last vector may do some values again.
        x = (x + V::LANES).min(len - V::LANES);
    }
}

#[inline(always)]
unsafe fn input_axis<V: Simd>(d: [V; SPAN]) -> [V; SPAN] {
    // SAFETY: as for this function.
    unsafe {
        let [even_a, odd_a] = [(4, 2), (3, 1)].map(|(i, j)| d[j].mul_add(V::splat(-BB), d[i]));
        let [even_b, odd_b] = [(4, 2), (3, 1)].map(|(i, j)| d[j].mul_add(V::splat(-AA), d[i]));
        [
            d[2].mul_add(V::splat(-S), d[0]).add(d[4]),
            odd_a.mul_add(V::splat(A), even_a),
            odd_a.mul_add(V::splat(-A), even_a),
            odd_b.mul_add(V::splat(B), even_b),
            odd_b.mul_add(V::splat(-B), even_b),
            d[3].mul_add(V::splat(-S), d[1]).add(d[5]),
        ]
    }
}

/// Transforms a tile of rows of a gradient: `to[point * stride + x]` for each `x` of the
/// `TILE * TILE` rows.
pub(super) fn transform_gradient(
    isa: Isa,
    rows: &[&[f32]; TILE * TILE],
    to: &mut [f32],
    stride: usize,
) {
    let len = rows[0].len();
    assert!(len >= MAX_LANES && rows.iter().all(|row| row.len() == len));
    assert!((POINTS - 1) * stride + len <= to.len());
    dispatch!(
        isa,
        gradient(rows: &[&[f32]; TILE * TILE], to: &mut [f32], stride: usize)
    );
}

#[inline(always)]
unsafe fn gradient<V: Simd>(rows: &[&[f32]; TILE * TILE], to: &mut [f32], stride: usize) {
    let len = rows[0].len();
    let mut x = 0;
    loop {
        // SAFETY: `transform_gradient` has checked that every row, and `to` for every point, have
        // `len` values, and `x` is at most `len - LANES`.
        unsafe {
            let to = to.as_mut_ptr().add(x);
            let mut half = [[V::splat(0.0); SPAN]; TILE];
            for i in 0..TILE {
                let mut row = [V::splat(0.0); TILE];
                for j in 0..TILE {
                    row[j] = V::load(rows[i * TILE + j].as_ptr().add(x));
                }
                half[i] = gradient_axis(row);
            }
            for j in 0..SPAN {
                let mut column = [V::splat(0.0); TILE];
                for i in 0..TILE {
                    column[i] = half[i][j];
                }
                let column = gradient_axis(column);
                for i in 0..SPAN {
                    column[i].store(to.add((i * SPAN + j) * stride));
                }
            }
        }
        if x + V::LANES >= len {
            return;
        }
        x = (x + V::LANES).min(len - V::LANES);
    }
}

/// The transpose of [`output_axis`].
#[inline(always)]
unsafe fn gradient_axis<V: Simd>(y: [V; TILE]) -> [V; SPAN] {
    // SAFETY: as for this function.
    unsafe {
        let even = |a: f32, b: f32| y[2].mul_add(V::splat(b), y[0].mul(V::splat(a)));
        let (even_a, even_b) = (even(B, A), even(A, B));
        let odd_a = y[3].mul_add(V::splat(AA), y[1]);
        let odd_b = y[3].mul_add(V::splat(BB), y[1]);
        [
            y[0],
            even_a.add(odd_a),
            even_a.sub(odd_a),
            even_b.add(odd_b),
            even_b.sub(odd_b),
            y[3],
        ]
    }
}

/// Transforms `len` sums back, the points `stride` apart, and adds `bias`; writes `len` values to
/// each of the rows of the tile.
///
/// # Safety
/// `rows` must be valid for writes of `len` values, by this task alone.
pub(super) unsafe fn transform_output(
    isa: Isa,
    sums: &[f32],
    stride: usize,
    bias: f32,
    len: usize,
    rows: &[*mut f32; TILE * TILE],
) {
    assert!(len >= MAX_LANES && (POINTS - 1) * stride + len <= sums.len());
    dispatch!(
        isa,
        output(
            sums: &[f32],
            stride: usize,
            bias: f32,
            len: usize,
            rows: &[*mut f32; TILE * TILE]
        )
    );
}

#[inline(always)]
unsafe fn output<V: Simd>(
    sums: &[f32],
    stride: usize,
    bias: f32,
    len: usize,
    rows: &[*mut f32; TILE * TILE],
) {
    let mut x = 0;
    loop {
        // SAFETY: `transform_output` has checked that `sums` have `len` values for every point,
        // its caller vouches for the rows, and `x` is at most `len - LANES`.
        unsafe {
            let sums = sums.as_ptr().add(x);
            let bias = V::splat(bias);
            let mut half = [[V::splat(0.0); TILE]; SPAN];
            for i in 0..SPAN {
                let mut row = [V::splat(0.0); SPAN];
                for j in 0..SPAN {
                    row[j] = V::load(sums.add((i * SPAN + j) * stride));
                }
                half[i] = output_axis(row);
            }
            for j in 0..TILE {
                let mut column = [V::splat(0.0); SPAN];
                for i in 0..SPAN {
                    column[i] = half[i][j];
                }
                let column = output_axis(column);
                for i in 0..TILE {
                    column[i].add(bias).store(rows[i * TILE + j].add(x));
                }
            }
        }
        if x + V::LANES >= len {
            return;
        }
        x = (x + V::LANES).min(len - V::LANES);
    }
}

#[inline(always)]
unsafe fn output_axis<V: Simd>(m: [V; SPAN]) -> [V; TILE] {
    // SAFETY: as for this function.
    unsafe {
        let (even_a, odd_a) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (even_b, odd_b) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            even_a.mul_add(V::splat(B), even_b.mul_add(V::splat(A), m[0])),
            odd_a.add(odd_b),
            even_a.mul_add(V::splat(A), even_b.mul(V::splat(B))),
            odd_a.mul_add(V::splat(AA), odd_b.mul_add(V::splat(BB), m[5])),
        ]
    }
}

/// Transforms weights: `to[point * stride + i]`, given `weights[tap * len + i]` for the 3x3 taps
/// along depth and height; `len` is a multiple of `MAX_LANES`.
pub(super) fn transform_weights(
    isa: Isa,
    weights: &[f32],
    len: usize,
    to: &mut [f32],
    stride: usize,
) {
    assert!(len.is_multiple_of(MAX_LANES) && weights.len() >= 9 * len);
    assert!((POINTS - 1) * stride + len <= to.len());
    dispatch!(
        isa,
        weight(weights: &[f32], len: usize, to: &mut [f32], stride: usize)
    );
}

#[inline(always)]
unsafe fn weight<V: Simd>(weights: &[f32], len: usize, to: &mut [f32], stride: usize) {
    for x in (0..len).step_by(V::LANES) {
        // SAFETY: `transform_weights` has checked that there are `len` weights for every tap, and
        // room for as many at every point.
        unsafe {
            let weights = weights.as_ptr().add(x);
            let to = to.as_mut_ptr().add(x);
            let mut half = [[V::splat(0.0); SPAN]; 3];
            for i in 0..3 {
                let mut row = [V::splat(0.0); 3];
                for j in 0..3 {
                    row[j] = V::load(weights.add((i * 3 + j) * len));
                }
                half[i] = weight_axis(row);
            }
            for j in 0..SPAN {
                let column = weight_axis([half[0][j], half[1][j], half[2][j]]);
                for i in 0..SPAN {
                    column[i].store(to.add((i * SPAN + j) * stride));
                }
            }
        }
    }
}

/// `1 / (2 A (A^2 - B^2))`.
const WEIGHT_A: f32 = -27.0 / 65.0;
/// `1 / (2 B (B^2 - A^2))`.
const WEIGHT_B: f32 = 12.0 / 65.0;

#[inline(always)]
unsafe fn weight_axis<V: Simd>(g: [V; 3]) -> [V; SPAN] {
    // SAFETY: as for this function.
    unsafe {
        let even = |c: f32, cc: f32| g[2].mul_add(V::splat(c * cc), g[0].mul(V::splat(c)));
        let (even_a, even_b) = (even(WEIGHT_A, AA), even(WEIGHT_B, BB));
        let (odd_a, odd_b) = (V::splat(WEIGHT_A * A), V::splat(WEIGHT_B * B));
        let minus = g[1].mul(V::splat(-1.0));
        [
            g[0],
            g[1].mul_add(odd_a, even_a),
            minus.mul_add(odd_a, even_a),
            g[1].mul_add(odd_b, even_b),
            minus.mul_add(odd_b, even_b),
            g[2],
        ]
    }
}

/// Transforms the gradient of weights back: `to[tap * len + i]` for the 3x3 taps along depth and
/// height, given `sums[point * stride + i]`; `len` is a multiple of `MAX_LANES`.
pub(super) fn transform_weight_gradient(
    isa: Isa,
    sums: &[f32],
    stride: usize,
    len: usize,
    to: &mut [f32],
) {
    assert!(len.is_multiple_of(MAX_LANES) && to.len() >= 9 * len);
    assert!((POINTS - 1) * stride + len <= sums.len());
    dispatch!(
        isa,
        weight_gradient(sums: &[f32], stride: usize, len: usize, to: &mut [f32])
    );
}

#[inline(always)]
unsafe fn weight_gradient<V: Simd>(sums: &[f32], stride: usize, len: usize, to: &mut [f32]) {
    for x in (0..len).step_by(V::LANES) {
        // SAFETY: `transform_weight_gradient` has checked that there are `len` sums for every
        // point, and room for as many at every tap.
        unsafe {
            let sums = sums.as_ptr().add(x);
            let to = to.as_mut_ptr().add(x);
            let mut half = [[V::splat(0.0); 3]; SPAN];
            for i in 0..SPAN {
                let mut row = [V::splat(0.0); SPAN];
                for j in 0..SPAN {
                    row[j] = V::load(sums.add((i * SPAN + j) * stride));
                }
                half[i] = weight_gradient_axis(row);
            }
            for j in 0..3 {
                let mut column = [V::splat(0.0); SPAN];
                for i in 0..SPAN {
                    column[i] = half[i][j];
                }
                let column = weight_gradient_axis(column);
                for i in 0..3 {
                    column[i].store(to.add((i * 3 + j) * len));
                }
            }
        }
    }
}

/// The transpose of [`weight_axis`].
#[inline(always)]
unsafe fn weight_gradient_axis<V: Simd>(m: [V; SPAN]) -> [V; 3] {
    // SAFETY: as for this function.
    unsafe {
        let even_a = m[1].add(m[2]).mul(V::splat(WEIGHT_A));
        let even_b = m[3].add(m[4]).mul(V::splat(WEIGHT_B));
        let odd_b = m[3].sub(m[4]).mul(V::splat(WEIGHT_B * B));
        [
            m[0].add(even_a.add(even_b)),
            m[1].sub(m[2]).mul_add(V::splat(WEIGHT_A * A), odd_b),
            even_a.mul_add(V::splat(AA), even_b.mul_add(V::splat(BB), m[5])),
        ]
    }
}
