//! Otsu's threshold, as ITK takes it.

use rayon::prelude::*;

/// ITK's number of bins when it makes N4's mask.
const BINS: usize = 200;

/// The intensity that best parts `voxels` into two classes (Otsu 1979): the upper one is what is
/// above it. `voxels` must be finite.
pub(super) fn threshold(voxels: &[f32]) -> f64 {
    let lowest = f64::from(
        voxels
            .par_iter()
            .copied()
            .reduce(|| f32::INFINITY, f32::min),
    );
    let highest = f64::from(
        voxels
            .par_iter()
            .copied()
            .reduce(|| f32::NEG_INFINITY, f32::max),
    );
    // A hundredth of a bin beyond the highest value keeps it inside the last bin.
    let width = (highest - lowest) * (1.0 + 0.01 / BINS as f64) / BINS as f64;
    let counts = histogram(voxels, lowest, width);

    let total: f64 = counts.iter().sum();
    let moment = |(i, count): (usize, &f64)| (i as f64 + 0.5) * count;
    let total_moment: f64 = counts.iter().enumerate().map(moment).sum();
    let (mut below, mut below_moment) = (0.0, 0.0);
    let (mut best, mut last_bin_below) = (f64::NEG_INFINITY, 0);
    for bin in counts.iter().enumerate() {
        below += bin.1;
        below_moment += moment(bin);
        let above = total - below;
        if below > 0.0 && above > 0.0 {
            let difference = (total_moment - below_moment) / above - below_moment / below;
            let between = below * above * difference * difference;
            if between > best {
                (best, last_bin_below) = (between, bin.0);
            }
        }
    }
    lowest + (last_bin_below + 1) as f64 * width
}

/// How many voxels lie in each bin. Counts are whole, so their sum has no order.
fn histogram(voxels: &[f32], lowest: f64, width: f64) -> Vec<f64> {
    let add = |mut counts: Vec<f64>, voxel: &f32| {
        let bin = ((f64::from(*voxel) - lowest) / width) as usize;
        counts[bin.min(BINS - 1)] += 1.0;
        counts
    };
    let merge = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a + b).collect();
    let empty = || vec![0.0; BINS];
    voxels.par_iter().fold(empty, add).reduce(empty, merge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_parts_two_clusters() {
        let voxels: Vec<f32> = (0..900)
            .map(|i| {
                if i % 3 == 0 {
                    80.0 + (i % 7) as f32
                } else {
                    (i % 5) as f32
                }
            })
            .collect();
        let threshold = threshold(&voxels);
        assert!((4.0..80.0).contains(&threshold), "{threshold}");
    }

    #[test]
    fn a_constant_image_has_nothing_above_its_threshold() {
        assert_eq!(threshold(&[3.0; 10]), 3.0);
    }
}
