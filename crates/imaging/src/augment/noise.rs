use multiversion::multiversion;
use ndarray::Array3;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{PART, in_order, mean_and_deviation, range};
use super::math::{ln, sin_cos};
use super::sharing::{EVERY_IMAGE, is_every_image};
use super::{Augmentation, Change, Sharing, uniform};

/// Adds noise to the image, drawn for each voxel on its own.
///
/// Images share its deviation, and each has its own noise, as in nnU-Net and TorchIO; with `p_per_image` below 1
/// some are left out.
///
/// Gaussian noise has mean 0. Rician noise is what Gaussian noise in both channels of the receiver
/// leaves in a magnitude image: `low + sqrt((v - low + a)² + b²)`, a and b normal and `low` the
/// image's minimum, which stands for air also after a z-score.
///
/// Reference: Gudbjartsson and Patz, "The Rician distribution of noisy MRI data", Magnetic Resonance
/// in Medicine, 1995; nnU-Net's `GaussianNoiseTransform` (Isensee et al., Nature Methods, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Largest standard deviation of the noise, in standard deviations of the image (over all of
    /// its voxels, background included). The one applied is uniform from 0 to this.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub std: f64,
    /// Its distribution.
    pub distribution: NoiseDistribution,
    /// How likely each image is changed once the transform acts on the sample; by default all are.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "is_every_image")]
    pub p_per_image: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

/// How noise is distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoiseDistribution {
    /// Normal about the value, wherever it is.
    #[default]
    Gaussian,
    /// As in a magnitude image: never below the image's minimum.
    Rician,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            std: 0.1,
            distribution: NoiseDistribution::Gaussian,
            p_per_image: EVERY_IMAGE,
            p: 0.5,
        }
    }
}

impl Augmentation for Noise {
    type Params = NoiseParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Each {
            p: self.p_per_image,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<NoiseParams> {
        Some(NoiseParams {
            std: uniform(0.0, self.std, rng),
            distribution: self.distribution,
            seed: rng.random(),
        })
    }

    fn draw_further(&self, first: &NoiseParams, rng: &mut ChaCha8Rng) -> Option<NoiseParams> {
        Some(NoiseParams {
            seed: rng.random(),
            ..first.clone()
        })
    }
}

/// What [`Noise`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseParams {
    /// Standard deviation of the noise, in standard deviations of the image.
    pub std: f64,
    /// Its distribution.
    pub distribution: NoiseDistribution,
    /// Seeds the noise itself.
    pub seed: u64,
}

impl Change for NoiseParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let values = in_order(image);
        let Some([low, _]) = range(values) else {
            return;
        };
        let std = (self.std * mean_and_deviation(values).1) as f32;
        if std == 0.0 {
            return;
        }
        let seeded = ChaCha8Rng::seed_from_u64(self.seed);
        // A stream for each part, so that it does not matter who works on which.
        let parts = values.par_chunks_mut(PART).enumerate();
        parts.for_each(|(stream, part)| {
            let mut rng = seeded.clone();
            rng.set_stream(stream as u64);
            let mut normals = Normals::new(rng);
            match self.distribution {
                NoiseDistribution::Gaussian => {
                    for pair in part.chunks_mut(2 * PAIRS) {
                        let (first, second) = pair.split_at_mut(pair.len().min(PAIRS));
                        normals.draw();
                        add(first, &normals.first, std);
                        add(second, &normals.second, std);
                    }
                }
                NoiseDistribution::Rician => {
                    for part in part.chunks_mut(PAIRS) {
                        normals.draw();
                        magnitude(part, low, [&normals.first, &normals.second], std);
                    }
                }
            }
        });
    }
}

/// Fills `values` with standard normal numbers, which depend on `seed` alone.
pub(crate) fn normals(values: &mut [f32], seed: u64) {
    let seeded = ChaCha8Rng::seed_from_u64(seed);
    let parts = values.par_chunks_mut(PART).enumerate();
    parts.for_each(|(stream, part)| {
        let mut rng = seeded.clone();
        rng.set_stream(stream as u64);
        let mut normals = Normals::new(rng);
        for pair in part.chunks_mut(2 * PAIRS) {
            let (first, second) = pair.split_at_mut(pair.len().min(PAIRS));
            normals.draw();
            first.copy_from_slice(&normals.first[..first.len()]);
            second.copy_from_slice(&normals.second[..second.len()]);
        }
    });
}

/// Pairs of normal numbers that are made together.
const PAIRS: usize = 512;

