//! A sample's intensities as one slice, and loops over them: in parallel, with the same bits at any
//! number of threads.

use multiversion::multiversion;
use rayon::prelude::*;

pub(super) use crate::statistics::intensities::{
    PART, mean_and_deviation_simd as mean_and_deviation,
};
pub(super) use crate::volume::in_order;

const LANES: usize = 16;

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
