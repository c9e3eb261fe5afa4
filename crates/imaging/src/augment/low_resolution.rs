use multiversion::multiversion;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{in_order, range};
use super::ranges::rising;
use super::sharing::{EVERY_IMAGE, is_every_image};
use super::{Augmentation, Change, Sharing, uniform};
use crate::settings::Fault;

/// Makes the image as coarse as a scan of larger voxels: takes the nearest voxel on a grid with fewer
/// voxels, and interpolates linearly back onto the image's own. The mask stays sharp.
///
/// Each image has its own resolution, and `p_per_image` of them become coarse; nnU-Net's is 0.5.
///
/// Reference: nnU-Net's `SimulateLowResolutionTransform` (Isensee et al., Nature Methods, 2021).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LowResolution {
    /// Smallest and largest resolution, as a part of the image's own, above 0 and at most 1; the one applied is uniform
    /// between them and the same along all axes.
    #[schemars(extend("items" = serde_json::json!({"type": "number", "exclusiveMinimum": 0.0, "maximum": 1.0})))]
    pub scale: [f64; 2],
    /// How likely each image is changed once the transform acts on the sample; by default all are.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "is_every_image")]
    pub p_per_image: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for LowResolution {
    fn default() -> Self {
        Self {
            scale: [0.5, 1.0],
            p_per_image: EVERY_IMAGE,
            p: 0.5,
        }
    }
}

impl Augmentation for LowResolution {
    type Params = LowResolutionParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Each {
            p: self.p_per_image,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<LowResolutionParams> {
        let [low, high] = self.scale;
        Some(LowResolutionParams {
            scale: uniform(low, high, rng),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        rising("scale", self.scale)
    }
}

/// What [`LowResolution`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LowResolutionParams {
    /// The resolution, as a part of the image's own.
    pub scale: f64,
}

impl Change for LowResolutionParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let (nx, ny, nz) = image.dim();
        let values = in_order(image);
        if range(values).is_none() {
            return;
        }
        let [along_x, along_y, along_z] = [nx, ny, nz].map(|n| Coarse::new(n, self.scale));
        let plane = ny * nz;
        // The coarse planes, on the image's own grid within each.
        let mut planes = vec![0.0; along_x.kept.len() * plane];
        let coarse = planes.par_chunks_mut(plane).zip(&along_x.kept);
        coarse.for_each(|(target, x)| {
            let source = &values[x * plane..][..plane];
            let rows = along_y.kept.iter().flat_map(|y| {
                let row = &source[y * nz..][..nz];
                let kept: Vec<f32> = along_z.kept.iter().map(|z| row[*z]).collect();
                let between = move |between: &Between| {
                    let (a, b) = (kept[between.before], kept[between.after]);
                    a + (b - a) * between.part
                };
                along_z.between.iter().map(between)
            });
            let rows: Vec<f32> = rows.collect();
            for (row, between) in target.chunks_exact_mut(nz).zip(&along_y.between) {
                mix(row, &rows, between);
            }
        });
        let targets = values.par_chunks_mut(plane).zip(&along_x.between);
        targets.for_each(|(target, between)| mix(target, &planes, between));
    }
}

/// An axis with fewer voxels.
struct Coarse {
    /// Which voxels are kept.
    kept: Vec<usize>,
    /// Where each voxel lies between those.
    between: Vec<Between>,
}

struct Between {
    before: usize,
    after: usize,
    part: f32,
}

impl Coarse {
    fn new(n: usize, scale: f64) -> Self {
        let count = (n as f64 * scale).round_ties_even().clamp(1.0, n as f64);
        let (last, step) = (count as usize - 1, n as f64 / count);
        let kept = |i: usize| (((i as f64 + 0.5) * step) as usize).min(n - 1);
        let between = |i: usize| {
            let at = ((i as f64 + 0.5) / step - 0.5).clamp(0.0, last as f64);
            let before = at as usize;
            Between {
                before,
                after: (before + 1).min(last),
                part: (at - before as f64) as f32,
            }
        };
        Self {
            kept: (0..=last).map(kept).collect(),
            between: (0..n).map(between).collect(),
        }
    }
}

/// Mixes two of the lines of `lines`, which are as long as `target`.
fn mix(target: &mut [f32], lines: &[f32], between: &Between) {
    let line = |at: usize| &lines[at * target.len()..][..target.len()];
    let (before, after) = (line(between.before), line(between.after));
    interpolate(target, before, after, between.part);
}

#[multiversion(targets = "simd")]
fn interpolate(target: &mut [f32], before: &[f32], after: &[f32], part: f32) {
    for (value, (a, b)) in target.iter_mut().zip(before.iter().zip(after)) {
        *value = a + (b - a) * part;
    }
}
