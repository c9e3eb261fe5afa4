//! The search space: which of the experiment's keys vary, over what and when.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_yaml::{Mapping, Value};

use super::parameter::{Domain, Parameter, allows, member};
use crate::settings::{nearest, to_inline_yaml};

/// The values of a trial's parameters: the experiment's dotted keys, in the order of the space, to
/// values. Parameters whose conditions do not hold are absent.
pub type Assignment = Mapping;

/// The experiment's dotted keys that vary, each with its possible values. Conditions have been checked,
/// and every parameter stands behind those on which it depends.
#[derive(Clone, Debug, PartialEq)]
pub struct Space(Vec<(String, Parameter)>);

impl Space {
    /// The space of these parameters.
    ///
    /// # Errors
    ///
    /// The wrong key and the reason: a condition on an unknown key, on a value that its parameter never has or
    /// on itself, or a setting of a member that the space does not always choose.
    pub fn new(written: Vec<(String, Parameter)>) -> Result<Self, (String, String)> {
        if written.is_empty() {
            return Err((
                String::new(),
                "must name at least one key that varies".into(),
            ));
        }
        for (index, (key, parameter)) in written.iter().enumerate() {
            let checked = match written[..index].iter().any(|(other, _)| other == key) {
                true => Err("is there twice".to_owned()),
                false => check_key(key).and_then(|()| check_conditions(parameter, &written)),
            };
            checked.map_err(|why| (key.clone(), why))?;
        }
        let space = Self(in_order(written)?);
        for (key, parameter) in &space.0 {
            space
                .check_nesting(key, parameter)
                .map_err(|why| (key.clone(), why))?;
        }
        Ok(space)
    }

    /// The parameters, each behind those on which it depends.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.0
            .iter()
            .map(|(key, parameter)| (key.as_str(), parameter))
    }

    /// The parameter of a key.
    pub fn get(&self, key: &str) -> Option<&Parameter> {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, parameter)| parameter)
    }

    /// Whether a parameter has a value beside these values of those before it.
    pub fn is_active(&self, parameter: &Parameter, before: &Assignment) -> bool {
        parameter.when.iter().all(|(parent, wanted)| {
            before
                .get(parent)
                .is_some_and(|value| allows(wanted, value))
        })
    }

    /// The assignment in which every parameter that has a value has the one chosen.
    pub fn assign(&self, mut choose: impl FnMut(&str, &Parameter) -> Value) -> Assignment {
        let mut assignment = Assignment::new();
        for (key, parameter) in self.parameters() {
            if self.is_active(parameter, &assignment) {
                assignment.insert(key.into(), choose(key, parameter));
            }
        }
        assignment
    }

    /// Parameters in groups that always have values together, in the space's order.
    pub fn groups(&self) -> Vec<Vec<(&str, &Parameter)>> {
        let mut groups: Vec<Vec<(&str, &Parameter)>> = Vec::new();
        for (key, parameter) in self.parameters() {
            match groups
                .iter_mut()
                .find(|group| group[0].1.when == parameter.when)
            {
                Some(group) => group.push((key, parameter)),
                None => groups.push(vec![(key, parameter)]),
            }
        }
        groups
    }

    /// What an assignment sets on the command line of a run, as `key=value`.
    pub fn overrides(assignment: &Assignment) -> Vec<String> {
        assignment
            .iter()
            .map(|(key, value)| {
                format!(
                    "{}={}",
                    key.as_str().unwrap_or_default(),
                    to_inline_yaml(value)
                )
            })
            .collect()
    }

    /// How many assignments a grid over the space has; none where a range has no `points`.
    pub fn grid_size(&self) -> Option<u128> {
        self.count_from(0, &mut Assignment::new())
    }

    /// The keys whose ranges need `points` for a grid.
    pub fn without_points(&self) -> Vec<&str> {
        let endless = self
            .parameters()
            .filter(|(_, parameter)| parameter.domain.count().is_none());
        endless.map(|(key, _)| key).collect()
    }

    /// An assignment of the grid by its number, counted from 0; the last parameter varies fastest.
    pub fn grid_point(&self, number: u128) -> Option<Assignment> {
        let mut rest = number;
        let mut assignment = Assignment::new();
        for (index, (key, parameter)) in self.0.iter().enumerate() {
            if !self.is_active(parameter, &assignment) {
                continue;
            }
            let mut found = false;
            for value in parameter.domain.values()? {
                assignment.insert(key.as_str().into(), value);
                let size = self.count_from(index + 1, &mut assignment)?;
                found = rest < size;
                if found {
                    break;
                }
                rest -= size;
            }
            if !found {
                return None;
            }
        }
        Some(assignment)
    }

    /// How many assignments begin with these values of the first `index` parameters.
    fn count_from(&self, index: usize, before: &mut Assignment) -> Option<u128> {
        let Some((key, parameter)) = self.0.get(index) else {
            return Some(1);
        };
        if !self.is_active(parameter, before) {
            return self.count_from(index + 1, before);
        }
        if !self.0[index..]
            .iter()
            .any(|(_, child)| child.when.contains_key(key.as_str()))
        {
            return Some(
                parameter
                    .domain
                    .count()?
                    .saturating_mul(self.count_from(index + 1, before)?),
            );
        }
        let mut sum = 0u128;
        for value in parameter.domain.values()? {
            before.insert(key.as_str().into(), value);
            sum = sum.saturating_add(self.count_from(index + 1, before)?);
        }
        before.remove(key.as_str());
        Some(sum)
    }

    /// A setting below a key that the space chooses must depend on that choice: otherwise it would set
    /// something on a member of the family that was not chosen, or choose another.
    fn check_nesting(&self, key: &str, parameter: &Parameter) -> Result<(), String> {
        for (above, chosen) in self.parameters() {
            let Some(rest) = key
                .strip_prefix(above)
                .and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            let name = rest.split('.').next().unwrap_or(rest);
            let Some(wanted) = parameter.when.get(above) else {
                return Err(format!(
                    "is a part of {above}, which varies too: give the values for which it exists, such as `when: {{{above}: {name}}}`"
                ));
            };
            let others = |value: &&Value| {
                allows(wanted, value) && member(value).is_some_and(|is| is != name)
            };
            if let Some(other) = chosen.domain.values().iter().flatten().find(others) {
                return Err(format!(
                    "is a part of {name} and would replace {} as {above}, which `when` allows",
                    to_inline_yaml(other)
                ));
            }
        }
        Ok(())
    }
}

