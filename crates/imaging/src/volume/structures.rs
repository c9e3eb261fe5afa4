//! What is to be found in a case, and how a map of labels says it.

mod declaration;
#[cfg(test)]
mod tests;

use ndarray::Array3;

use super::Volume;
use super::mask::{NotMask, Values, is_value};

pub use declaration::StructuresError;

/// What is to be found in a case.
///
/// In memory a case's truth is a **class map**: 0 is the background, classes count from 1, and
/// [`Structures::IGNORED`] marks voxels that nobody looked at. Files hold labels: whole numbers from 0 to 65535.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Structures {
    /// One structure, in a mask of 0 and 1: class 1.
    #[default]
    Mask,
    /// Structures that exclude each other, each one or several labels: class `s + 1` is structure `s`.
    Labels(LabelMap),
    /// Structures that may overlap, each a set of labels: every label is a class of its own.
    Regions(LabelMap),
}

/// Names for sets of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    structures: Vec<Structure>,
    /// The labels of each class, class 1 first.
    labels: Vec<Vec<u16>>,
    /// Labels that are declared and belong to no structure.
    background: Vec<u16>,
    ignored: Option<u16>,
    undeclared: Undeclared,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Structure {
    name: String,
    classes: Vec<u8>,
    /// The class that marks it in a map that is written.
    written: u8,
}

/// What becomes of labels that no structure names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undeclared {
    /// A file that has one is refused.
    #[default]
    Refused,
    /// They are background.
    Background,
}

/// A name and the labels that it stands for.
pub type Named = (String, Vec<u16>);

impl Structures {
    /// The class of voxels that nobody looked at.
    pub const IGNORED: u8 = 255;

    /// The most classes, and the most structures.
    pub const MOST: usize = 254;

    /// The name of the mean over all structures in tables, which no structure may have.
    pub const MEAN: &str = "mean";

    fn map(&self) -> Option<&LabelMap> {
        match self {
            Self::Mask => None,
            Self::Labels(map) | Self::Regions(map) => Some(map),
        }
    }

    /// Whether this is one structure in a mask of 0 and 1.
    pub fn is_mask(&self) -> bool {
        *self == Self::Mask
    }

    /// Whether a voxel has one class alone, background or a structure: then probabilities come from a softmax.
    pub fn is_exclusive(&self) -> bool {
        matches!(self, Self::Labels(_))
    }

    /// Number of structures.
    pub fn count(&self) -> usize {
        self.map().map_or(1, |map| map.structures.len())
    }

    /// Channels of a network: one for each structure, and the background before them where a voxel has one class
    /// alone.
    pub fn outputs(&self) -> usize {
        self.count() + usize::from(self.is_exclusive())
    }

    /// The channel of a structure.
    pub fn channel(&self, structure: usize) -> usize {
        structure + usize::from(self.is_exclusive())
    }

    /// Number of classes, background not counted.
    pub fn classes(&self) -> usize {
        self.map().map_or(1, |map| map.labels.len())
    }

    /// The structures' names, in order; the structure of a mask has none (an empty text).
    pub fn names(&self) -> Vec<&str> {
        self.map().map_or_else(
            || vec![""],
            |map| map.structures.iter().map(|of| of.name.as_str()).collect(),
        )
    }

