//! What a study searches, and how.

use serde::{Deserialize, Serialize};
use serde_yaml::Value;
use sha2::{Digest, Sha256};

use super::Sweep;
use super::event::Part;
use super::parameter::shown;

/// All that decides what a trial is and how it is judged. Two studies may be joined only if theirs are
/// the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The sweep.
    pub sweep: Sweep,
    /// The runs that make up a trial, in the order in which they begin.
    pub parts: Vec<Part>,
    /// The experiment as resolved for the sweep, before a trial's parameters.
    pub experiment: Value,
}

impl Definition {
    /// SHA-256 of the definition, in hexadecimal.
    pub(super) fn digest(definition: &Value) -> String {
        let bytes = Sha256::digest(shown(definition).as_bytes());
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What makes results of `other` incomparable, as `key was …, is …`. The budget, the parallelism and
    /// the executor may change.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let comparable = |definition: &Self| {
            let mut definition = definition.clone();
            definition.sweep.budget = Default::default();
            definition.sweep.parallelism = 1;
            definition.sweep.executor = Default::default();
            serde_yaml::to_value(definition).unwrap_or_default()
        };
        let mut found = Vec::new();
        compare("", &comparable(self), &comparable(other), &mut found);
        found
    }
}

fn compare(key: &str, was: &Value, is: &Value, found: &mut Vec<String>) {
    let (Value::Mapping(old), Value::Mapping(new)) = (was, is) else {
        if was != is {
            found.push(format!("{key} was {}, is {}", shown(was), shown(is)));
        }
        return;
    };
    let keys = old
        .keys()
        .chain(new.keys().filter(|key| !old.contains_key(*key)));
    for name in keys {
        let (below, absent) = (name.as_str().unwrap_or_default(), Value::Null);
        let key = if key.is_empty() {
            below.to_owned()
        } else {
            format!("{key}.{below}")
        };
        compare(
            &key,
            old.get(name).unwrap_or(&absent),
            new.get(name).unwrap_or(&absent),
            found,
        );
    }
}
