use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::flip::Axis;
use super::ranges::rising;
use super::{Augmentation, Change, uniform};
use crate::settings::Fault;

/// Makes the image as coarse along one axis as a scan with thick slices: takes every m-th voxel
/// (nearest neighbour, about the middle of the axis) and interpolates linearly between them. The anatomy
/// does not move and the mask stays; it is done in the list's order, with the transforms of intensities. All images
/// become equally coarse, as in TorchIO 2.
///
/// Reference: Pérez-García et al., "TorchIO", Computer Methods and Programs in Biomedicine, 2021
/// (`RandomAnisotropy`); Billot et al., "Partial volume segmentation of brain MRI scans of any
/// resolution and contrast", MICCAI 2020.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Anisotropy {
    /// The axes that may become coarse. One is drawn, all with equal probability.
    pub axes: Vec<Axis>,
    /// Smallest and largest m, how many times as thick the slices become; uniform between them.
    #[schemars(inner(range(min = 1.0, max = 20.0)))]
    pub factor: [f64; 2],
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Anisotropy {
    fn default() -> Self {
        Self {
            axes: vec![Axis::LeftRight, Axis::FrontBack, Axis::UpDown],
            factor: [1.5, 5.0],
            p: 0.5,
        }
    }
}

impl Augmentation for Anisotropy {
    type Params = AnisotropyParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<AnisotropyParams> {
        let [low, high] = self.factor;
        Some(AnisotropyParams {
            axis: self.axes[rng.random_range(0..self.axes.len())],
            factor: uniform(low, high, rng),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = Axis::rules(&self.axes);
        faults.extend(rising("factor", self.factor));
        faults
    }
}

/// What [`Anisotropy`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnisotropyParams {
    /// The axis that becomes coarse.
    pub axis: Axis,
    /// How many times as thick its slices become.
    pub factor: f64,
}

/// The two kept slices around a slice, and how far it lies from the first.
type Between = (usize, usize, f32);

impl Change for AnisotropyParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let shape = [0, 1, 2].map(|axis| image.shape()[axis]);
        let axis = self.axis.index();
        let slices = between(shape[axis], self.factor);
        let before = image.as_standard_layout();
        let mut coarse = Array3::zeros(shape);
        let (Some(old), Some(new)) = (before.as_slice(), coarse.as_slice_mut()) else {
            return;
        };
        let [_, ny, nz] = shape;
        let row = |x: usize, y: usize| &old[(x * ny + y) * nz..][..nz];
        new.par_chunks_mut((ny * nz).max(1))
            .enumerate()
            .for_each(|(x, plane)| {
                for (y, out) in plane.chunks_exact_mut(nz).enumerate() {
                    match axis {
                        0 => mix(row(slices[x].0, y), row(slices[x].1, y), slices[x].2, out),
                        1 => mix(row(x, slices[y].0), row(x, slices[y].1), slices[y].2, out),
                        _ => {
                            let row = row(x, y);
                            for (out, &(low, high, part)) in out.iter_mut().zip(&slices) {
                                *out = row[low] + part * (row[high] - row[low]);
                            }
                        }
                    }
                }
            });
        *image = coarse;
    }
}

fn mix(low: &[f32], high: &[f32], part: f32, out: &mut [f32]) {
    for (out, (low, high)) in out.iter_mut().zip(low.iter().zip(high)) {
        *out = low + part * (high - low);
    }
}

/// For each of the `n` slices of an axis, the two kept slices around it. As many slices as fit are kept,
/// `factor` apart; beyond the first and the last one, these are repeated.
fn between(n: usize, factor: f64) -> Vec<Between> {
    let factor = factor.max(1.0);
    let kept = ((n as f64 / factor).floor() as usize).max(1);
    let (middle, middle_kept) = ((n as f64 - 1.0) / 2.0, (kept as f64 - 1.0) / 2.0);
    let source = |k: usize| {
        let place = middle + (k as f64 - middle_kept) * factor;
        ((place + 0.5).floor() as usize).min(n.saturating_sub(1))
    };
    let lies = |i: usize| {
        let place = ((i as f64 - middle) / factor + middle_kept).clamp(0.0, kept as f64 - 1.0);
        let low = place as usize;
        let high = (low + 1).min(kept - 1);
        (source(low), source(high), place.fract() as f32)
    };
    (0..n).map(lies).collect()
}