    /// The structure of that name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.names().iter().position(|of| *of == name)
    }

    /// The class of the structure of that name, where each structure is a class.
    pub fn class_named(&self, name: &str) -> Option<u8> {
        self.is_exclusive()
            .then(|| self.named(name))
            .flatten()
            .and_then(|at| u8::try_from(at + 1).ok())
    }

    /// What a class is called in messages: its structure, or its label.
    pub fn class_name(&self, class: u8) -> String {
        match self {
            Self::Labels(map) => (map.structures.get(usize::from(class).wrapping_sub(1)))
                .map_or_else(|| class.to_string(), |of| of.name.clone()),
            _ => format!("label {}", self.value_of(class)),
        }
    }

    /// Whether voxels of a class belong to a structure.
    pub fn contains(&self, structure: usize, class: u8) -> bool {
        match self.map() {
            None => structure == 0 && class == 1,
            Some(map) => {
                (map.structures.get(structure)).is_some_and(|of| of.classes.contains(&class))
            }
        }
    }

    /// The class that marks a structure in a map that is written.
    pub fn written(&self, structure: usize) -> u8 {
        match self.map() {
            None => 1,
            Some(map) => map.structures.get(structure).map_or(0, |of| of.written),
        }
    }

    /// Whether voxels may be ignored.
    pub fn has_ignored(&self) -> bool {
        self.map().is_some_and(|map| map.ignored.is_some())
    }

    /// The label of a class in files; of several the first.
    pub fn value_of(&self, class: u8) -> u16 {
        let Some(map) = self.map() else {
            return u16::from(class);
        };
        match class {
            0 => 0,
            Self::IGNORED => map.ignored.unwrap_or(0),
            _ => (map.labels.get(usize::from(class) - 1))
                .and_then(|labels| labels.first().copied())
                .unwrap_or(0),
        }
    }

    /// The largest label that a map of these structures can have.
    pub fn largest_value(&self) -> u16 {
        let classes = (1..=u8::MAX).take(self.classes());
        classes.map(|class| self.value_of(class)).max().unwrap_or(0)
    }

    /// The voxels of one structure: 1 there, 0 elsewhere.
    pub fn mask_of(&self, structure: usize, classes: &Volume<u8>) -> Volume<u8> {
        let table: Vec<u8> = (0..=u8::MAX)
            .map(|class| u8::from(self.contains(structure, class)))
            .collect();
        Volume {
            voxels: classes.voxels.mapv(|class| table[usize::from(class)]),
            affine: classes.affine,
        }
    }

    /// How many voxels each class has, background first; the last is [`Self::IGNORED`].
    pub fn count_voxels<'a>(classes: impl IntoIterator<Item = &'a u8>) -> [u64; 256] {
        let mut counts = [0; 256];
        for class in classes {
            counts[usize::from(*class)] += 1;
        }
        counts
    }

    /// The structures with their labels, in words.
    pub fn describe(&self) -> String {
        let Some(map) = self.map() else {
            return "0 and one positive value".into();
        };
        let structures = map.structures.iter().map(|of| {
            let labels = of
                .classes
                .iter()
                .flat_map(|class| &map.labels[usize::from(*class) - 1]);
            let labels: Vec<String> = labels.map(u16::to_string).collect();
            format!("{} ({})", of.name, labels.join(", "))
        });
        let ignored = map.ignored.map(|label| format!("ignored ({label})"));
        let all: Vec<String> = structures.chain(ignored).collect();
        all.join(", ")
    }

    /// The class map that these labels are.
    ///
    /// # Errors
    ///
    /// When a value is no label, or one that is not declared.
    pub(super) fn classes_of(&self, values: &Array3<f32>) -> Result<Array3<u8>, NotMask> {
        let Some(map) = self.map() else {
            return Err(NotMask::Values(Values::of(values).to_string()));
        };
        let mut table: Vec<Option<u8>> = vec![None; 1 << 16];
        for label in [0].iter().chain(&map.background) {
            table[usize::from(*label)] = Some(0);
        }
        for (class, labels) in (1..).zip(&map.labels) {
            for label in labels {
                table[usize::from(*label)] = Some(class);
            }
        }
        if let Some(label) = map.ignored {
            table[usize::from(label)] = Some(Self::IGNORED);
        }
        let other = match map.undeclared {
            Undeclared::Refused => None,
            Undeclared::Background => Some(0),
        };
        let class = |value: f32| {
            let label = value.round();
            if !is_value(f64::from(value), f64::from(label)) {
                return None;
            }
            // A cast from a float stays within the type's range; what lies outside is no label of ours.
            let known =
                table[usize::from(label as u16)].filter(|_| f32::from(label as u16) == label);
            known.or(other)
        };
        let mut unknown = Vec::new();
        let classes = values.mapv(|value| {
            class(value).unwrap_or_else(|| {
                unknown.push(value);
                0
            })
        });
        let Some(first) = unknown.first().copied() else {
            return Ok(classes);
        };
        let is_label = |value: &f32| is_value(f64::from(*value), f64::from(value.round()));
        match unknown.iter().find(|value| !is_label(value)) {
            Some(value) => Err(NotMask::NotLabels {
                value: *value,
                found: Values::of(values).to_string(),
            }),
            None => Err(NotMask::Undeclared {
                found: Values::among(&unknown, values.len()).to_string(),
                declared: self.describe(),
                label: first,
            }),
        }
    }
}
