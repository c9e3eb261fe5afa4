//! A random forest for regression over parameters, with the marginal variance of its trees along each of
//! them: the basis of functional analysis of variance.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The kind of a feature.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Feature {
    /// A number from 0 to 1.
    Number,
    /// An index below this.
    Index(usize),
}

/// A regression tree as its leaves, which are boxes that fill the space.
pub struct Tree {
    leaves: Vec<Leaf>,
}

struct Leaf {
    value: f64,
    sides: Vec<Side>,
}

/// The range of a leaf along one feature.
#[derive(Clone)]
enum Side {
    Between(f64, f64),
    OneOf(Vec<bool>),
}

impl Side {
    fn whole(feature: &Feature) -> Self {
        match feature {
            Feature::Number => Self::Between(0.0, 1.0),
            Feature::Index(count) => Self::OneOf(vec![true; *count]),
        }
    }

    /// The part of the feature's range that it covers.
    fn share(&self) -> f64 {
        match self {
            Self::Between(low, high) => high - low,
            Self::OneOf(flags) => {
                flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64
            }
        }
    }
}

/// How a node splits.
enum Split {
    At(f64),
    Left(Vec<bool>),
}

impl Tree {
    /// A tree grown on a bootstrap sample until no leaf has two different values.
    pub fn grow(
        features: &[Feature],
        points: &[Vec<f64>],
        values: &[f64],
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let sample = (0..points.len())
            .map(|_| rng.random_range(0..points.len()))
            .collect();
        let mut leaves = Vec::new();
        let whole = features.iter().map(Side::whole).collect();
        let mut open: Vec<(Vec<usize>, Vec<Side>)> = vec![(sample, whole)];
        while let Some((sample, sides)) = open.pop() {
            let Some((feature, split)) = best_split(features, points, values, &sample) else {
                let value =
                    sample.iter().map(|&index| values[index]).sum::<f64>() / sample.len() as f64;
                leaves.push(Leaf { value, sides });
                continue;
            };
            let is_left = |&index: &usize| match &split {
                Split::At(threshold) => points[index][feature] <= *threshold,
                Split::Left(left) => left[points[index][feature] as usize],
            };
            let (left, right) = sample.into_iter().partition(is_left);
            let (mut below, mut above) = (sides.clone(), sides);
            match (&split, &mut below[feature], &mut above[feature]) {
                (Split::At(threshold), Side::Between(_, high), Side::Between(low, _)) => {
                    (*high, *low) = (*threshold, *threshold);
                }
                (Split::Left(left), Side::OneOf(these), Side::OneOf(those)) => {
                    for (index, left) in left.iter().enumerate() {
                        these[index] &= *left;
                        those[index] &= !left;
                    }
                }
                _ => unreachable!("a feature is split as what it is"),
            }
            open.push((left, below));
            open.push((right, above));
        }
        Self { leaves }
    }

    /// The variance of the tree over the whole space, every point being as likely.
    pub fn variance(&self) -> f64 {
        let volume = |leaf: &Leaf| leaf.sides.iter().map(Side::share).product();
        let weighted: Vec<(f64, f64)> = self
            .leaves
            .iter()
            .map(|leaf| (volume(leaf), leaf.value))
            .collect();
        variance(&weighted)
    }

