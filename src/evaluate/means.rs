//! Means of scores over cases.

use serde::Serialize;

use crate::layout::CaseScores;
use crate::statistics::{bootstrap_interval, mean};
use crate::volume::Structures;

/// The mean of a score over cases. A distance to a mask that is empty is infinite: the mean is over the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The score.
    pub metric: String,
    /// Mean over the cases whose score is finite; not a number if none is.
    pub mean: f64,
    /// 95 % bootstrap interval of the mean.
    pub interval: [f64; 2],
    /// Cases with a finite score.
    pub finite: usize,
    /// Cases with an infinite one.
    pub infinite: usize,
}

/// The means of one structure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StructureMeans {
    /// Its name, [`Structures::MEAN`] for the mean over structures, and empty for a mask.
    pub structure: String,
    /// Each score.
    pub means: Vec<Mean>,
}

/// The means of every structure over `cases`, which have the same; the last of several is that of their means. The
/// bootstrap depends on `seed` alone.
pub fn means(cases: &[CaseScores], seed: u64) -> Vec<StructureMeans> {
    let Some(first) = cases.first() else {
        return Vec::new();
    };
    let last = match first.structures.is_empty() {
        true => "",
        false => Structures::MEAN,
    };
    let names = first.structures.iter().map(|of| of.name.as_str());
    let names = names.chain([last]).enumerate();
    let of_structure = |(at, name): (usize, &str)| StructureMeans {
        structure: name.to_owned(),
        means: (first.scores.iter().enumerate())
            .map(|(score, (metric, _))| {
                let values = cases.iter().filter_map(|case| {
                    let scores = case
                        .structures
                        .get(at)
                        .map_or(&case.scores, |of| &of.scores);
                    scores.get(score).map(|(_, value)| *value)
                });
                mean_of(metric, values.collect(), seed)
            })
            .collect(),
    };
    names.map(of_structure).collect()
}

fn mean_of(metric: &str, values: Vec<f64>, seed: u64) -> Mean {
    let count = values.len();
    let finite: Vec<f64> = values
        .into_iter()
        .filter(|value| value.is_finite())
        .collect();
    Mean {
        metric: metric.to_owned(),
        mean: mean(&finite),
        interval: bootstrap_interval(&finite, seed),
        finite: finite.len(),
        infinite: count - finite.len(),
    }
}
