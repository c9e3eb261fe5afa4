//! How two experiments compare in one score.

use std::fmt;

use super::wanted::{Wanted, score_name};
use super::{CompareError, Scores};
use crate::metric::{Better, Metric};
use crate::statistics::{Paired, mean, printable};

/// Chance of a false alarm that a verdict allows.
const LEVEL: f64 = 0.05;

/// How one experiment compares with the first one in one metric.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The first experiment.
    pub first: String,
    /// The other experiment.
    pub second: String,
    /// The metric.
    pub metric: &'static Metric,
    /// The structure; none for one mask, or the mean over structures.
    pub structure: Option<String>,
    /// Means over the cases in which both are finite; not a number if there are none.
    pub means: [f64; 2],
    /// How many cases are infinite in each: distances to what was not found.
    pub infinite: [usize; 2],
    /// The differences, second minus first.
    pub paired: Paired,
    /// p after Holm's correction for all comparisons made at once.
    pub p: f64,
}

impl Comparison {
    pub(super) fn of(
        first: &Scores,
        second: &Scores,
        wanted: &Wanted,
        seed: u64,
    ) -> Result<Self, CompareError> {
        let name = wanted.name();
        let scores = [first.of(&name)?, second.of(&name)?];
        let paired = Paired::of(&scores[0], &scores[1], seed);
        let finite = |index: &usize| scores.iter().all(|of| of[*index].is_finite());
        let finite: Vec<usize> = (0..paired.pairs).filter(finite).collect();
        let mean_of =
            |of: &Vec<f64>| mean(&finite.iter().map(|index| of[*index]).collect::<Vec<_>>());
        let infinite = |of: &Vec<f64>| of.iter().filter(|value| value.is_infinite()).count();
        Ok(Self {
            first: first.name.clone(),
            second: second.name.clone(),
            metric: wanted.metric,
            structure: wanted.structure.clone(),
            means: [mean_of(&scores[0]), mean_of(&scores[1])],
            infinite: [infinite(&scores[0]), infinite(&scores[1])],
            p: paired.p,
            paired,
        })
    }

    /// The score that is compared, such as `dice` or `dice/anterior`.
    pub fn name(&self) -> String {
        score_name(self.metric, self.structure.as_deref())
    }

    /// What the second is, compared with the first; none if the difference is not significant.
    pub fn verdict(&self) -> Option<&'static str> {
        let Paired {
            pairs,
            finite,
            mean,
            tendency,
            ..
        } = self.paired;
        // A mean over the finite cases alone may point the other way.
        let higher = if finite == pairs {
            mean > 0.0
        } else {
            tendency > 0.0
        };
        let word = match (self.metric.better, higher) {
            (Better::Higher, true) | (Better::Lower, false) => "better",
            (Better::Higher, false) | (Better::Lower, true) => "worse",
            (Better::Neither, true) => "higher",
            (Better::Neither, false) => "lower",
        };
        (self.p < LEVEL).then_some(word)
    }

    /// What the mean, its interval and the median leave out; none if every case is finite.
    pub fn left_out(&self) -> Option<String> {
        let [first, second] = self.infinite;
        (first + second > 0).then(|| {
            format!(
                "{} is infinite for {first} of {} cases in {} and for {second} in {}: these count in p, not in mean, \
                 interval and median.",
                self.name(), self.paired.pairs, self.first, self.second
            )
        })
    }

    /// The mean difference with its interval.
    fn size(&self) -> String {
        let Paired { mean, interval, .. } = self.paired;
        let metric = match self.metric.unit {
            "" => self.name(),
            unit => format!("{unit} {}", self.name()),
        };
        let [mean, low, high] = [mean, interval[0], interval[1]].map(|value| printable(value, 4));
        format!("{mean:+.4} {metric} [{low:+.4}, {high:+.4}]")
    }
}

/// One plain sentence, and another one where cases are infinite.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, .. } = self;
        let Paired {
            pairs,
            finite,
            mean,
            interval: [low, high],
            ..
        } = self.paired;
        let p = match self.p {
            p if p < 0.001 => "p < 0.001".to_owned(),
            p => format!("p = {p:.3}"),
        };
        let (name, all) = (self.name(), finite == pairs);
        match self.verdict() {
            Some(word) if all => {
                let size = mean.abs();
                let (least, most) = if mean < 0.0 {
                    (-high, -low)
                } else {
                    (low, high)
                };
                let [least, most] = [least, most].map(|value| printable(value, 4));
                let unit = match self.metric.unit {
                    "" => String::new(),
                    unit => format!("{unit} "),
                };
                write!(
                    f,
                    "{second} is {word} than {first} by {size:.4} {unit}{name} [{least:.4}, {most:.4}], {p}, {pairs} \
                     cases."
                )
            }
            Some(word) => write!(
                f,
                "{second} is {word} than {first} in {name}, {p}, {pairs} cases."
            ),
            None if all => write!(
                f,
                "The data show no significant difference between {first} and {second}: {}, {p}, {pairs} cases.",
                self.size()
            ),
            None => write!(
                f,
                "The data show no significant difference between {first} and {second} in {name}: {p}, {pairs} cases."
            ),
        }?;
        let Some(left_out) = self.left_out() else {
            return Ok(());
        };
        match finite {
            0 => write!(f, " {left_out} No case is finite in both."),
            _ => write!(
                f,
                " {left_out} Over the other {finite} cases: {}.",
                self.size()
            ),
        }
    }
}
