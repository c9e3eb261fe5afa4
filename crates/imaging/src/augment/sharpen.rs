use multiversion::multiversion;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gaussian::blur;
use super::intensities::{PART, in_order, range};
use super::ranges::rising;
use super::{Augmentation, Change, Sample, chance, uniform};
use crate::settings::Fault;

/// Unsharp masking: adds `amount` times what a Gaussian blur would take away. Edges overshoot, so
/// values may leave the image's range.
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
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Sharpen {
    fn default() -> Self {
        Self {
            amount: [0.2, 1.0],
            std: 2.0,
            p: 0.5,
        }
    }
}

impl Augmentation for Sharpen {
    type Params = SharpenParams;

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<SharpenParams> {
        let [low, high] = self.amount;
        chance(self.p, rng).then(|| SharpenParams {
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
    fn apply(&self, sample: &mut Sample) {
        if range(in_order(&mut sample.image)).is_none() {
            return;
        }
        let mut blurred = sample.image.clone();
        let spacing = sample.spacing();
        blur(&mut blurred, spacing.map(|mm| self.std / mm));
        let values = in_order(&mut sample.image).par_chunks_mut(PART);
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
