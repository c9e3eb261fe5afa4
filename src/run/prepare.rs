//! Every case checked and preprocessed, before training starts.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use burn_train::Interrupter;

use super::RunError;
use crate::config::Experiment;
use crate::dataset::{Case, TrainingCase};
use crate::preprocess::PreprocessError;
use crate::preprocess::cache::{Cache, CachedCase};
use crate::track::{Console, duration};

/// The cases of an experiment, ready for the network.
pub struct PreparedData {
    cases: HashMap<String, (Case, CachedCase)>,
}

impl PreparedData {
    /// The prepared files of the cases with these ids, in this order.
    pub fn select(&self, ids: &[String]) -> Vec<TrainingCase> {
        ids.iter()
            .filter_map(|id| {
                let (_, files) = self.cases.get(id)?;
                Some(TrainingCase {
                    id: id.clone(),
                    files: files.clone(),
                })
            })
            .collect()
    }

    /// The raw files of the cases with these ids, in this order.
    pub fn sources(&self, ids: &[String]) -> Vec<&Case> {
        ids.iter()
            .filter_map(|id| self.cases.get(id).map(|(case, _)| case))
            .collect()
    }
}

/// Preprocesses `cases` into the cache under `results/cache` and checks that the network takes
/// them: one shape, a multiple of the network's divisor.
///
/// # Errors
///
/// The first case that cannot be read or prepared, or whose shape does not fit.
pub fn prepare(
    experiment: &Experiment,
    cases: &[Case],
    results: &Path,
    interrupter: &Interrupter,
    console: &Console,
) -> Result<PreparedData, RunError> {
    let started = Instant::now();
    let cache = Cache::new(results.join("cache"));
    let mut bar = console.clone();
    bar.start("preparing", cases.len(), 0);
    let mut prepared = HashMap::new();
    let mut first: Option<(String, [usize; 3])> = None;
    for case in cases {
        if interrupter.should_stop() {
            return Err(RunError::Setup(
                "stopped while preparing; prepared cases are kept for the next time.".into(),
            ));
        }
        let files = cache.prepare(
            &case.id,
            &case.image,
            Some(&case.mask),
            &experiment.preprocess,
        )?;
        let shape = files.load().map_err(PreprocessError::from)?.image.shape();
        check_shape(experiment, &case.id, shape, &mut first)?;
        prepared.insert(case.id.clone(), (case.clone(), files));
        bar.step(format!("preparing {}", case.id));
    }
    bar.finish();
    console.say(&format!(
        "Prepared {} cases in {}.",
        cases.len(),
        duration(started.elapsed())
    ));
    Ok(PreparedData { cases: prepared })
}

fn check_shape(
    experiment: &Experiment,
    id: &str,
    shape: [usize; 3],
    first: &mut Option<(String, [usize; 3])>,
) -> Result<(), RunError> {
    let divisor = experiment.model.divisor();
    if shape.iter().any(|n| n % divisor != 0) {
        let nearest = shape.map(|n| n.next_multiple_of(divisor));
        return Err(RunError::Setup(format!(
            "after preprocessing, case {id} has shape {shape:?}, but this network needs multiples \
             of {divisor} along each axis. Set preprocess' resample shape to {nearest:?}, or \
             choose fewer levels."
        )));
    }
    match first {
        Some((other, expected)) if *expected != shape => Err(RunError::Setup(format!(
            "after preprocessing, case {id} has shape {shape:?} and case {other} {expected:?}. \
             Give the resample step a fixed shape, so that batches can be made."
        ))),
        Some(_) => Ok(()),
        None => {
            *first = Some((id.to_owned(), shape));
            Ok(())
        }
    }
}
