//! A parameter as a sweep's file has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::parameter::{Domain, Parameter};

/// What a parameter may be: exactly one of `choice`, `uniform`, `log_uniform` and `int`; and when it is there.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["choice"]}, {"required": ["uniform"]}, {"required": ["log_uniform"]}, {"required": ["int"]}
]))]
pub struct Written {
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
    #[schemars(with = "WrittenInt")]
    int: Option<WrittenInt>,
    /// How many values stand for a `uniform` or `log_uniform` range in a grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "usize", range(min = 2))]
    points: Option<usize>,
    /// The parameter is there only when these others, each with a `choice`, are what is said here: a value, or a list
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
enum WrittenInt {
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

impl TryFrom<Written> for Parameter {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            choice,
            uniform,
            log_uniform,
            int,
            points,
            when,
        } = written;
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
            (None, None, None, Some(WrittenInt::Bounds([low, high]))) => Domain::Int {
                low,
                high,
                step: 1,
                log: false,
            },
            (
                None,
                None,
                None,
                Some(WrittenInt::Settings(IntSettings {
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

impl From<Parameter> for Written {
    fn from(Parameter { domain, when }: Parameter) -> Self {
        let mut written = Written {
            when,
            ..Self::default()
        };
        match domain {
            Domain::Choice(values) => written.choice = Some(values),
            Domain::Real {
                low,
                high,
                log,
                points,
            } => {
                written.points = points;
                *(if log {
                    &mut written.log_uniform
                } else {
                    &mut written.uniform
                }) = Some([low, high]);
            }
            Domain::Int {
                low,
                high,
                step,
                log,
            } => {
                written.int = Some(WrittenInt::Settings(IntSettings {
                    low,
                    high,
                    step,
                    log,
                }));
            }
        }
        written
    }
}
