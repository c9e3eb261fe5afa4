//! Every case checked and preprocessed, before training starts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn_train::Interrupter;
use rayon::prelude::*;

use super::data::check_now;
use super::{CaseDigests, RunError};
use crate::console::{Console, duration};
use crate::dataset::{Case, Fold, TrainingCase};
use crate::experiment::Experiment;
use crate::layout::make_results;
use crate::preprocess::cache::{Cache, CachedCase, CachedResult, InputDigests};
use crate::preprocess::{Pipeline, PreprocessError};
use crate::settings::nearest;
use crate::volume::Structures;

/// Most cases that a message names.
const MOST_NAMED: usize = 5;

/// The cases of an experiment, ready for the network.
pub struct PreparedData {
    cases: HashMap<String, PreparedCase>,
    /// Keeps the cases from being pruned.
    cache: Cache,
}

struct PreparedCase {
    source: Case,
    files: CachedCase,
    inputs: InputDigests,
    warnings: Vec<String>,
    /// Voxels of each class in the raw map; none of one mask.
    classes: BTreeMap<u8, u64>,
}

impl PreparedCase {
    fn warnings(&self) -> impl Iterator<Item = String> {
        warning_lines(&self.source, &self.warnings)
    }
}

/// What is doubtful about a case, one line each.
fn warning_lines(case: &Case, warnings: &[String]) -> impl Iterator<Item = String> {
    let image = case.image().display();
    warnings
        .iter()
        .map(move |warning| format!("warning: {image}: {warning}."))
}

impl PreparedData {
    /// What is doubtful about the cases with these ids, one line each.
    pub(super) fn warnings<'a>(
        &'a self,
        ids: impl Iterator<Item = &'a String>,
    ) -> impl Iterator<Item = String> {
        let cases = ids.filter_map(|id| self.cases.get(id));
        cases.flat_map(PreparedCase::warnings)
    }

    /// Checks that every class of several structures occurs in some case, and tells which are missing in which cases,
    /// one line each.
    pub(super) fn check_classes(&self, structures: &Structures) -> Result<Vec<String>, RunError> {
        let mut told = Vec::new();
        if structures.is_mask() {
            return Ok(told);
        }
        let ignores = |case: &PreparedCase| case.classes.contains_key(&Structures::IGNORED);
        if structures.has_ignored() && !self.cases.values().any(ignores) {
            let label = structures.value_of(Structures::IGNORED);
            told.push(format!("No case has the ignored label {label}."));
        }
        let classes = (1..=u8::MAX).take(structures.classes());
        for class in classes {
            let lacks = |(_, case): &(&String, &PreparedCase)| !case.classes.contains_key(&class);
            let mut lacking: Vec<&str> = (self.cases.iter().filter(lacks))
                .map(|(id, _)| id.as_str())
                .collect();
            lacking.sort_unstable();
            let name = structures.class_name(class);
            if lacking.len() == self.cases.len() {
                return Err(RunError::Setup(format!(
                    "no case has {name}: none of the {} maps of labels has a voxel of it. Check the labels ({}), or leave it \
                     out.",
                    self.cases.len(),
                    structures.describe()
                )));
            }
            if !lacking.is_empty() {
                let more = if lacking.len() > MOST_NAMED {
                    ", …"
                } else {
                    ""
                };
                let named = lacking[..lacking.len().min(MOST_NAMED)].join(", ");
                told.push(format!(
                    "{name} is missing in {} of {} cases ({named}{more}).",
                    lacking.len(),
                    self.cases.len()
                ));
            }
        }
        Ok(told)
    }

    /// What the sides of a fold lack: structures that no case of a side has though others do, one line each.
    pub(super) fn lacking(&self, structures: &Structures, fold: &Fold) -> Vec<String> {
        if structures.is_mask() {
            return Vec::new();
        }
        let sides = [
            (&fold.train, "train on", "it is not learnt"),
            (
                &fold.validation,
                "validate on",
                "its scores are 1 where nothing is predicted and 0 elsewhere, and tell nothing",
            ),
        ];
        let mut told = Vec::new();
        for class in (1..=u8::MAX).take(structures.classes()) {
            for (ids, does, so) in &sides {
                let mut cases = ids.iter().filter_map(|id| self.cases.get(id));
                if !cases.any(|case| case.classes.contains_key(&class)) {
                    let name = structures.class_name(class);
                    told.push(format!("warning: no case to {does} has {name}: {so}."));
                }
            }
        }
        told
    }

    /// The prepared files of the cases with these ids, in this order.
    pub fn select(&self, ids: &[String]) -> Vec<TrainingCase> {
        ids.iter()
            .filter_map(|id| {
                let case = self.cases.get(id)?;
                Some(TrainingCase::new(&case.source, case.files.clone()))
            })
            .collect()
    }

    /// The cases with these ids, in this order, and their prepared files.
    pub fn cases(&self, ids: &[String]) -> Vec<(&Case, &CachedCase)> {
        let cases = ids.iter().filter_map(|id| self.cases.get(id));
        cases.map(|case| (&case.source, &case.files)).collect()
    }

    /// What the cases with these ids were read from.
    pub fn inputs<'a>(&self, ids: impl Iterator<Item = &'a String>) -> CaseDigests {
        ids.filter_map(|id| Some((id.clone(), self.cases.get(id)?.inputs.clone())))
            .collect()
    }

    /// Checks that the files of the cases with these ids still hold what the cases were prepared from.
    pub(super) fn check_unchanged(&self, ids: &[String]) -> Result<(), RunError> {
        let digests = |id: &String| {
            let case = self.cases.get(id)?;
            let digests = self.cache.digests(&case.source.inputs());
            Some(digests.map(|digests| (id.clone(), digests)))
        };
        let now: Result<CaseDigests, _> = ids.iter().filter_map(digests).collect();
        let now = now.map_err(PreprocessError::from)?;
        Ok(check_now(&self.inputs(ids.iter()), &now)?)
    }
}

