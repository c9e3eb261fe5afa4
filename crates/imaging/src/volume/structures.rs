//! What is to be found in a case, and how a map of labels says it.

use ndarray::Array3;
use thiserror::Error;

use super::Volume;
use super::mask::{NotMask, Values, is_value};

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

    /// Structures that exclude each other.
    ///
    /// # Errors
    ///
    /// When there are none or too many, a name cannot be used, or a label stands for two things.
    pub fn labels(
        named: &[Named],
        ignored: Option<u16>,
        undeclared: Undeclared,
    ) -> Result<Self, StructuresError> {
        check(named, ignored)?;
        let mut owners: Vec<(u16, &str)> = Vec::new();
        for (name, labels) in named {
            for label in labels {
                if let Some((_, first)) = owners.iter().find(|(taken, _)| taken == label) {
                    return Err(StructuresError::Shared {
                        label: *label,
                        first: (*first).to_owned(),
                        second: name.clone(),
                    });
                }
                owners.push((*label, name));
            }
        }
        let structures = (1..).zip(named).map(|(class, (name, _))| Structure {
            name: name.clone(),
            classes: vec![class],
            written: class,
        });
        Ok(Self::Labels(LabelMap {
            structures: structures.collect(),
            labels: named.iter().map(|(_, labels)| labels.clone()).collect(),
            ignored,
            undeclared,
        }))
    }

    /// Structures that may overlap. In a map that is written, each one's voxels get its label in `order`, later
    /// structures over earlier ones; by default the one label of a structure that none of the later ones has.
    ///
    /// # Errors
    ///
    /// When there are none or too many, a name cannot be used, or the order is missing where it is needed or names
    /// labels that are not the structures' own.
    pub fn regions(
        named: &[Named],
        order: Option<&[u16]>,
        ignored: Option<u16>,
        undeclared: Undeclared,
    ) -> Result<Self, StructuresError> {
        check(named, ignored)?;
        let mut labels: Vec<u16> = named
            .iter()
            .flat_map(|(_, labels)| labels)
            .copied()
            .collect();
        labels.sort_unstable();
        labels.dedup();
        if labels.len() > Self::MOST {
            return Err(StructuresError::TooMany(labels.len()));
        }
        if let Some(order) = order
            && order.len() != named.len()
        {
            return Err(StructuresError::OrderLength {
                order: order.len(),
                structures: named.len(),
            });
        }
        let class = |label: &u16| (1..).zip(&labels).find(|(_, of)| *of == label);
        let class = |label: &u16| class(label).map_or(0, |(class, _)| class);
        let mut structures = Vec::new();
        for (at, (name, own)) in named.iter().enumerate() {
            let written = match order {
                Some(order) => order[at],
                None => own_label(named, at)?,
            };
            if !own.contains(&written) {
                return Err(StructuresError::OrderLabel {
                    name: name.clone(),
                    label: written,
                });
            }
            structures.push(Structure {
                name: name.clone(),
                classes: own.iter().map(class).collect(),
                written: class(&written),
            });
        }
        Ok(Self::Regions(LabelMap {
            structures,
            labels: labels.into_iter().map(|label| vec![label]).collect(),
            ignored,
            undeclared,
        }))
    }

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
        table[0] = Some(0);
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

/// The one label of a region that no later one has.
fn own_label(named: &[Named], at: usize) -> Result<u16, StructuresError> {
    let (name, labels) = &named[at];
    let later: Vec<u16> = named[at + 1..]
        .iter()
        .flat_map(|(_, labels)| labels)
        .copied()
        .collect();
    let mut own = labels.iter().filter(|label| !later.contains(label));
    match (own.next(), own.next()) {
        (Some(label), None) => Ok(*label),
        _ => Err(StructuresError::NoOrder { name: name.clone() }),
    }
}

