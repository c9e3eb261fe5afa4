use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spatial::{Map, Spatial};
use super::{Augmentation, Change, MOVES_ALL};

/// Cuts a window of a fixed size, every place within the grid being equally likely. Along an axis
/// on which the grid is smaller, the window is centred on it and air fills the rest. There is no
/// probability: the samples of a batch must have one shape.
///
/// Reference: Çiçek et al., "3D U-Net: learning dense volumetric segmentation from sparse
/// annotation", MICCAI 2016; TorchIO's `CropOrPad` and `UniformSampler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Crop {
    /// Number of voxels along x, y and z.
    #[schemars(inner(range(min = 1, max = 4096)))]
    pub shape: [usize; 3],
}

impl Default for Crop {
    fn default() -> Self {
        Self { shape: [64; 3] }
    }
}

impl Augmentation for Crop {
    type Params = CropParams;

    fn probability(&self) -> Option<f64> {
        None
    }

    fn concerns_all(&self) -> Option<&'static str> {
        Some(MOVES_ALL)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<CropParams> {
        Some(CropParams {
            start: Start::Fraction([(); 3].map(|()| rng.random())),
            shape: self.shape,
        })
    }

    fn fixes_shape(&self) -> bool {
        true
    }
}

/// A window, drawn by [`Crop`] or asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CropParams {
    /// Where its first voxel lies.
    pub start: Start,
    /// Number of voxels along x, y and z.
    pub shape: [usize; 3],
}

/// Where a window starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At this voxel of the grid, which may lie outside.
    Voxel([isize; 3]),
    /// This part, from 0 to 1, of the way from the first to the last place within the grid.
    Fraction([f64; 3]),
}

impl CropParams {
    /// The window of `shape` voxels whose first voxel is `start`. It may reach outside the grid.
    pub fn window(start: [isize; 3], shape: [usize; 3]) -> Self {
        Self {
            start: Start::Voxel(start),
            shape,
        }
    }
}

impl Spatial for CropParams {
    fn compose(&self, map: &mut Map) {
        let grid = map.grid().shape;
        let start = match self.start {
            Start::Voxel(start) => start,
            Start::Fraction(part) => std::array::from_fn(|a| {
                let room = grid[a] as isize - self.shape[a] as isize;
                if room < 0 {
                    // Of two equally near places the first.
                    return room.div_euclid(2);
                }
                ((part[a] * (room + 1) as f64) as isize).clamp(0, room)
            }),
        };
        map.window(start, self.shape);
    }
}

impl Change for CropParams {
    fn spatial(&self) -> Option<&dyn Spatial> {
        Some(self)
    }
}
