use multiversion::multiversion;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{change, in_order, mean_and_deviation, range};
use super::ranges::{factor, rising};
use super::sharing::{EVERY_IMAGE, is_every_image};
use super::{Augmentation, Change, Sharing};
use crate::settings::Fault;

/// Scales the image about its mean by a factor, and cuts off what then lies below its former minimum
/// or above its former maximum. Each image has its own factor, as in nnU-Net; with `p_per_image` below 1 some are
/// left out.
///
/// Reference: nnU-Net's `ContrastTransform` with `preserve_range` (Isensee et al., Nature Methods,
/// 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Contrast {
    /// Smallest and largest factor, above 0. The one applied is below 1 as often as above, and uniform on
    /// either side.
    #[schemars(extend("items" = serde_json::json!({"type": "number", "exclusiveMinimum": 0.0})))]
    pub factor: [f64; 2],
    /// How likely each image is changed once the transform acts on the sample; by default all are.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "is_every_image")]
    pub p_per_image: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Contrast {
    fn default() -> Self {
        Self {
            factor: [0.75, 1.25],
            p_per_image: EVERY_IMAGE,
            p: 0.5,
        }
    }
}

impl Augmentation for Contrast {
    type Params = ContrastParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Each {
            p: self.p_per_image,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<ContrastParams> {
        Some(ContrastParams {
            factor: factor(self.factor, rng),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        rising("factor", self.factor)
    }
}

/// What [`Contrast`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContrastParams {
    /// The factor.
    pub factor: f64,
}

impl Change for ContrastParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let values = in_order(image);
        if let Some(range) = range(values) {
            let (mean, _) = mean_and_deviation(values);
            let (mean, factor) = (mean as f32, self.factor as f32);
            change(values, |part| scale_about(part, mean, factor, range));
        }
    }
}

#[multiversion(targets = "simd")]
fn scale_about(values: &mut [f32], mean: f32, factor: f32, [low, high]: [f32; 2]) {
    for value in values {
        *value = ((*value - mean) * factor + mean).clamp(low, high);
    }
}
