use multiversion::multiversion;
use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{in_order, mean_and_deviation, range};
use super::ranges::rising;
use super::{Augmentation, Change, uniform};
use crate::settings::Fault;

/// Stripes through the whole image, as from spikes in k-space (herringbone artefact). A spike adds a
/// plane wave, which is known in closed form. Its amplitude is `intensity` times the image's mean
/// above its minimum: the largest value of k-space, which is that of its centre, if air is 0. All images get the same
/// spikes, each by its own mean, as in TorchIO 2.
///
/// Reference: TorchIO's `RandomSpike` (Pérez-García et al., Computer Methods and Programs in
/// Biomedicine, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spike {
    /// Smallest and largest number of spikes.
    #[schemars(inner(range(min = 1, max = 100)))]
    pub spikes: [usize; 2],
    /// Smallest and largest height of the spikes, in heights of k-space's centre; the one applied
    /// is uniform between them.
    #[schemars(inner(range(min = 0.0)))]
    pub intensity: [f64; 2],
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Spike {
    fn default() -> Self {
        Self {
            spikes: [1, 1],
            intensity: [1.0, 3.0],
            p: 0.1,
        }
    }
}

impl Augmentation for Spike {
    type Params = SpikeParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<SpikeParams> {
        let [fewest, most] = self.spikes;
        let count = rng.random_range(fewest..=most);
        let [low, high] = self.intensity;
        Some(SpikeParams {
            intensity: uniform(low, high, rng),
            positions: (0..count).map(|_| rng.random()).collect(),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = rising("spikes", self.spikes);
        faults.extend(rising("intensity", self.intensity));
        faults
    }
}

/// What [`Spike`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpikeParams {
    /// The spikes' height, in heights of k-space's centre.
    pub intensity: f64,
    /// Where in k-space each lies along each axis, from 0 to below 1; 0.5 is the centre.
    pub positions: Vec<[f64; 3]>,
}

impl Change for SpikeParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let (nx, ny, nz) = image.dim();
        let values = in_order(image);
        let Some([low, _]) = range(values) else {
            return;
        };
        let amplitude = self.intensity * (mean_and_deviation(values).0 - f64::from(low));
        for position in &self.positions {
            let phase = |axis: usize, n: usize| {
                // Cycles along the axis, as an index into k-space counts them from its centre.
                let cycles = (position[axis] * n as f64).floor() - (n / 2) as f64;
                move |index: usize| (cycles * index as f64 / n as f64).fract()
            };
            let (x_phase, y_phase, z_phase) = (phase(0, nx), phase(1, ny), phase(2, nz));
            let along_z = (0..nz).map(|z| (std::f64::consts::TAU * z_phase(z)).sin_cos());
            let (sines, cosines): (Vec<f32>, Vec<f32>) =
                along_z.map(|(s, c)| (s as f32, c as f32)).unzip();
            let rows = values.par_chunks_mut(nz).enumerate();
            rows.with_min_len(ny).for_each(|(row, values)| {
                let turns = x_phase(row / ny) + y_phase(row % ny);
                let (sine, cosine) = (std::f64::consts::TAU * turns).sin_cos();
                let wave = [(amplitude * sine) as f32, (amplitude * cosine) as f32];
                add_wave(values, wave, &sines, &cosines);
            });
        }
    }
}

/// Adds `cos(a + b)` for the `b` of each voxel.
#[multiversion(targets = "simd")]
fn add_wave(row: &mut [f32], [sine, cosine]: [f32; 2], sines: &[f32], cosines: &[f32]) {
    for (value, (s, c)) in row.iter_mut().zip(sines.iter().zip(cosines)) {
        *value += cosine * c - sine * s;
    }
}