/// A source of normal numbers.
struct Normals {
    rng: ChaCha8Rng,
    random: [u8; 8 * PAIRS],
    first: [f32; PAIRS],
    second: [f32; PAIRS],
}

impl Normals {
    fn new(rng: ChaCha8Rng) -> Self {
        Self {
            rng,
            random: [0; 8 * PAIRS],
            first: [0.0; PAIRS],
            second: [0.0; PAIRS],
        }
    }

    fn draw(&mut self) {
        self.rng.fill_bytes(&mut self.random);
        box_muller(&self.random, &mut self.first, &mut self.second);
    }
}

/// Two independent standard normal numbers from each two words of random bits: Box and Muller, "A
/// note on the generation of random normal deviates", 1958.
#[multiversion(targets = "simd")]
fn box_muller(random: &[u8; 8 * PAIRS], first: &mut [f32; PAIRS], second: &mut [f32; PAIRS]) {
    let (words, _) = random.as_chunks::<4>();
    let (lengths, angles) = words.split_at(PAIRS);
    for i in 0..PAIRS {
        // 24 bits, above 0 and at most 1: normal numbers reach 5.9.
        let length = (u32::from_le_bytes(lengths[i]) >> 8) as i32;
        let length = (length as f32 + 0.5) * (0.5f32).powi(24);
        let radius = (-2.0 * ln(length)).max(0.0).sqrt();
        let turns = i32::from_le_bytes(angles[i]) as f32 * (0.5f32).powi(32);
        let (sine, cosine) = sin_cos(turns);
        first[i] = radius * cosine;
        second[i] = radius * sine;
    }
}

#[multiversion(targets = "simd")]
fn add(values: &mut [f32], normals: &[f32; PAIRS], std: f32) {
    for (value, normal) in values.iter_mut().zip(normals) {
        *value += std * normal;
    }
}

#[multiversion(targets = "simd")]
fn magnitude(values: &mut [f32], low: f32, [real, imaginary]: [&[f32; PAIRS]; 2], std: f32) {
    for (value, (a, b)) in values.iter_mut().zip(real.iter().zip(imaginary)) {
        let (a, b) = (*value - low + std * a, std * b);
        *value = low + (a * a + b * b).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    fn noisy(std: f64, seed: u64) -> Array3<f32> {
        // Mean 100, standard deviation 20.
        let image = Array3::from_shape_fn((40, 40, 40), |(x, ..)| [80.0, 120.0][x % 2]);
        let mut changed = image.clone();
        let distribution = NoiseDistribution::Gaussian;
        let params = NoiseParams {
            std,
            distribution,
            seed,
        };
        params.apply(&mut changed, [1.0; 3]);
        changed - image
    }

    #[test]
    fn the_noise_is_normal_with_the_deviation_asked_for() {
        let noise = noisy(0.25, 3);
        let within = |bound: f32| {
            noise.iter().filter(|value| value.abs() < bound).count() as f64 / noise.len() as f64
        };
        // A quarter of 20 is 5. Bounds are four standard errors of 64,000 draws.
        let (mean, deviation) = mean_and_deviation(noise.as_slice().unwrap());
        assert!(mean.abs() < 0.08);
        assert!((deviation - 5.0).abs() < 0.056);
        assert!((within(5.0) - 0.6827).abs() < 0.0074);
        assert!((within(10.0) - 0.9545).abs() < 0.0033);
        assert!((within(15.0) - 0.9973).abs() < 0.0009);
    }

    #[test]
    fn neighbours_are_independent() {
        let noise = noisy(0.25, 3);
        let noise = noise.as_slice().unwrap();
        // Voxels beside each other, the two of a pair, parts beside each other.
        for lag in [1, PAIRS, 2 * PAIRS, PART] {
            let products = noise
                .iter()
                .zip(&noise[lag..])
                .map(|(a, b)| f64::from(a * b));
            let count = (noise.len() - lag) as f64;
            let correlation = products.sum::<f64>() / count / 25.0;
            assert!(
                correlation.abs() < 4.0 / count.sqrt(),
                "lag {lag}: {correlation}"
            );
        }
    }

    #[test]
    fn the_noise_of_a_seed_never_changes() {
        // Pinned: a new version of the generator would silently change every stored result.
        let first: Vec<f32> = noisy(0.25, 3).iter().take(3).copied().collect();
        assert_eq!(first, [-10.535187, -1.3527298, -2.726822]);
        assert_ne!(noisy(0.25, 3), noisy(0.25, 4));
    }
}
