//! What is done to a result after the network, structure by structure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Prediction, Which};
use crate::dataset::ByName;
use crate::volume::Structures;

/// Who chooses the post-processing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Choice {
    /// The program, by the validation cases.
    Auto,
}

/// An amount for every structure, or one for each that is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number, or names of structures with a number each"
)]
#[schemars(inline)]
pub enum Amount {
    /// The same for all.
    Each(#[schemars(range(min = 0.0))] f64),
    /// For these; 0 for others.
    Of(ByName<f64>),
}

impl Amount {
    fn of(&self, name: &str) -> f64 {
        match self {
            Self::Each(amount) => *amount,
            Self::Of(named) => named.get(name).copied().unwrap_or(0.0),
        }
    }
}

/// All that is done to a result after the network, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Postprocess {
    /// Standard deviation of the Gaussian that the probabilities are smoothed with on the scan's grid, in mm; 0 for none.
    pub smooth_mm: f64,
    /// Whether only the largest piece of all structures together is kept; then each structure is cleaned.
    pub largest_foreground: bool,
    /// The structures, in their order.
    pub structures: Vec<StructurePostprocess>,
}

/// What is done to one structure, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StructurePostprocess {
    /// Probability from which a voxel belongs to it. Without effect where structures exclude each other.
    pub threshold: f64,
    /// Whether only the largest piece is kept.
    pub largest_component: bool,
    /// Pieces smaller than this are left out, in mL.
    pub minimum_ml: f64,
    /// Whether holes are filled.
    pub fill_holes: bool,
}

impl Prediction {
    /// What these settings do to each structure.
    pub fn postprocess_of(&self, structures: &Structures) -> Postprocess {
        let is = |which: &Option<Which>, name: &str, usual: bool| {
            which.as_ref().map_or(usual, |which| which.is(name))
        };
        let of_structure = |name: &str| StructurePostprocess {
            threshold: self.threshold_of(name),
            largest_component: is(&self.largest_component, name, structures.is_mask()),
            minimum_ml: self.minimum_ml.as_ref().map_or(0.0, |least| least.of(name)),
            fill_holes: is(&self.fill_holes, name, false),
        };
        Postprocess {
            smooth_mm: self.smooth_mm.unwrap_or(0.0),
            largest_foreground: self.largest_foreground,
            structures: structures.names().into_iter().map(of_structure).collect(),
        }
    }

    /// These settings with another post-processing, which is no longer to be chosen.
    ///
    /// # Panics
    ///
    /// If it is of another number of structures.
    pub fn with_postprocess(&self, of: &Postprocess, structures: &Structures) -> Self {
        let names = structures.names();
        assert_eq!(
            names.len(),
            of.structures.len(),
            "a post-processing of other structures"
        );
        let each = || names.iter().copied().zip(&of.structures);
        let which = |is: fn(&StructurePostprocess) -> bool| {
            let named: Vec<String> = each()
                .filter(|(_, of)| is(of))
                .map(|(name, _)| name.to_owned())
                .collect();
            match named.len() {
                0 => Which::All(false),
                count if count == names.len() => Which::All(true),
                _ => Which::Of(named),
            }
        };
        let fill_holes = which(|of| of.fill_holes);
        let least: ByName<f64> = each()
            .filter(|(_, of)| of.minimum_ml > 0.0)
            .map(|(name, of)| (name.to_owned(), of.minimum_ml))
            .collect();
        let threshold = match structures.is_mask() {
            true => of.structures[0].threshold,
            false => self.threshold,
        };
        let thresholds: ByName<f64> = each()
            .filter(|(_, of)| of.threshold != threshold)
            .map(|(name, of)| (name.to_owned(), of.threshold))
            .collect();
        Self {
            threshold,
            thresholds: (!thresholds.is_empty()).then_some(thresholds),
            smooth_mm: (of.smooth_mm > 0.0).then_some(of.smooth_mm),
            largest_foreground: of.largest_foreground,
            largest_component: Some(which(|of| of.largest_component)),
            fill_holes: (fill_holes != Which::All(false)).then_some(fill_holes),
            minimum_ml: match (least.is_empty(), structures.is_mask()) {
                (true, _) => None,
                (false, true) => Some(Amount::Each(of.structures[0].minimum_ml)),
                (false, false) => Some(Amount::Of(least)),
            },
            postprocess: None,
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Named, Undeclared};

    #[test]
    fn settings_say_what_is_done_to_each_structure_and_back() {
        let named: Vec<Named> = [("a", 1), ("b", 2)]
            .map(|(name, label)| (name.to_owned(), vec![label]))
            .into();
        let regions =
            Structures::regions(&named, Some(&[1, 2]), None, Undeclared::Refused).unwrap();
        for (structures, text) in [
            (&Structures::Mask, "{}"),
            (
                &Structures::Mask,
                "{threshold: 0.4, smooth_mm: 1.5, largest_component: false, fill_holes: true, minimum_ml: 2.0}",
            ),
            (
                &regions,
                "{thresholds: {b: 0.3}, largest_foreground: true, largest_component: [a], fill_holes: [b], minimum_ml: {b: 0.5}}",
            ),
            (
                &regions,
                "{threshold: 0.6, largest_component: true, minimum_ml: 0.25}",
            ),
        ] {
            let settings: Prediction = serde_yaml::from_str(text).unwrap();
            let each = settings.postprocess_of(structures);
            let back = settings.with_postprocess(&each, structures);
            assert_eq!(back.postprocess_of(structures), each, "{text}");
            let written = serde_yaml::to_string(&back).unwrap();
            let read: Prediction = serde_yaml::from_str(&written).unwrap();
            assert_eq!(read, back, "{written}");
            assert!(back.rules(structures).is_empty());
        }
        let settings: Prediction =
            serde_yaml::from_str("{thresholds: {b: 0.3}, minimum_ml: {b: 0.5}}").unwrap();
        let each = settings.postprocess_of(&regions).structures;
        assert_eq!([each[0].threshold, each[1].threshold], [0.5, 0.3]);
        assert_eq!([each[0].minimum_ml, each[1].minimum_ml], [0.0, 0.5]);
    }
}
