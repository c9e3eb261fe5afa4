//! Repairing voxels that are infinite or not a number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CaseStep, CaseVolumes, PreprocessError};

/// Sets voxels that are infinite or not a number to 0. As the first step it lets scans through that
/// are refused otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NanToZero {}

impl CaseStep for NanToZero {
    fn apply(&self, mut case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        let repaired = |value: f32| if value.is_finite() { value } else { 0.0 };
        case.image.change(repaired);
        Ok(case)
    }

    fn repairs_voxels(&self) -> bool {
        true
    }
}
