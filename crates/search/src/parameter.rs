//! One parameter of the search space: over what it varies, and when.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_yaml::{Mapping, Value};

use crate::settings::to_inline_yaml;

/// The possible values of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// One of these values.
    Choice(Vec<Value>),
    /// A real number, uniform between `low` and `high`, or its logarithm is.
    Real {
        /// The least value.
        low: f64,
        /// The greatest value.
        high: f64,
        /// Whether the logarithm is uniform.
        log: bool,
        /// How many equidistant values (in the logarithm, if `log`) stand for the range in a grid.
        points: Option<usize>,
    },
    /// A whole number, uniform between `low` and `high` in steps of `step`, or its logarithm is.
    Int {
        /// The least value.
        low: i64,
        /// The greatest value.
        high: i64,
        /// The distance of neighbours.
        step: i64,
        /// Whether the logarithm is uniform.
        log: bool,
    },
}

/// One parameter of the search space.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its possible values.
    pub domain: Domain,
    /// When it has a value at all: the values that other parameters must have, by key; always if empty.
    pub when: Mapping,
}

impl Domain {
    /// What is wrong with the values that the schema does not show.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::Choice(values) if values.is_empty() => {
                Err("choice must have at least one value".into())
            }
            Self::Choice(values) => values.iter().enumerate().try_for_each(|(index, value)| {
                if values[..index].contains(value) {
                    return Err(format!("choice has {} twice", to_inline_yaml(value)));
                }
                let json = serde_json::to_string(value).ok();
                match json.and_then(|json| serde_json::from_str::<Value>(&json).ok()) {
                    Some(read) if &read == value => Ok(()),
                    _ => Err(
                        "choice has a value that JSON cannot hold: a tag, a number that is not \
                              finite or a key other than text"
                            .to_owned(),
                    ),
                }
            }),
            Self::Real {
                low,
                high,
                log,
                points,
            } => {
                if !(low.is_finite() && high.is_finite() && low < high) {
                    return Err(format!(
                        "the range [{low}, {high}] must be two numbers, the first below the second"
                    ));
                }
                if *log && *low <= 0.0 {
                    return Err(format!("log_uniform must begin above 0, not at {low}"));
                }
                match points {
                    Some(0 | 1) => Err("points must be at least 2".into()),
                    _ => Ok(()),
                }
            }
            Self::Int {
                low,
                high,
                step,
                log,
            } => {
                // Bounded so that every value is exact as a float and differences do not overflow.
                if !(-(1 << 52)..*high).contains(low) || *high > 1 << 52 {
                    return Err(format!(
                        "int must be two whole numbers, the first below the second, not [{low}, {high}]"
                    ));
                }
                if *step < 1 || (high - low) % step != 0 {
                    let last = low + (high - low).div_euclid(*step.max(&1)) * step.max(&1);
                    return Err(format!(
                        "step must be at least 1 and get from {low} to {high}; with {step}, high could be {last}"
                    ));
                }
                match log {
                    true if *low < 1 => Err(format!(
                        "int on a logarithmic scale must begin at 1 or above, not at {low}"
                    )),
                    true if *step != 1 => {
                        Err("int on a logarithmic scale cannot have a step".into())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// The values in a grid; none where a range has no `points`.
    pub fn values(&self) -> Option<Vec<Value>> {
        match self {
            Self::Choice(values) => Some(values.clone()),
            Self::Int {
                low, high, step, ..
            } => Some(
                (*low..=*high)
                    .step_by(usize::try_from(*step).ok()?)
                    .map(Value::from)
                    .collect(),
            ),
            Self::Real { points, .. } => {
                let last = (*points)? - 1;
                let (low, high) = self.bounds();
                let at = |point| self.value(low + (high - low) * point as f64 / last as f64);
                Some((0..=last).map(|point| rounded(at(point))).collect())
            }
        }
    }

    /// Every value of a choice, both ends of a range.
    pub fn ends(&self) -> Vec<Value> {
        match self {
            Self::Choice(values) => values.clone(),
            Self::Real { low, high, .. } => vec![Value::from(*low), Value::from(*high)],
            Self::Int { low, high, .. } => vec![Value::from(*low), Value::from(*high)],
        }
    }

    /// How many values a grid has; none where a range has no `points`.
    pub fn count(&self) -> Option<u128> {
        match self {
            Self::Choice(values) => Some(values.len() as u128),
            Self::Int {
                low, high, step, ..
            } => u128::try_from((high - low) / step + 1).ok(),
            Self::Real { points, .. } => points.map(|points| points as u128),
        }
    }

    /// Whether only one value is possible.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Choice(values) if values.len() == 1)
    }

    /// The scale on which the parameter is uniform: the range of [`Domain::number`], with half a step on
    /// either side for whole numbers. Of a choice, the range of its indices.
    pub fn bounds(&self) -> (f64, f64) {
        match *self {
            Self::Choice(ref values) => (0.0, values.len() as f64 - 1.0),
            Self::Real {
                low,
                high,
                log: false,
                ..
            } => (low, high),
            Self::Real { low, high, .. } => (low.ln(), high.ln()),
            Self::Int {
                low,
                high,
                step,
                log: false,
            } => (
                low as f64 - 0.5 * step as f64,
                high as f64 + 0.5 * step as f64,
            ),
            Self::Int { low, high, .. } => ((low as f64 - 0.5).ln(), (high as f64 + 0.5).ln()),
        }
    }

    /// A value as a number on the scale of [`Domain::bounds`]: the logarithm, the number itself, or the
    /// index of a choice. None for what is not in the domain.
    pub fn number(&self, value: &Value) -> Option<f64> {
        match *self {
            Self::Choice(ref values) => Some(values.iter().position(|one| one == value)? as f64),
            Self::Real { log, .. } => value.as_f64().map(|x| if log { x.ln() } else { x }),
            Self::Int { log, .. } => value
                .as_i64()
                .map(|x| if log { (x as f64).ln() } else { x as f64 }),
        }
    }

    /// The value nearest to a number on the scale of [`Domain::bounds`].
    pub fn value(&self, number: f64) -> Value {
        match *self {
            Self::Choice(ref values) => {
                let index = (number.round().max(0.0) as usize).min(values.len() - 1);
                values[index].clone()
            }
            Self::Real { low, high, log, .. } => {
                let x = if log { number.exp() } else { number };
                Value::from(x.clamp(low, high))
            }
            Self::Int {
                low,
                high,
                step,
                log,
            } => {
                let x = if log { number.exp() } else { number };
                let steps = ((x - low as f64) / step as f64).round() as i64;
                Value::from((low + steps.clamp(0, (high - low) / step) * step).min(high))
            }
        }
    }

    /// A value drawn evenly.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Value {
        match self {
            Self::Choice(values) => values[rng.random_range(0..values.len())].clone(),
            _ => {
                let (low, high) = self.bounds();
                self.value(low + (high - low) * rng.random::<f64>())
            }
        }
    }
}

