//! What data say of themselves: which images a case has, and what the labels of its truth mean.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
pub type Labels = IndexMap<String, Values>;

/// Structures that may overlap, by name, in the order in which they are written.
pub type Regions = IndexMap<String, Vec<LabelOrName>>;

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
