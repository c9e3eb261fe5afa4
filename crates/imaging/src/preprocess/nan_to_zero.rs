//! Repairing voxels that are infinite or not a number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, CaseStep, ChangesImage, Work};
use crate::volume::Volume;

/// Sets voxels that are infinite or not a number to 0. As the first step it lets scans through that
/// are refused otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NanToZero {}

impl CaseStep for NanToZero {
    fn work(&self) -> Work<'_> {
        Work::Intensities(self)
    }

    fn repairs_voxels(&self) -> bool {
        true
    }
}

impl ChangesImage for NanToZero {
    fn change(&self, image: &mut Volume<f32>, _: About) -> Result<(), String> {
        let repaired = |value: f32| if value.is_finite() { value } else { 0.0 };
        image.change(repaired);
        Ok(())
    }
}
