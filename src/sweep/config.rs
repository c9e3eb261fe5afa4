//! What a sweep's file may contain.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::budget::Budget;
use super::error::SweepError;
use super::objective::{Objective, Objectives};
use crate::files::expand_home;
use crate::jobs::Executor;
use crate::search::parameter::brief;
use crate::search::{Assignment, Pruner, Sampler, Space};
use crate::settings::{self, Fault, Faults, read_as, repeated, within};

/// Most points of a grid.
const LARGEST_GRID: u128 = 1_000_000;

/// A sweep, as defined in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Names the results folder; the file's own name by default.
    #[serde(default)]
    pub name: String,
    /// The experiment that every trial runs, relative to the sweep's file.
    #[schemars(with = "String")]
    pub experiment: PathBuf,
    /// What every trial sets in the experiment: dotted keys to values. Paths are relative to the folder in
    /// which the sweep is started.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub set: Mapping,
    /// The seed of the sampler.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The seeds of every trial: it runs once with each. The experiment's own by default.
    #[serde(default)]
    pub seeds: Vec<u64>,
    /// The folds of every trial: it runs once on each. By default what the experiment runs alone.
    #[serde(default)]
    pub folds: Option<Folds>,
    /// The experiment's dotted keys that vary, each with its possible values.
    pub space: Space,
    /// How the next trial's parameters are chosen.
    #[serde(default)]
    pub sampler: Sampler,
    /// Which trials are stopped early.
    #[serde(default)]
    pub pruner: Pruner,
    /// What is optimised: the mean of this over folds and seeds. Of two objectives the Pareto front is sought.
    #[serde(default)]
    pub objective: Objectives,
    /// When the sweep stops.
    #[serde(default)]
    pub budget: Budget,
    /// Trials at once.
    #[serde(default = "default_parallelism")]
    #[schemars(range(min = 1))]
    pub parallelism: usize,
    /// Where the trials run.
    #[serde(default)]
    pub executor: Executor,
    /// The folder of the sweep's file.
    #[serde(skip)]
    folder: PathBuf,
}

