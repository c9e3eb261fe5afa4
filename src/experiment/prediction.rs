//! From the network's output to a result, and how much it sees at once: the settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Amount, Choice};
use crate::augment::{Augmentation, Axis, Flip};
use crate::dataset::ByName;
use crate::metric::BatchMetric;
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
    /// Smooth the probabilities with a Gaussian before anything is decided: its standard deviation in mm, on the
    /// scan's grid, the same along every axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0), extend("default" = null))]
    pub smooth_mm: Option<f64>,
    /// Keep only the largest connected piece of all structures together, before each of them is looked at. Voxels are
    /// connected by their faces, here and below.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub largest_foreground: bool,
    /// Keep only the largest connected piece: of every structure, or of those in a list. By default of a mask,
    /// and not of several structures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_component: Option<Which>,
    /// Fill the holes: what a structure encloses on all sides, as far as it is background. Of every structure, or of those in
    /// a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_holes: Option<Which>,
    /// Leave out connected pieces that are smaller, in mL: of every structure, or of each one that is named, as in
    /// `{lesion: 0.05}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub minimum_ml: Option<Amount>,
    /// With `auto`, smoothing, thresholds, pieces, smallest sizes and holes are chosen by the validation cases
    /// once all folds and seeds are trained: one step at a time what raises the Dice on the scans' own grids, beginning
    /// with these settings. The run keeps the choice in its postprocess.json.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub postprocess: Option<Choice>,
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
    /// Metrics of batches that are shown beside the IoU of volumes, each in a column `validation_NAME` of metrics.csv. The
    /// best epoch is that of the highest IoU of volumes anyway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("default" = []))]
    pub metrics: Vec<BatchMetric>,
}

/// Without an overlap scores say little: what a network says at the edge of a window is often wrong.
const OVERLAP: f64 = 0.25;

impl Default for Validation {
    fn default() -> Self {
        Self {
            every: 1,
            window: View::default(),
            metrics: Vec::new(),
        }
    }
}

impl Validation {
    /// What is wrong with the values that the schema does not show, where the network is trained on patches of that size.
    pub(super) fn rules(&self, patch: Option<[usize; 3]>) -> Vec<Fault> {
        let mut faults = self.window.rules(patch);
        let names: Vec<&str> = self.metrics.iter().map(BatchMetric::name).collect();
        for (at, metric) in self.metrics.iter().enumerate() {
            let key = format!("metrics.{at}");
            faults.extend(within(&key, metric.rules()));
            if names[..at].contains(&metric.name()) {
                let message = format!("metrics names {} twice", metric.name());
                faults.push(Fault::new(key, message));
            }
        }
        faults
    }

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
    pub(super) fn is(&self, structure: &str) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Of(named) => named.iter().any(|of| of == structure),
        }
    }
}

impl Default for Prediction {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            thresholds: None,
            smooth_mm: None,
            largest_foreground: false,
            largest_component: None,
            fill_holes: None,
            minimum_ml: None,
            postprocess: None,
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

    /// The probability from which a voxel belongs to the structure of that name.
    pub fn threshold_of(&self, structure: &str) -> f64 {
        let own = self.thresholds.as_ref().and_then(|own| own.get(structure));
        own.copied().unwrap_or(self.threshold)
    }

    pub(super) fn rules(&self, structures: &Structures) -> Vec<Fault> {
        let mut faults = Vec::new();
        if structures.is_exclusive() && self.threshold != Self::default().threshold {
            let message = "threshold has no effect on `labels`: the most probable one is taken. Leave it out, or declare \
                           `regions`";
            faults.push(Fault::new("threshold", message));
        }
        if (structures.is_mask() || structures.is_exclusive())
            && self.thresholds.as_ref().is_some_and(|own| !own.is_empty())
        {
            let message = "thresholds are of `regions`: of one mask there is `threshold`, and of `labels` the most probable is \
                           taken";
            faults.push(Fault::new("thresholds", message));
        } else {
            for (name, threshold) in self.thresholds.iter().flat_map(|own| own.iter()) {
                let message = format!("{name} must be above 0 and below 1, not {threshold}");
                let fits = *threshold > 0.0 && *threshold < 1.0;
                faults.extend(named("thresholds", name, structures, fits, message));
            }
        }
        if structures.is_mask() && self.largest_foreground {
            let message = "largest_foreground is of several structures: of one mask there is `largest_component`";
            faults.push(Fault::new("largest_foreground", message));
        }
        if let Some(Amount::Of(least)) = &self.minimum_ml {
            for (name, ml) in least.iter() {
                let message = format!("{name} must be at least 0, not {ml}");
                let fits = ml.is_finite() && *ml >= 0.0;
                faults.extend(named("minimum_ml", name, structures, fits, message));
            }
        }
        let mirrors = self.tta.iter().flat_map(|tta| tta.rules(structures));
        faults.extend(within("tta", mirrors.collect()));
        for (key, which) in [
            ("largest_component", &self.largest_component),
            ("fill_holes", &self.fill_holes),
        ] {
            let Some(Which::Of(of)) = which else {
                continue;
            };
            let unknown = of.iter().filter_map(|name| unknown(key, name, structures));
            faults.extend(unknown.map(|message| Fault::new(key, message)));
        }
        faults
    }
}

/// What is wrong with a value of a structure under `key`.
fn named(
    key: &str,
    name: &str,
    structures: &Structures,
    fits: bool,
    message: String,
) -> Option<Fault> {
    let message = unknown(key, name, structures).or((!fits).then_some(message));
    Some(Fault::new(format!("{key}.{name}"), message?))
}

/// What is wrong with a name under `key`, if it is no structure's.
fn unknown(key: &str, name: &str, structures: &Structures) -> Option<String> {
    let known = structures.names();
    if known.contains(&name) {
        return None;
    }
    let meant = nearest(name, &known).filter(|meant| !meant.is_empty());
    let meant = meant.map_or(String::new(), |name| format!(" (did you mean {name}?)"));
    Some(format!(
        "{key} names `{name}`, which is no structure{meant}"
    ))
}
