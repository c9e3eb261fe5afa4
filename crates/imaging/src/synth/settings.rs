//! The settings of synthetic scans.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::augment::Augmentations;
use crate::settings::{Fault, within};

/// How scans are made from maps of labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Synthesis {
    /// The tissues: their labels, and how bright they are. A label that none has is air.
    pub tissues: BTreeMap<String, Tissue>,
    /// The mask that belongs to an image.
    pub mask: MaskOf,
    /// How often each kind of contrast is drawn, in parts of their sum.
    #[serde(default)]
    pub contrasts: Shares,
    /// Size of a scan in mm along x, y and z, around the middle of the map.
    pub size_mm: [f64; 3],
    /// What moves the anatomy.
    #[serde(default)]
    pub geometry: Augmentations,
    /// Roughness of tissues.
    #[serde(default)]
    pub texture: Texture,
    /// What is done to the image: blur, thick slices, bias field, noise, …
    #[serde(default)]
    pub artefacts: Augmentations,
    /// How much of a head is seen.
    #[serde(default)]
    pub field_of_view: FieldOfView,
}

/// A tissue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tissue {
    /// Its labels. Each gets a brightness of its own, near the tissue's.
    pub labels: Vec<u16>,
    /// Its brightness, from 0 (air) to 1.
    pub brightness: Brightness,
    /// Into how many parts of different brightness it may fall at random, as soft tissue outside the skull does.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 4))]
    pub parts: usize,
}

fn one() -> usize {
    1
}

/// How bright a tissue is in each kind of contrast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brightness {
    /// With T1 weighting.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub t1: f64,
    /// With T2 weighting.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub t2: f64,
    /// In FLAIR.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub flair: f64,
    /// In computed tomography.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub ct: f64,
}

/// How often each kind of contrast is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// T1 weighting.
    #[schemars(range(min = 0.0))]
    pub t1: f64,
    /// T2 weighting.
    #[schemars(range(min = 0.0))]
    pub t2: f64,
    /// FLAIR.
    #[schemars(range(min = 0.0))]
    pub flair: f64,
    /// Computed tomography.
    #[schemars(range(min = 0.0))]
    pub ct: f64,
    /// T1 weighting turned over: what is bright is dark. The air stays dark half of the time.
    #[schemars(range(min = 0.0))]
    pub inverted: f64,
    /// Any brightness for any tissue.
    #[schemars(range(min = 0.0))]
    pub random: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            t1: 0.4,
            t2: 0.15,
            flair: 0.1,
            ct: 0.05,
            inverted: 0.1,
            random: 0.2,
        }
    }
}

/// The mask that belongs to an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskOf {
    /// Labels that are in it.
    pub labels: Vec<u16>,
    /// Labels that are in it only where they lie inside the closing of `labels`, such as the fluid between gyri.
    #[serde(default)]
    pub enclosed: Vec<u16>,
    /// The radius of that closing in mm.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 50.0))]
    pub closing_mm: f64,
}

/// Roughness of tissues.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Texture {
    /// Largest standard deviation of a tissue's brightness; uniform from 0 to this, for each label.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub std: f64,
    /// Largest size of its grain in mm; uniform from 0 to this.
    #[schemars(range(min = 0.0, max = 20.0))]
    pub grain_mm: f64,
    /// How far a label's brightness is from its tissue's: a standard deviation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub spread: f64,
}

impl Default for Texture {
    fn default() -> Self {
        Self {
            std: 0.06,
            grain_mm: 3.0,
            spread: 0.06,
        }
    }
}

/// How much of a head is seen. Lengths are in mm, drawn uniformly between the two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FieldOfView {
    /// How far below the mask the scan ends.
    pub below_mm: [f64; 2],
    /// How likely each of the other five sides is cut.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub cut: f64,
    /// How far from the mask it is cut then; below 0 within the mask.
    pub margin_mm: [f64; 2],
    /// How likely the face is taken away.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub deface: f64,
    /// How far from the mask it is taken away then.
    pub face_mm: [f64; 2],
}

impl Default for FieldOfView {
    /// All of the map.
    fn default() -> Self {
        Self {
            below_mm: [1000.0; 2],
            cut: 0.0,
            margin_mm: [0.0, 30.0],
            deface: 0.0,
            face_mm: [4.0, 20.0],
        }
    }
}

impl Synthesis {
    /// What is wrong with the values that the ranges of the fields do not show.
    pub fn rules(&self) -> Vec<Fault> {
        let mut faults = within("geometry", self.geometry.rules());
        faults.extend(within("artefacts", self.artefacts.rules()));
        let mut owners: BTreeMap<u16, &str> = BTreeMap::new();
        for (name, tissue) in &self.tissues {
            for label in &tissue.labels {
                if let Some(first) = owners.insert(*label, name) {
                    let message = match first == name {
                        true => format!("it names label {label} twice: remove it once"),
                        false => {
                            format!("label {label} is {first}'s too: remove it from one of them")
                        }
                    };
                    faults.push(Fault::new(format!("tissues.{name}.labels"), message));
                }
            }
        }
        if self.mask.labels.is_empty() {
            faults.push(Fault::new(
                "mask.labels",
                "labels must name at least one label",
            ));
        }
        let shares = self.contrasts.all();
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        if sum.is_nan() || sum <= 0.0 {
            faults.push(Fault::new(
                "contrasts",
                "at least one share must be above 0",
            ));
        }
        let FieldOfView {
            below_mm,
            margin_mm,
            face_mm,
            ..
        } = self.field_of_view;
        for (key, [low, high]) in [
            ("below_mm", below_mm),
            ("margin_mm", margin_mm),
            ("face_mm", face_mm),
        ] {
            if low > high || low.is_nan() || high.is_nan() {
                let message = format!("{key} must rise, not be [{low}, {high}]");
                faults.push(Fault::new(format!("field_of_view.{key}"), message));
            }
        }
        if face_mm[0] < 0.0 {
            let message = "face_mm must not be below 0: the brain would be taken away as well";
            faults.push(Fault::new("field_of_view.face_mm", message));
        }
        if !self.size_mm.iter().all(|mm| (1.0..=1000.0).contains(mm)) {
            let message = format!("size_mm must be from 1 to 1000 mm, not {:?}", self.size_mm);
            faults.push(Fault::new("size_mm", message));
        }
        faults
    }
}

impl Shares {
    /// Each kind of contrast with its share.
    pub(super) fn all(&self) -> [(&'static str, f64); 6] {
        [
            ("t1", self.t1),
            ("t2", self.t2),
            ("flair", self.flair),
            ("ct", self.ct),
            ("inverted", self.inverted),
            ("random", self.random),
        ]
    }
}
