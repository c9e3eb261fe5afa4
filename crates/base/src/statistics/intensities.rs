//! Statistics of intensities, in parallel: percentiles as NumPy takes them by default, mean and deviation.
//! All are the same at any number of threads.

use std::borrow::Cow;

use multiversion::multiversion;
use rayon::prelude::*;

/// Values that one task of [`mean_and_deviation_simd`] works on: 64 KiB, which stay in a core's cache.
pub const PART: usize = 1 << 14;

/// Percentiles, linear between the order statistics around `percent / 100 * (n - 1)`. There must be
/// a value.
pub fn percentiles<const N: usize>(mut values: Cow<[f32]>, percents: [f64; N]) -> [f64; N] {
    percents.map(|percent| {
        // The ends need no order, and no copy to put in order.
        if percent <= 0.0 {
            return f64::from(
                values
                    .par_iter()
                    .copied()
                    .reduce(|| f32::INFINITY, f32::min),
            );
        }
        if percent >= 100.0 {
            let highest = values.par_iter().copied();
            return f64::from(highest.reduce(|| f32::NEG_INFINITY, f32::max));
        }
        let position = percent / 100.0 * (values.len() - 1) as f64;
        let (_, below, rest) = values
            .to_mut()
            .select_nth_unstable_by(position as usize, f32::total_cmp);
        let below = f64::from(*below);
        match rest.iter().copied().min_by(f32::total_cmp) {
            Some(above) => below + position.fract() * (f64::from(above) - below),
            None => below,
        }
    })
}

/// The mean and the population standard deviation of the values. There must be a value.
pub fn mean_and_deviation(values: &[f32]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = sum(values, |value| value) / n;
    let variance = sum(values, |value| (value - mean) * (value - mean)) / n;
    (mean, variance.sqrt())
}

/// As [`mean_and_deviation`], added up in another order: by parts of [`PART`] values, sixteen lanes each, on
/// the widest vectors that the processor has. Of none both are 0.
pub fn mean_and_deviation_simd(values: &[f32]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    // Parts are added up in their order.
    let total = |of: fn(&[f32], f64) -> f64, mean: f64| -> f64 {
        let parts: Vec<f64> = values.par_chunks(PART).map(|part| of(part, mean)).collect();
        parts.iter().sum()
    };
    let mean = total(sum_about, 0.0) / count;
    (mean, (total(squares_about, mean) / count).sqrt())
}

/// The sum of a function of the values, in an order that depends on their number alone.
fn sum(values: &[f32], of: impl Fn(f64) -> f64 + Sync) -> f64 {
    const LANES: usize = 8;
    let chunks = values.par_chunks(1 << 16).map(|chunk| {
        // Lanes that do not wait for each other.
        let mut lanes = [0.0; LANES];
        let (eights, rest) = chunk.as_chunks::<LANES>();
        for eight in eights {
            for (lane, value) in lanes.iter_mut().zip(eight) {
                *lane += of(f64::from(*value));
            }
        }
        let rest: f64 = rest.iter().map(|value| of(f64::from(*value))).sum();
        lanes.iter().sum::<f64>() + rest
    });
    let sums: Vec<f64> = chunks.collect();
    sums.iter().sum()
}

const LANES: usize = 16;

#[multiversion(targets = "simd")]
fn sum_about(values: &[f32], mean: f64) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (lines, rest) = values.as_chunks::<LANES>();
    for line in lines {
        for (lane, value) in lanes.iter_mut().zip(line) {
            *lane += f64::from(*value) - mean;
        }
    }
    let rest: f64 = rest.iter().map(|value| f64::from(*value) - mean).sum();
    lanes.iter().sum::<f64>() + rest
}

#[multiversion(targets = "simd")]
fn squares_about(values: &[f32], mean: f64) -> f64 {
    let square = |value: f32| (f64::from(value) - mean) * (f64::from(value) - mean);
    let mut lanes = [0.0f64; LANES];
    let (lines, rest) = values.as_chunks::<LANES>();
    for line in lines {
        for (lane, value) in lanes.iter_mut().zip(line) {
            *lane += square(*value);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| square(*value)).sum::<f64>()
}
