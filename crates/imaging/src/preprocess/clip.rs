//! Clipping extreme intensities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::voxel_selection::VoxelSelection;
use super::{About, CaseStep, ChangesImage, Work};
use crate::settings::Fault;
use crate::statistics::intensities::percentiles;
use crate::volume::Volume;

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
    pub over: VoxelSelection,
}

impl Default for Clip {
    fn default() -> Self {
        Self {
            lower_percentile: 0.5,
            upper_percentile: 99.5,
            over: VoxelSelection::Whole,
        }
    }
}

impl CaseStep for Clip {
    fn work(&self) -> Work<'_> {
        Work::Intensities(self)
    }

    fn rules(&self) -> Vec<Fault> {
        percentile_rules(self.lower_percentile, self.upper_percentile)
    }
}

impl ChangesImage for Clip {
    fn change(&self, image: &mut Volume<f32>, about: About) -> Result<(), String> {
        let values = self.over.values(image, about.region)?;
        let [low, high] = percentiles(values, [self.lower_percentile, self.upper_percentile]);
        let clipped = |value: f32| f64::from(value).clamp(low, high) as f32;
        image.change(clipped);
        Ok(())
    }
}

/// What is wrong with two percentiles: they must be in order.
pub(super) fn percentile_rules(lower: f64, upper: f64) -> Vec<Fault> {
    if lower < upper {
        return Vec::new();
    }
    let message =
        format!("lower_percentile must be below upper_percentile, not {lower} and {upper}");
    vec![Fault::new("lower_percentile", message)]
}
