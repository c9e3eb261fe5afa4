//! What is wrong with trials, found before any of them runs.

use serde_yaml::Value;

use super::config::{Sweep, section};
use super::run_key::RunKey;
use crate::experiment::{self, Experiment};
use crate::run::RunError;
use crate::search::parameter::{Domain, Parameter, allows};
use crate::search::{Assignment, Space};
use crate::settings::{ConfigError, to_inline_yaml};

/// Checks every value of a choice and both ends of a range; each mistake names its parameter. A value is rejected
/// only if it fails with the experiment's own values AND with the first and last values of all other parameters.
/// `runs` gives the runs of an experiment, which must be these `parts` whatever its data.
pub(super) fn mistakes(
    sweep: &Sweep,
    parts: &[RunKey],
    runs: impl Fn(&Experiment) -> Result<Vec<RunKey>, RunError>,
) -> Vec<String> {
    let check = |assignment: &Assignment, key: &str, value: &Value| {
        let loaded = experiment::load(&sweep.experiment_path(), &sweep.overrides(assignment));
        let experiment = loaded
            .map_err(|error| messages(error, key, value))?
            .experiment;
        if section(key) != "data" {
            return Ok(());
        }
        let message = match runs(&experiment) {
            Ok(found) if found == parts => return Ok(()),
            Ok(_) => "its trials would have other runs than the others, and could not be compared"
                .to_owned(),
            Err(error) => error.to_string(),
        };
        Err(vec![with_value(key, value, &message)])
    };
    let mut found: Vec<String> = Vec::new();
    for (key, parameter) in sweep.space.parameters() {
        for value in parameter.domain.ends() {
            let tried = assignments_around(&sweep.space, key, parameter, &value);
            let mut wrong = tried.iter().map(|trial| check(trial, key, &value).err());
            let Some(Some(first)) = wrong.next() else {
                continue;
            };
            if wrong.all(|wrong| wrong.is_some()) {
                found.extend(first);
            }
        }
    }
    // A wrong value on which others depend is found again with each of them.
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|one| seen.insert(one.clone()));
    found
}

/// Assignments in which a parameter has this value: with only the parameters that it depends on, then with all
/// others at their first and at their last values. None if its conditions exclude each other.
fn assignments_around(
    space: &Space,
    key: &str,
    parameter: &Parameter,
    value: &Value,
) -> Vec<Assignment> {
    let mut needed = Assignment::new();
    add_conditions(space, parameter, &mut needed);
    needed.insert(key.into(), value.clone());
    let beside = |pick: fn(Vec<Value>) -> Option<Value>| {
        let other = |domain: &Domain| pick(domain.ends()).unwrap_or_default();
        let all = space.assign(|name, one| {
            let given = needed.get(name).cloned();
            given.unwrap_or_else(|| other(&one.domain))
        });
        (all.get(key) == Some(value)).then_some(all)
    };
    let first = beside(|ends| ends.into_iter().next());
    let last = beside(|mut ends| ends.pop());
    let alone = first.clone().map(|mut all| {
        all.retain(|name, _| needed.contains_key(name));
        all
    });
    [alone, first, last].into_iter().flatten().collect()
}

/// Adds the values that a parameter's conditions ask for: for each, the first that it allows.
fn add_conditions(space: &Space, parameter: &Parameter, needed: &mut Assignment) {
    for (parent, wanted) in &parameter.when {
        let Some(chosen) = parent.as_str().and_then(|name| space.get(name)) else {
            continue;
        };
        let values = chosen.domain.ends();
        if let Some(value) = values.into_iter().find(|value| allows(wanted, value)) {
            add_conditions(space, chosen, needed);
            needed.insert(parent.clone(), value);
        }
    }
}

/// Why a trial's experiment is wrong, each with the value that makes it so.
fn messages(error: ConfigError, key: &str, value: &Value) -> Vec<String> {
    match error {
        ConfigError::Invalid(diagnostics) => diagnostics
            .iter()
            .map(|one| {
                one.of_flag()
                    .unwrap_or_else(|| with_value(key, value, &one.to_string()))
            })
            .collect(),
        other => vec![with_value(key, value, &other.to_string())],
    }
}

fn with_value(key: &str, value: &Value, message: &str) -> String {
    format!("{key}={}: {message}", to_inline_yaml(value))
}
