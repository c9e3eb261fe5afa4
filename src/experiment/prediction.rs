//! From the network's output to a result, and how much it sees at once: the settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::augment::{Augmentation, Axis, Flip};
use crate::dataset::ByName;
use crate::settings::{Fault, nearest, within};
use crate::volume::Structures;
use crate::window::{NamedView, View, Window};

/// From the network's output to a mask, or to a map of labels, on the scan's own grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prediction {
    /// Probability from which a voxel belongs to the structure. Without effect on `labels`: there the most probable
    /// one is taken.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub threshold: f64,
    /// Thresholds of regions that have one of their own, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub thresholds: Option<ByName<f64>>,
    /// Keep only the largest connected piece: of every structure, or of those in a list. By default of a mask,
    /// and not of several structures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_component: Option<Which>,
    /// Fill the holes: what a structure encloses on all sides, as far as it is background. Of every structure, or of those in
    /// a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_holes: Option<Which>,
    /// Leave out connected pieces that are smaller, in mL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("default" = null))]
    pub minimum_ml: Option<f64>,
    /// How much of a scan the network sees at once.
    pub window: View,
    /// Mirrored views of a scan, of whose probabilities the mean is taken (test-time augmentation), as in
    /// `{flip: [left_right]}`. Each axis doubles the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub tta: Option<Mirrors>,
}

/// Mirrored views of a scan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Mirrors {
    /// The axes that are mirrored, in all combinations: axes of the network's grid, which are the body's where the grid is
    /// RAS.
    pub flip: Vec<Axis>,
    /// Pairs of structures that are exchanged when left and right are mirrored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swap: Vec<[String; 2]>,
}

impl Mirrors {
    fn rules(&self, structures: &Structures) -> Vec<Fault> {
        let flip = Flip {
            axes: self.flip.clone(),
            swap: self.swap.clone(),
            ..Flip::default()
        };
        let mut faults = flip.rules();
        // Pairs that are wrong in themselves cannot be looked up.
        if faults.is_empty() {
            faults = flip.check(structures);
        }
        let key = |path: &str| path.replacen("axes", "flip", 1);
        let faults = faults.into_iter();
        faults
            .map(|fault| Fault::new(key(&fault.path), fault.message.replacen("axes", "flip", 1)))
            .collect()
    }
}

/// How the network is validated while it trains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Validation {
    /// After how many epochs; the last one is always validated.
    #[schemars(range(min = 1))]
    pub every: usize,
    /// How much of a case the network sees at once. Windows of `auto` overlap by a quarter, a prediction's by half: that
    /// takes a third of the time, and its scores are a little lower.
    pub window: View,
}

/// Without an overlap scores say little: what a network says at the edge of a window is often wrong.
const OVERLAP: f64 = 0.25;

impl Default for Validation {
    fn default() -> Self {
        Self {
            every: 1,
            window: View::default(),
        }
    }
}

impl Validation {
    /// The window, if the network is trained on patches of the size `patch` and does not see whole cases.
    pub fn window(&self, patch: Option<[usize; 3]>) -> Option<Window> {
        let window = self.window.window(patch)?;
        Some(match self.window {
            View::Named(NamedView::Auto) => Window {
                overlap: OVERLAP,
                ..window
            },
            _ => window,
        })
    }
}

/// Which structures something is done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected true, false or a list of structures")]
#[schemars(inline)]
pub enum Which {
    /// Of all, or of none.
    All(bool),
    /// Of these.
    Of(Vec<String>),
}

impl Which {
    fn is(&self, structures: &Structures, structure: usize) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Of(named) => named.iter().any(|of| of == structures.names()[structure]),
        }
    }
}

impl Default for Prediction {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            thresholds: None,
            largest_component: None,
            fill_holes: None,
            minimum_ml: None,
            window: View::default(),
            tta: None,
        }
    }
}

impl Prediction {
    /// Fills in what depends on the structures, so that it stands in the run's config.yaml.
    pub(crate) fn settle(&mut self, structures: &Structures) {
        let usual = Which::All(structures.is_mask());
        self.largest_component.get_or_insert(usual);
    }

    /// The probability from which a voxel belongs to a structure.
    pub fn threshold_of(&self, structures: &Structures, structure: usize) -> f64 {
        let own = self.thresholds.as_ref();
        let own = own.and_then(|own| own.get(structures.names()[structure]));
        own.copied().unwrap_or(self.threshold)
    }

    /// Whether only the largest piece of a structure is kept.
    pub fn keeps_largest(&self, structures: &Structures, structure: usize) -> bool {
        match &self.largest_component {
            None => structures.is_mask(),
            Some(which) => which.is(structures, structure),
        }
    }

    /// Whether the holes of a structure are filled.
    pub fn fills_holes(&self, structures: &Structures, structure: usize) -> bool {
        let which = self.fill_holes.as_ref();
        which.is_some_and(|which| which.is(structures, structure))
    }

    pub(super) fn rules(&self, structures: &Structures) -> Vec<Fault> {
        let mut faults = Vec::new();
        if structures.is_exclusive() && self.threshold != Self::default().threshold {
            let message = "threshold has no effect on `labels`: the most probable one is taken. Leave it out, or declare \
                           `regions`";
            faults.push(Fault::new("threshold", message));
        }
        let known = structures.names();
        for (name, threshold) in self.thresholds.iter().flat_map(|own| own.iter()) {
            let key = format!("thresholds.{name}");
            if structures.is_mask() || structures.is_exclusive() {
                let message = "thresholds are of `regions`: of one mask there is `threshold`, and of `labels` the most probable is \
                               taken";
                faults.push(Fault::new("thresholds", message));
                break;
            }
            if !known.contains(&name.as_str()) {
                let meant = nearest(name, &known);
                let meant = meant.map_or(String::new(), |name| format!(" (did you mean {name}?)"));
                let message = format!("thresholds names `{name}`, which is no structure{meant}");
                faults.push(Fault::new(key, message));
            } else if !(*threshold > 0.0 && *threshold < 1.0) {
                let message = format!("{name} must be above 0 and below 1, not {threshold}");
                faults.push(Fault::new(key, message));
            }
        }
        let mirrors = self.tta.iter().flat_map(|tta| tta.rules(structures));
        faults.extend(within("tta", mirrors.collect()));
        for (key, which) in [
            ("largest_component", &self.largest_component),
            ("fill_holes", &self.fill_holes),
        ] {
            let Some(Which::Of(named)) = which else {
                continue;
            };
            let known = structures.names();
            for name in named.iter().filter(|name| !known.contains(&name.as_str())) {
                let meant = nearest(name, &known);
                let meant = meant.map_or(String::new(), |name| format!(" (did you mean {name}?)"));
                let message = format!("{key} names `{name}`, which is no structure{meant}");
                faults.push(Fault::new(key, message));
            }
        }
        faults
    }
}