/// Which folds of its split every trial runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "must be all, or a list of folds counted from 0, such as [0, 1]"
)]
pub enum Folds {
    /// Every fold.
    All(#[schemars(with = "String", regex(pattern = "^all$"))] All),
    /// These, counted from 0.
    These(Vec<usize>),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum All {
    /// `all`
    All,
}

fn default_seed() -> u64 {
    42
}

fn default_parallelism() -> usize {
    1
}

impl Sweep {
    /// Loads a sweep's file.
    ///
    /// # Errors
    ///
    /// All mistakes in it, each with the file, line and key, and the allowed values.
    pub fn load(path: &Path) -> Result<Self, SweepError> {
        let mut sweep: Self = read_as(path, Self::rules)?;
        if sweep.name.is_empty() {
            sweep.name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
        }
        sweep.folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(sweep)
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its dotted key, and what is allowed.
    pub fn validate(&self) -> Result<(), Faults> {
        settings::validate(self, Self::rules)
    }

    /// What is wrong with the values that the schema does not show.
    fn rules(&self) -> Vec<Fault> {
        let own = [
            ("name", self.check_name()),
            ("seeds", no_repeats(&self.seeds)),
            ("folds", self.check_folds()),
            ("sampler", self.check_sampler()),
            ("pruner", self.check_pruner()),
            ("budget", self.check_budget()),
        ];
        let parts = [
            ("space", self.space_rules()),
            ("set", self.set_rules()),
            ("sampler", self.sampler.rules()),
            ("pruner", self.pruner.rules()),
            ("objective", self.objective.rules()),
            ("executor", self.executor.rules()),
        ];
        let own = own.into_iter();
        let own = own.filter_map(|(key, checked)| Some(Fault::new(key, checked.err()?)));
        let parts = parts.into_iter();
        own.chain(parts.flat_map(|(key, faults)| within(key, faults)))
            .collect()
    }

    fn check_name(&self) -> Result<(), String> {
        match self.name.contains(['/', '\\']) || self.name.starts_with('.') {
            true => Err(format!(
                "`{}` cannot name a folder: use letters, digits, - and _",
                self.name
            )),
            false => Ok(()),
        }
    }

    /// The settings that decide which runs a trial has, and where, are the same for all trials and have keys of
    /// their own.
    fn space_rules(&self) -> Vec<Fault> {
        let refused = |key: &str| {
            let remedy = match section(key) {
                "seed" => "every trial runs with each of `seeds`, such as `seeds: [1, 2, 3]`",
                "name" => "a trial is named by its number. The sweep's own `name` names its folder",
                "split" => {
                    "trials are compared run by run, on the same folds. Choose one under `set`"
                }
                "devices" => "`executor` decides where trials run: local.devices or slurm.device",
                _ => return None,
            };
            Some(Fault::new(key, format!("{key} cannot vary: {remedy}")))
        };
        let keys = self.space.parameters().map(|(key, _)| key);
        keys.filter_map(refused).collect()
    }

    fn set_rules(&self) -> Vec<Fault> {
        let refused = |key: &Value| {
            let Some(key) = key.as_str() else {
                let message = "must be dotted keys of the experiment to values";
                return Some(Fault::new("", message));
            };
            if self.space.get(key).is_some() {
                let message =
                    format!("{key} is set and varies in space as well: remove it from one of them");
                return Some(Fault::new(key, message));
            }
            let remedy = match section(key) {
                "seed" => "give the sweep `seeds` instead, such as `seeds: [1]`",
                "name" => "a trial is named by its number. The sweep's own `name` names its folder",
                "devices" if self.executor.names_devices() => {
                    "`executor` names other devices. Remove one of them"
                }
                _ => return None,
            };
            Some(Fault::new(key, format!("{key} cannot be set: {remedy}")))
        };
        self.set.keys().filter_map(refused).collect()
    }

    fn check_folds(&self) -> Result<(), String> {
        match &self.folds {
            Some(Folds::These(list)) if list.is_empty() => {
                Err("must name at least one fold".into())
            }
            Some(Folds::These(list)) => no_repeats(list),
            _ => Ok(()),
        }
    }

    fn check_sampler(&self) -> Result<(), String> {
        if !self.sampler.is_exhaustive() {
            return Ok(());
        }
        match self.space.grid_size() {
            None => Err(format!(
                "a grid needs to know how many values stand for a range: add points, such as {{uniform: [0, 1], points: 5}}, to {}",
                self.space.without_points().join(", ")
            )),
            Some(size) if size > LARGEST_GRID => Err(format!(
                "a grid over this space has {size} points, above {LARGEST_GRID}: use random or tpe"
            )),
            Some(_) => Ok(()),
        }
    }

    /// A pruner needs the one number by which it compares, at the time at which it decides.
    fn check_pruner(&self) -> Result<(), String> {
        let pruner = self.pruner.name();
        let by_epoch = self.pruner.decides_by_epoch();
        match self.objective.single() {
            None if by_epoch || self.pruner.decides_by_run() => Err(format!(
                "{pruner} compares trials by one number, and there are two objectives: remove the pruner, or one of {}",
                self.objective.names()
            )),
            Some(Objective { metric, .. }) if by_epoch && !self.objective[0].is_of_epochs() => {
                Err(format!(
                    "{pruner} decides at epochs, and {metric} is known only when a run has finished: use wilcoxon, which compares \
                 finished runs, or a metric of each epoch, such as {}",
                    Objective::default().metric
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether the objectives of a run are recorded when it ends: the curve of its epochs does not say them.
    pub(super) fn scores_runs(&self) -> bool {
        let by_curve = self.objective.single().is_some_and(Objective::is_of_epochs);
        self.pruner.decides_by_run() || !by_curve
    }

    fn check_budget(&self) -> Result<(), String> {
        let endless = !self.sampler.is_exhaustive() && self.budget.trials.is_none();
        match endless && self.budget.hours.is_none() {
            true => Err(format!(
                "{} never ends: give trials or hours",
                self.sampler.name()
            )),
            false => Ok(()),
        }
    }

    /// Where the experiment's file is.
    pub fn experiment_path(&self) -> PathBuf {
        self.folder.join(expand_home(&self.experiment))
    }

    /// The overrides of a trial with these parameters, as `key=value`, in order.
    pub fn overrides(&self, assignment: &Assignment) -> Vec<String> {
        let mut all = Space::overrides(&self.set);
        all.extend(Space::overrides(assignment));
        all
    }
}

/// The first part of a dotted key.
pub(super) fn section(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

/// A trial's parameters, human-readable: `key=value key=value`.
pub fn in_words(assignment: &Assignment) -> String {
    let values = assignment
        .iter()
        .map(|(key, value)| format!("{}={}", key.as_str().unwrap_or_default(), brief(value)));
    values.collect::<Vec<_>>().join(" ")
}

fn no_repeats<T: PartialEq + std::fmt::Display>(list: &[T]) -> Result<(), String> {
    repeated(list).map_or(Ok(()), |item| Err(format!("names {item} twice")))
}
