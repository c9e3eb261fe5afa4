//! Paired comparison of two sets of scores.

use rand::RngExt;

use super::signed_ranks::{SignedRanks, Zeros};
use super::summary::{mean, median, percentile, sorted};
use crate::random;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// How the second of two sets of paired scores differs from the first.
///
/// Scores may be infinite (the distance to a structure that was not found). Two infinities of one sign are a tie.
/// One infinity is the largest difference of all, which ranks can express and means cannot: p and `tendency` are
/// over all pairs, while mean, median and interval are over the pairs with two finite scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// Number of pairs.
    pub pairs: usize,
    /// Pairs in which both scores are finite.
    pub finite: usize,
    /// Mean difference, second minus first; not a number if no pair is finite.
    pub mean: f64,
    /// Median difference; not a number if no pair is finite.
    pub median: f64,
    /// 95 % interval of the mean difference: percentiles of 10,000 bootstrap resamples of the finite pairs.
    pub interval: [f64; 2],
    /// Two-sided p of Wilcoxon's signed-rank test.
    pub p: f64,
    /// Rank-biserial correlation: the sum of the ranks of positive differences minus that of negative ones, over
    /// the sum of all; from -1 to 1, and 0 if nothing differs.
    pub tendency: f64,
}

impl Paired {
    /// Compares paired scores. The bootstrap depends on `seed` alone.
    pub fn of(first: &[f64], second: &[f64], seed: u64) -> Self {
        let pairs = || first.iter().zip(second);
        // Two infinities have no difference that is a number.
        let differences: Vec<f64> = pairs()
            .map(|(a, b)| if a == b { 0.0 } else { b - a })
            .collect();
        let finite: Vec<f64> = pairs()
            .filter(|(a, b)| a.is_finite() && b.is_finite())
            .map(|(a, b)| b - a)
            .collect();
        let ranks = SignedRanks::of(&differences, Zeros::LeftOut);
        Self {
            pairs: differences.len(),
            finite: finite.len(),
            mean: mean(&finite),
            median: median(&finite),
            interval: bootstrap_interval(&finite, seed),
            p: ranks.p(),
            tendency: ranks.tendency(),
        }
    }
}

/// 95 % interval of the mean of `values`: percentiles of 10,000 bootstrap resamples, which depend on `seed` alone. Without
/// values its bounds are not a number.
pub fn bootstrap_interval(values: &[f64], seed: u64) -> [f64; 2] {
    let count = values.len();
    if count == 0 {
        return [f64::NAN; 2];
    }
    let mut random = random::stream(seed, &["bootstrap"], &[]);
    let means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let resample = (0..count).map(|_| values[random.random_range(0..count)]);
            resample.sum::<f64>() / count as f64
        })
        .collect();
    let means = sorted(&means);
    [percentile(&means, 0.025), percentile(&means, 0.975)]
}

/// p of several tests, raised so that the chance of any false alarm among them stays what it was (Holm,
/// 1979).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut raised = vec![0.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, &index) in order.iter().enumerate() {
        highest = highest.max((p[index] * (p.len() - rank) as f64).min(1.0));
        raised[index] = highest;
    }
    raised
}
