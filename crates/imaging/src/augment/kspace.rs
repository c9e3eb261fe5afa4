//! Filters in k-space, along the one axis that is encoded by phase: along the other two the Fourier
//! transform and its inverse cancel out.

use std::sync::Arc;

use ndarray::{Array3, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

/// Replaces `image` by the sum, over itself and `others` (of the same shape), of what `gains` leave of
/// each along `axis`. There is a gain for each line of k-space, in the order in which a scanner draws
/// them: from the most negative frequency to the most positive, 0 at index `n / 2`.
///
/// Of the complex image that uneven gains make, the real part is kept: a line and its mirror image
/// share their gains.
pub(super) fn combine(
    image: &mut Array3<f32>,
    others: &[Array3<f32>],
    axis: usize,
    gains: &[Vec<f32>],
) {
    let n = image.shape()[axis];
    let gains: Vec<Vec<f32>> = gains.iter().map(|gains| shared(gains, n)).collect();
    let mut planner = FftPlanner::new();
    let transforms = [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
    // A slab holds whole lines.
    let across = Axis(if axis == 0 { 1 } else { 0 });
    let slabs: Vec<ArrayViewMut2<f32>> = image.axis_iter_mut(across).collect();
    slabs.into_par_iter().enumerate().for_each(|(at, slab)| {
        let others = others.iter().map(|other| other.index_axis(across, at));
        // Lines run along the first axis of what is left.
        match axis {
            2 => combine_slab(
                slab.reversed_axes(),
                others.map(ArrayView2::reversed_axes),
                &gains,
                &transforms,
            ),
            _ => combine_slab(slab, others, &gains, &transforms),
        }
    });
}

/// Gains by frequency in the order of the Fourier transform, each the mean of a frequency's and of
/// its negative's, and divided by `n` for the way back.
fn shared(gains: &[f32], n: usize) -> Vec<f32> {
    let of = |frequency: usize| gains[(frequency + n / 2) % n];
    (0..n)
        .map(|k| (of(k) + of((n - k) % n)) / (2 * n) as f32)
        .collect()
}

fn combine_slab<'a>(
    mut slab: ArrayViewMut2<f32>,
    others: impl Iterator<Item = ArrayView2<'a, f32>>,
    gains: &[Vec<f32>],
    [forward, inverse]: &[Arc<dyn Fft<f32>>; 2],
) {
    let (n, lines) = slab.dim();
    // With gains that are real and even, two real lines stay apart as real and imaginary parts.
    let zero = Complex::new(0.0, 0.0);
    let mut sum = vec![zero; n * lines.div_ceil(2)];
    let mut spectrum = sum.clone();
    let longest = forward
        .get_inplace_scratch_len()
        .max(inverse.get_inplace_scratch_len());
    let mut scratch = vec![zero; longest];
    let mut add = |lines: ArrayView2<f32>, gains: &[f32]| {
        gather(lines, &mut spectrum);
        forward.process_with_scratch(&mut spectrum, &mut scratch);
        for (sum, line) in sum.chunks_exact_mut(n).zip(spectrum.chunks_exact(n)) {
            for (sum, (value, gain)) in sum.iter_mut().zip(line.iter().zip(gains)) {
                *sum += value * gain;
            }
        }
    };
    add(slab.view(), &gains[0]);
    for (other, gains) in others.zip(&gains[1..]) {
        add(other, gains);
    }
    inverse.process_with_scratch(&mut sum, &mut scratch);
    for (i, mut row) in slab.rows_mut().into_iter().enumerate() {
        for (line, value) in row.iter_mut().enumerate() {
            let pair = sum[line / 2 * n + i];
            *value = if line % 2 == 0 { pair.re } else { pair.im };
        }
    }
}

fn gather(lines: ArrayView2<f32>, pairs: &mut [Complex<f32>]) {
    let n = lines.nrows();
    for (i, row) in lines.rows().into_iter().enumerate() {
        for (line, value) in row.iter().enumerate() {
            let pair = &mut pairs[line / 2 * n + i];
            match line % 2 {
                0 => *pair = Complex::new(*value, 0.0),
                _ => pair.im = *value,
            }
        }
    }
}
