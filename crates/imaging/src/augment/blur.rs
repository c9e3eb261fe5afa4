use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gaussian::blur;
use super::intensities::{in_order, range};
use super::ranges::rising;
use super::{Augmentation, Change, Sample, chance, uniform};
use crate::settings::Fault;

/// Blurs the image with a Gaussian whose standard deviation is drawn for each axis. It is cut off
/// beyond 4 standard deviations, and the image mirrored at its edges, which keeps its mean.
///
/// Reference: TorchIO's `RandomBlur` (Pérez-García et al., Computer Methods and Programs in
/// Biomedicine, 2021); the filter is scipy's `gaussian_filter`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// Smallest and largest standard deviation, in mm; that of each axis is uniform between them.
    #[schemars(inner(range(min = 0.0, max = 100.0)))]
    pub std: [f64; 2],
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Blur {
    fn default() -> Self {
        Self {
            std: [0.0, 2.0],
            p: 0.5,
        }
    }
}

impl Augmentation for Blur {
    type Params = BlurParams;

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<BlurParams> {
        let [low, high] = self.std;
        chance(self.p, rng).then(|| BlurParams {
            std: [(); 3].map(|()| uniform(low, high, rng)),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        rising("std", self.std)
    }
}

/// What [`Blur`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlurParams {
    /// The standard deviation along each axis, in mm.
    pub std: [f64; 3],
}

impl Change for BlurParams {
    fn apply(&self, sample: &mut Sample) {
        // The weights' rounding would move a constant.
        if range(in_order(&mut sample.image)).is_some() {
            let spacing = sample.spacing();
            let voxels = [0, 1, 2].map(|axis| self.std[axis] / spacing[axis]);
            blur(&mut sample.image, voxels);
        }
    }
}
