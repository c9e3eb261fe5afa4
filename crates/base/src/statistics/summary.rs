//! Means, deviations and percentiles of a few numbers.

/// The mean; not a number if there are none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean and sample standard deviation (n - 1); the deviation of fewer than two values is 0.
pub fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let mean = mean(values);
    if values.len() < 2 {
        return (mean, 0.0);
    }
    (
        mean,
        (squares(values, mean) / (values.len() as f64 - 1.0)).sqrt(),
    )
}

/// Mean and population standard deviation (n).
pub fn mean_and_population_sd(values: &[f64]) -> (f64, f64) {
    let mean = mean(values);
    (mean, (squares(values, mean) / values.len() as f64).sqrt())
}

/// The sum of squared differences from the mean.
fn squares(values: &[f64], mean: f64) -> f64 {
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The middle value, or the mean of the two in the middle; not a number if there are none.
pub fn median(values: &[f64]) -> f64 {
    percentile(&sorted(values), 0.5)
}

/// The middle value, or the higher of the two in the middle. There must be a value.
pub fn upper_median(values: &[f64]) -> f64 {
    sorted(values)[values.len() / 2]
}

pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value below which a `share` (0 to 1) of the sorted values lies, linear between neighbours as in
/// NumPy; not a number if there are none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = share * last as f64;
    let below = at.floor() as usize;
    let above = sorted[(below + 1).min(last)];
    sorted[below] + (above - sorted[below]) * (at - at.floor())
}

/// As [`percentile`], of distances in any order: they may be infinite, and that of none is 0.
pub fn percentile_of_distances(values: &[f64], share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let mut values = values.to_vec();
    let place = share * (values.len() - 1) as f64;
    let (_, &mut below, above) = values.select_nth_unstable_by(place as usize, f64::total_cmp);
    let above = above.iter().copied().fold(f64::INFINITY, f64::min);
    let part = place.fract();
    // Where both are infinite there is nothing between them.
    if part == 0.0 || above == below {
        below
    } else {
        below + part * (above - below)
    }
}

/// A value for printing with this many decimals: 0 where it would be printed as `-0.00`.
pub fn printable(value: f64, decimals: usize) -> f64 {
    let printed = format!("{:.decimals$}", value.abs());
    match printed.parse() == Ok(0.0) {
        true => 0.0,
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_the_samples() {
        assert_eq!(mean_and_sd(&[1.0, 2.0, 3.0, 4.0]).0, 2.5);
        assert!((mean_and_sd(&[1.0, 2.0, 3.0, 4.0]).1 - 1.290_994_448_735_805_6).abs() < 1e-15);
        assert_eq!(mean_and_sd(&[0.9]), (0.9, 0.0));
        assert_eq!(mean_and_population_sd(&[1.0, 3.0]), (2.0, 1.0));
    }

    #[test]
    fn no_zero_is_printed_with_a_sign() {
        let printed = |value: f64| format!("{:+.4}", printable(value, 4));
        let zeros = [-0.0, -0.000_049, 0.000_049].map(printed);
        assert_eq!(zeros, ["+0.0000"; 3]);
        assert_eq!(printed(-0.000_051), "-0.0001");
        assert_eq!(printed(f64::NEG_INFINITY), "-inf");
    }

    #[test]
    fn medians_and_percentiles_lie_between_neighbours() {
        let values = [3.0, 1.0, 4.0, 2.0];
        assert_eq!((median(&values), upper_median(&values)), (2.5, 3.0));
        assert!(median(&[]).is_nan());
        let distances = [0.0, 1.0, f64::INFINITY, f64::INFINITY];
        assert_eq!(
            percentile_of_distances(&values, 0.25),
            percentile(&[1.0, 2.0, 3.0, 4.0], 0.25)
        );
        assert_eq!(percentile_of_distances(&distances, 0.9), f64::INFINITY);
        assert_eq!(percentile_of_distances(&[], 0.9), 0.0);
    }
}
