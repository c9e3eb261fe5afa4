//! Smoothing in mm against scipy.

use std::fs;

use calvaria::volume::{Affine, Volume};
use ndarray::{Array3, ShapeBuilder};
use safetensors::SafeTensors;

use super::reading::fixture;

#[test]
fn smoothing_is_scipys_with_the_spacing_of_each_axis() {
    let bytes = fs::read(fixture("../smoothing/smoothing.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| {
        let (values, _) = tensors.tensor(name).unwrap().data().as_chunks::<4>();
        let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes));
        Array3::from_shape_vec((13, 10, 6), values.collect()).unwrap()
    };
    let (spacing, _) = tensors.tensor("spacing").unwrap().data().as_chunks::<8>();
    let spacing: Vec<f64> = spacing.iter().map(|&of| f64::from_le_bytes(of)).collect();
    // Turned about an axis: the spacing is the length of a step, wherever it leads.
    let mut affine = Affine::diagonal([spacing[0], spacing[1], spacing[2]], [5.0, -3.0, 2.0]);
    let turn = |row: [f64; 4], other: [f64; 4], sign: f64| {
        std::array::from_fn(|at| match at {
            3 => row[3],
            _ => 0.6 * row[at] + sign * 0.8 * other[at],
        })
    };
    let [x, y, ..] = affine.0;
    (affine.0[0], affine.0[1]) = (turn(x, y, -1.0), turn(y, x, 1.0));
    for std in ["0.3", "1.0", "2.5"] {
        let expected = floats(&format!("std_{std}"));
        let mut smooth = Volume {
            voxels: floats("probability"),
            affine,
        };
        // Scans lie in memory x fastest.
        let mut turned = Array3::zeros((13, 10, 6).f());
        turned.assign(&smooth.voxels);
        smooth.voxels = turned;
        smooth.smooth(std.parse().unwrap());
        for (found, expected) in smooth.voxels.iter().zip(&expected) {
            // The weights are in single precision.
            assert!((found - expected).abs() < 1e-6, "{std}: {found} {expected}");
        }
    }
}
