use multiversion::multiversion;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{change, in_order, mean_and_deviation, range};
use super::math::power;
use super::ranges::factor;
use super::sharing::{EVERY_IMAGE, is_every_image};
use super::{Augmentation, Change, Sharing, uniform};
use crate::settings::Fault;

/// Raises the image, scaled to run from 0 to 1 between its own minimum and maximum, to a power: so it
/// is defined below 0 too, as after a z-score. Minimum and maximum stay as they are, unless
/// `keep_statistics` moves them.
///
/// The exponent is `exp(u)`, u uniform from `-log_gamma` to `log_gamma` (TorchIO's), or from `range`
/// (nnU-Net's).
///
/// Each image has its own exponent, as in nnU-Net; with `p_per_image` below 1 some are left out.
///
/// Reference: TorchIO's `RandomGamma` (Pérez-García et al., Computer Methods and Programs in
/// Biomedicine, 2021); nnU-Net's `GammaTransform` (Isensee et al., Nature Methods, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gamma {
    /// Largest natural logarithm of the exponent: 0.3 gives exponents from 0.74 to 1.35.
    #[schemars(range(max = 3.0), extend("exclusiveMinimum" = 0.0))]
    pub log_gamma: f64,
    /// Smallest and largest exponent, at most 20, instead of `log_gamma`: below 1 as often as above, and uniform on
    /// either side.
    pub range: Option<[f64; 2]>,
    /// Whether the image is turned to its negative first and back afterwards, which stretches the
    /// bright end instead of the dark one.
    pub invert: bool,
    /// Whether mean and standard deviation over the whole image are brought back to what they were.
    pub keep_statistics: bool,
    /// How likely each image is changed once the transform acts on the sample; by default all are.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "is_every_image")]
    pub p_per_image: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Gamma {
    fn default() -> Self {
        Self {
            log_gamma: 0.3,
            range: None,
            invert: false,
            keep_statistics: false,
            p_per_image: EVERY_IMAGE,
            p: 0.5,
        }
    }
}

impl Augmentation for Gamma {
    type Params = GammaParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Each {
            p: self.p_per_image,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<GammaParams> {
        Some(GammaParams {
            gamma: match self.range {
                Some(range) => factor(range, rng),
                None => uniform(-self.log_gamma, self.log_gamma, rng).exp(),
            },
            invert: self.invert,
            keep_statistics: self.keep_statistics,
        })
    }

    fn rules(&self) -> Vec<Fault> {
        match self.range {
            Some([low, high]) if !(0.0 < low && low <= high && high <= 20.0) => {
                let message = format!(
                    "range must be two numbers above 0 and at most 20, the first not above the second, \
                     not [{low}, {high}]"
                );
                vec![Fault::new("range", message)]
            }
            _ => Vec::new(),
        }
    }
}

/// What [`Gamma`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GammaParams {
    /// The exponent: below 1 brightens, above 1 darkens.
    pub gamma: f64,
    /// Whether it acts on the negative.
    pub invert: bool,
    /// Whether mean and standard deviation stay.
    pub keep_statistics: bool,
}

impl Change for GammaParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let values = in_order(image);
        let Some([low, high]) = range(values) else {
            return;
        };
        let before = self.keep_statistics.then(|| mean_and_deviation(values));
        let (from, to) = if self.invert {
            (high, low)
        } else {
            (low, high)
        };
        change(values, |part| raise(part, from, to, self.gamma as f32));
        let Some((mean, deviation)) = before else {
            return;
        };
        let (mean_now, deviation_now) = mean_and_deviation(values);
        if deviation_now > 0.0 {
            let scale = deviation / deviation_now;
            let shift = (mean - mean_now * scale) as f32;
            change(values, |part| scale_and_shift(part, scale as f32, shift));
        }
    }
}

/// Raises each value's part of the way from `from` to `to` to the power of `gamma`.
#[multiversion(targets = "simd")]
fn raise(values: &mut [f32], from: f32, to: f32, gamma: f32) {
    let range = to - from;
    for value in values {
        let part = power((*value - from) / range, gamma);
        // This form, unlike `from + range * part`, gives back `to` exactly.
        *value = from * (1.0 - part) + to * part;
    }
}

#[multiversion(targets = "simd")]
fn scale_and_shift(values: &mut [f32], scale: f32, shift: f32) {
    for value in values {
        *value = *value * scale + shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn applied(gamma: f64, image: Vec<f32>) -> Vec<f32> {
        let shape = (1, 1, image.len());
        let mut image = Array3::from_shape_vec(shape, image).unwrap();
        let params = GammaParams {
            gamma,
            invert: false,
            keep_statistics: false,
        };
        params.apply(&mut image, [1.0; 3]);
        image.into_raw_vec_and_offset().0
    }

    #[test]
    fn the_scaled_intensities_are_raised_to_the_power() {
        let raised = applied(2.0, vec![-10.0, -5.0, 0.0, 10.0]);
        for (value, exact) in raised.iter().zip([-10.0, -8.75, -5.0, 10.0f32]) {
            assert!((value - exact).abs() < 1e-5, "{value} for {exact}");
        }
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
    fn darkening_is_as_likely_as_brightening() {
        for range in [None, Some([0.7, 1.5])] {
            let gamma = Gamma {
                range,
                p: 1.0,
                ..Gamma::default()
            };
            let mut rng = crate::random::stream(1, &[], &[]);
            let drawn: Vec<f64> = (0..4000)
                .map(|_| gamma.draw(&mut rng).unwrap().gamma)
                .collect();
            let darker = drawn.iter().filter(|&&gamma| gamma > 1.0).count();
            assert!(darker.abs_diff(2000) < 127, "{darker} of 4000");
            let [low, high] = range.unwrap_or([(-0.3f64).exp(), 0.3f64.exp()]);
            assert!(drawn.iter().all(|gamma| (low..=high).contains(gamma)));
        }
    }
}
