//! Mapping intensities linearly onto a range.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clip::percentile_rules;
use super::voxel_selection::VoxelSelection;
use super::{About, CaseStep, ChangesImage, Work};
use crate::settings::Fault;
use crate::statistics::intensities::percentiles;
use crate::volume::Volume;

/// Maps the image's intensities linearly onto `min..=max`, as ITK's RescaleIntensity does.
///
/// With percentiles other than 0 and 100, intensities beyond them are clipped first. A constant
/// image becomes `min`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rescale {
    /// What the lowest intensity becomes.
    pub min: f64,
    /// What the highest intensity becomes.
    pub max: f64,
    /// Percentile of all voxels taken as the lowest intensity (linear between order statistics).
    #[schemars(range(min = 0.0, max = 100.0))]
    pub lower_percentile: f64,
    /// Percentile of all voxels taken as the highest intensity.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub upper_percentile: f64,
    /// Whether to cut results to whole numbers, toward 0: what ITK does to images of integers.
    pub truncate: bool,
}

impl Default for Rescale {
    fn default() -> Self {
        Self {
            min: 0.0,
            max: 255.0,
            lower_percentile: 0.0,
            upper_percentile: 100.0,
            truncate: false,
        }
    }
}

impl CaseStep for Rescale {
    fn work(&self) -> Work<'_> {
        Work::Intensities(self)
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = percentile_rules(self.lower_percentile, self.upper_percentile);
        if self.min >= self.max {
            let message = format!("min must be below max, not {} and {}", self.min, self.max);
            faults.push(Fault::new("min", message));
        }
        faults
    }
}

impl ChangesImage for Rescale {
    fn change(&self, image: &mut Volume<f32>, about: About) -> Result<(), String> {
        let values = VoxelSelection::Whole.values(image, about.region)?;
        let [low, high] = percentiles(values, [self.lower_percentile, self.upper_percentile]);
        // In ITK's order of operations, on which the cut to whole numbers depends.
        let scale = if high > low {
            (self.max - self.min) / (high - low)
        } else {
            0.0
        };
        let shift = self.min - low * scale;
        let (min, max) = (self.min, self.max);
        let mapped = |value: f32| within(f64::from(value), low, high) * scale + shift;
        if self.truncate {
            let whole = |value| within(mapped(value).trunc(), min, max) as f32;
            image.change(whole);
        } else {
            image.change(|value| within(mapped(value), min, max) as f32);
        }
        Ok(())
    }
}

/// `value`, or the end of the range beyond which it lies. A plain choice takes a fifth of the time of `clamp`
/// over a whole image.
fn within(value: f64, low: f64, high: f64) -> f64 {
    if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    }
}
