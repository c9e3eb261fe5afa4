//! Clipping extreme intensities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::over::Over;
use super::{Prepared, PreprocessError};
use crate::statistics::intensities::percentiles;

/// Clips the intensities to two of their percentiles (linear between order statistics).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clip {
    /// Percentile below which intensities are raised to it.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub lower_percentile: f64,
    /// Percentile above which intensities are lowered to it.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub upper_percentile: f64,
    /// Which voxels the percentiles are taken over; all are clipped.
    pub over: Over,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            lower_percentile: 0.5,
            upper_percentile: 99.5,
            over: Over::Whole,
        }
    }
}

impl Clip {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// A sentence that names the field and its allowed range.
    pub fn validate(&self) -> Result<(), String> {
        check_percentiles(self.lower_percentile, self.upper_percentile)
    }

    pub(super) fn apply(&self, case: &mut Prepared) -> Result<(), PreprocessError> {
        let values = self.over.values(case, "clip")?;
        let [low, high] = percentiles(values, [self.lower_percentile, self.upper_percentile]);
        let clipped = |value: f32| f64::from(value).clamp(low, high) as f32;
        case.image.change(clipped);
        Ok(())
    }
}

/// Checks that two percentiles are some, in order.
pub(super) fn check_percentiles(lower: f64, upper: f64) -> Result<(), String> {
    if 0.0 <= lower && lower < upper && upper <= 100.0 {
        return Ok(());
    }
    Err(format!(
        "lower_percentile must be below upper_percentile, both from 0 to 100, not {lower} and \
         {upper}"
    ))
}