/// What labels and regions have in common.
fn check(named: &[Named], ignored: Option<u16>) -> Result<(), StructuresError> {
    if named.is_empty() {
        return Err(StructuresError::None);
    }
    if named.len() > Structures::MOST {
        return Err(StructuresError::TooMany(named.len()));
    }
    for (at, (name, labels)) in named.iter().enumerate() {
        let is_text = !name.is_empty() && !name.contains(['/', ',', ';', '"', '\n', '\r', '=']);
        if !is_text || name.trim() != name || name == Structures::MEAN {
            return Err(StructuresError::Name(name.clone()));
        }
        if named[..at].iter().any(|(other, _)| other == name) {
            return Err(StructuresError::Twice(name.clone()));
        }
        if labels.is_empty() {
            return Err(StructuresError::NoLabels(name.clone()));
        }
        if labels.contains(&0) {
            return Err(StructuresError::Background(name.clone()));
        }
        if let Some(label) = ignored.filter(|label| labels.contains(label)) {
            return Err(StructuresError::Ignored {
                label,
                name: name.clone(),
            });
        }
        if let Some(label) = labels
            .iter()
            .enumerate()
            .find_map(|(at, label)| labels[..at].contains(label).then_some(*label))
        {
            return Err(StructuresError::Shared {
                label,
                first: name.clone(),
                second: name.clone(),
            });
        }
    }
    match ignored {
        Some(0) => Err(StructuresError::IgnoredBackground),
        _ => Ok(()),
    }
}

