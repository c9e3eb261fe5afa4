//! How a parameter reads in a sweep's file.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_yaml::{Mapping, Value};

use super::parameter::{Domain, Parameter};

/// What a parameter may be: exactly one of `choice`, `uniform`, `log_uniform` and `int`; and when it is there.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["choice"]}, {"required": ["uniform"]}, {"required": ["log_uniform"]}, {"required": ["int"]}
]))]
struct ParameterYaml {
    /// One of these values, each of any kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<serde_json::Value>", length(min = 1))]
    choice: Option<Vec<Value>>,
    /// A real number between these two.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "[f64; 2]")]
    uniform: Option<[f64; 2]>,
    /// A real number between these two, whose logarithm is uniform: for what may vary by orders of
    /// magnitude.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "[f64; 2]")]
    log_uniform: Option<[f64; 2]>,
    /// A whole number between these two, both included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IntYaml")]
    int: Option<IntYaml>,
    /// How many values stand for a `uniform` or `log_uniform` range in a grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "usize", range(min = 2))]
    points: Option<usize>,
    /// The parameter exists only when these others, each with a `choice`, have the value given here, or one of a list
    /// of values. A name stands for a member of a family with any settings.
    #[serde(skip_serializing_if = "Mapping::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    when: Mapping,
}

/// `[low, high]`, or these with a step or on a logarithmic scale.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "int must be [low, high] or {low: …, high: …, step: …, log: …} in whole numbers"
)]
enum IntYaml {
    /// The least and the greatest value.
    Bounds([i64; 2]),
    /// With a step or on a logarithmic scale.
    Settings(IntSettings),
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct IntSettings {
    /// The least value.
    low: i64,
    /// The greatest value.
    high: i64,
    /// The distance of neighbouring values.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    step: i64,
    /// Whether the logarithm is uniform.
    #[serde(default)]
    log: bool,
}

fn one() -> i64 {
    1
}

impl TryFrom<ParameterYaml> for Parameter {
    type Error = String;

    fn try_from(yaml: ParameterYaml) -> Result<Self, String> {
        let ParameterYaml {
            choice,
            uniform,
            log_uniform,
            int,
            points,
            when,
        } = yaml;
        let real = |[low, high]: [f64; 2], log| Domain::Real {
            low,
            high,
            log,
            points,
        };
        let domain = match (choice, uniform, log_uniform, int) {
            (Some(values), None, None, None) => Domain::Choice(values),
            (None, Some(range), None, None) => real(range, false),
            (None, None, Some(range), None) => real(range, true),
            (None, None, None, Some(IntYaml::Bounds([low, high]))) => Domain::Int {
                low,
                high,
                step: 1,
                log: false,
            },
            (
                None,
                None,
                None,
                Some(IntYaml::Settings(IntSettings {
                    low,
                    high,
                    step,
                    log,
                })),
            ) => Domain::Int {
                low,
                high,
                step,
                log,
            },
            _ => {
                return Err("must have exactly one of choice, uniform, log_uniform and int".into());
            }
        };
        if points.is_some() && !matches!(domain, Domain::Real { .. }) {
            return Err(
                "points belongs to uniform and log_uniform; the others have their values".into(),
            );
        }
        domain.validate()?;
        Ok(Self { domain, when })
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(ParameterYaml::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Parameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ParameterYaml::from(self.clone()).serialize(serializer)
    }
}

impl JsonSchema for Parameter {
    fn schema_name() -> Cow<'static, str> {
        "Parameter".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ParameterYaml::json_schema(generator);
        let description = "One parameter of the search space.";
        schema.insert("description".into(), description.into());
        schema
    }
}

impl From<Parameter> for ParameterYaml {
    fn from(Parameter { domain, when }: Parameter) -> Self {
        let mut yaml = ParameterYaml {
            when,
            ..Self::default()
        };
        match domain {
            Domain::Choice(values) => yaml.choice = Some(values),
            Domain::Real {
                low,
                high,
                log,
                points,
            } => {
                yaml.points = points;
                *(if log {
                    &mut yaml.log_uniform
                } else {
                    &mut yaml.uniform
                }) = Some([low, high]);
            }
            Domain::Int {
                low,
                high,
                step,
                log,
            } => {
                yaml.int = Some(IntYaml::Settings(IntSettings {
                    low,
                    high,
                    step,
                    log,
                }));
            }
        }
        yaml
    }
}
