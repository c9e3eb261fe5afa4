//! Shifting and scaling intensities to mean 0 and standard deviation 1.

use serde::{Deserialize, Serialize};

use super::PreprocessError;
use crate::volume::Volume;

/// Subtracts the mean intensity and divides by the population standard deviation (the sum of
/// squares over n, not n - 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Zscore {
    /// Which voxels are counted and changed.
    pub over: Over,
}

/// Which voxels a z-score is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// All voxels.
    #[default]
    Whole,
    /// Voxels other than 0; those at 0 are not counted and stay at 0. For scans whose background
    /// is exactly 0.
    Foreground,
}

impl Over {
    fn counts(self, value: f32) -> bool {
        self == Self::Whole || value != 0.0
    }
}

impl Zscore {
    /// Checks the values: all are allowed.
    ///
    /// # Errors
    ///
    /// None.
    pub fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn apply(&self, mut image: Volume<f32>) -> Result<Volume<f32>, PreprocessError> {
        let counted = || {
            image
                .voxels
                .iter()
                .copied()
                .filter(|v| self.over.counts(*v))
                .map(f64::from)
        };
        let n = counted().count() as f64;
        let mean = counted().sum::<f64>() / n;
        let deviation = (counted().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        // Not above 0 without voxels as well, where it is no number.
        if deviation.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
            return Err(PreprocessError::Step {
                step: "zscore",
                why: "the image is constant, so it has no standard deviation to divide by. Check \
                      the scan, or leave the case out"
                    .into(),
            });
        }
        image
            .voxels
            .mapv_inplace(|value| match self.over.counts(value) {
                true => ((f64::from(value) - mean) / deviation) as f32,
                false => value,
            });
        Ok(image)
    }
}
