//! Images that are moved onto the grid of another one: where they end.

use std::path::Path;

use calvaria::preprocess::Inputs;
use calvaria::volume::nifti::{Dtype, read_image, write_image};
use calvaria::volume::resample::{Interpolation, resample, resample_covered};
use calvaria::volume::{Affine, Grid, Volume};
use ndarray::{Array3, s};

use super::images::image;

/// An image without a background, on a grid that is turned about two axes.
fn oblique(origin: [f64; 3]) -> Volume<f32> {
    let (c, s) = (0.21_f64.cos(), 0.21_f64.sin());
    let (d, t) = (0.13_f64.cos(), 0.13_f64.sin());
    let turned = [[c, -s * d, s * t], [s, c * d, -c * t], [0.0, t, d]];
    let spacing = [0.9, 1.1, 1.3];
    let mut affine = Affine::identity();
    for row in 0..3 {
        for column in 0..3 {
            affine.0[row][column] = turned[row][column] * spacing[column];
        }
        affine.0[row][3] = origin[row];
    }
    let voxels = Array3::from_shape_fn((21, 24, 17), |(x, y, z)| {
        (500 + (7 * x + 11 * y + 13 * z) % 97) as f32
    });
    Volume { voxels, affine }
}

/// The same voxels in the same places, with the first two axes counted from their other ends.
fn turned_round(volume: &Volume<f32>) -> Volume<f32> {
    let mut affine = volume.affine;
    for row in &mut affine.0[..3] {
        for axis in [0, 1] {
            row[3] += row[axis] * (volume.shape()[axis] - 1) as f64;
            row[axis] = -row[axis];
        }
    }
    let voxels = volume.voxels.slice(s![..;-1, ..;-1, ..]).to_owned();
    Volume { voxels, affine }
}

/// The same voxels in the same places, with the axes in another order.
fn reordered(volume: &Volume<f32>) -> Volume<f32> {
    let columns = [2, 0, 1, 3];
    Volume {
        voxels: volume.voxels.clone().permuted_axes([2, 0, 1]),
        affine: Affine(volume.affine.0.map(|row| columns.map(|column| row[column]))),
    }
}

/// The second image as it is moved onto the first one's grid.
fn second_onto_first(first: &Path, second: &Path) -> Volume<f32> {
    let images = vec![image("t1", first, None), image("flair", second, None)];
    let inputs = Inputs {
        onto: Some(&images[0].clone()),
        ..Inputs::images(images, None)
    };
    inputs.read().unwrap().case.images.remove(1)
}

#[test]
fn an_image_stored_in_another_orientation_has_the_same_voxels_at_the_edges_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["t1.nii", "flair.nii"].map(|name| folder.path().join(name));
    let mut lost_by_centres = 0;
    for origin in [
        [-101.37, 83.11, -47.93],
        [12.3, -140.7, 66.1],
        [0.1, 0.2, 0.3],
    ] {
        let stored = oblique(origin);
        write_image(&first, &stored, Dtype::Float32).unwrap();
        let there = read_image(&first).unwrap();
        for other in [
            turned_round(&stored),
            reordered(&stored),
            reordered(&turned_round(&stored)),
        ] {
            write_image(&second, &other, Dtype::Float32).unwrap();
            let moved = second_onto_first(&first, &second);
            assert_eq!(moved, there);
            // What the headers' rounding takes from an image that ends at its voxels' centres.
            let other = read_image(&second).unwrap();
            let centres = resample(&other, &there.grid(), Interpolation::Linear, false);
            lost_by_centres += centres.voxels.iter().filter(|v| **v == 0.0).count();
        }
    }
    assert!(lost_by_centres > 1000, "{lost_by_centres}");
}

#[test]
fn a_coarser_image_covers_half_a_voxel_around_its_centres() {
    let coarse = Volume {
        voxels: Array3::from_shape_fn((5, 4, 3), |(x, y, z)| (100 + x + 10 * y + 40 * z) as f32),
        affine: Affine::diagonal([3.0; 3], [0.0; 3]),
    };
    // From a voxel before the first centre to one behind the last, in halves of a voxel.
    let shape = [13, 11, 9];
    for shift in [0.0, 1e-3, -1e-3] {
        let grid = Grid {
            shape,
            affine: Affine::diagonal([1.5; 3], [-3.0 + shift; 3]),
        };
        let moved = resample_covered(&coarse, &grid, -7.0);
        for (index, value) in moved.voxels.indexed_iter() {
            let index: [usize; 3] = index.into();
            let is_beyond = (0..3).any(|a| index[a] == 0 || index[a] == shape[a] - 1);
            let at: [f64; 3] = std::array::from_fn(|a| {
                let last = coarse.shape()[a] as f64 - 1.0;
                (0.5 * index[a] as f64 - 1.0 + shift / 3.0).clamp(0.0, last)
            });
            let expected = match is_beyond {
                true => -7.0,
                false => 100.0 + at[0] + 10.0 * at[1] + 40.0 * at[2],
            };
            assert!(
                (f64::from(*value) - expected).abs() < 1e-4,
                "{index:?} {shift}: {value} {expected}"
            );
        }
    }
}

#[test]
fn how_much_of_the_mask_an_image_does_not_show_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let write = |name: &str, shape, value: fn(usize) -> f32, start: f64| {
        let voxels = Array3::from_shape_fn(shape, |(x, ..)| value(x));
        let affine = Affine::diagonal([1.0; 3], [start, 0.0, 0.0]);
        write_image(&file(name), &Volume { voxels, affine }, Dtype::Float32).unwrap();
    };
    write("t1.nii", (24, 6, 6), |x| x as f32, 0.0);
    write("mask.nii", (24, 6, 6), |x| f32::from(u8::from(x < 20)), 0.0);
    // From the tenth plane on; the ninth lies within a voxel of it.
    write("flair.nii", (14, 6, 6), |x| 100.0 + x as f32, 10.0);
    write("pd.nii", (30, 6, 6), |x| 100.0 + x as f32, -3.0);
    let images = ["t1", "flair", "pd"].map(|name| image(name, file(&format!("{name}.nii")), None));
    let mask = file("mask.nii");
    let inputs = Inputs {
        onto: Some(&images[0]),
        mask: Some(&mask),
        ..Inputs::images(images.to_vec(), None)
    };
    assert_eq!(
        inputs.read().unwrap().warnings,
        ["45.0 % of the mask lies outside the image `flair`, which has its background there"]
    );
}
