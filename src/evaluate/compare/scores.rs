//! The scores of experiments, and what of them can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::CompareError;
use crate::experiment::Experiment;
use crate::files::read_text;
use crate::layout::{RunFolder, runs_below};
use crate::metric::METRICS;
use crate::settings::{from_yaml, listed};
use crate::statistics::mean;

/// An experiment's scores: for each case and metric the mean over all runs that validated it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Where they come from.
    pub name: String,
    /// Score to value of each case: `dice`, which is the mean over several structures, and `dice/anterior`.
    pub cases: BTreeMap<String, BTreeMap<String, f64>>,
    /// The structures that were scored, in order; none of one mask.
    pub structures: Vec<String>,
    /// Up to which distance in mm two surfaces agree, as far as it is known.
    pub(super) nsd_tolerance: Option<f64>,
    /// The SHA-256 of the masks that each case was scored against, as far as they are known.
    masks: BTreeMap<String, BTreeSet<String>>,
}

impl Scores {
    /// Reads the scores of a run, or of all runs below an experiment's folder.
    ///
    /// # Errors
    ///
    /// When there are none, a table is damaged, a run is not finished, or runs were scored in different ways.
    pub fn read(folder: &Path) -> Result<Self, CompareError> {
        let runs = runs_below(folder, RunFolder::cases);
        if runs.is_empty() {
            return Err(CompareError::NoScores {
                path: folder.into(),
            });
        }
        let begun = runs_below(folder, RunFolder::trained);
        if let Some(run) = begun.into_iter().find(|run| !run.summary().exists()) {
            return Err(CompareError::Unfinished {
                run: run.path().to_owned(),
            });
        }
        let nsd_tolerance = check_scoring(&runs)?;
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
            nsd_tolerance,
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
    pub(super) fn of(&self, metric: &str) -> Result<Vec<f64>, CompareError> {
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
/// Checks that runs are finished and were scored in one way, as far as they say so; and up to which distance in mm two
/// surfaces agree.
fn check_scoring(runs: &[RunFolder]) -> Result<Option<f64>, CompareError> {
    let mut first: Option<(&RunFolder, Experiment)> = None;
    for run in runs {
        // A table of scores may have been copied alone.
        let Ok(config) = read_text(&run.config()) else {
            continue;
        };
        if !run.summary().exists() {
            return Err(CompareError::Unfinished {
                run: run.path().to_owned(),
            });
        }
        let Ok(experiment) = from_yaml::<Experiment>(&config) else {
            continue;
        };
        match &first {
            None => first = Some((run, experiment)),
            Some((of, as_first)) => {
                let differences = as_first.scoring_differences(&experiment);
                if !differences.is_empty() {
                    return Err(CompareError::Scoring {
                        first: of.path().to_owned(),
                        second: run.path().to_owned(),
                        differences: listed(&differences),
                    });
                }
            }
        }
    }
    Ok(first.map(|(_, experiment)| experiment.evaluate.nsd_tolerance))
}
