//! Which voxels an intensity step looks at.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::statistics::intensities::mean_and_deviation;
use crate::volume::Volume;

/// Which voxels of an image a step takes its statistics over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoxelSelection {
    /// All voxels.
    #[default]
    Whole,
    /// Voxels other than 0. For scans whose background is exactly 0.
    Foreground,
    /// Voxels above the mean of all: a rough head, where the background is dark but not 0.
    AboveMean,
    /// Voxels where the case's region is above 0. The region is known before the prediction, as a
    /// rough mask made by another program is; the mask to be learnt is never looked at.
    Region,
}

impl VoxelSelection {
    /// The intensities of the voxels that count, in C order; there is at least one. Not copied where
    /// all count.
    ///
    /// # Errors
    ///
    /// When there is no region though it is asked for, or no voxel counts.
    pub(super) fn values<'a>(
        self,
        image: &'a Volume<f32>,
        region: Option<&Volume<f32>>,
    ) -> Result<Cow<'a, [f32]>, String> {
        let voxels = &image.voxels;
        let whole = voxels
            .as_slice()
            .map_or_else(|| voxels.iter().copied().collect(), Cow::Borrowed);
        let all = || voxels.iter().copied();
        let values: Cow<[f32]> = match (self, region) {
            (Self::Whole, _) => whole,
            (Self::Foreground, _) => all().filter(|value| *value != 0.0).collect(),
            (Self::AboveMean, _) => {
                let (mean, _) = mean_and_deviation(&whole);
                all().filter(|value| f64::from(*value) > mean).collect()
            }
            (Self::Region, Some(region)) => all()
                .zip(&region.voxels)
                .filter_map(|(value, weight)| (*weight > 0.0).then_some(value))
                .collect(),
            (Self::Region, None) => {
                return Err(
                    "it needs the case's region, but the case has none. Give one (`--region`, \
                     or the column `region` of a table), or choose another `over`"
                        .into(),
                );
            }
        };
        if values.is_empty() {
            return Err(
                "there is no voxel to take statistics over. Check the scan, or choose another \
                 `over`"
                    .into(),
            );
        }
        Ok(values)
    }
}
