//! What a study searches, and how.

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};
use sha2::{Digest, Sha256};

use super::config::{Folds, Sweep};
use super::error::SweepError;
use super::objective::Objective;
use super::preflight;
use super::run_key::RunKey;
use crate::experiment::{self, Experiment};
use crate::files::hex;
use crate::metric::BatchMetric;
use crate::run::{self, Options, RunError};
use crate::settings::{self, nearest, to_inline_yaml};

/// Everything that determines what a trial is and how it is judged. A study may be resumed only with the same
/// definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The sweep.
    pub sweep: Sweep,
    /// The runs that make up a trial, in the order in which they begin.
    pub parts: Vec<RunKey>,
    /// The experiment as resolved for the sweep, before a trial's parameters.
    pub experiment: Value,
}

impl Definition {
    /// The sweep together with the runs of every trial, which follow from its experiment and data. Trials are
    /// checked as far as possible without running them.
    ///
    /// # Errors
    ///
    /// When the experiment or its data cannot be used, or the space has values with which no trial can run (all
    /// are listed).
    pub fn resolve(sweep: Sweep) -> Result<Self, SweepError> {
        let resolved =
            experiment::load(&sweep.experiment_path(), &sweep.overrides(&Mapping::new()))?;
        let experiment = resolved.experiment;
        sweep
            .pruner
            .check_epochs(experiment.train.epochs)
            .map_err(|why| SweepError::Misuse(format!("pruner: {why}")))?;
        // Structures may be declared by the data.
        let described = experiment.described_if_there();
        let described = described.map_err(|why| SweepError::Misuse(why.to_string()))?;
        for objective in sweep.objective.iter() {
            check_objective(objective, &described)?;
        }
        let parts = runs(&sweep, &experiment)?;
        sweep
            .pruner
            .check_runs(parts.len())
            .map_err(|why| SweepError::Misuse(format!("pruner: {why}.")))?;
        let mistakes = preflight::mistakes(&sweep, &parts, |other| runs(&sweep, other));
        if !mistakes.is_empty() {
            return Err(SweepError::Unrunnable {
                sweep: sweep.name,
                mistakes,
            });
        }
        let experiment = serde_yaml::to_value(experiment).map_err(|why| {
            SweepError::Misuse(format!("the experiment cannot be written: {why}"))
        })?;
        Ok(Self {
            sweep,
            parts,
            experiment,
        })
    }

    /// SHA-256 of the definition, in hexadecimal.
    pub(super) fn digest(definition: &Value) -> String {
        hex(&Sha256::digest(to_inline_yaml(definition)))
    }

    /// The differences that make results of `other` incomparable, as `key was …, is …`. The budget, the
    /// parallelism and the executor may change.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let comparable = |definition: &Self| {
            let mut definition = definition.clone();
            definition.sweep.budget = Default::default();
            definition.sweep.parallelism = 1;
            definition.sweep.executor = Default::default();
            definition
        };
        // The points of a grid are numbered in the space's order, which counts.
        settings::differences(&comparable(self), &comparable(other))
    }
}

/// An objective must be one that the experiment's runs have, and of a structure that it finds.
fn check_objective(objective: &Objective, experiment: &Experiment) -> Result<(), SweepError> {
    let (metric, structures) = (&objective.metric, experiment.structures());
    let (of, structure) = objective.parts();
    if of.starts_with("pieces_") && !experiment.evaluate.pieces {
        return Err(SweepError::Misuse(format!(
            "objective.metric is `{metric}`: the experiment does not count pieces. Set evaluate.pieces to true."
        )));
    }
    let mut missing = BatchMetric::NAMES.iter().filter(|name| {
        let is_validated = experiment
            .validate
            .metrics
            .iter()
            .any(|metric| metric.name() == **name);
        of == BatchMetric::column_of(name) && !is_validated
    });
    if let Some(name) = missing.next() {
        return Err(SweepError::Misuse(format!(
            "objective.metric is `{metric}`: the experiment's validation does not have it. Add {name} to validate.metrics."
        )));
    }
    let Some(name) = structure else {
        return Ok(());
    };
    if !structures.is_mask() && structures.named(name).is_some() {
        return Ok(());
    }
    let names = structures.names();
    let why = match structures.is_mask() {
        true => format!(
            "the experiment finds one mask, and has no structure `{name}`. Use `{of}`, or declare `labels` or `regions`"
        ),
        false => {
            let hint = nearest(name, &names)
                .map(|name| format!(" Did you mean `{of}/{name}`?"))
                .unwrap_or_default();
            let allowed: Vec<String> = names.iter().map(|name| format!("{of}/{name}")).collect();
            format!(
                "`{name}` is not a structure of the experiment.{hint} Allowed: {of}, {}",
                allowed.join(", ")
            )
        }
    };
    Err(SweepError::Misuse(format!(
        "objective.metric is `{metric}`: {why}."
    )))
}

/// Which runs every trial has.
pub(super) fn options(sweep: &Sweep) -> Options {
    Options {
        seeds: sweep.seeds.clone(),
        folds: match &sweep.folds {
            Some(Folds::These(folds)) => folds.clone(),
            _ => Vec::new(),
        },
        ..Options::default()
    }
}

/// The runs of every trial, in the order in which they begin.
fn runs(sweep: &Sweep, experiment: &Experiment) -> Result<Vec<RunKey>, RunError> {
    let options = options(sweep);
    let cases = experiment.described()?.cases()?;
    let parts = run::parts(experiment, &options, &cases)?.into_iter();
    Ok(parts.map(|(seed, fold)| RunKey { seed, fold }).collect())
}