    /// The variance along one feature of the mean over all others.
    pub fn variance_along(&self, feature: usize) -> f64 {
        let mut cuts = vec![0.0, 1.0];
        let mut count = 0;
        for leaf in &self.leaves {
            match &leaf.sides[feature] {
                Side::Between(low, high) => cuts.extend([*low, *high]),
                Side::OneOf(flags) => count = flags.len(),
            }
        }
        cuts.sort_by(f64::total_cmp);
        cuts.dedup();
        let cells = if count > 0 { count } else { cuts.len() - 1 };
        let width = |cell: usize| {
            if count > 0 {
                1.0 / count as f64
            } else {
                cuts[cell + 1] - cuts[cell]
            }
        };
        let mut means: Vec<(f64, f64)> = (0..cells).map(|cell| (width(cell), 0.0)).collect();
        for leaf in &self.leaves {
            let others = leaf
                .sides
                .iter()
                .enumerate()
                .filter(|(index, _)| *index != feature);
            let weight: f64 = others.map(|(_, side)| side.share()).product();
            let covers = |cell: usize| match &leaf.sides[feature] {
                Side::Between(low, high) => *low <= cuts[cell] && cuts[cell] < *high,
                Side::OneOf(flags) => flags[cell],
            };
            for (cell, (_, mean)) in means.iter_mut().enumerate() {
                if covers(cell) {
                    *mean += weight * leaf.value;
                }
            }
        }
        variance(&means)
    }
}

/// The variance of values with weights.
fn variance(weighted: &[(f64, f64)]) -> f64 {
    let sum: f64 = weighted.iter().map(|(weight, _)| weight).sum();
    let mean = weighted
        .iter()
        .map(|(weight, value)| weight * value)
        .sum::<f64>()
        / sum;
    weighted
        .iter()
        .map(|(weight, value)| weight * (value - mean).powi(2))
        .sum::<f64>()
        / sum
}

/// The split after which values differ least from the means of their sides; none if all values or all points
/// are the same.
fn best_split(
    features: &[Feature],
    points: &[Vec<f64>],
    values: &[f64],
    sample: &[usize],
) -> Option<(usize, Split)> {
    let first = values[*sample.first()?];
    if sample.iter().all(|&index| values[index] == first) {
        return None;
    }
    let mut best: Option<(f64, usize, Split)> = None;
    for (feature, kind) in features.iter().enumerate() {
        let position = along(kind, feature, points, values, sample);
        let mut order: Vec<usize> = sample.to_vec();
        order.sort_by(|&a, &b| position(a).total_cmp(&position(b)));
        let total: f64 = order.iter().map(|&index| values[index]).sum();
        let mut left = 0.0;
        for place in 1..order.len() {
            let (before, after) = (order[place - 1], order[place]);
            left += values[before];
            if position(before) == position(after) {
                continue;
            }
            let (n, rest) = (place as f64, (order.len() - place) as f64);
            // The sum of squares that the split explains, but for a constant.
            let explained = left * left / n + (total - left).powi(2) / rest;
            if best.as_ref().is_some_and(|(most, ..)| explained <= *most) {
                continue;
            }
            let split = match kind {
                Feature::Number => Split::At(0.5 * (position(before) + position(after))),
                Feature::Index(count) => {
                    let mut flags = vec![false; *count];
                    order[..place]
                        .iter()
                        .for_each(|&index| flags[points[index][feature] as usize] = true);
                    Split::Left(flags)
                }
            };
            best = Some((explained, feature, split));
        }
    }
    best.map(|(_, feature, split)| (feature, split))
}

/// The position of points along a feature: its number; of an index, the mean of the values that have it, which
/// finds the best of all splits of the indices (Breiman et al., Classification and Regression Trees, 1984).
fn along<'a>(
    kind: &Feature,
    feature: usize,
    points: &'a [Vec<f64>],
    values: &[f64],
    sample: &[usize],
) -> impl Fn(usize) -> f64 + 'a {
    let means: Option<Vec<f64>> = match kind {
        Feature::Number => None,
        Feature::Index(count) => {
            let mut sums = vec![(0.0, 0.0); *count];
            for &index in sample {
                let (sum, n) = &mut sums[points[index][feature] as usize];
                *sum += values[index];
                *n += 1.0;
            }
            Some(
                sums.into_iter()
                    .map(|(sum, n)| if n > 0.0 { sum / n } else { 0.0 })
                    .collect(),
            )
        }
    };
    move |index| {
        let number = points[index][feature];
        means
            .as_ref()
            .map_or(number, |means| means[number as usize])
    }
}
