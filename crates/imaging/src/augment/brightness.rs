use multiversion::multiversion;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{change, in_order};
use super::ranges::{factor, rising};
use super::sharing::{EVERY_IMAGE, is_every_image};
use super::{Augmentation, Change, Sharing};
use crate::settings::Fault;

/// Multiplies the image by a factor. On z-scored images, where 0 is in the middle of the tissue, this
/// widens or narrows the histogram rather than lighten or darken, as it does in nnU-Net.
///
/// Each image has its own factor, as there; with `p_per_image` below 1 some are left out.
///
/// Reference: nnU-Net's `MultiplicativeBrightnessTransform` (Isensee et al., Nature Methods, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Brightness {
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

impl Default for Brightness {
    fn default() -> Self {
        Self {
            factor: [0.75, 1.25],
            p_per_image: EVERY_IMAGE,
            p: 0.5,
        }
    }
}

impl Augmentation for Brightness {
    type Params = BrightnessParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Each {
            p: self.p_per_image,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<BrightnessParams> {
        Some(BrightnessParams {
            factor: factor(self.factor, rng),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        rising("factor", self.factor)
    }
}

/// What [`Brightness`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrightnessParams {
    /// The factor.
    pub factor: f64,
}

impl Change for BrightnessParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let factor = self.factor as f32;
        change(in_order(image), |part| scale(part, factor));
    }
}

#[multiversion(targets = "simd")]
fn scale(values: &mut [f32], factor: f32) {
    for value in values {
        *value *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr3;

    #[test]
    fn the_image_is_multiplied_by_a_factor_from_the_range() {
        let brightness = Brightness {
            factor: [1.5, 1.6],
            ..Brightness::default()
        };
        let mut rng = crate::random::stream(1, &[], &[]);
        for _ in 0..100 {
            let drawn = brightness.draw(&mut rng).unwrap();
            assert!((1.5..=1.6).contains(&drawn.factor));
        }
        let mut image = arr3(&[[[-1.0, 0.0, 2.0]]]);
        BrightnessParams { factor: 1.5 }.apply(&mut image, [1.0; 3]);
        assert_eq!(image, arr3(&[[[-1.5, 0.0, 3.0]]]));
    }
}
