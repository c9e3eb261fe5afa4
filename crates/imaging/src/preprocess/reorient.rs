//! Turning the voxel axes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CaseStep, CaseVolumes, PreprocessError};
use crate::volume::orientation::{AxisCodes, reoriented};

/// Permutes and flips the axes so that they run as asked, without touching a value: what is where
/// in the world stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reorient {
    /// The directions in which the voxel axes increase afterwards, such as `RAS`: to the Right, Anterior
    /// (front), Superior (top). Others are L, P and I.
    pub axes: AxisCodes,
}

impl CaseStep for Reorient {
    fn apply(&self, case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        Ok(CaseVolumes {
            image: reoriented(&case.image, self.axes),
            mask: case.mask.as_ref().map(|mask| reoriented(mask, self.axes)),
            region: case
                .region
                .as_ref()
                .map(|region| reoriented(region, self.axes)),
        })
    }
}
