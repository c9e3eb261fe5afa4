//! What holds for every member of every family: it explains itself, and refuses what lies outside the
//! ranges that it states.

use calvaria::families::FAMILIES;
use calvaria::optimizer::Optimizer;
use calvaria::settings::{Family, Faults};
use serde_json::{Value, json};
use serde_yaml::Mapping;

/// A member's name, its defaults and its settings' schema.
struct Member {
    name: String,
    defaults: Value,
    schema: Value,
}

impl Member {
    fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        let properties = self.schema.get("properties");
        properties.and_then(Value::as_object).into_iter().flatten()
    }

    fn defaults(&self) -> Value {
        json!({ &*self.name: self.defaults })
    }

    /// The defaults, but for one field.
    fn with(&self, field: &str, value: &Value) -> Value {
        let mut settings = self.defaults.clone();
        settings[field] = value.clone();
        json!({ &*self.name: settings })
    }
}

fn members(family: &Family) -> Vec<Member> {
    let schema = (family.schema)();
    let forms = schema["oneOf"].as_array().unwrap();
    let member = |yaml: serde_yaml::Value| {
        let value = serde_json::to_value(yaml).unwrap();
        let (name, defaults) = value.as_object().unwrap().iter().next().unwrap();
        let schema = forms
            .iter()
            .find_map(|form| form.get("properties")?.get(name))
            .unwrap_or_else(|| panic!("{name} is not in the schema"));
        Member {
            name: name.clone(),
            defaults: defaults.clone(),
            schema: schema.clone(),
        }
    };
    (family.defaults)()
        .unwrap()
        .into_iter()
        .map(member)
        .collect()
}

/// Reads a member and checks it; none if it cannot be read.
fn validated(family: &Family, member: &Value) -> Option<Result<(), Faults>> {
    let values = serde_yaml::to_value(member).unwrap();
    (family.read)(values).ok()
}

/// Values just outside a number's range.
fn outside(schema: &Value) -> Vec<Value> {
    let whole = schema["type"].to_string().contains("integer");
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let number = |value: f64| {
        if whole {
            json!(value as u64)
        } else {
            json!(value)
        }
    };
    let beyond = |bound: f64| {
        if whole {
            1.0
        } else {
            1e-9 * bound.abs().max(1.0)
        }
    };
    let values = [
        bound("minimum").map(|least| least - beyond(least)),
        bound("maximum").map(|most| most + beyond(most)),
        bound("exclusiveMinimum"),
        bound("exclusiveMaximum"),
    ];
    let possible = |value: &f64| !whole || *value >= 0.0;
    values
        .into_iter()
        .flatten()
        .filter(possible)
        .map(number)
        .collect()
}

/// Values of a field that are just outside: of a number, and of the first item of a list.
fn wrong_values(schema: &Value, default: &Value) -> Vec<Value> {
    let mut found = outside(schema);
    if let (Some(item), Some(list)) = (schema.get("items"), default.as_array()) {
        let replaced = |value: Value| {
            let mut list = list.clone();
            *list.first_mut()? = value;
            Some(Value::Array(list))
        };
        found.extend(outside(item).into_iter().filter_map(replaced));
    }
    found
}

#[test]
fn values_outside_a_stated_range_are_refused_by_name() {
    let mut bounds = 0;
    for family in &FAMILIES {
        for member in members(family) {
            for (field, schema) in member.fields() {
                let what = format!("{}.{field}", member.name);
                assert!(schema.get("description").is_some(), "{what} has no comment");
                for value in wrong_values(schema, &member.defaults[field]) {
                    // Deserialisation may refuse it, too.
                    let Some(checked) = validated(family, &member.with(field, &value)) else {
                        continue;
                    };
                    let Err(Faults(faults)) = checked else {
                        panic!("{what}: {value} is outside its range but not refused");
                    };
                    let named = |path: &str| path == what || path.starts_with(&format!("{what}."));
                    assert!(
                        faults.iter().any(|fault| named(&fault.path)),
                        "{what}: {value}: {faults:?}"
                    );
                    bounds += 1;
                }
            }
        }
    }
    assert!(bounds > 150, "only {bounds} bounds");
}

#[test]
fn defaults_are_valid_where_nothing_is_required() {
    // A source has no folder by default.
    for family in FAMILIES.iter().filter(|one| one.plural != "sources") {
        for member in members(family) {
            if member.schema.get("required").is_none() {
                let checked = validated(family, &member.defaults());
                assert_eq!(checked, Some(Ok(())), "the defaults of {}", member.name);
            }
        }
    }
}

#[test]
fn every_method_names_its_reference() {
    let methods = [
        "augmentations",
        "losses",
        "models",
        "optimizers",
        "samplers",
        "schedules",
        "splits",
    ];
    for family in FAMILIES.iter().filter(|one| methods.contains(&one.plural)) {
        for member in members(family) {
            let description = member.schema["description"].as_str().unwrap_or_default();
            let last = description.split("\n\n").last().unwrap_or_default();
            assert!(last.starts_with("Reference: "), "{}: {last}", member.name);
        }
    }
}

#[test]
fn what_is_listed_can_be_copied_into_an_experiment() {
    for family in &FAMILIES {
        let listed: Mapping = serde_yaml::from_str(&family.describe().unwrap()).unwrap();
        let members = members(family);
        assert_eq!(listed.len(), family.names.len(), "{}", family.plural);
        for (member, (name, settings)) in members.iter().zip(listed) {
            let listed = Mapping::from_iter([(name, settings)]);
            let mut listed = serde_json::to_value(listed).unwrap();
            assert!(validated(family, &listed).is_some(), "{}", member.name);
            // What is not written where it is left out is listed all the same.
            let (written, name) = (member.defaults(), member.name.to_string());
            if let Some(settings) = listed[&name].as_object_mut() {
                settings.retain(|key, _| written[&name].get(key).is_some());
            }
            assert_eq!(listed, written);
        }
    }
}

#[test]
fn a_listing_says_what_a_setting_means_its_range_and_its_default() {
    let listed = Optimizer::FAMILY.describe().unwrap();
    let adam = listed.split("\n\n").next().unwrap();
    assert!(adam.contains("# Reference: Kingma & Ba"), "{adam}");
    let beta = "  # Decay of the running mean of gradients. (at least 0, below 1)\n  beta_1: 0.9\n";
    assert!(adam.contains(beta), "{adam}");
    assert!(listed.lines().all(|line| line.chars().count() <= 100));
}