fn check_key(key: &str) -> Result<(), String> {
    match key
        .split('.')
        .any(|part| part.is_empty() || part != part.trim() || part.contains('='))
    {
        true => Err("is not a key of an experiment, such as train.batch_size".into()),
        false => Ok(()),
    }
}

fn check_conditions(parameter: &Parameter, all: &[(String, Parameter)]) -> Result<(), String> {
    for (parent, wanted) in &parameter.when {
        let name = parent.as_str().unwrap_or_default();
        let Some((_, chosen)) = all.iter().find(|(key, _)| key == name) else {
            let keys: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
            let hint = nearest(name, &keys)
                .map(|key| format!(" Did you mean `{key}`?"))
                .unwrap_or_default();
            return Err(format!(
                "when names `{name}`, which the space does not have.{hint}"
            ));
        };
        let Domain::Choice(values) = &chosen.domain else {
            return Err(format!(
                "when names `{name}`, which is not a choice: only a choice can be a condition"
            ));
        };
        // A list may be one value of the choice or several.
        let asked = match wanted.as_sequence() {
            Some(list) if !values.contains(wanted) => list.as_slice(),
            _ => std::slice::from_ref(wanted),
        };
        if asked.is_empty() {
            return Err(format!("when gives no value of `{name}`"));
        }
        if let Some(never) = asked
            .iter()
            .find(|one| !values.iter().any(|value| allows(one, value)))
        {
            let values: Vec<String> = values.iter().map(to_inline_yaml).collect();
            return Err(format!(
                "when asks for {name} = {}, a value that it never has. Its values: {}",
                to_inline_yaml(never),
                values.join(", ")
            ));
        }
    }
    Ok(())
}

/// Parents before children, else as written.
fn in_order(
    mut written: Vec<(String, Parameter)>,
) -> Result<Vec<(String, Parameter)>, (String, String)> {
    let mut ordered: Vec<(String, Parameter)> = Vec::new();
    let mut placed: HashSet<String> = HashSet::new();
    while !written.is_empty() {
        let ready = |(_, parameter): &(String, Parameter)| {
            parameter
                .when
                .keys()
                .all(|parent| parent.as_str().is_some_and(|name| placed.contains(name)))
        };
        let Some(next) = written.iter().position(ready) else {
            let keys: Vec<&str> = written.iter().map(|(key, _)| key.as_str()).collect();
            return Err((
                keys[0].to_owned(),
                format!(
                    "its conditions depend on each other in a circle, among {}",
                    keys.join(", ")
                ),
            ));
        };
        let (key, parameter) = written.remove(next);
        placed.insert(key.clone());
        ordered.push((key, parameter));
    }
    Ok(ordered)
}

impl Serialize for Space {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, parameter) in &self.0 {
            map.serialize_entry(key, parameter)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Space;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of the experiment's keys to their possible values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Space, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Space::new(entries)
                    .map_err(|(key, why)| A::Error::custom(format!("{key} {why}").trim_start()))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl JsonSchema for Space {
    fn schema_name() -> Cow<'static, str> {
        "Space".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = BTreeMap::<String, Parameter>::json_schema(generator);
        schema.insert(
            "description".into(),
            "The experiment's dotted keys that vary, each with its possible values.".into(),
        );
        schema.insert("minProperties".into(), 1.into());
        schema
    }
}
