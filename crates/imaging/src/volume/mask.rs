//! From the values of a file to a mask.

use std::collections::HashMap;
use std::fmt;

use ndarray::Array3;
use thiserror::Error;

use super::Structures;

/// Which voxels of a file are marked, and whether that may be none or all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskRule {
    /// Which voxels are marked.
    pub marked: Marked,
    /// Whether a mask may mark nothing.
    pub allow_empty: bool,
    /// Whether a mask whose voxels all have one positive value marks them all. Otherwise it is refused:
    /// without a 0 nobody knows what the value means.
    pub allow_full: bool,
}

/// Which voxels of a file are marked.
#[derive(Clone, Debug, PartialEq)]
pub enum Marked {
    /// Those of the one positive value (1, 2, 255, …) that the file has besides 0. A file of any other
    /// values is not a mask.
    OneValue,
    /// Those of these values. The other values must be whole numbers too: other labels.
    Labels(Vec<f64>),
    /// Those from this value on, such as 0.5 of probabilities.
    From(f64),
    /// Those of the labels of these structures: what is read is a class map.
    Structures(Structures),
}

impl MaskRule {
    /// 0 and one positive value, both of which occur.
    pub const STRICT: Self = Self {
        marked: Marked::OneValue,
        allow_empty: false,
        allow_full: false,
    };

    /// 0 and one positive value, either of which may be missing: a prediction, for instance.
    pub const ANY_PART: Self = Self {
        marked: Marked::OneValue,
        allow_empty: true,
        allow_full: true,
    };

    /// The mask (0 and 1), or the class map of several structures, that these values are.
    ///
    /// # Errors
    ///
    /// When they are none by this rule.
    pub fn apply(&self, values: &Array3<f32>) -> Result<Array3<u8>, NotMask> {
        let mask = match &self.marked {
            Marked::OneValue => self.one_value(values)?,
            Marked::Labels(labels) => of_labels(values, labels)?,
            Marked::From(least) => values.mapv(|value| u8::from(f64::from(value) >= *least)),
            Marked::Structures(Structures::Mask) => self.one_value(values)?,
            Marked::Structures(structures) => structures.classes_of(values)?,
        };
        let is_seen = |voxel: &u8| *voxel != Structures::IGNORED;
        let knows_ignored = matches!(&self.marked, Marked::Structures(of) if of.has_ignored());
        if knows_ignored && !mask.iter().any(is_seen) {
            return Err(NotMask::Ignored);
        }
        let marks = |voxel: &u8| *voxel != 0 && (!knows_ignored || is_seen(voxel));
        if self.allow_empty || mask.iter().any(marks) {
            return Ok(mask);
        }
        Err(NotMask::Empty {
            found: Values::of(values).to_string(),
        })
    }

    fn one_value(&self, values: &Array3<f32>) -> Result<Array3<u8>, NotMask> {
        const OTHER: u8 = 2;
        let value = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let near = value.max(0.0) * ROUNDING as f32;
        let mask = values.mapv(|found| match found {
            _ if found.abs() <= near => 0,
            _ if (found - value).abs() <= near => 1,
            _ => OTHER,
        });
        if mask.iter().any(|voxel| *voxel == OTHER) {
            return Err(NotMask::Values(Values::of(values).to_string()));
        }
        if !self.allow_full && mask.iter().all(|voxel| *voxel == 1) {
            return Err(NotMask::Full(value));
        }
        Ok(mask)
    }
}

impl Default for MaskRule {
    fn default() -> Self {
        Self::STRICT
    }
}

/// How far a value may be from what is meant, as a part of it: what scaled whole numbers are rounded by.
const ROUNDING: f64 = 1e-3;

/// Whether a value stands for a label. Labels are whole numbers, and neighbours stay apart however large they are.
pub(super) fn is_value(value: f64, label: f64) -> bool {
    let near = (label.abs() * ROUNDING).clamp(1e-6, 0.1);
    (value - label).abs() <= near
}

/// The voxels of these labels, in a map of labels.
fn of_labels(values: &Array3<f32>, labels: &[f64]) -> Result<Array3<u8>, NotMask> {
    let mask = values.mapv(|value| {
        let value = f64::from(value);
        u8::from(labels.iter().any(|label| is_value(value, *label)))
    });
    let is_label = |value: f32| is_value(f64::from(value), f64::from(value).round());
    let mut others = values.iter().zip(&mask).filter(|(_, marked)| **marked == 0);
    match others.find(|(value, _)| !is_label(**value)) {
        None => Ok(mask),
        Some((value, _)) => Err(NotMask::NotLabels {
            value: *value,
            found: Values::of(values).to_string(),
        }),
    }
}

