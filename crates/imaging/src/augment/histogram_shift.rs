use multiversion::multiversion;
use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{change, in_order, range};
use super::ranges::rising;
use super::{Augmentation, Change, uniform};
use crate::settings::Fault;

/// Bends the intensities along a rising line through random control points. The points lie evenly
/// between the image's minimum and maximum, which stay; each inner one is moved, in turn, to
/// somewhere between its two neighbours. All images have the same points, as in MONAI.
///
/// Reference: MONAI's `RandHistogramShift` (Cardoso et al., arXiv:2211.02701, 2022).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistogramShift {
    /// Smallest and largest number of control points, the two ends included. Fewer bend more.
    #[schemars(inner(range(min = 3, max = 64)))]
    pub control_points: [usize; 2],
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for HistogramShift {
    fn default() -> Self {
        Self {
            control_points: [10, 10],
            p: 0.5,
        }
    }
}

impl Augmentation for HistogramShift {
    type Params = HistogramShiftParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<HistogramShiftParams> {
        let [low, high] = self.control_points;
        let last = rng.random_range(low..=high) - 1;
        let mut control_points: Vec<f64> = (0..=last).map(|i| i as f64 / last as f64).collect();
        for i in 1..last {
            control_points[i] = uniform(control_points[i - 1], control_points[i + 1], rng);
        }
        Some(HistogramShiftParams { control_points })
    }

    fn rules(&self) -> Vec<Fault> {
        rising("control_points", self.control_points)
    }
}

/// What [`HistogramShift`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistogramShiftParams {
    /// Where evenly spaced intensities go, from 0 (the image's minimum) to 1 (its maximum).
    pub control_points: Vec<f64>,
}

impl Change for HistogramShiftParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let values = in_order(image);
        let points: Vec<f32> = self.control_points.iter().map(|&p| p as f32).collect();
        if let (Some(range), 2..) = (range(values), points.len()) {
            change(values, |part| bend(part, range, &points));
        }
    }
}

#[multiversion(targets = "simd")]
fn bend(values: &mut [f32], [low, high]: [f32; 2], points: &[f32]) {
    let last = points.len() - 1;
    let (range, segments) = (high - low, last as f32);
    for value in values {
        let at = (*value - low) / range * segments;
        let segment = (at as usize).min(last - 1);
        let (start, end) = (points[segment], points[segment + 1]);
        let part = start + (end - start) * (at - segment as f32);
        *value = low * (1.0 - part) + high * part;
    }
}
