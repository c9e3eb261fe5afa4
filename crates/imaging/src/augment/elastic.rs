use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spatial::{Lattice, Map, Spatial};
use super::{Augmentation, Change, MOVES_ALL, uniform};
use crate::settings::Fault;

/// Bends image and mask by a smooth random displacement: a cubic B-spline whose control points, a
/// coarse lattice over the grid, each move by a random amount along x, y and z. A voxel takes the value
/// found where its displacement leads.
///
/// The outermost cells of control points stand half outside: of `control_points` n, n - 3 spacings span
/// the grid. Nothing folds: a control point's movement along an axis is cut at 0.4 of the control points'
/// spacing along it, below which a cubic B-spline in 3-D cannot fold (Choi and Lee, "Injectivity conditions
/// of 2D and 3D uniform cubic B-spline functions", Graphical Models, 2000: 1 / 2.479).
///
/// Reference: Pérez-García et al., "TorchIO", Computer Methods and Programs in Biomedicine, 2021
/// (`RandomElasticDeformation`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Elastic {
    /// Number of control points along each axis. Fewer bend more smoothly.
    #[schemars(range(min = 4, max = 32))]
    pub control_points: usize,
    /// Largest movement of a control point along each axis, either way, in mm. Movements are uniform.
    #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0))]
    pub max_displacement: f64,
    /// Layers of control points that stay, from the outside inwards; with 2 the grid's borders hardly
    /// move. Some must be left: `control_points` is above twice this.
    #[schemars(range(max = 2))]
    pub locked_borders: usize,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Elastic {
    fn default() -> Self {
        Self {
            control_points: 7,
            max_displacement: 7.5,
            locked_borders: 2,
            p: 0.5,
        }
    }
}

impl Augmentation for Elastic {
    type Params = ElasticParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn concerns_all(&self) -> Option<&'static str> {
        Some(MOVES_ALL)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<ElasticParams> {
        let (n, most) = (self.control_points, self.max_displacement);
        let free = self.locked_borders..n - self.locked_borders;
        let displacements = (0..n * n * n).map(|index| {
            let place = [index / (n * n), index / n % n, index % n];
            if place.iter().all(|i| free.contains(i)) {
                [(); 3].map(|()| uniform(-most, most, rng))
            } else {
                [0.0; 3]
            }
        });
        Some(ElasticParams {
            control_points: n,
            displacements: displacements.collect(),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        if 2 * self.locked_borders < self.control_points {
            return Vec::new();
        }
        let message = format!(
            "locked_borders must be below half of control_points ({}), not {}",
            self.control_points, self.locked_borders
        );
        vec![Fault::new("locked_borders", message)]
    }
}

/// What [`Elastic`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElasticParams {
    /// Number of control points along each axis.
    pub control_points: usize,
    /// Their movements along x, y and z in mm, the last axis' neighbours side by side. Any that are
    /// missing are 0.
    pub displacements: Vec<[f64; 3]>,
}

/// The part of the control points' spacing by which they may move without folding: below 1 / 2.479.
const UNFOLDED: f64 = 0.4;

impl Spatial for ElasticParams {
    fn compose(&self, map: &mut Map) {
        // Only parameters that were not drawn can have fewer.
        if self.control_points < 4 {
            return;
        }
        let spacing = map.grid().affine.spacing();
        let shape = map.grid().shape;
        let most = shape.map(|n| UNFOLDED * n as f64 / (self.control_points as f64 - 3.0));
        let lattice = Lattice::new(shape, self.control_points, |index| {
            let moved = self.displacements.get(index).copied().unwrap_or_default();
            std::array::from_fn(|a| (moved[a] / spacing[a]).clamp(-most[a], most[a]))
        });
        map.elastic(lattice);
    }
}

impl Change for ElasticParams {
    fn spatial(&self) -> Option<&dyn Spatial> {
        Some(self)
    }
}
