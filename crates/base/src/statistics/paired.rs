//! Paired comparison of two sets of scores.

use rand::RngExt;

use super::summary::{mean, median, percentile, sorted};
use crate::random;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// The most pairs for which all signs are gone through.
const MOST_EXACT: usize = 50;

/// How the second of two sets of paired scores differs from the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Paired {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean difference, second minus first.
    pub mean: f64,
    /// Median difference.
    pub median: f64,
    /// 95 % interval of the mean difference: percentiles of 10,000 bootstrap resamples of the pairs.
    pub interval: [f64; 2],
    /// Two-sided p of Wilcoxon's signed-rank test.
    pub p: f64,
}

impl Paired {
    /// Compares paired scores. There must be at least one pair. The bootstrap depends on `seed` alone.
    pub fn of(first: &[f64], second: &[f64], seed: u64) -> Self {
        let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| b - a).collect();
        Self {
            pairs: differences.len(),
            mean: mean(&differences),
            median: median(&differences),
            interval: bootstrap_interval(&differences, seed),
            p: wilcoxon(&differences),
        }
    }
}

fn bootstrap_interval(differences: &[f64], seed: u64) -> [f64; 2] {
    let count = differences.len();
    if count == 0 {
        return [f64::NAN; 2];
    }
    let mut random = random::stream(seed, &["bootstrap"], &[]);
    let means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let resample = (0..count).map(|_| differences[random.random_range(0..count)]);
            resample.sum::<f64>() / count as f64
        })
        .collect();
    let means = sorted(&means);
    [percentile(&means, 0.025), percentile(&means, 0.975)]
}

/// Two-sided p of the signed-rank test that differences are symmetric about 0 (Wilcoxon, 1945). Pairs
/// without a difference are left out. Exact for up to 50 pairs without ties, else by the normal
/// approximation with its correction for ties: as scipy's `wilcoxon`.
pub fn wilcoxon(differences: &[f64]) -> f64 {
    // Scores have far fewer digits: what differs by less is a tie that rounding hides.
    let rounded = differences.iter().map(|d| (d * 1e12).round() / 1e12);
    let mut values: Vec<f64> = rounded.filter(|d| *d != 0.0).collect();
    let zeros = differences.len() - values.len();
    if values.is_empty() {
        return 1.0;
    }
    values.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    let n = values.len();
    let mut positive = 0.0;
    let mut tied = 0.0;
    let mut start = 0;
    for group in values.chunk_by(|a, b| a.abs() == b.abs()) {
        let size = group.len() as f64;
        let rank = start as f64 + (size + 1.0) / 2.0;
        positive += rank * group.iter().filter(|d| **d > 0.0).count() as f64;
        tied += size.powi(3) - size;
        start += group.len();
    }
    if n <= MOST_EXACT && tied == 0.0 && zeros == 0 {
        return exact(n, positive);
    }
    let n = n as f64;
    let expected = n * (n + 1.0) / 4.0;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - tied / 48.0;
    let z = (positive - expected).abs() / variance.sqrt();
    statrs::function::erf::erfc(z / std::f64::consts::SQRT_2)
}

/// Of all `2^n` choices of signs, the part whose positive ranks sum to something at least as far from
/// the middle.
fn exact(n: usize, positive: f64) -> f64 {
    let most = n * (n + 1) / 2;
    // Ways to reach each sum with the ranks so far.
    let mut ways = vec![0.0; most + 1];
    ways[0] = 1.0;
    for rank in 1..=n {
        for sum in (rank..=most).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let lower = (positive as usize).min(most - positive as usize);
    let tail: f64 = ways[..=lower].iter().sum();
    (2.0 * tail / 2_f64.powi(n as i32)).min(1.0)
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