/// Why a file is not a mask. Every sentence goes on from the file's name.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum NotMask {
    /// It has other values than 0 and one positive one.
    #[error("is not a mask: it has {0}, not 0 and one positive value. {SAY_WHICH}.")]
    Values(String),
    /// It marks everything.
    #[error(
        "is not a mask: every voxel is {0}, so it would mark everything. Check that it is the right file. If the whole scan is meant, name the value: {SAY_WHICH_SHORT}."
    )]
    Full(f32),
    /// It marks nothing.
    #[error(
        "is empty: no voxel is marked (it has {found}). Check that it is the right file, or leave the case out. To train and validate on cases with an empty mask, set `allow_empty: true` beside the data's source."
    )]
    Empty {
        /// Its values.
        found: String,
    },
    /// Nobody looked at any of its voxels.
    #[error(
        "has nothing but ignored voxels, so there is nothing to learn or to score. Leave the case out."
    )]
    Ignored,
    /// A label is asked for, and it has values that are none.
    #[error(
        "is not a map of labels: it has {found}, and {value} is not a whole number. Choose another file, or set `threshold` instead of `label` or `labels` if it has probabilities."
    )]
    NotLabels {
        /// One of them.
        value: f32,
        /// Its values.
        found: String,
    },
    /// It has labels that no structure names.
    #[error(
        "has labels that are not declared: {found}. Declared are {declared}. Add them to `labels` or `regions`, correct the file, or set `undeclared: background` (`--undeclared background` of `evaluate`) to take them for background."
    )]
    Undeclared {
        /// Those labels.
        found: String,
        /// What is declared.
        declared: String,
        /// One of them.
        label: f32,
    },
}

const SAY_WHICH_SHORT: &str = "as `label` beside the data's source, or as `--label` of `evaluate`";

const SAY_WHICH: &str = "Name the value or values that are marked (`label`), or the value from which on voxels are (`threshold`): in an experiment beside the data's source, as in `data: {nfbs: {…}, label: 2}`, and for `evaluate` as `--label` and `--threshold`. If each label is to be found apart, declare `labels` in an experiment, and for `evaluate` `--labels`";

/// The values of a file, in words.
pub(super) struct Values {
    /// How often each occurs, in order; if there are many, the first ones that were met.
    counts: Vec<(f32, usize)>,
    least: f32,
    most: f32,
    voxels: usize,
}

impl Values {
    /// Values that are named with their shares.
    const NAMED: usize = 8;
    /// Values that are counted.
    const COUNTED: usize = 1000;

    pub(super) fn of(values: &Array3<f32>) -> Self {
        Self::among(values, values.len())
    }

