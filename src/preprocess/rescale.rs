//! Mapping intensities linearly onto a range.

use serde::{Deserialize, Serialize};

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
        let (lower, upper) = (self.lower_percentile, self.upper_percentile);
        if !(self.min.is_finite() && self.max.is_finite() && self.min < self.max) {
            return Err(format!(
                "min must be below max, not {} and {}",
                self.min, self.max
            ));
        }
        if !(0.0 <= lower && lower < upper && upper <= 100.0) {
            return Err(format!(
                "lower_percentile must be below upper_percentile, both from 0 to 100, not {lower} \
                 and {upper}"
            ));
        }
        Ok(())
    }

    pub(super) fn apply(&self, mut image: Volume<f32>) -> Volume<f32> {
        let mut values: Vec<f32> = image.voxels.iter().copied().collect();
        if values.is_empty() {
            return image;
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
        image.voxels.mapv_inplace(|value| {
            let mapped = f64::from(value).clamp(low, high) * scale + shift;
            let mapped = if self.truncate {
                mapped.trunc()
            } else {
                mapped
            };
            mapped.clamp(self.min, self.max) as f32
        });
        image
    }
}

/// The percentile, linear between the order statistics around `percent / 100 * (n - 1)`. Reorders
/// the values, of which there must be one.
fn percentile(values: &mut [f32], percent: f64) -> f64 {
    let position = percent / 100.0 * (values.len() - 1) as f64;
    let (_, below, rest) = values.select_nth_unstable_by(position as usize, f32::total_cmp);
    let below = f64::from(*below);
    match rest.iter().copied().min_by(f32::total_cmp) {
        Some(above) => below + position.fract() * (f64::from(above) - below),
        None => below,
    }
}
