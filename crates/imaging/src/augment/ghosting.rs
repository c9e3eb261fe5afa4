use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flip::Axis;
use super::intensities::{in_order, range};
use super::kspace::combine;
use super::ranges::rising;
use super::{Augmentation, Change, uniform};
use crate::settings::Fault;

/// Ghosts along the phase-encoding axis, as from a periodic movement such as breathing or a pulse:
/// every n-th plane of k-space is weakened, which adds n faint copies of the image. A part of k-space
/// about its centre, and in any case its central plane, is left as it is, which keeps the image's mean. All images
/// get the same ghosts, as in TorchIO 2.
///
/// Reference: TorchIO's `RandomGhosting` (Pérez-García et al., Computer Methods and Programs in
/// Biomedicine, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ghosting {
    /// Smallest and largest number of ghosts.
    #[schemars(inner(range(min = 1, max = 100)))]
    pub ghosts: [usize; 2],
    /// The axes along which phase may be encoded; one is drawn.
    #[schemars(length(min = 1))]
    pub axes: Vec<Axis>,
    /// Smallest and largest intensity, at most 1; the one applied is uniform between them. 1 leaves nothing of
    /// the weakened planes.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    pub intensity: [f64; 2],
    /// The part of k-space about its centre that is left as it is.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub restore: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Ghosting {
    fn default() -> Self {
        Self {
            ghosts: [4, 10],
            axes: vec![Axis::LeftRight, Axis::FrontBack, Axis::UpDown],
            intensity: [0.5, 1.0],
            restore: 0.0,
            p: 0.1,
        }
    }
}

impl Augmentation for Ghosting {
    type Params = GhostingParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<GhostingParams> {
        let ([fewest, most], [low, high]) = (self.ghosts, self.intensity);
        Some(GhostingParams {
            ghosts: rng.random_range(fewest..=most),
            axis: self.axes[rng.random_range(0..self.axes.len())],
            intensity: uniform(low, high, rng),
            restore: self.restore,
        })
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = rising("ghosts", self.ghosts);
        faults.extend(rising("intensity", self.intensity));
        faults
    }
}

/// What [`Ghosting`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GhostingParams {
    /// The number of ghosts.
    pub ghosts: usize,
    /// Along which axis they lie.
    pub axis: Axis,
    /// How much of the weakened planes is lost, from 0 to 1.
    pub intensity: f64,
    /// The part of k-space about its centre that is left as it is.
    pub restore: f64,
}

impl Change for GhostingParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        if range(in_order(image)).is_none() {
            return;
        }
        let axis = self.axis.index();
        let n = image.shape()[axis];
        let (middle, half) = (n / 2, (self.restore * n as f64).round() as usize / 2);
        let kept = middle - half.min(middle)..middle + half;
        let gains = (0..n).map(|plane| {
            let weakened = plane % self.ghosts.max(1) == 0 && plane != middle;
            match weakened && !kept.contains(&plane) {
                true => 1.0 - self.intensity as f32,
                false => 1.0,
            }
        });
        let gains: Vec<f32> = gains.collect();
        if gains.iter().any(|gain| *gain != 1.0) {
            combine(image, &[], axis, &[gains]);
        }
    }
}