    /// Some of the values of a file that has so many `voxels`.
    pub(super) fn among<'a>(
        values: impl IntoIterator<Item = &'a f32> + Copy,
        voxels: usize,
    ) -> Self {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        // Adding 0 makes 0 of -0.
        for bits in values.into_iter().map(|value| (value + 0.0).to_bits()) {
            if counts.len() <= Self::COUNTED || counts.contains_key(&bits) {
                *counts.entry(bits).or_default() += 1;
            }
        }
        let counts = counts.into_iter();
        let mut counts: Vec<(f32, usize)> = counts
            .map(|(bits, count)| (f32::from_bits(bits), count))
            .collect();
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            counts,
            least: values.into_iter().copied().fold(f32::INFINITY, f32::min),
            most: values
                .into_iter()
                .copied()
                .fold(f32::NEG_INFINITY, f32::max),
            voxels,
        }
    }

    fn share(&self, count: usize) -> String {
        let percent = 100.0 * count as f64 / self.voxels as f64;
        match count {
            1 => "1 voxel".to_owned(),
            _ if percent < 0.1 => format!("{count} voxels"),
            _ if percent > 99.9 && count < self.voxels => "almost all voxels".to_owned(),
            _ => format!("{percent:.1} % of the voxels"),
        }
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.counts.len();
        if count <= Self::NAMED {
            let named = self.counts.iter();
            let named = named.map(|(value, count)| format!("{value} ({})", self.share(*count)));
            let named: Vec<String> = named.collect();
            let word = if count == 1 {
                "the value"
            } else {
                "the values"
            };
            return match named.split_last() {
                Some((last, [])) => write!(f, "{word} {last}"),
                Some((last, others)) => write!(f, "{word} {} and {last}", others.join(", ")),
                None => write!(f, "no values"),
            };
        }
        let number = match count {
            _ if count > Self::COUNTED => format!("more than {}", Self::COUNTED),
            _ => count.to_string(),
        };
        let (least, most) = (self.least, self.most);
        let example = |part: usize| self.counts[part * count / 4].0;
        write!(
            f,
            "{number} different values from {least} to {most}, such as {} and {}",
            example(1),
            example(2)
        )?;
        if least >= 0.0 && most <= 1.0 {
            write!(f, ", like probabilities")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(values: &[f32]) -> Array3<f32> {
        Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap()
    }

    fn read(rule: &MaskRule, values: &[f32]) -> Result<Vec<u8>, String> {
        let mask = rule.apply(&volume(values)).map_err(|why| why.to_string())?;
        Ok(mask.into_iter().collect())
    }

    fn labels(labels: &[f64]) -> MaskRule {
        MaskRule {
            marked: Marked::Labels(labels.to_vec()),
            ..MaskRule::STRICT
        }
    }

    fn from(least: f64) -> MaskRule {
        MaskRule {
            marked: Marked::From(least),
            ..MaskRule::STRICT
        }
    }

    #[test]
    fn zero_and_one_positive_value_are_a_mask() {
        for value in [1.0, 2.0, 255.0, 0.003, 30_000.0] {
            let mask = read(&MaskRule::STRICT, &[0.0, value, value, 0.0]);
            assert_eq!(mask, Ok(vec![0, 1, 1, 0]), "{value}");
        }
        // As a scaled file of whole numbers gives them.
        let rounded = [-0.0, 1e-4, 0.99997, 1.0000001];
        assert_eq!(read(&MaskRule::STRICT, &rounded), Ok(vec![0, 0, 1, 1]));
    }

    #[test]
    fn any_other_values_are_refused_by_name() {
        for (values, named) in [
            (
                &[0.0, 0.0, 1.0, 2.0][..],
                "0 (50.0 % of the voxels), 1 (1 voxel) and 2 (1 voxel)",
            ),
            (&[1.0, 2.0, 2.0], "1 (1 voxel) and 2 (66.7 % of the voxels)"),
            (
                &[-1.0, -1.0, 1.0],
                "-1 (66.7 % of the voxels) and 1 (1 voxel)",
            ),
            (&[-1.0, 0.0], "-1 (1 voxel) and 0 (1 voxel)"),
            (&[0.0, 0.5, 1.0], "0.5 (1 voxel)"),
            (&[0.0, 0.01, 1.0], "0.01 (1 voxel)"),
        ] {
            let why = read(&MaskRule::STRICT, values).unwrap_err();
            assert!(why.contains(named) && why.contains("`label`"), "{why}");
        }
        let soft: Vec<f32> = (0..=2000).map(|step| step as f32 / 2000.0).collect();
        let why = read(&MaskRule::STRICT, &soft).unwrap_err();
        let told = "more than 1000 different values from 0 to 1, such as 0.125 and 0.25, like probabilities";
        assert!(why.contains(told), "{why}");
        let scan: Vec<f32> = (0..20).map(|step| step as f32 * 100.0).collect();
        let why = read(&MaskRule::STRICT, &scan).unwrap_err();
        assert!(why.contains("20 different values from 0 to 1900"), "{why}");
    }

    #[test]
    fn a_mask_of_one_value_alone_marks_everything_and_is_refused_unless_it_is_allowed() {
        let why = read(&MaskRule::STRICT, &[1.0, 1.0]).unwrap_err();
        assert!(why.contains("every voxel is 1"), "{why}");
        assert_eq!(read(&MaskRule::ANY_PART, &[1.0, 1.0]), Ok(vec![1, 1]));
        assert_eq!(read(&labels(&[1.0]), &[1.0, 1.0]), Ok(vec![1, 1]));
        assert_eq!(read(&from(0.5), &[1.0, 1.0]), Ok(vec![1, 1]));
    }

    #[test]
    fn an_empty_mask_is_refused_unless_it_is_allowed() {
        let rules = [MaskRule::STRICT, labels(&[2.0]), from(0.5)];
        for rule in rules {
            let why = read(&rule, &[0.0, 0.0]).unwrap_err();
            assert!(why.contains("allow_empty: true"), "{why}");
            let allowing = MaskRule {
                allow_empty: true,
                ..rule
            };
            assert_eq!(read(&allowing, &[0.0, 0.0]), Ok(vec![0, 0]));
        }
        let why = read(&labels(&[3.0]), &[0.0, 1.0, 2.0]).unwrap_err();
        assert!(
            why.contains("is empty") && why.contains("2 (1 voxel)"),
            "{why}"
        );
    }

    #[test]
    fn labels_and_thresholds_choose_what_is_marked() {
        let tissue = [0.0, 1.0, 2.0, 3.0, 2.0];
        assert_eq!(read(&labels(&[2.0]), &tissue), Ok(vec![0, 0, 1, 0, 1]));
        assert_eq!(read(&labels(&[3.0, 1.0]), &tissue), Ok(vec![0, 1, 0, 1, 0]));
        assert_eq!(read(&labels(&[-1.0]), &[-1.0, 1.0]), Ok(vec![1, 0]));
        // FreeSurfer's labels lie close together.
        let parcels = [2034.0, 2035.0];
        assert_eq!(read(&labels(&[2035.0]), &parcels), Ok(vec![0, 1]));
        assert_eq!(read(&from(0.5), &[0.2, 0.5, 0.9]), Ok(vec![0, 1, 1]));
        let why = read(&labels(&[1.0]), &[0.0, 0.4, 1.0]).unwrap_err();
        assert!(why.contains("0.4 is not a whole number"), "{why}");
    }
}
