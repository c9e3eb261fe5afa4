//! Paired comparison of two sets of scores.

use rand::RngExt;

use super::summary::{mean, median, percentile, sorted};
use crate::random;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// The most pairs for which p is exact where no sizes are equal and no difference is 0.
const MOST_EXACT: usize = 50;

/// The most pairs for which p is exact where some are: for more, scipy does not go through all signs.
const MOST_EXACT_WITH_TIES: usize = 13;

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
        let ranks = SignedRanks::of(&differences);
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

/// Two-sided p of the signed-rank test that differences are symmetric about 0 (Wilcoxon, 1945). Pairs
/// without a difference are left out. As scipy's `wilcoxon` (1.17): exact, over all signs, for up to 50 pairs if
/// all sizes differ and none is 0, else for up to 13 pairs; otherwise by the normal approximation with its
/// correction for ties. Infinite differences have the highest ranks.
pub fn wilcoxon(differences: &[f64]) -> f64 {
    SignedRanks::of(differences).p()
}

/// The ranks of the differences other than 0 by their size; equal sizes share their mean rank.
struct SignedRanks {
    /// Twice each rank: a whole number.
    doubled: Vec<usize>,
    /// The sum of the doubled ranks of positive differences.
    positive: usize,
    /// The sum of `size³ - size` over groups of equal sizes.
    tied: f64,
    /// How many differences are 0.
    zeros: usize,
}

impl SignedRanks {
    fn of(differences: &[f64]) -> Self {
        // Scores have far fewer digits: what differs by less is a tie that rounding hides.
        let rounded = differences.iter().map(|d| (d * 1e12).round() / 1e12);
        let mut values: Vec<f64> = rounded.filter(|d| *d != 0.0).collect();
        values.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let mut ranks = Self {
            doubled: Vec::with_capacity(values.len()),
            positive: 0,
            tied: 0.0,
            zeros: differences.len() - values.len(),
        };
        for group in values.chunk_by(|a, b| a.abs() == b.abs()) {
            let doubled = 2 * ranks.doubled.len() + group.len() + 1;
            ranks.positive += doubled * group.iter().filter(|d| **d > 0.0).count();
            ranks.doubled.extend(group.iter().map(|_| doubled));
            let size = group.len() as f64;
            ranks.tied += size.powi(3) - size;
        }
        ranks
    }

    /// The sum of all doubled ranks.
    fn sum(&self) -> usize {
        self.doubled.iter().sum()
    }

    fn tendency(&self) -> f64 {
        match self.sum() {
            0 => 0.0,
            sum => (self.positive as f64 - (sum - self.positive) as f64) / sum as f64,
        }
    }

    fn p(&self) -> f64 {
        if self.doubled.is_empty() {
            return 1.0;
        }
        let most = match self.tied == 0.0 && self.zeros == 0 {
            true => MOST_EXACT,
            false => MOST_EXACT_WITH_TIES,
        };
        if self.doubled.len() + self.zeros <= most {
            return self.exact();
        }
        let n = self.doubled.len() as f64;
        let expected = n * (n + 1.0) / 4.0;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - self.tied / 48.0;
        let z = (self.positive as f64 / 2.0 - expected).abs() / variance.sqrt();
        statrs::function::erf::erfc(z / std::f64::consts::SQRT_2)
    }

    /// Of all choices of signs, the part whose positive ranks sum to something at least as far from the middle.
    fn exact(&self) -> f64 {
        let most = self.sum();
        // Ways to reach each sum with the ranks so far.
        let mut ways = vec![0.0; most + 1];
        ways[0] = 1.0;
        for &rank in &self.doubled {
            for sum in (rank..=most).rev() {
                ways[sum] += ways[sum - rank];
            }
        }
        let lower = self.positive.min(most - self.positive);
        let tail: f64 = ways[..=lower].iter().sum();
        (2.0 * tail / 2_f64.powi(self.doubled.len() as i32)).min(1.0)
    }
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
