//! What holds for every member of every family: it explains itself, and its ranges are those that it
//! is checked against.

use std::fmt::Debug;

use calvaria::augment::Transform;
use calvaria::dataset::Split;
use calvaria::jobs::Executor;
use calvaria::loss::Loss;
use calvaria::model::Model;
use calvaria::optimizer::Optimizer;
use calvaria::preprocess::Step;
use calvaria::schedule::Schedule;
use calvaria::search::{Pruner, Sampler};
use calvaria::settings::describe;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A member's name, its defaults and its settings' schema.
struct Member {
    name: String,
    defaults: Value,
    schema: Value,
}

fn members<F: JsonSchema + Serialize>(defaults: &[F]) -> Vec<Member> {
    let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    let family = settings
        .into_generator()
        .into_root_schema_for::<F>()
        .to_value();
    let forms = family["oneOf"].as_array().unwrap();
    defaults
        .iter()
        .map(|member| {
            let yaml = serde_json::to_value(member).unwrap();
            let (name, defaults) = yaml.as_object().unwrap().iter().next().unwrap();
            let schema = forms
                .iter()
                .find_map(|form| form.get("properties")?.get(name))
                .unwrap_or_else(|| panic!("{name} is not in the schema"));
            Member {
                name: name.clone(),
                defaults: defaults.clone(),
                schema: schema.clone(),
            }
        })
        .collect()
}

fn fields(member: &Member) -> impl Iterator<Item = (&String, &Value)> {
    let properties = member.schema.get("properties");
    properties.and_then(Value::as_object).into_iter().flatten()
}

/// Values just outside the field's range, and whether they are whole numbers.
fn outside(field: &Value) -> Vec<Value> {
    let whole = field["type"].to_string().contains("integer");
    let bound = |key: &str| field.get(key).and_then(Value::as_f64);
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

fn check<F: JsonSchema + Serialize + DeserializeOwned + Debug>(
    defaults: &[F],
    validate: impl Fn(&F) -> Result<(), String>,
) {
    for member in members(defaults) {
        for (field, schema) in fields(&member) {
            let what = format!("{}.{field}", member.name);
            assert!(schema.get("description").is_some(), "{what} has no comment");
            for value in outside(schema) {
                let mut settings = member.defaults.clone();
                settings[field] = value.clone();
                let yaml = json!({ member.name.clone(): settings });
                // Deserialisation may refuse it, too.
                let Ok(wrong) = serde_json::from_value::<F>(yaml) else {
                    continue;
                };
                match validate(&wrong) {
                    Ok(()) => panic!("{what}: {value} is outside its range but not refused"),
                    Err(why) => assert!(why.contains(field), "{what}: {value}: {why}"),
                }
            }
        }
    }
    for (member, name) in defaults.iter().zip(members(defaults)) {
        // Where a setting is required, there are no defaults to be right.
        if name.schema.get("required").is_none() {
            assert_eq!(validate(member), Ok(()), "the defaults of {}", name.name);
        }
    }
}

#[test]
fn values_outside_a_stated_range_are_refused_by_name() {
    check(&Loss::defaults(), Loss::validate);
    check(&Model::defaults(), Model::validate);
    check(&Transform::defaults(), Transform::validate);
    check(&Optimizer::defaults(), Optimizer::validate);
    check(&Schedule::defaults(), Schedule::validate);
    check(&Split::defaults(), Split::validate);
    check(&Step::defaults(), Step::validate);
    check(&Sampler::defaults(), Sampler::validate);
    check(&Pruner::defaults(), Pruner::validate);
    check(&Executor::defaults(), Executor::validate);
}

fn assert_referenced<F: JsonSchema + Serialize>(defaults: &[F]) {
    for member in members(defaults) {
        let description = member.schema["description"].as_str().unwrap_or_default();
        let last = description.split("\n\n").last().unwrap_or_default();
        assert!(last.starts_with("Reference: "), "{}: {last}", member.name);
    }
}

#[test]
fn every_method_names_its_reference() {
    assert_referenced(&Loss::defaults());
    assert_referenced(&Model::defaults());
    assert_referenced(&Transform::defaults());
    assert_referenced(&Optimizer::defaults());
    assert_referenced(&Schedule::defaults());
    assert_referenced(&Split::defaults());
}

fn assert_copyable<F: JsonSchema + Serialize + DeserializeOwned + PartialEq + Debug>(
    defaults: &[F],
) {
    let listed = describe(defaults).unwrap();
    let listed: serde_yaml::Mapping = serde_yaml::from_str(&listed).unwrap();
    assert_eq!(listed.len(), defaults.len());
    for (member, (name, settings)) in defaults.iter().zip(listed) {
        let one = serde_yaml::Mapping::from_iter([(name, settings)]);
        let read: F = serde_yaml::from_value(one.into()).unwrap();
        assert_eq!(&read, member);
    }
}

#[test]
fn what_is_listed_can_be_copied_into_an_experiment() {
    assert_copyable(&Loss::defaults());
    assert_copyable(&Model::defaults());
    assert_copyable(&Transform::defaults());
    assert_copyable(&Optimizer::defaults());
    assert_copyable(&Schedule::defaults());
    assert_copyable(&Split::defaults());
    assert_copyable(&Step::defaults());
    assert_copyable(&Sampler::defaults());
    assert_copyable(&Pruner::defaults());
    assert_copyable(&Executor::defaults());
}

#[test]
fn a_listing_says_what_a_setting_means_its_range_and_its_default() {
    let listed = describe(&Optimizer::defaults()).unwrap();
    let adam = listed.split("\n\n").next().unwrap();
    assert!(adam.contains("# Reference: Kingma & Ba"), "{adam}");
    let beta = "  # Decay of the running mean of gradients. (at least 0, below 1)\n  beta_1: 0.9\n";
    assert!(adam.contains(beta), "{adam}");
    assert!(listed.lines().all(|line| line.chars().count() <= 100));
}
