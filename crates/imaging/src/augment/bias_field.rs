use multiversion::multiversion;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::intensities::{in_order, range};
use super::math::exp;
use super::{Augmentation, Change, uniform};

/// Multiplies the signal by a smooth field, as an uneven coil does: the exponential of a polynomial in
/// the three coordinates, each running from -1 to 1 over the grid. The signal is what lies above the
/// image's minimum, `low + (v - low) * field`: air stays dark also after a z-score. All images have the same field,
/// as in TorchIO 2.
///
/// Reference: TorchIO's `RandomBiasField` (Pérez-García et al., Computer Methods and Programs in
/// Biomedicine, 2021), after Van Leemput et al., IEEE Transactions on Medical Imaging, 1999.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BiasField {
    /// Largest magnitude of the polynomial's coefficients, each uniform from minus this to this.
    #[schemars(range(max = 3.0), extend("exclusiveMinimum" = 0.0))]
    pub coefficient: f64,
    /// Order of the polynomial: the largest sum of the three exponents.
    #[schemars(range(min = 0, max = 6))]
    pub order: usize,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

const MAX_ORDER: usize = 6;

impl Default for BiasField {
    fn default() -> Self {
        Self {
            coefficient: 0.5,
            order: 3,
            p: 0.5,
        }
    }
}

impl Augmentation for BiasField {
    type Params = BiasFieldParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<BiasFieldParams> {
        let largest = self.coefficient;
        let coefficients = exponents(self.order).map(|_| uniform(-largest, largest, rng));
        Some(BiasFieldParams {
            order: self.order,
            coefficients: coefficients.collect(),
        })
    }
}

/// The exponents of x, y and z in each term, z's changing fastest.
fn exponents(order: usize) -> impl Iterator<Item = [usize; 3]> {
    let pairs = (0..=order).flat_map(move |x| (0..=order - x).map(move |y| (x, y)));
    pairs.flat_map(move |(x, y)| (0..=order - x - y).map(move |z| [x, y, z]))
}

/// What [`BiasField`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BiasFieldParams {
    /// Order of the polynomial.
    pub order: usize,
    /// The terms' coefficients, z's exponent changing fastest and x's slowest.
    pub coefficients: Vec<f64>,
}

impl Change for BiasFieldParams {
    fn apply(&self, image: &mut Array3<f32>, _spacing: [f64; 3]) {
        let (nx, ny, nz) = image.dim();
        let values = in_order(image);
        let Some([low, _]) = range(values) else {
            return;
        };
        let order = self.order.min(MAX_ORDER);
        let along_z: Vec<f32> = (0..nz).map(|z| coordinate(z, nz) as f32).collect();
        let planes = values.par_chunks_mut(ny * nz).enumerate();
        planes.for_each(|(x, plane)| {
            let x = powers(coordinate(x, nx));
            for (y, row) in plane.chunks_exact_mut(nz).enumerate() {
                let y = powers(coordinate(y, ny));
                // Along a row the field is a polynomial in z alone.
                let mut in_z = [0.0f64; MAX_ORDER + 1];
                for ([i, j, k], coefficient) in exponents(order).zip(&self.coefficients) {
                    in_z[k] += coefficient * x[i] * y[j];
                }
                multiply(row, &along_z, &in_z.map(|c| c as f32)[..=order], low);
            }
        });
    }
}

/// From -1 at the first voxel to 1 at the last.
fn coordinate(index: usize, n: usize) -> f64 {
    match n {
        1 => 0.0,
        _ => (2 * index) as f64 / (n - 1) as f64 - 1.0,
    }
}

fn powers(x: f64) -> [f64; MAX_ORDER + 1] {
    std::array::from_fn(|exponent| x.powi(exponent as i32))
}

#[multiversion(targets = "simd")]
fn multiply(row: &mut [f32], at: &[f32], coefficients: &[f32], low: f32) {
    for (value, z) in row.iter_mut().zip(at) {
        let mut exponent = 0.0;
        for coefficient in coefficients.iter().rev() {
            exponent = exponent * z + coefficient;
        }
        *value = low + (*value - low) * exp(exponent);
    }
}
