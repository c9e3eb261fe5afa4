//! Shifting and scaling intensities to mean 0 and standard deviation 1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::voxel_selection::VoxelSelection;
use super::{About, CaseStep, ChangesImage, Work};
use crate::statistics::intensities::mean_and_deviation;
use crate::volume::Volume;

/// Subtracts the mean intensity and divides by the population standard deviation (the sum of
/// squares over n, not n - 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Zscore {
    /// Which voxels the mean and the deviation are taken over. All are changed, but with
    /// `foreground`, which leaves those at 0 as they are.
    pub over: VoxelSelection,
}

impl CaseStep for Zscore {
    fn work(&self) -> Work<'_> {
        Work::Intensities(self)
    }
}

impl ChangesImage for Zscore {
    fn change(&self, image: &mut Volume<f32>, about: About) -> Result<(), String> {
        let values = self.over.values(image, about.region)?;
        let (mean, deviation) = mean_and_deviation(&values);
        if deviation <= 0.0 {
            return Err(
                "the image is constant, so it has no standard deviation to divide by. Check \
                 the scan, or leave the case out"
                    .into(),
            );
        }
        let changed = |value: f32| match self.over {
            VoxelSelection::Foreground if value == 0.0 => value,
            _ => ((f64::from(value) - mean) / deviation) as f32,
        };
        image.change(changed);
        Ok(())
    }
}
