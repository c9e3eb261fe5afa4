use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Sample, happens, uniform, validate_probability};

/// Multiplies the image by a factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Brightness {
    /// Smallest and largest factor; the one applied is uniform between them.
    pub factor: [f64; 2],
    /// Probability.
    pub p: f64,
}

impl Default for Brightness {
    fn default() -> Self {
        Self {
            factor: [0.75, 1.25],
            p: 0.5,
        }
    }
}

impl Brightness {
    pub(super) fn validate(&self) -> Result<(), String> {
        validate_probability(self.p)?;
        let [low, high] = self.factor;
        if 0.0 < low && low < high && high.is_finite() {
            Ok(())
        } else {
            Err(format!(
                "factor is [{low}, {high}] and must be two rising numbers above 0"
            ))
        }
    }

    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Option<BrightnessParams> {
        let [low, high] = self.factor;
        happens(self.p, rng).then(|| BrightnessParams {
            factor: uniform(low, high, rng),
        })
    }
}

/// What [`Brightness`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrightnessParams {
    /// The factor.
    pub factor: f64,
}

impl BrightnessParams {
    pub(super) fn apply(&self, sample: &mut Sample) {
        sample.image *= self.factor as f32;
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
            p: 1.0,
        };
        let mut rng = crate::random::stream(1, &[], &[]);
        for _ in 0..100 {
            let drawn = brightness.draw(&mut rng).unwrap();
            assert!((1.5..=1.6).contains(&drawn.factor));
        }
        let mut sample = Sample {
            image: arr3(&[[[-1.0, 0.0, 2.0]]]),
            mask: arr3(&[[[0, 1, 1]]]),
            spacing: [1.0; 3],
        };
        BrightnessParams { factor: 1.5 }.apply(&mut sample);
        assert_eq!(sample.image, arr3(&[[[-1.5, 0.0, 3.0]]]));
    }
}
