//! Structures from names and labels, and what is wrong with these.

use thiserror::Error;

use super::{LabelMap, Named, Structure, Structures, Undeclared};

impl Structures {
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
            background: Vec::new(),
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
        for (at, (name, own)) in named.iter().enumerate() {
            let later = named.iter().zip(&structures).skip(at + 1);
            let hides = |((_, labels), of): &(&Named, &Structure)| {
                let holds_all = own.iter().all(|label| labels.contains(label));
                holds_all && !own.iter().any(|label| class(label) == of.written)
            };
            if let Some(((by, _), _)) = later.into_iter().find(hides) {
                return Err(StructuresError::Overwritten {
                    name: name.clone(),
                    by: by.clone(),
                });
            }
        }
        Ok(Self::Regions(LabelMap {
            structures,
            labels: labels.into_iter().map(|label| vec![label]).collect(),
            background: Vec::new(),
            ignored,
            undeclared,
        }))
    }

    /// The same, where these labels are declared as well and are background if they belong to no structure.
    #[must_use]
    pub fn with_declared(mut self, labels: &[u16]) -> Self {
        if let Self::Labels(map) | Self::Regions(map) = &mut self {
            let known = |label: &&u16| map.labels.iter().any(|own| own.contains(label));
            map.background = labels
                .iter()
                .filter(|label| !known(label))
                .copied()
                .collect();
        }
        self
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
         region has. Name one of its labels for each region, in their order: `region_order`"
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
    /// A region could never be seen in a map.
    #[error(
        "`{name}` can never be seen in a map of labels: `{by}`, which is written over it, has all of its labels. Name \
         `{by}` before it"
    )]
    Overwritten {
        /// The region.
        name: String,
        /// The one that is written over it.
        by: String,
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
