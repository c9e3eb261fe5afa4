//! Numbers in JSON that may be infinite: `"inf"` and `"-inf"`, as in the tables.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(String),
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        match value.is_finite() {
            true => Self::Finite(value),
            false => Self::Other(value.to_string()),
        }
    }
}

impl Number {
    fn value<E: serde::de::Error>(self) -> Result<f64, E> {
        match self {
            Self::Finite(value) => Ok(value),
            Self::Other(text) => {
                (text.parse()).map_err(|_| E::custom(format!("`{text}` is not a number")))
            }
        }
    }
}

pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
    Number::from(*value).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Number::deserialize(from)?.value()
}

/// The same of a list.
pub(super) mod list {
    use super::{Deserialize, Deserializer, Number, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        values: &[f64],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let values: Vec<Number> = values.iter().copied().map(Number::from).collect();
        values.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Number>::deserialize(from)?;
        values.into_iter().map(Number::value).collect()
    }
}
