//! Whether one experiment's scores are better than another's, case by case.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::layout::{RunFolder, TableError, runs_below};
use crate::metric::{Better, METRICS, Metric};
use crate::statistics::{Paired, holm, mean, printable};

/// The score that shows whether two runs were scored against the same masks.
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
        "case {case} has a true {what} of {first_ml:.3} mL in {first} and of {second_ml:.3} mL in \
         {second}: they were scored on different grids or against different masks."
    )]
    Truth {
        /// The case.
        case: String,
        /// `mask`, or the structure.
        what: String,
        /// One experiment.
        first: String,
        /// Volume of its mask.
        first_ml: f64,
        /// The other.
        second: String,
        /// Volume of its mask.
        second_ml: f64,
    },
    /// The experiments find nothing in common.
    #[error(
        "{first} and {second} have no structure in common: {first} has {has}, {second} has {other}. Compare runs that \
         find the same."
    )]
    Structures {
        /// One experiment.
        first: String,
        /// Its structures.
        has: String,
        /// The other.
        second: String,
        /// Its structures.
        other: String,
    },
}

/// An experiment's scores: for each case and metric the mean over all runs that validated it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Where they come from.
    pub name: String,
    /// Score to value of each case: `dice`, which is the mean over several structures, and `dice/anterior`.
    pub cases: BTreeMap<String, BTreeMap<String, f64>>,
    /// The structures that were scored, in order; none of one mask.
    pub structures: Vec<String>,
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
        let mut structures: Vec<String> = Vec::new();
        for run in &runs {
            for (case, digest) in run.mask_digests() {
                masks.entry(case).or_default().insert(digest);
            }
            for case in run.read_cases()? {
                let scores = sums.entry(case.case).or_default();
                let mut all = case.scores;
                for of in case.structures {
                    all.extend(
                        of.scores
                            .into_iter()
                            .map(|(name, value)| (format!("{name}/{}", of.name), value)),
                    );
                    if !structures.contains(&of.name) {
                        structures.push(of.name);
                    }
                }
                for (name, value) in all {
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
            structures,
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

    /// These scores with the `common` structures alone: means are over them.
    fn restricted(&self, common: &[String]) -> Self {
        let restrict = |scores: &BTreeMap<String, f64>| {
            let is_common = |name: &str| match name.split_once('/') {
                Some((_, structure)) => common.iter().any(|of| of == structure),
                None => true,
            };
            let mut kept = scores.clone();
            kept.retain(|name, _| is_common(name));
            for metric in METRICS.iter().map(|metric| metric.name) {
                let key = |structure: &String| format!("{metric}/{structure}");
                let values = common
                    .iter()
                    .map(|structure| kept.get(&key(structure)).copied());
                if let Some(values) = values.collect::<Option<Vec<f64>>>() {
                    kept.insert(metric.to_owned(), mean(&values));
                }
            }
            kept
        };
        let cases = self.cases.iter();
        Self {
            cases: cases
                .map(|(case, scores)| (case.clone(), restrict(scores)))
                .collect(),
            structures: common.to_vec(),
            ..self.clone()
        }
    }

    /// What it finds, in words.
    fn found(&self) -> String {
        match self.structures.as_slice() {
            [] => "one mask".into(),
            structures => structures.join(", "),
        }
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
    fn of(
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

/// What is to be compared: a metric of one structure, or of all.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The metric.
    pub metric: &'static Metric,
    /// The structure; none for one mask, or the mean over structures.
    pub structure: Option<String>,
}

impl Wanted {
    /// The score of a name: `dice` or `dice/anterior`.
    ///
    /// # Errors
    ///
    /// The names of metrics that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let (metric, structure) = match name.split_once('/') {
            Some((metric, structure)) => (metric, Some(structure.to_owned())),
            None => (name, None),
        };
        let found = METRICS.iter().find(|one| one.name == metric);
        let metric = found.ok_or_else(|| {
            let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
            format!(
                "`{metric}` is not a metric: it must be one of {}, or that of a structure, as in dice/anterior.",
                names.join(", ")
            )
        })?;
        Ok(Self { metric, structure })
    }

    /// Its name, as in [`Self::named`].
    pub fn name(&self) -> String {
        score_name(self.metric, self.structure.as_deref())
    }
}

fn score_name(metric: &Metric, structure: Option<&str>) -> String {
    match structure {
        None => metric.name.to_owned(),
        Some(structure) => format!("{}/{structure}", metric.name),
    }
}

/// What experiments have in common.
#[derive(Clone, Debug)]
pub struct Common {
    /// Their scores, those of structures that all of them have: means are over these.
    pub experiments: Vec<Scores>,
    /// What was left out, in words.
    pub left_out: Vec<String>,
}

impl Common {
    /// The structures that all experiments have; none of one mask.
    pub fn structures(&self) -> &[String] {
        self.experiments
            .first()
            .map_or(&[], |first| first.structures.as_slice())
    }
}

/// The scores of the structures that all experiments have.
///
/// # Errors
///
/// When two have none in common.
pub fn in_common(experiments: Vec<Scores>) -> Result<Common, CompareError> {
    let Some(first) = experiments.first() else {
        return Ok(Common {
            experiments,
            left_out: Vec::new(),
        });
    };
    let mut common = first.structures.clone();
    for other in &experiments[1..] {
        common.retain(|structure| other.structures.contains(structure));
        let masks = [first, other].map(|one| one.structures.is_empty());
        if masks[0] != masks[1] || (common.is_empty() && !masks[0]) {
            return Err(CompareError::Structures {
                first: first.name.clone(),
                has: first.found(),
                second: other.name.clone(),
                other: other.found(),
            });
        }
    }
    let mut left_out = Vec::new();
    for one in &experiments {
        let others = one.structures.iter().filter(|of| !common.contains(of));
        let others: Vec<&str> = others.map(String::as_str).collect();
        if !others.is_empty() {
            left_out.push(format!(
                "{} of {} is left out, and means are over {}: not all runs have it",
                others.join(", "),
                one.name,
                common.join(", ")
            ));
        }
    }
    let restricted = match left_out.is_empty() {
        true => experiments,
        false => experiments
            .iter()
            .map(|one| one.restricted(&common))
            .collect(),
    };
    Ok(Common {
        experiments: restricted,
        left_out,
    })
}

/// Compares every experiment but the first with the first, in every score that is `wanted`. The bootstrap depends on
/// `seed` alone.
///
/// # Errors
///
/// When cases or true masks differ, or a score is missing.
pub fn compare(
    experiments: &[Scores],
    wanted: &[Wanted],
    seed: u64,
) -> Result<Vec<Comparison>, CompareError> {
    let Some((first, others)) = experiments.split_first() else {
        return Ok(Vec::new());
    };
    let mut comparisons = Vec::new();
    for second in others {
        check_cases(first, second)?;
        for one in wanted {
            comparisons.push(Comparison::of(first, second, one, seed)?);
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
    // Of several structures each is compared, and not their mean.
    let masks = match first.structures.as_slice() {
        [] => vec![("mask".to_owned(), TRUTH.to_owned())],
        structures => (structures.iter())
            .map(|name| (name.clone(), format!("{TRUTH}/{name}")))
            .collect(),
    };
    let all = first.cases.iter();
    for ((case, scores), (what, key)) in all.flat_map(|case| masks.iter().map(move |of| (case, of)))
    {
        let volumes = [scores, &second.cases[case]].map(|scores| scores.get(key).copied());
        if let [Some(first_ml), Some(second_ml)] = volumes
            && (first_ml - second_ml).abs() > 1e-6 * first_ml
        {
            return Err(CompareError::Truth {
                case: case.clone(),
                what: what.clone(),
                first: first.name.clone(),
                first_ml,
                second: second.name.clone(),
                second_ml,
            });
        }
    }
    Ok(())
}