/// A number rounded to twelve digits, so that a grid over powers of ten is exactly these.
fn rounded(value: Value) -> Value {
    let twelve = value
        .as_f64()
        .and_then(|x| format!("{x:.11e}").parse::<f64>().ok());
    twelve.map_or(value, Value::from)
}

/// Whether `value` is what a condition asks for: the value itself, a member of the family of that
/// name, or one of a list of these.
pub fn allows(wanted: &Value, value: &Value) -> bool {
    let named = |one: &Value| one.is_string() && one.as_str() == member(value);
    let is = |one: &Value| one == value || named(one);
    is(wanted) || wanted.as_sequence().is_some_and(|list| list.iter().any(is))
}

/// The name of the family's member that a value is, if it can be one.
pub fn member(value: &Value) -> Option<&str> {
    match value {
        Value::String(name) => Some(name),
        Value::Mapping(map) if map.len() == 1 => map.keys().next()?.as_str(),
        _ => None,
    }
}

/// As [`to_inline_yaml`], but fractions have only four digits.
pub fn brief(value: &Value) -> String {
    match value.as_f64() {
        Some(x) if value.is_f64() && x != 0.0 => {
            let digits = 3 - x.abs().log10().floor() as i32;
            if (0..=7).contains(&digits) {
                format!("{x:.*}", digits as usize)
            } else {
                format!("{x:.3e}")
            }
        }
        _ => to_inline_yaml(value),
    }
}

/// A value in YAML's flow style without quotes, such as `{sum: [dice, bce]}`, for human readers only.
pub fn flow(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Sequence(items) => format!("[{}]", list(items.iter().map(flow).collect())),
        Value::Mapping(map) => {
            let entry = |(key, value)| format!("{}: {}", flow(key), flow(value));
            format!("{{{}}}", list(map.iter().map(entry).collect()))
        }
        Value::String(text) => text.clone(),
        _ => to_inline_yaml(value),
    }
}
