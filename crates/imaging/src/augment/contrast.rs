use multiversion::multiversion;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{change, in_order, mean_and_deviation, range};
use super::ranges::{factor, rising};
use super::{Augmentation, Change, Sample, chance};
use crate::settings::Fault;

/// Scales the image about its mean by a factor, and cuts off what then lies below its former minimum
/// or above its former maximum.
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
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Contrast {
    fn default() -> Self {
        Self {
            factor: [0.75, 1.25],
            p: 0.5,
        }
    }
}

impl Augmentation for Contrast {
    type Params = ContrastParams;

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<ContrastParams> {
        chance(self.p, rng).then(|| ContrastParams {
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
    fn apply(&self, sample: &mut Sample) {
        let values = in_order(&mut sample.image);
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
