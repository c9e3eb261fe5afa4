//! Whether one experiment's scores are better than another's, case by case.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::layout::{RunFolder, TableError, runs_below};
use crate::metric::{Better, METRICS, Metric};
use crate::statistics::{Paired, holm, mean, printable};

/// The column that shows whether two runs were scored against the same masks.
const TRUTH: &str = "true_volume_ml";

/// Chance of a false alarm that a verdict allows.
const LEVEL: f64 = 0.05;

/// Two experiments cannot be compared.
#[derive(Debug, Error)]
pub enum CompareError {
    /// A folder holds no scores.
    #[error(
        "{} holds no finished run: no cases.csv in it or below it. Name a run's folder \
         (results/quickstart/seed-42) or an experiment's (results/quickstart).",
        path.display()
    )]
    NoScores {
        /// The folder.
        path: PathBuf,
    },
    /// A table of scores cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A metric is in neither table.
    #[error("{run} has no metric `{metric}`. It has: {}.", known.join(", "))]
    Metric {
        /// The experiment.
        run: String,
        /// The metric asked for.
        metric: String,
        /// The metrics that there are.
        known: Vec<String>,
    },
    /// A score is not a number.
    #[error(
        "{metric} of case {case} is not a number in {run}. Repair its cases.csv, or leave the metric out."
    )]
    NoNumber {
        /// The experiment.
        run: String,
        /// The metric.
        metric: String,
        /// The case.
        case: String,
    },
    /// The experiments validated different cases.
    #[error(
        "{first} and {second} have different cases, so they cannot be paired: {}. Compare runs of \
         one split.",
        differences.join("; ")
    )]
    Cases {
        /// One experiment.
        first: String,
        /// The other.
        second: String,
        /// What only one of them has.
        differences: Vec<String>,
    },
    /// A case was scored against different masks.
    #[error(
        "case {case} has a true mask of {first_ml:.3} mL in {first} and of {second_ml:.3} mL in \
         {second}: they were scored on different grids or against different masks."
    )]
    Truth {
        /// The case.
        case: String,
        /// One experiment.
        first: String,
        /// Volume of its mask.
        first_ml: f64,
        /// The other.
        second: String,
        /// Volume of its mask.
        second_ml: f64,
    },
}

/// An experiment's scores: for each case and metric the mean over all runs that validated it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Where they come from.
    pub name: String,
    /// Metric to value of each case.
    pub cases: BTreeMap<String, BTreeMap<String, f64>>,
    /// The SHA-256 of the masks that each case was scored against, as far as they are known.
    masks: BTreeMap<String, BTreeSet<String>>,
}

impl Scores {
    /// Reads the scores of a run, or of all runs below an experiment's folder.
    ///
    /// # Errors
    ///
    /// When there are none, or a table is damaged.
    pub fn read(folder: &Path) -> Result<Self, CompareError> {
        let runs = runs_below(folder, RunFolder::cases);
        if runs.is_empty() {
            return Err(CompareError::NoScores {
                path: folder.into(),
            });
        }
        let mut sums: BTreeMap<String, BTreeMap<String, (f64, f64)>> = BTreeMap::new();
        let mut masks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for run in &runs {
            for (case, digest) in run.mask_digests() {
                masks.entry(case).or_default().insert(digest);
            }
            for case in run.read_cases()? {
                let scores = sums.entry(case.case).or_default();
                for (name, value) in case.scores {
                    let (sum, count) = scores.entry(name).or_default();
                    *sum += value;
                    *count += 1.0;
                }
            }
        }
        let mean = |scores: BTreeMap<String, (f64, f64)>| {
            let means = scores.into_iter().map(|(name, (sum, n))| (name, sum / n));
            means.collect()
        };
        Ok(Self {
            name: folder.display().to_string(),
            cases: sums.into_iter().map(|(case, s)| (case, mean(s))).collect(),
            masks,
        })
    }

    /// What is doubtful about scores of several experiments, in words: cases that were scored against different files.
    pub fn doubts(experiments: &[Self]) -> Vec<String> {
        let mut doubts = Vec::new();
        for (at, second) in experiments.iter().enumerate() {
            let first = &experiments[0];
            let other = |case: &&String| {
                let masks = [first, second].map(|one| one.masks.get(*case));
                match masks {
                    [Some(one), Some(other)] => one != other || one.len() > 1,
                    _ => false,
                }
            };
            let cases: Vec<&str> = second
                .cases
                .keys()
                .filter(other)
                .map(String::as_str)
                .collect();
            if let (Some(case), true) = (cases.first(), at > 0) {
                doubts.push(format!(
                    "{} cases, such as {case}, were scored against different files of masks in {} and {}",
                    cases.len(),
                    first.name,
                    second.name
                ));
            }
        }
        doubts
    }

