use ndarray::{Array3, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{in_order, mean_and_deviation, range};
use super::ranges::rising;
use super::{Augmentation, Change, uniform};
use crate::settings::Fault;

/// Fills boxes of the image with one value; the mask stays, so that the network learns to segment where the
/// image is blank. Centres are drawn uniformly over the grid, and boxes may stick out of it. All images get the same
/// boxes: none shows what another hides.
///
/// Reference: DeVries and Taylor, "Improved regularization of convolutional neural networks with
/// cutout", arXiv:1708.04552, 2017.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cutout {
    /// Smallest and largest number of boxes.
    #[schemars(inner(range(min = 1, max = 100)))]
    pub boxes: [usize; 2],
    /// Smallest and largest edge of a box, in mm; each of its three edges is uniform between them.
    #[schemars(extend("items" = serde_json::json!({"type": "number", "exclusiveMinimum": 0.0})))]
    pub size: [f64; 2],
    /// What they are filled with.
    pub fill: Fill,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

/// A value that stands for nothing seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// The image's minimum: air.
    #[default]
    Lowest,
    /// The image's mean over all voxels.
    Mean,
}

impl Default for Cutout {
    fn default() -> Self {
        Self {
            boxes: [1, 3],
            size: [10.0, 40.0],
            fill: Fill::Lowest,
            p: 0.5,
        }
    }
}

impl Augmentation for Cutout {
    type Params = CutoutParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<CutoutParams> {
        let ([fewest, most], [low, high]) = (self.boxes, self.size);
        let count = rng.random_range(fewest..=most);
        let boxes = (0..count).map(|_| CutoutBox {
            centre: rng.random(),
            size: [(); 3].map(|()| uniform(low, high, rng)),
        });
        Some(CutoutParams {
            boxes: boxes.collect(),
            fill: self.fill,
        })
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = rising("boxes", self.boxes);
        faults.extend(rising("size", self.size));
        faults
    }
}

/// What [`Cutout`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutoutParams {
    /// The boxes.
    pub boxes: Vec<CutoutBox>,
    /// What they are filled with.
    pub fill: Fill,
}

/// A box to fill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CutoutBox {
    /// Its centre along each axis, from 0 (the grid's first edge) to 1 (its last).
    pub centre: [f64; 3],
    /// Its edges along each axis, in mm.
    pub size: [f64; 3],
}

impl Change for CutoutParams {
    fn apply(&self, image: &mut Array3<f32>, spacing: [f64; 3]) {
        let values = in_order(image);
        let Some([low, _]) = range(values) else {
            return;
        };
        let value = match self.fill {
            Fill::Lowest => low,
            Fill::Mean => mean_and_deviation(values).0 as f32,
        };
        let shape = [0, 1, 2].map(|axis| image.shape()[axis]);
        for cut in &self.boxes {
            let [x, y, z] = [0, 1, 2].map(|axis| {
                let n = shape[axis] as f64;
                let (centre, half) = (cut.centre[axis] * n, cut.size[axis] / spacing[axis] / 2.0);
                // Voxels whose centres lie inside; the casts keep within the grid.
                let edge = |at: f64| (at - 0.5).ceil().clamp(0.0, n) as usize;
                edge(centre - half)..edge(centre + half)
            });
            image.slice_mut(s![x, y, z]).fill(value);
        }
    }
}
