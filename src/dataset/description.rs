//! What data say of themselves: which images a case has, and what the labels of its truth mean.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};

use crate::preprocess::ImageFile;

/// What data say of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The images of a case, in order.
    pub images: Vec<String>,
    /// Structures that exclude each other.
    pub labels: Option<Labels>,
    /// Structures that may overlap.
    pub regions: Option<Regions>,
    /// The label that each region is written by.
    pub region_order: Option<Vec<u16>>,
    /// The label of voxels that nobody looked at.
    pub ignore: Option<u16>,
}

impl Default for Description {
    /// One image, and nothing about labels.
    fn default() -> Self {
        Self::of_images([ImageFile::ONLY])
    }
}

impl Description {
    /// Images of these names, and nothing about labels.
    pub fn of_images<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            images: names.into_iter().map(str::to_owned).collect(),
            labels: None,
            regions: None,
            region_order: None,
            ignore: None,
        }
    }
}

/// Structures that exclude each other, by name, in the order of the network's outputs.
pub type Labels = ByName<Values>;

/// Structures that may overlap, by name, in the order in which they are written.
pub type Regions = ByName<Vec<LabelOrName>>;

/// One label, or several that are one structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a label (1 to 65535) or a list of labels"
)]
#[schemars(inline)]
pub enum Values {
    /// One label.
    One(#[schemars(range(min = 1, max = 65535))] u16),
    /// Several labels.
    Several(#[schemars(inner(range(min = 1, max = 65535)))] Vec<u16>),
}

impl Values {
    /// All of them.
    pub fn list(&self) -> Vec<u16> {
        match self {
            Self::One(label) => vec![*label],
            Self::Several(labels) => labels.clone(),
        }
    }
}

/// A label, or the name of one of `labels`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a label (1 to 65535) or the name of one of `labels`"
)]
#[schemars(inline)]
pub enum LabelOrName {
    /// The label itself.
    Label(#[schemars(range(min = 1, max = 65535))] u16),
    /// The name of one of `labels`.
    Name(String),
}

/// Values by name, in the order in which they are written: another order is another value.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ByName<T>(IndexMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = IndexMap::<Name, T>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(Name(name), of)| (name, of)).collect())
    }
}

/// A name before a colon, where a number is more often a slip than a name.
#[derive(PartialEq, Eq, Hash)]
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a name before the colon, as in {lesion: 1} (a name that is a number stands in quotes)")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name(name.to_owned()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(IndexMap::new())
    }
}

impl<T: PartialEq> PartialEq for ByName<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().eq(other.0.iter())
    }
}

impl<T: Eq> Eq for ByName<T> {}

impl<T> Deref for ByName<T> {
    type Target = IndexMap<String, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for ByName<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> FromIterator<(String, T)> for ByName<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

impl<T: JsonSchema> JsonSchema for ByName<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        IndexMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        IndexMap::<String, T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_order_is_another_value() {
        let labels = |yaml: &str| serde_yaml::from_str::<Labels>(yaml).unwrap();
        assert_eq!(labels("{a: 1, b: 2}"), labels("{a: 1, b: 2}"));
        assert_ne!(labels("{a: 1, b: 2}"), labels("{b: 2, a: 1}"));
    }

    #[test]
    fn a_number_in_a_names_place_is_told() {
        // As files are read: by way of plain values.
        let why = crate::settings::from_yaml::<Labels>("{1: 2}").unwrap_err();
        assert!(why.to_string().contains("a name before the colon"), "{why}");
        let quoted: Labels = crate::settings::from_yaml("{'1': 2}").unwrap();
        assert_eq!(quoted.keys().collect::<Vec<_>>(), ["1"]);
    }
}
