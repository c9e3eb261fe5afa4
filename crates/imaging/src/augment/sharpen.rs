use multiversion::multiversion;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{PART, in_order, range};
use super::ranges::rising;
use super::sharing::{EVERY_IMAGE, is_every_image};
use super::{Augmentation, Change, Sharing, uniform};
use crate::settings::Fault;
use crate::volume::blur;

/// Unsharp masking: adds `amount` times what a Gaussian blur would take away. Edges overshoot, so
/// values may leave the image's range. Each image has its own amount, as in nnU-Net's `SharpeningTransform`; with
/// `p_per_image` below 1 some are left out.
///
/// Reference: Gonzalez and Woods, "Digital Image Processing", unsharp masking and highboost filtering;
/// the filter is scipy's `gaussian_filter`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sharpen {
    /// Smallest and largest amount; the one applied is uniform between them. 0 changes nothing.
    #[schemars(inner(range(min = 0.0)))]
    pub amount: [f64; 2],
    /// Standard deviation of the blur, in mm: how wide an edge is.
    #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0))]
    pub std: f64,
    /// How likely each image is changed once the transform acts on the sample; by default all are.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "is_every_image")]
    pub p_per_image: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Sharpen {
    fn default() -> Self {
        Self {
            amount: [0.2, 1.0],
            std: 2.0,
            p_per_image: EVERY_IMAGE,
            p: 0.5,
        }
    }
}

impl Augmentation for Sharpen {
    type Params = SharpenParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Each {
            p: self.p_per_image,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<SharpenParams> {
        let [low, high] = self.amount;
        Some(SharpenParams {
            amount: uniform(low, high, rng),
            std: self.std,
        })
    }

    fn rules(&self) -> Vec<Fault> {
        rising("amount", self.amount)
    }
}

/// What [`Sharpen`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharpenParams {
    /// The amount.
    pub amount: f64,
    /// Standard deviation of the blur, in mm.
    pub std: f64,
}

impl Change for SharpenParams {
    fn apply(&self, image: &mut Array3<f32>, spacing: [f64; 3]) {
        if range(in_order(image)).is_none() {
            return;
        }
        let mut blurred = image.clone();
        blur(&mut blurred, spacing.map(|mm| self.std / mm));
        let values = in_order(image).par_chunks_mut(PART);
        let blurred = in_order(&mut blurred).par_chunks(PART);
        values
            .zip(blurred)
            .for_each(|(values, blurred)| move_away(values, blurred, self.amount as f32));
    }
}

#[multiversion(targets = "simd")]
fn move_away(values: &mut [f32], from: &[f32], amount: f32) {
    for (value, from) in values.iter_mut().zip(from) {
        *value += amount * (*value - from);
    }
}
