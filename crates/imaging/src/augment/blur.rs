use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{in_order, range};
use super::ranges::rising;
use super::sharing::{EVERY_IMAGE, is_every_image};
use super::{Augmentation, Change, Sharing, uniform};
use crate::settings::Fault;
use crate::volume::blur;

/// Blurs the image with a Gaussian whose standard deviation is drawn for each axis. It is cut off
/// beyond 4 standard deviations, and the image mirrored at its edges, which keeps its mean.
///
/// Each image has its own deviations, and `p_per_image` of them are blurred; nnU-Net's is 0.5.
///
/// Reference: TorchIO's `RandomBlur` (Pérez-García et al., Computer Methods and Programs in
/// Biomedicine, 2021); the filter is scipy's `gaussian_filter`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// Smallest and largest standard deviation, in mm; that of each axis is uniform between them.
    #[schemars(inner(range(min = 0.0, max = 100.0)))]
    pub std: [f64; 2],
    /// How likely each image is changed once the transform acts on the sample; by default all are.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "is_every_image")]
    pub p_per_image: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Blur {
    fn default() -> Self {
        Self {
            std: [0.0, 2.0],
            p_per_image: EVERY_IMAGE,
            p: 0.5,
        }
    }
}

impl Augmentation for Blur {
    type Params = BlurParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Each {
            p: self.p_per_image,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<BlurParams> {
        let [low, high] = self.std;
        Some(BlurParams {
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
    fn apply(&self, image: &mut Array3<f32>, spacing: [f64; 3]) {
        // The weights' rounding would move a constant.
        if range(in_order(image)).is_some() {
            let voxels = [0, 1, 2].map(|axis| self.std[axis] / spacing[axis]);
            blur(image, voxels);
        }
    }
}
