//! Wilcoxon's signed-rank test (Wilcoxon, 1945).

/// The most pairs for which p is exact where no sizes are equal and no difference is 0.
const MOST_EXACT: usize = 50;

/// The most pairs for which p is exact where some are: for more, scipy does not go through all signs.
const MOST_EXACT_WITH_TIES: usize = 13;

/// Two-sided p of the signed-rank test that differences are symmetric about 0 (Wilcoxon, 1945). Pairs
/// without a difference are left out. As scipy's `wilcoxon` (1.17): exact, over all signs, for up to 50 pairs if
/// all sizes differ and none is 0, else for up to 13 pairs; otherwise by the normal approximation with its
/// correction for ties. Infinite differences have the highest ranks.
pub fn wilcoxon(differences: &[f64]) -> f64 {
    SignedRanks::of(differences, Zeros::LeftOut).p()
}

/// One-sided p of the same test: small if differences tend to be above 0. Pairs without a difference have the lowest
/// ranks, and count half as above and half as below. As scipy's `wilcoxon(…, alternative="greater",
/// zero_method="zsplit")` (1.17); 1 without pairs.
pub fn wilcoxon_greater(differences: &[f64]) -> f64 {
    SignedRanks::of(differences, Zeros::Split).p_greater()
}

/// What differences of 0 count for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Zeros {
    /// Nothing.
    LeftOut,
    /// They share the lowest ranks, half of them above 0 and half below.
    Split,
}

/// The ranks of differences by their size; equal sizes share their mean rank.
pub(super) struct SignedRanks {
    /// Twice each rank of the differences other than 0: a whole number.
    doubled: Vec<usize>,
    /// The sum of the doubled ranks of positive differences.
    positive: usize,
    /// The sum of `size³ - size` over groups of equal sizes.
    tied: f64,
    /// How many differences are 0.
    zeros: usize,
    /// How many of these have a rank, the lowest ones.
    ranked_zeros: usize,
}

impl SignedRanks {
    pub(super) fn of(differences: &[f64], zeros: Zeros) -> Self {
        // Scores have far fewer digits: what differs by less is a tie that rounding hides.
        let rounded = differences.iter().map(|d| (d * 1e12).round() / 1e12);
        let mut values: Vec<f64> = rounded.filter(|d| *d != 0.0).collect();
        values.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
        let count = differences.len() - values.len();
        let cubed = |size: usize| (size as f64).powi(3) - size as f64;
        let ranked_zeros = match zeros {
            Zeros::LeftOut => 0,
            Zeros::Split => count,
        };
        let mut ranks = Self {
            doubled: Vec::with_capacity(values.len()),
            positive: 0,
            tied: cubed(ranked_zeros),
            zeros: count,
            ranked_zeros,
        };
        for group in values.chunk_by(|a, b| a.abs() == b.abs()) {
            let before = ranked_zeros + ranks.doubled.len();
            let doubled = 2 * before + group.len() + 1;
            ranks.positive += doubled * group.iter().filter(|d| **d > 0.0).count();
            ranks.doubled.extend(group.iter().map(|_| doubled));
            ranks.tied += cubed(group.len());
        }
        ranks
    }

    /// The sum of the doubled ranks of the differences other than 0.
    fn sum(&self) -> usize {
        self.doubled.iter().sum()
    }

    pub(super) fn tendency(&self) -> f64 {
        match self.sum() {
            0 => 0.0,
            sum => (self.positive as f64 - (sum - self.positive) as f64) / sum as f64,
        }
    }

    pub(super) fn p(&self) -> f64 {
        if self.doubled.is_empty() {
            return 1.0;
        }
        if !self.is_exact() {
            return statrs::function::erf::erfc(self.z().abs() / std::f64::consts::SQRT_2);
        }
        let lower = self.positive.min(self.sum() - self.positive);
        let tail: f64 = self.ways()[..=lower].iter().sum();
        (2.0 * tail / self.choices()).min(1.0)
    }

    fn p_greater(&self) -> f64 {
        if !self.is_exact() {
            return 0.5 * statrs::function::erf::erfc(self.z() / std::f64::consts::SQRT_2);
        }
        let tail: f64 = self.ways()[self.positive..].iter().sum();
        tail / self.choices()
    }

    /// Whether p is computed over all choices of signs.
    fn is_exact(&self) -> bool {
        let most = match self.tied == 0.0 && self.zeros == 0 {
            true => MOST_EXACT,
            false => MOST_EXACT_WITH_TIES,
        };
        self.doubled.len() + self.zeros <= most
    }

    /// How far the sum of positive ranks is above its expectation, in standard deviations.
    fn z(&self) -> f64 {
        let n = (self.doubled.len() + self.ranked_zeros) as f64;
        let expected = n * (n + 1.0) / 4.0;
        let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - self.tied / 48.0;
        // Half the ranks of the zeros, which have 1 to `ranked_zeros`.
        let zeros = self.ranked_zeros as f64;
        let split = zeros * (zeros + 1.0) / 4.0;
        (self.positive as f64 / 2.0 + split - expected) / variance.sqrt()
    }

    /// The choices of signs in which the doubled positive ranks have each sum, from 0.
    fn ways(&self) -> Vec<f64> {
        let most = self.sum();
        // With the ranks so far.
        let mut ways = vec![0.0; most + 1];
        ways[0] = 1.0;
        for &rank in &self.doubled {
            for sum in (rank..=most).rev() {
                ways[sum] += ways[sum - rank];
            }
        }
        ways
    }

    /// The choices of signs of all differences.
    fn choices(&self) -> f64 {
        2_f64.powi(self.doubled.len() as i32)
    }
}
