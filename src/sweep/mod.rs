//! Many runs of one experiment in search of better settings: the space, what is tried next, what is
//! stopped early, and the record from which a killed sweep goes on.
//!
//! | module | what it holds |
//! |---|---|
//! | [`budget`] | how long to look |
//! | [`study`] | the record as it is worked on; [`event`] and [`log`] are its lines, [`history`] what they add up to |
//! | `preflight` | what is wrong with trials before any of them runs |
//! | [`leaderboard`] | scores with intervals, `sweep.csv` |
//! | [`importance`] | how much each parameter matters |
//!
//! Nothing here trains anything. A [`Driver`] asks the [`Study`] for the next trial, has its runs done by the
//! executor as ordinary `calvaria run`s, and reports to the study what they came to.

pub mod budget;
mod definition;
mod driver;
pub mod error;
pub mod event;
pub mod history;
pub mod importance;
pub mod leaderboard;
pub mod log;
mod preflight;
mod report;
mod run;
pub mod study;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::Mapping;

pub use budget::{Budget, Stop};
pub use definition::Definition;
pub use driver::{Driver, DriverError};
pub use error::SweepError;
pub use event::Part;
pub use history::{History, Status, Trial};
pub use report::write_report;
pub use run::{Options, SweepRunError, Swept, preview, run};
pub use study::{Launch, Next, Study};

use crate::jobs::Executor;
use crate::search::{Assignment, Goal, Objective, Pruner, Sampler, Space, parameter};
use crate::settings::read_as;

/// The largest grid that is walked through.
const LARGEST_GRID: u128 = 1_000_000;

/// A sweep, as its file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Names the results folder; the file's own name by default.
    #[serde(default)]
    pub name: String,
    /// The experiment that every trial is, relative to the sweep's file.
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
    /// The experiment's dotted keys that vary, each with what it may be.
    pub space: Space,
    /// How the next trial's parameters are chosen.
    #[serde(default)]
    pub sampler: Sampler,
    /// Which trials are stopped early.
    #[serde(default)]
    pub pruner: Pruner,
    /// What is looked for: the mean over folds and seeds of this.
    #[serde(default)]
    pub objective: Objective,
    /// When the sweep has had enough.
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
    /// Anything that is wrong with it: each mistake names the file, line and key, and what is allowed.
    pub fn load(path: &Path) -> Result<Self, SweepError> {
        let mut sweep: Self = read_as(path, Self::validate)?;
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
    /// The first key that is wrong, and what is allowed.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let checks = [
            ("name", self.check_name()),
            ("space", self.check_space()),
            ("set", self.check_set()),
            ("seeds", no_repeats(&self.seeds)),
            ("folds", self.check_folds()),
            (
                "sampler",
                self.sampler.validate().and_then(|()| self.check_sampler()),
            ),
            ("pruner", self.pruner.validate()),
            ("objective", self.objective.validate()),
            (
                "budget",
                self.budget.validate().and_then(|()| self.check_budget()),
            ),
            ("executor", self.executor.validate()),
            (
                "parallelism",
                match self.parallelism {
                    0 => Err("must be at least 1".into()),
                    _ => Ok(()),
                },
            ),
        ];
        checks
            .into_iter()
            .try_for_each(|(key, checked)| checked.map_err(|why| (key, why)))
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

    /// What decides which runs a trial is, and where, is the same for all trials and has keys of its own.
    fn check_space(&self) -> Result<(), String> {
        self.space.parameters().try_for_each(|(key, _)| {
            let remedy = match section(key) {
                "seed" => "every trial runs with each of `seeds`, such as `seeds: [1, 2, 3]`",
                "name" => "a trial is named by its number. The sweep's own `name` names its folder",
                "split" => {
                    "trials are compared run by run, on the same folds. Choose one under `set`"
                }
                "devices" => "`executor` says where trials run: local.devices or slurm.device",
                _ => return Ok(()),
            };
            Err(format!("{key} cannot vary: {remedy}"))
        })
    }

    fn check_set(&self) -> Result<(), String> {
        self.set.keys().try_for_each(|key| {
            let Some(key) = key.as_str() else {
                return Err("must be dotted keys of the experiment to values".into());
            };
            if self.space.get(key).is_some() {
                return Err(format!(
                    "{key} is set and varies in space as well: remove it from one of them"
                ));
            }
            let remedy = match section(key) {
                "seed" => "give the sweep `seeds` instead, such as `seeds: [1]`",
                "name" => "a trial is named by its number. The sweep's own `name` names its folder",
                "devices" if self.executor.names_devices() => {
                    "`executor` names other devices. Remove one of them"
                }
                _ => return Ok(()),
            };
            Err(format!("{key} cannot be set: {remedy}"))
        })
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
        if !matches!(self.sampler, Sampler::Grid(_)) {
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

    fn check_budget(&self) -> Result<(), String> {
        let endless = !matches!(self.sampler, Sampler::Grid(_)) && self.budget.trials.is_none();
        match endless && self.budget.hours.is_none() {
            true => Err(format!(
                "{} goes on for ever: give trials or hours",
                self.sampler.name()
            )),
            false => Ok(()),
        }
    }

    /// Where the experiment's file is.
    pub fn experiment_path(&self) -> PathBuf {
        self.folder.join(&self.experiment)
    }

    /// What a trial with these parameters overrides in the experiment, as `key=value`, in order.
    pub fn overrides(&self, assignment: &Assignment) -> Vec<String> {
        let mut all = Space::overrides(&self.set);
        all.extend(Space::overrides(assignment));
        all
    }
}

/// The first part of a dotted key.
fn section(key: &str) -> &str {
    key.split('.').next().unwrap_or(key)
}

/// A trial's parameters for people: `key=value key=value`.
pub fn in_words(assignment: &Assignment) -> String {
    let values = assignment.iter().map(|(key, value)| {
        format!(
            "{}={}",
            key.as_str().unwrap_or_default(),
            parameter::brief(value)
        )
    });
    values.collect::<Vec<_>>().join(" ")
}

fn no_repeats<T: PartialEq + std::fmt::Display>(list: &[T]) -> Result<(), String> {
    let repeated = list
        .iter()
        .enumerate()
        .find(|(index, item)| list[..*index].contains(item));
    repeated.map_or(Ok(()), |(_, item)| Err(format!("names {item} twice")))
}
