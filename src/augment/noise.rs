use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Sample, happens, uniform, validate_probability};

/// Adds Gaussian noise of mean 0, drawn anew for each voxel, to the image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Largest standard deviation of the noise, in standard deviations of the image (over all of
    /// its voxels, background included). The one applied is uniform from 0 to this.
    pub std: f64,
    /// Probability.
    pub p: f64,
}

impl Default for Noise {
    fn default() -> Self {
        Self { std: 0.1, p: 0.5 }
    }
}

impl Noise {
    pub(super) fn validate(&self) -> Result<(), String> {
        validate_probability(self.p)?;
        if self.std > 0.0 && self.std.is_finite() {
            Ok(())
        } else {
            Err(format!("std is {} and must be above 0", self.std))
        }
    }

    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Option<NoiseParams> {
        happens(self.p, rng).then(|| NoiseParams {
            std: uniform(0.0, self.std, rng),
            seed: rng.random(),
        })
    }
}

/// What [`Noise`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseParams {
    /// Standard deviation of the noise, in standard deviations of the image.
    pub std: f64,
    /// Seeds the noise itself.
    pub seed: u64,
}

impl NoiseParams {
    pub(super) fn apply(&self, sample: &mut Sample) {
        let std = (self.std * standard_deviation(&sample.image)) as f32;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for value in &mut sample.image {
            let noise: f32 = StandardNormal.sample(&mut rng);
            *value += std * noise;
        }
    }
}

fn standard_deviation(image: &Array3<f32>) -> f64 {
    let count = image.len().max(1) as f64;
    let mean = image.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let square = |&value: &f32| (f64::from(value) - mean).powi(2);
    (image.iter().map(square).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(std: f64, seed: u64) -> Array3<f32> {
        // Mean 100, standard deviation 20.
        let image = Array3::from_shape_fn((40, 40, 40), |(x, ..)| [80.0, 120.0][x % 2]);
        let mut sample = Sample {
            mask: Array3::zeros(image.dim()),
            spacing: [1.0; 3],
            image: image.clone(),
        };
        NoiseParams { std, seed }.apply(&mut sample);
        sample.image - image
    }

    #[test]
    fn the_noise_is_normal_with_the_deviation_asked_for() {
        let noise = noisy(0.25, 3);
        let within = |bound: f32| {
            noise.iter().filter(|value| value.abs() < bound).count() as f64 / noise.len() as f64
        };
        // A quarter of 20 is 5. Bounds are four standard errors of 64,000 draws.
        assert!(noise.mean().unwrap().abs() < 0.08);
        assert!((standard_deviation(&noise) - 5.0).abs() < 0.056);
        assert!((within(5.0) - 0.6827).abs() < 0.0074);
        assert!((within(10.0) - 0.9545).abs() < 0.0033);
    }

    #[test]
    fn the_noise_of_a_seed_never_changes() {
        // Pinned: a new version of the generator would silently change every stored result.
        let first: Vec<f32> = noisy(0.25, 3).iter().take(3).copied().collect();
        assert_eq!(first, [2.193779, -5.6421127, -2.0963287]);
        assert_ne!(noisy(0.25, 3), noisy(0.25, 4));
    }
}
