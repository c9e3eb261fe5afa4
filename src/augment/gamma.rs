use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Sample, happens, uniform, validate_probability};

/// Raises the image, scaled to run from 0 to 1 between its own minimum and maximum, to the power
/// `exp(u)`, u uniform from `-log_gamma` to `log_gamma` (TorchIO's `RandomGamma`; Pérez-García et
/// al. 2021). Minimum and maximum stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gamma {
    /// Largest natural logarithm of the exponent: 0.3 gives exponents from 0.74 to 1.35.
    pub log_gamma: f64,
    /// Probability.
    pub p: f64,
}

impl Default for Gamma {
    fn default() -> Self {
        Self {
            log_gamma: 0.3,
            p: 0.5,
        }
    }
}

impl Gamma {
    pub(super) fn validate(&self) -> Result<(), String> {
        validate_probability(self.p)?;
        if self.log_gamma > 0.0 && self.log_gamma <= 3.0 {
            Ok(())
        } else {
            Err(format!(
                "log_gamma is {} and must be above 0 and at most 3",
                self.log_gamma
            ))
        }
    }

    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Option<GammaParams> {
        happens(self.p, rng).then(|| GammaParams {
            gamma: uniform(-self.log_gamma, self.log_gamma, rng).exp(),
        })
    }
}

/// What [`Gamma`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GammaParams {
    /// The exponent: below 1 brightens, above 1 darkens.
    pub gamma: f64,
}

impl GammaParams {
    pub(super) fn apply(&self, sample: &mut Sample) {
        let start = (f32::INFINITY, f32::NEG_INFINITY);
        let widen = |(low, high): (f32, f32), &value: &f32| (low.min(value), high.max(value));
        let (low, high) = sample.image.iter().fold(start, widen);
        if low >= high {
            return;
        }
        let (gamma, range) = (self.gamma as f32, high - low);
        sample.image.mapv_inplace(|value| {
            let part = ((value - low) / range).powf(gamma);
            // This form, unlike `low + (high - low) * part`, gives back `high` exactly.
            low * (1.0 - part) + high * part
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn applied(gamma: f64, image: Vec<f32>) -> Vec<f32> {
        let shape = (1, 1, image.len());
        let mut sample = Sample {
            image: Array3::from_shape_vec(shape, image).unwrap(),
            mask: Array3::zeros(shape),
            spacing: [1.0; 3],
        };
        GammaParams { gamma }.apply(&mut sample);
        sample.image.into_raw_vec_and_offset().0
    }

    #[test]
    fn the_scaled_intensities_are_raised_to_the_power() {
        assert_eq!(
            applied(2.0, vec![-10.0, -5.0, 0.0, 10.0]),
            [-10.0, -8.75, -5.0, 10.0]
        );
    }

    #[test]
    fn minimum_and_maximum_stay_whatever_they_are() {
        for (low, high) in [(0.0, 255.0), (-1.7, 4.9), (1e-3, 3e4), (-0.1, 0.3)] {
            for gamma in [0.74, 1.35] {
                let image = applied(gamma, vec![high, (low + high) / 3.0, low]);
                assert_eq!((image[2], image[0]), (low, high));
            }
        }
    }

    #[test]
    fn a_constant_image_stays() {
        assert_eq!(applied(2.0, vec![7.0; 3]), [7.0; 3]);
    }

    #[test]
    fn darkening_is_as_likely_as_brightening() {
        let gamma = Gamma {
            p: 1.0,
            ..Gamma::default()
        };
        let mut rng = crate::random::stream(1, &[], &[]);
        let drawn: Vec<f64> = (0..4000)
            .map(|_| gamma.draw(&mut rng).unwrap().gamma)
            .collect();
        let darker = drawn.iter().filter(|&&gamma| gamma > 1.0).count();
        assert!(darker.abs_diff(2000) < 127, "{darker} of 4000");
        assert!(drawn.iter().all(|gamma| gamma.ln().abs() <= 0.3));
    }
}
