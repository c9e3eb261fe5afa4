//! Turning the voxel axes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CaseStep, CaseVolumes, MovesCase, PreprocessError, Work};
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
    fn work(&self) -> Work<'_> {
        Work::Grid(self)
    }
}

impl MovesCase for Reorient {
    fn moved(&self, mut case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        for image in &mut case.images {
            *image = reoriented(image, self.axes);
        }
        if let Some(mask) = &mut case.mask {
            *mask = reoriented(mask, self.axes);
        }
        if let Some(region) = &mut case.region {
            *region = reoriented(region, self.axes);
        }
        Ok(case)
    }
}
