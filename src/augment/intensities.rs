//! A sample's intensities as one slice, and loops over them: in parallel, with the same bits at any
//! number of threads.

use multiversion::multiversion;
use ndarray::Array3;
use rayon::prelude::*;

/// Values that one task works on: 64 KiB, which stay in a core's cache.
pub(super) const PART: usize = 1 << 14;

const LANES: usize = 16;

/// The intensities, z fastest and x slowest, whatever the layout in memory was.
pub(super) fn in_order(image: &mut Array3<f32>) -> &mut [f32] {
    if !image.is_standard_layout() {
        *image = image.as_standard_layout().into_owned();
    }
    image
        .as_slice_mut()
        .expect("an array in standard layout is one slice")
}

/// Works on all values, part by part.
pub(super) fn change(values: &mut [f32], to: impl Fn(&mut [f32]) + Send + Sync) {
    values.par_chunks_mut(PART).for_each(to);
}

/// The lowest and the highest value, if they differ: all transforms leave constant images alone.
pub(super) fn range(values: &[f32]) -> Option<[f32; 2]> {
    let [low, high] = values.par_chunks(PART).map(range_of).reduce(
        || [f32::INFINITY, f32::NEG_INFINITY],
        |a, b| [a[0].min(b[0]), a[1].max(b[1])],
    );
    (low < high).then_some([low, high])
}

/// Mean and standard deviation over all voxels, background included.
pub(super) fn mean_and_deviation(values: &[f32]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    // Parts are added up in their order.
    let total = |of: fn(&[f32], f64) -> f64, mean: f64| -> f64 {
        let parts: Vec<f64> = values.par_chunks(PART).map(|part| of(part, mean)).collect();
        parts.iter().sum()
    };
    let mean = total(sum_about, 0.0) / count;
    (mean, (total(squares_about, mean) / count).sqrt())
}

#[multiversion(targets = "simd")]
fn range_of(values: &[f32]) -> [f32; 2] {
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (lines, rest) = values.as_chunks::<LANES>();
    let widen = |low: &mut f32, high: &mut f32, value: f32| {
        *low = if value < *low { value } else { *low };
        *high = if value > *high { value } else { *high };
    };
    for line in lines {
        for lane in 0..LANES {
            widen(&mut low[lane], &mut high[lane], line[lane]);
        }
    }
    for &value in rest {
        widen(&mut low[0], &mut high[0], value);
    }
    let lowest = low.into_iter().fold(f32::INFINITY, f32::min);
    [lowest, high.into_iter().fold(f32::NEG_INFINITY, f32::max)]
}

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
