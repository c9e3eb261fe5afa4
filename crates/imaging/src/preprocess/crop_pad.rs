//! Cutting off and adding voxels at the edges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resample::{fill_rules, shape_rules};
use super::{CaseStep, CaseVolumes, Centre, MovesCase, PreprocessError, Work};
use crate::settings::Fault;
use crate::volume::Volume;
use crate::volume::resample::background;

/// Brings image, mask and region to a shape by cutting off or adding voxels at the ends of each axis. What is left stays where it is in the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CropPad {
    /// Number of voxels along the image's own axes.
    pub shape: [usize; 3],
    /// What the middle of the new box is nearest to.
    pub centre: Centre,
    /// The image's value outside the scan; `null` for 0 or, where 0 is far from the scan's darkest voxels (CT,
    /// an offset), for theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<f32>,
}

impl Default for CropPad {
    fn default() -> Self {
        Self {
            shape: [96, 128, 160],
            centre: Centre::Image,
            fill: None,
        }
    }
}

impl CaseStep for CropPad {
    fn work(&self) -> Work<'_> {
        Work::Grid(self)
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = shape_rules(self.shape);
        faults.extend(fill_rules(self.fill));
        faults
    }
}

impl MovesCase for CropPad {
    fn moved(&self, case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        let refused = |why: &str| PreprocessError::Step {
            step: "crop_pad",
            why: why.into(),
        };
        let source = case.grid();
        let to_voxel = source
            .affine
            .inverse()
            .ok_or_else(|| refused("the image's axes span no space. Correct its header"))?;
        let centre = to_voxel.apply(self.centre.of(case.first()));
        let first: [i64; 3] = std::array::from_fn(|a| {
            // Of two equally near places the first, whatever the rounding.
            (centre[a] - (self.shape[a] as f64 - 1.0) / 2.0 + 0.5 - 1e-6).floor() as i64
        });
        let apart =
            |a: usize| first[a] >= source.shape[a] as i64 || first[a] + self.shape[a] as i64 <= 0;
        if (0..3).any(apart) {
            return Err(refused(
                "nothing of the image is left in the new box. Set `centre: image`, or correct the \
                 scan's header",
            ));
        }
        let cut = |image: Volume<f32>| {
            let fill = self.fill.unwrap_or_else(|| background(&image));
            image.cut(first, self.shape, fill)
        };
        Ok(CaseVolumes {
            images: case.images.into_iter().map(cut).collect(),
            names: case.names,
            mask: case.mask.map(|mask| mask.cut(first, self.shape, 0)),
            region: case.region.map(|region| region.cut(first, self.shape, 0.0)),
        })
    }
}