/// Preprocesses cases into the cache, each once, several at a time.
pub struct Preparation<'a> {
    results: PathBuf,
    cache: Cache,
    interrupter: &'a Interrupter,
    console: &'a Console,
    /// The folders of all cases prepared so far.
    used: BTreeSet<PathBuf>,
}

impl<'a> Preparation<'a> {
    /// Into the cache of the results folder `results`.
    pub fn new(results: &Path, interrupter: &'a Interrupter, console: &'a Console) -> Self {
        Self {
            results: results.to_owned(),
            cache: Cache::new(results.join("cache")),
            interrupter,
            console,
            used: BTreeSet::new(),
        }
    }

    /// The cache's folders of all cases prepared so far.
    pub fn used(&self) -> &BTreeSet<PathBuf> {
        &self.used
    }

    /// `pipeline` after all its steps have learnt from the training cases.
    ///
    /// # Errors
    ///
    /// The first case that cannot be prepared, or that a step cannot learn from.
    pub fn learn(
        &mut self,
        mut pipeline: Pipeline,
        training: &[&Case],
    ) -> Result<Pipeline, RunError> {
        while let Some(at) = pipeline.first_to_learn() {
            let before = Pipeline(pipeline.0[..at].to_vec());
            let files = self.prepare_all(training, &before)?;
            let cases = files.iter().map(|case| Ok(case.files.load()?));
            pipeline = pipeline.learnt(cases)?;
        }
        Ok(pipeline)
    }

    /// Every case after `pipeline`, which has nothing to learn; checked to be of one shape if `one_shape` is
    /// set.
    ///
    /// # Errors
    ///
    /// The first case that cannot be read or prepared, or whose shape does not fit.
    pub fn prepare(
        &mut self,
        cases: &[Case],
        pipeline: &Pipeline,
        one_shape: bool,
    ) -> Result<PreparedData, RunError> {
        let all: Vec<&Case> = cases.iter().collect();
        let prepared = self.prepare_all(&all, pipeline)?;
        if let (true, Some(first), Some(expected)) = (one_shape, cases.first(), prepared.first()) {
            for (case, prepared) in cases.iter().zip(&prepared) {
                check_shape((&case.id, prepared.shape), (&first.id, expected.shape))?;
            }
        }
        let cases = cases.iter().cloned().zip(prepared);
        let cases = cases.map(|(source, prepared)| {
            let case = PreparedCase {
                source,
                files: prepared.files,
                inputs: prepared.inputs,
                warnings: prepared.warnings,
                classes: prepared.classes,
            };
            (case.source.id.clone(), case)
        });
        Ok(PreparedData {
            cases: cases.collect(),
            cache: self.cache.clone(),
        })
    }

    /// What the files of each case hold.
    ///
    /// # Errors
    ///
    /// The first file that cannot be read.
    pub fn inputs(&self, cases: &[Case]) -> Result<CaseDigests, RunError> {
        let all: Vec<&Case> = cases.iter().collect();
        let digests = self.of_each(&all, ["checking", "checked"], |case| {
            Ok(self.cache.digests(&case.inputs())?)
        })?;
        let ids = cases.iter().map(|case| case.id.clone());
        Ok(ids.zip(digests).collect())
    }

    fn prepare_all(
        &mut self,
        cases: &[&Case],
        pipeline: &Pipeline,
    ) -> Result<Vec<CachedResult>, RunError> {
        let started = Instant::now();
        make_results(&self.results).map_err(PreprocessError::from)?;
        let prepared = self.of_each(cases, ["preparing", "prepared"], |case| {
            self.cache.prepare(&case.inputs(), pipeline)
        })?;
        self.used
            .extend(prepared.iter().map(|case| case.folder.clone()));
        self.say(cases, pipeline, &prepared, started.elapsed());
        Ok(prepared)
    }