    /// The scores in one metric, in the order of the cases.
    fn of(&self, metric: &str) -> Result<Vec<f64>, CompareError> {
        let value = |(case, scores): (&String, &BTreeMap<String, f64>)| match scores.get(metric) {
            None => Err(CompareError::Metric {
                run: self.name.clone(),
                metric: metric.into(),
                known: scores.keys().cloned().collect(),
            }),
            Some(value) if value.is_nan() => Err(CompareError::NoNumber {
                run: self.name.clone(),
                metric: metric.into(),
                case: case.clone(),
            }),
            Some(value) => Ok(*value),
        };
        self.cases.iter().map(value).collect()
    }
}

/// How one experiment compares with the first one in one metric.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The first experiment.
    pub first: String,
    /// The other experiment.
    pub second: String,
    /// The metric.
    pub metric: &'static Metric,
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
    fn of(
        first: &Scores,
        second: &Scores,
        metric: &'static Metric,
        seed: u64,
    ) -> Result<Self, CompareError> {
        let scores = [first.of(metric.name)?, second.of(metric.name)?];
        let paired = Paired::of(&scores[0], &scores[1], seed);
        let finite = |index: &usize| scores.iter().all(|of| of[*index].is_finite());
        let finite: Vec<usize> = (0..paired.pairs).filter(finite).collect();
        let mean_of =
            |of: &Vec<f64>| mean(&finite.iter().map(|index| of[*index]).collect::<Vec<_>>());
        let infinite = |of: &Vec<f64>| of.iter().filter(|value| value.is_infinite()).count();
        Ok(Self {
            first: first.name.clone(),
            second: second.name.clone(),
            metric,
            means: [mean_of(&scores[0]), mean_of(&scores[1])],
            infinite: [infinite(&scores[0]), infinite(&scores[1])],
            p: paired.p,
            paired,
        })
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
                self.metric.name, self.paired.pairs, self.first, self.second
            )
        })
    }

    /// The mean difference with its interval.
    fn size(&self) -> String {
        let Paired { mean, interval, .. } = self.paired;
        let metric = match self.metric.unit {
            "" => self.metric.name.to_owned(),
            unit => format!("{unit} {}", self.metric.name),
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
        let (name, all) = (self.metric.name, finite == pairs);
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

/// The metric of a name.
///
/// # Errors
///
/// The names that there are.
pub fn metric(name: &str) -> Result<&'static Metric, String> {
    let found = METRICS.iter().find(|metric| metric.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        format!(
            "`{name}` is not a metric: it must be one of {}.",
            names.join(", ")
        )
    })
}

/// Compares every experiment but the first with the first, in every metric. The bootstrap depends on
/// `seed` alone.
///
/// # Errors
///
/// When cases or true masks differ, or a metric is missing.
pub fn compare(
    experiments: &[Scores],
    metrics: &[&'static Metric],
    seed: u64,
) -> Result<Vec<Comparison>, CompareError> {
    let Some((first, others)) = experiments.split_first() else {
        return Ok(Vec::new());
    };
    let mut comparisons = Vec::new();
    for second in others {
        check_cases(first, second)?;
        for &metric in metrics {
            comparisons.push(Comparison::of(first, second, metric, seed)?);
        }
    }
    let p: Vec<f64> = comparisons.iter().map(|comparison| comparison.p).collect();
    for (comparison, p) in comparisons.iter_mut().zip(holm(&p)) {
        comparison.p = p;
    }
    Ok(comparisons)
}

fn check_cases(first: &Scores, second: &Scores) -> Result<(), CompareError> {
    let only = |a: &Scores, b: &Scores| -> Option<String> {
        let missing = a.cases.keys().filter(|case| !b.cases.contains_key(*case));
        let missing: Vec<&str> = missing.map(String::as_str).collect();
        (!missing.is_empty()).then(|| format!("only {} has {}", a.name, missing.join(", ")))
    };
    let differences: Vec<String> = [only(first, second), only(second, first)]
        .into_iter()
        .flatten()
        .collect();
    if !differences.is_empty() {
        return Err(CompareError::Cases {
            first: first.name.clone(),
            second: second.name.clone(),
            differences,
        });
    }
    for (case, scores) in &first.cases {
        let volumes = [scores, &second.cases[case]].map(|scores| scores.get(TRUTH).copied());
        if let [Some(first_ml), Some(second_ml)] = volumes
            && (first_ml - second_ml).abs() > 1e-6 * first_ml
        {
            return Err(CompareError::Truth {
                case: case.clone(),
                first: first.name.clone(),
                first_ml,
                second: second.name.clone(),
                second_ml,
            });
        }
    }
    Ok(())
}
