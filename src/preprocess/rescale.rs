//! Mapping intensities linearly onto a range.

use serde::{Deserialize, Serialize};

use super::clip::check_percentiles;
use super::statistics::percentile;
use crate::volume::Volume;

/// Maps the image's intensities linearly onto `min..=max`, as ITK's RescaleIntensity does.
///
/// With percentiles other than 0 and 100, intensities beyond them are clipped first. A constant
/// image becomes `min`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rescale {
    /// What the lowest intensity becomes.
    pub min: f64,
    /// What the highest intensity becomes.
    pub max: f64,
    /// Percentile of all voxels taken as the lowest intensity (linear between order statistics).
    pub lower_percentile: f64,
    /// Percentile of all voxels taken as the highest intensity.
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

impl Rescale {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// A sentence that names the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        if !(self.min.is_finite() && self.max.is_finite() && self.min < self.max) {
            return Err(format!(
                "min must be below max, not {} and {}",
                self.min, self.max
            ));
        }
        check_percentiles(self.lower_percentile, self.upper_percentile)
    }

    pub(super) fn apply(&self, image: &Volume<f32>) -> Volume<f32> {
        let mut values: Vec<f32> = image.voxels.iter().copied().collect();
        if values.is_empty() {
            return image.clone();
        }
        let low = percentile(&mut values, self.lower_percentile);
        let high = percentile(&mut values, self.upper_percentile);
        // In ITK's order of operations, on which the cut to whole numbers depends.
        let scale = if high > low {
            (self.max - self.min) / (high - low)
        } else {
            0.0
        };
        let shift = self.min - low * scale;
        image.map(|value| {
            let mapped = f64::from(value).clamp(low, high) * scale + shift;
            let mapped = if self.truncate {
                mapped.trunc()
            } else {
                mapped
            };
            mapped.clamp(self.min, self.max) as f32
        })
    }
}