/// Names and labels do not fit together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StructuresError {
    /// There is nothing to find.
    #[error("at least one structure must be named, as in {{lesion: 1}}")]
    None,
    /// There are too many.
    #[error("there are {0} structures or labels, and at most {most} can be told apart", most = Structures::MOST)]
    TooMany(usize),
    /// A name stands in tables and on plots, where it must be told from others.
    #[error(
        "`{0}` cannot be a structure's name: use letters, digits, spaces, - and _, and not `{mean}`",
        mean = Structures::MEAN
    )]
    Name(String),
    /// A name is given twice.
    #[error("there are two structures called `{0}`")]
    Twice(String),
    /// A structure has no labels.
    #[error("`{0}` must have at least one label")]
    NoLabels(String),
    /// A structure has the background's label.
    #[error("`{0}` has the label 0, which is the background's")]
    Background(String),
    /// A label stands for two things.
    #[error(
        "the label {label} stands twice: for `{first}` and for `{second}`. If structures overlap, declare them as \
         `regions`"
    )]
    Shared {
        /// The label.
        label: u16,
        /// A structure.
        first: String,
        /// Another one, or the same.
        second: String,
    },
    /// A label is ignored, and something to be found.
    #[error(
        "the label {label} is ignored, and it is also one of `{name}`: it can be only one of both"
    )]
    Ignored {
        /// The label.
        label: u16,
        /// The structure.
        name: String,
    },
    /// The background is ignored.
    #[error("the label 0 is the background's and cannot be ignored")]
    IgnoredBackground,
    /// Which label a region gets in a map is unclear.
    #[error(
        "it is unclear which label marks `{name}` in a map of labels: it has not exactly one label that no later \
         region has. Name a label for each region, in order: `region_order: [2, 1, 4]`"
    )]
    NoOrder {
        /// The region.
        name: String,
    },
    /// The order has not one label a region.
    #[error(
        "region_order has {order} labels for {structures} regions: name one for each, in their order"
    )]
    OrderLength {
        /// Its labels.
        order: usize,
        /// The regions.
        structures: usize,
    },
    /// A region would be marked by a label that is not its own.
    #[error("region_order marks `{name}` by the label {label}, which is none of its own")]
    OrderLabel {
        /// The region.
        name: String,
        /// The label.
        label: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[(&str, &[u16])]) -> Vec<Named> {
        let named = names.iter();
        named
            .map(|(name, labels)| ((*name).to_owned(), labels.to_vec()))
            .collect()
    }

    fn values(values: &[f32]) -> Array3<f32> {
        Array3::from_shape_fn((1, 1, values.len()), |(.., z)| values[z])
    }

    fn read(structures: &Structures, of: &[f32]) -> Result<Vec<u8>, String> {
        let classes = structures
            .classes_of(&values(of))
            .map_err(|why| why.to_string())?;
        Ok(classes.into_iter().collect())
    }

    fn brats() -> Structures {
        let named = named(&[
            ("whole", &[1, 2, 4]),
            ("core", &[1, 4]),
            ("enhancing", &[4]),
        ]);
        Structures::regions(&named, None, Some(255), Undeclared::Refused).unwrap()
    }

    #[test]
    fn labels_become_classes_in_the_order_of_their_names() {
        let named = named(&[("right", &[20]), ("left", &[10, 11])]);
        let labels = Structures::labels(&named, Some(255), Undeclared::Refused).unwrap();
        assert_eq!(
            read(&labels, &[0.0, 10.0, 11.0001, 20.0, 255.0]),
            Ok(vec![0, 2, 2, 1, Structures::IGNORED])
        );
        assert_eq!(
            (labels.count(), labels.outputs(), labels.classes()),
            (2, 3, 2)
        );
        assert_eq!(
            [1, 2, 255, 0].map(|class| labels.value_of(class)),
            [20, 10, 255, 0]
        );
        assert_eq!(labels.class_named("left"), Some(2));
    }

    #[test]
    fn regions_are_sets_of_labels_and_are_written_by_the_one_that_is_theirs() {
        let regions = brats();
        assert_eq!(
            read(&regions, &[0.0, 1.0, 2.0, 4.0, 255.0]),
            Ok(vec![0, 1, 2, 3, 255])
        );
        let members = |structure| {
            (0..=4)
                .filter(|class| regions.contains(structure, *class))
                .collect::<Vec<u8>>()
        };
        assert_eq!([0, 1, 2].map(members), [vec![1, 2, 3], vec![1, 3], vec![3]]);
        assert_eq!(
            [0, 1, 2].map(|s| regions.value_of(regions.written(s))),
            [2, 1, 4]
        );
        assert_eq!(regions.outputs(), 3);
        assert!(
            !regions.contains(0, Structures::IGNORED),
            "nobody looked at it"
        );
    }

    #[test]
    fn labels_that_are_not_declared_are_refused_by_name_or_are_background() {
        let one = named(&[("lesion", &[1])]);
        let strict = Structures::labels(&one, None, Undeclared::Refused).unwrap();
        let why = read(&strict, &[0.0, 1.0, 3.0, 3.0, 70_000.0]).unwrap_err();
        assert!(
            why.contains("3 (40.0 % of the voxels)")
                && why.contains("70000")
                && why.contains("lesion (1)"),
            "{why}"
        );
        let why = read(&strict, &[0.0, 0.5]).unwrap_err();
        assert!(why.contains("0.5 is not a whole number"), "{why}");
        let lenient = Structures::labels(&one, None, Undeclared::Background).unwrap();
        assert_eq!(
            read(&lenient, &[0.0, 1.0, 3.0, -1.0, 70_000.0]),
            Ok(vec![0, 1, 0, 0, 0])
        );
    }

    #[test]
    fn names_and_labels_that_do_not_fit_together_are_refused() {
        let labels = |named: &[Named], ignored| {
            Structures::labels(named, ignored, Undeclared::Refused)
                .unwrap_err()
                .to_string()
        };
        for (wrong, ignored, says) in [
            (named(&[]), None, "at least one structure"),
            (named(&[("mean", &[1])]), None, "`mean` cannot be"),
            (named(&[("a/b", &[1])]), None, "`a/b` cannot be"),
            (named(&[("a", &[1]), ("a", &[2])]), None, "two structures"),
            (named(&[("a", &[])]), None, "at least one label"),
            (named(&[("a", &[0])]), None, "background"),
            (
                named(&[("a", &[1]), ("b", &[2, 1])]),
                None,
                "`a` and for `b`",
            ),
            (named(&[("a", &[7])]), Some(7), "the label 7 is ignored"),
            (named(&[("a", &[7])]), Some(0), "cannot be ignored"),
        ] {
            let why = labels(&wrong, ignored);
            assert!(why.contains(says), "{why}");
        }
        let overlapping = named(&[("a", &[1, 2]), ("b", &[2, 3]), ("c", &[1, 2, 3])]);
        let regions = |order: Option<&[u16]>| {
            Structures::regions(&overlapping, order, None, Undeclared::Refused)
        };
        assert!(
            regions(None)
                .unwrap_err()
                .to_string()
                .contains("which label marks `a`")
        );
        assert!(
            regions(Some(&[1, 3]))
                .unwrap_err()
                .to_string()
                .contains("2 labels for 3 regions")
        );
        assert!(
            regions(Some(&[3, 3, 2]))
                .unwrap_err()
                .to_string()
                .contains("`a` by the label 3")
        );
        assert!(regions(Some(&[1, 3, 2])).is_ok());
    }
}
