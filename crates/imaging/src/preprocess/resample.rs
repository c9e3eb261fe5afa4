//! Moving image and mask onto one grid.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field_of_view::is_class;
use super::{CaseStep, CaseVolumes, Centre, MovesCase, PreprocessError, Work};
use crate::settings::Fault;
use crate::volume::nifti::read_scan;
use crate::volume::resample::{
    Interpolation, background, resample, resample_classes, resample_filled, resample_mask,
};
use crate::volume::{Grid, Volume};

/// Moves the image onto a grid whose axes run along the world's (RAS), or onto another image's, and
/// mask and region with it.
///
/// The defaults are the published pipeline's: 96 x 128 x 160 voxels of 2 mm around the world's
/// origin, nearest neighbour. Regions are always moved by nearest neighbour, and masks as `labels` says. See
/// [`crate::volume::resample`] for the conventions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resample {
    /// Distance between voxels along x, y and z, in mm.
    pub spacing: [f64; 3],
    /// Number of voxels along x, y and z; `null` for as many as cover the whole image.
    pub shape: Option<[usize; 3]>,
    /// What the grid is centred on. Without effect where `shape` is `null`.
    pub centre: Centre,
    /// An image whose grid is taken instead, relative to the experiment's file. `spacing`, `shape`
    /// and `centre` are then left out.
    #[schemars(extend("format" = "path"))]
    pub onto: Option<PathBuf>,
    /// How the image's values between voxels are made.
    pub interpolation: Interpolation,
    /// Whether to smooth the image first where the grid is coarser, against aliasing.
    pub antialias: bool,
    /// How classes between voxels are made in masks of several structures.
    #[serde(skip_serializing_if = "Labels::is_usual")]
    pub labels: Labels,
    /// An image's value outside the scan; `null` for 0 or, where 0 is far from the scan's darkest voxels (CT,
    /// an offset), for theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<f32>,
}

impl Default for Resample {
    fn default() -> Self {
        Self {
            spacing: [2.0; 3],
            shape: Some([96, 128, 160]),
            centre: Centre::World,
            onto: None,
            interpolation: Interpolation::Nearest,
            antialias: false,
            labels: Labels::Nearest,
            fill: None,
        }
    }
}

/// How the class of a voxel is made from those around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Labels {
    /// The nearest voxel's class.
    #[default]
    Nearest,
    /// The class that weighs most among the eight voxels around, trilinearly: smoother outlines on a finer grid.
    Linear,
}

impl Labels {
    fn is_usual(&self) -> bool {
        *self == Self::Nearest
    }
}

/// More voxels than this in one grid are a mistake in the configuration (4 GiB of float32).
const MOST_VOXELS: usize = 1 << 30;

impl CaseStep for Resample {
    fn work(&self) -> Work<'_> {
        Work::Grid(self)
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.spacing.iter().all(|mm| (0.01..=100.0).contains(mm)) {
            let message = format!(
                "spacing must be from 0.01 to 100 mm, not {:?}",
                self.spacing
            );
            faults.push(Fault::new("spacing", message));
        }
        let usual = Self::default();
        let own_grid = (self.spacing, self.shape, self.centre);
        if self.onto.is_some() && own_grid != (usual.spacing, usual.shape, usual.centre) {
            let message = "onto takes the grid of an image: leave out spacing, shape and centre";
            faults.push(Fault::new("onto", message));
        }
        faults.extend(self.shape.into_iter().flat_map(shape_rules));
        faults.extend(fill_rules(self.fill));
        faults
    }
}

impl MovesCase for Resample {
    fn moved(&self, case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        let refused = |why: String| PreprocessError::Step {
            step: "resample",
            why,
        };
        let grid = self.grid(case.first())?;
        let voxels = grid
            .shape
            .iter()
            .fold(1, |product: usize, n| product.saturating_mul(*n));
        if voxels > MOST_VOXELS {
            return Err(refused(format!(
                "covering the image at {:?} mm takes {:?} voxels. Choose a larger spacing, or give \
                 a shape",
                self.spacing, grid.shape
            )));
        }
        let mask = case.mask.map(|mask| {
            let moved = match self.labels {
                Labels::Nearest => resample_mask(&mask, &grid),
                Labels::Linear => resample_classes(&mask, &grid),
            };
            let lost = mask.voxels.iter().any(is_class) && !moved.voxels.iter().any(is_class);
            (moved, lost)
        });
        if mask.as_ref().is_some_and(|(_, lost)| *lost) {
            return Err(refused(
                "nothing of the mask is left on the new grid. If the scan's header puts the head \
                 elsewhere, set `centre: image`; if the mask is tiny, choose a smaller spacing"
                    .into(),
            ));
        }
        let moved = |image: Volume<f32>| {
            let fill = self.fill.unwrap_or_else(|| background(&image));
            resample_filled(&image, &grid, self.interpolation, self.antialias, fill)
        };
        Ok(CaseVolumes {
            images: case.images.into_iter().map(moved).collect(),
            names: case.names,
            mask: mask.map(|(moved, _)| moved),
            region: case
                .region
                .map(|region| resample(&region, &grid, Interpolation::Nearest, false)),
        })
    }
}

impl Resample {
    /// Whether the grid lies around the world's origin, wherever the scan is.
    pub(super) fn is_around_origin(&self) -> bool {
        self.onto.is_none() && self.shape.is_some() && self.centre == Centre::World
    }

    /// The grid that an image is moved onto.
    ///
    /// # Errors
    ///
    /// When the image whose grid is to be taken cannot be read.
    fn grid(&self, image: &Volume<f32>) -> Result<Grid, PreprocessError> {
        Ok(match (&self.onto, self.shape, self.centre) {
            (Some(path), ..) => read_scan(path)?.volume.grid(),
            (None, None, _) => Grid::covering(&image.grid(), self.spacing),
            (None, Some(shape), Centre::World) => Grid::centred_on_world(shape, self.spacing),
            (None, Some(shape), centre) => Grid::centred_on(centre.of(image), shape, self.spacing),
        })
    }
}

/// What is wrong with the value outside the scan.
pub(super) fn fill_rules(fill: Option<f32>) -> Option<Fault> {
    let wrong = fill.filter(|fill| !fill.is_finite())?;
    let message = format!("fill must be a number, not {wrong}");
    Some(Fault::new("fill", message))
}

/// What is wrong with a grid's shape: it must fit into memory.
pub(super) fn shape_rules(shape: [usize; 3]) -> Vec<Fault> {
    let message = if !shape.iter().all(|n| (1..=4096).contains(n)) {
        format!("shape must be from 1 to 4096 voxels along each axis, not {shape:?}")
    } else if shape.iter().product::<usize>() > MOST_VOXELS {
        format!("shape must be at most 2^30 voxels in all, not {shape:?}")
    } else {
        return Vec::new();
    };
    vec![Fault::new("shape", message)]
}