    /// Does something with every case, several at a time; the results are in their order. `verbs` say what is being
    /// done, and what has been.
    fn of_each<T: Send>(
        &self,
        cases: &[&Case],
        verbs: [&str; 2],
        work: impl Fn(&Case) -> Result<T, PreprocessError> + Sync,
    ) -> Result<Vec<T>, RunError> {
        let [doing, done] = verbs;
        let mut bar = self.console.clone();
        bar.start(doing, cases.len(), 0);
        let (sender, receiver) = mpsc::channel();
        let mut results: Vec<Option<Result<T, PreprocessError>>> =
            cases.iter().map(|_| None).collect();
        let (interrupter, work) = (self.interrupter, &work);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let all = cases.par_iter().enumerate();
                all.for_each_with(sender, |sender, (i, case)| {
                    if !interrupter.should_stop() {
                        // The receiver stays until every sender is gone.
                        let _ = sender.send((i, work(case)));
                    }
                });
            });
            for (count, (i, result)) in receiver.into_iter().enumerate() {
                results[i] = Some(result);
                bar.step(format!("{doing} {}", cases[i].id));
                bar.now_and_then(&format!("{done} {} of {} cases", count + 1, cases.len()));
            }
        });
        bar.finish();
        let results: Option<Result<Vec<T>, _>> = results.into_iter().collect();
        match results {
            Some(results) => Ok(results?),
            None => Err(RunError::Interrupted {
                doing: "preparing",
                kept: "prepared cases are kept",
            }),
        }
    }

    /// What is doubtful about the scans, how many were made now, and how long the steps took.
    fn say(&self, cases: &[&Case], pipeline: &Pipeline, prepared: &[CachedResult], time: Duration) {
        for (case, prepared) in cases.iter().zip(prepared) {
            for line in warning_lines(case, &prepared.warnings) {
                self.console.say(&line);
            }
        }
        let made: Vec<_> = prepared
            .iter()
            .filter_map(|case| case.times.as_ref())
            .collect();
        let steps = pipeline.0.iter().enumerate().map(|(at, step)| {
            let total: Duration = made.iter().map(|times| times[at].time).sum();
            format!(
                "{} {:.2} s",
                step.member.name(),
                total.as_secs_f64() / made.len() as f64
            )
        });
        let steps: Vec<String> = steps.collect();
        let mut line = format!("Prepared {} cases in {}", cases.len(), duration(time));
        if made.is_empty() {
            line += " (all from the cache)";
        } else if !steps.is_empty() {
            let cached = match cases.len() - made.len() {
                0 => String::new(),
                cached => format!("{cached} from the cache; "),
            };
            line += &format!(" ({cached}per case: {})", steps.join(", "));
        }
        self.console.say(&format!("{line}."));
    }
}

/// The case called `id` (the first that trains if none is named), preprocessed as training on the first fold
/// would.
///
/// # Errors
///
/// If a case does not exist or cannot be prepared.
pub fn prepare_case(
    experiment: &Experiment,
    id: Option<&str>,
    preparation: &mut Preparation,
) -> Result<TrainingCase, RunError> {
    let experiment = &experiment.described()?;
    let cases = experiment.cases()?;
    let folds = experiment.split.folds(&cases, experiment.seed)?;
    let first = folds.into_iter().next();
    let training = first.map(|fold| fold.train).unwrap_or_default();
    let Some(id) = id.or(training.first().map(String::as_str)) else {
        return Err(RunError::Setup(
            "the split leaves no case to train on".into(),
        ));
    };
    let Some(case) = cases.iter().find(|case| case.id == id) else {
        let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
        let suggestion =
            nearest(id, &ids).map_or(String::new(), |id| format!(" Did you mean {id}?"));
        return Err(RunError::Setup(format!(
            "there is no case {id} among the {} of this experiment.{suggestion} `calvaria list cases` \
             names them all.",
            ids.len()
        )));
    };
    let learnt_from = cases.iter().filter(|case| training.contains(&case.id));
    let learnt_from: Vec<&Case> = learnt_from.collect();
    let pipeline = preparation.learn(experiment.preprocess.clone(), &learnt_from)?;
    let prepared = preparation.prepare_all(&[case], &pipeline)?;
    let files = prepared.into_iter().next().map(|prepared| prepared.files);
    let Some(files) = files else {
        unreachable!("each case that is prepared is returned");
    };
    Ok(TrainingCase::new(case, files))
}

/// Checks that a case's shape is the first case's.
fn check_shape(
    (id, shape): (&str, [usize; 3]),
    (first, expected): (&str, [usize; 3]),
) -> Result<(), RunError> {
    if shape != expected {
        return Err(RunError::Setup(format!(
            "after preprocessing, case {id} has shape {shape:?} and case {first} {expected:?}. \
             Give the resample step a fixed shape, so that batches can be made, or train on pieces: \
             train.patch."
        )));
    }
    Ok(())
}
