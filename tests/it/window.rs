//! A window that slides over an image, against MONAI's and nnU-Net's.

use std::convert::Infallible;
use std::fs;
use std::path::Path;

use calvaria::window::{Like, Weights, Window, Windows, slide};
use ndarray::{
    Array, Array3, Array4, Array5, ArrayView3, Axis, Dimension, IntoDimension, concatenate,
};
use safetensors::SafeTensors;

fn tensor<D: Dimension>(
    file: &SafeTensors,
    name: &str,
    shape: impl IntoDimension<Dim = D>,
) -> Array<f32, D> {
    let tensor = file.tensor(name).unwrap();
    let bytes = tensor.data().as_chunks::<4>().0.iter();
    let values = bytes.map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Array::from_shape_vec(shape, values).unwrap()
}

/// A convolution of 3x3x3 with zeros outside, and a hyperbolic tangent.
struct Network {
    weight: Array5<f32>,
    bias: Vec<f32>,
}

impl Network {
    fn of(&self, voxels: Vec<f32>, [x, y, z]: [usize; 3]) -> Vec<f32> {
        let (outputs, inputs, ..) = self.weight.dim();
        let images = Array4::from_shape_vec((inputs, x, y, z), voxels).unwrap();
        let value = |(output, x, y, z): (usize, usize, usize, usize)| {
            let mut sum = self.bias[output];
            for input in 0..inputs {
                for ((i, j, k), weight) in Array3::from_shape_fn((3, 3, 3), |(i, j, k)| {
                    self.weight[[output, input, i, j, k]]
                })
                .indexed_iter()
                {
                    let at = [
                        input,
                        (x + i).wrapping_sub(1),
                        (y + j).wrapping_sub(1),
                        (z + k).wrapping_sub(1),
                    ];
                    sum += weight * images.get(at).copied().unwrap_or(0.0);
                }
            }
            sum.tanh()
        };
        Array4::from_shape_fn((outputs, x, y, z), value)
            .into_raw_vec_and_offset()
            .0
    }
}

#[test]
fn a_sliding_window_says_what_monai_and_nnu_net_say() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/window/expected.safetensors");
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let shape = [15, 18, 13];
    let images: Array4<f32> = tensor(&file, "image", (2, shape[0], shape[1], shape[2]));
    let network = Network {
        weight: tensor(&file, "weight", (3, 2, 3, 3, 3)),
        bias: tensor(&file, "bias", 3).to_vec(),
    };
    let size = [8, 10, 6];
    let mut compared = 0;
    for (name, like, weights, overlap) in [
        ("monai gaussian 0.5", Like::Monai, Weights::Gaussian, 0.5),
        ("monai gaussian 0.25", Like::Monai, Weights::Gaussian, 0.25),
        ("monai uniform 0.6", Like::Monai, Weights::Uniform, 0.6),
        ("nnunet gaussian 0.5", Like::Nnunet, Weights::Gaussian, 0.5),
        ("nnunet gaussian 0.2", Like::Nnunet, Weights::Gaussian, 0.2),
        ("nnunet uniform 0.5", Like::Nnunet, Weights::Uniform, 0.5),
    ] {
        let window = Window {
            overlap,
            weights,
            like,
            ..Window::of(size)
        };
        let views: Vec<ArrayView3<f32>> = images.outer_iter().collect();
        let mut pieces = Vec::new();
        let seen = |voxels| Ok::<_, Infallible>(network.of(voxels, size));
        let Ok(()) = slide(&views, &Windows::over(shape, &window), seen, |planes| {
            pieces.push(planes)
        });
        assert!(pieces.len() > 1, "memory does not grow with the image");
        let pieces: Vec<_> = pieces.iter().map(|piece| piece.view()).collect();
        let said = concatenate(Axis(1), &pieces).unwrap();
        let expected: Array4<f32> = tensor(&file, name, (3, shape[0], shape[1], shape[2]));
        for (said, expected) in said.iter().zip(&expected) {
            assert!((said - expected).abs() < 1e-5, "{name}: {said} {expected}");
            compared += 1;
        }
    }
    assert_eq!(compared, 6 * 3 * 15 * 18 * 13);
}
