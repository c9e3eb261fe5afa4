//! A head is found wherever and however its scan is stored: masks of one head in many disguises are the same in the world.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use calvaria::Predictor;
use calvaria::device::{DeviceChoice, DeviceName};
use calvaria::preprocess::Inputs;
use calvaria::volume::nifti::{Dtype, Encoding, read_image, write_image};
use calvaria::volume::resample::{Interpolation, resample};
use calvaria::volume::{Affine, Grid, Volume};
use ndarray::Axis;
use tempfile::TempDir;

use crate::common::{calvaria, noise, repository};

/// The quickstart, cut short.
static RUN: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    calvaria()
        .arg("run")
        .arg(repository("experiments/quickstart.yaml"))
        .args([
            "--device",
            "cpu",
            "-q",
            "--set",
            "train.epochs=5",
            "--results",
        ])
        .arg(folder.path())
        .assert()
        .success();
    folder
});

/// A head that it has not been trained on, if by the split's luck; either way one of those that are shipped.
fn head() -> Volume<f32> {
    let path = repository("experiments/data/heads/sub-03/sub-03_T1w.nii.gz");
    read_image(&path).unwrap()
}

struct Found(Predictor);

impl Found {
    fn new() -> Self {
        let run = RUN.path().join("quickstart/seed-42");
        let device = DeviceChoice::Named(vec![DeviceName::Cpu]);
        Self(Predictor::open(&run, &device, |_| {}).unwrap())
    }

    fn in_scan(&self, scan: &Volume<f32>) -> Volume<u8> {
        self.0.predict(scan.clone().into()).unwrap().mask
    }

    fn in_file(&self, path: &Path) -> Volume<u8> {
        let scan = Inputs::scan(path, None).read().unwrap();
        self.0.predict(scan.case).unwrap().mask
    }
}

fn dice(a: &Volume<u8>, b: &Volume<u8>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let both = a
        .voxels
        .iter()
        .zip(&b.voxels)
        .filter(|(a, b)| **a + **b == 2);
    let count = |mask: &Volume<u8>| mask.voxels.iter().filter(|voxel| **voxel == 1).count();
    2.0 * both.count() as f64 / (count(a) + count(b)) as f64
}

/// The same voxels in the same places of the world, with the axes in another order and counted from other ends.
fn stored<T: Clone>(volume: &Volume<T>, order: [usize; 3], flipped: [bool; 3]) -> Volume<T> {
    let mut affine = volume.affine;
    let mut voxels = volume.voxels.clone().permuted_axes(order);
    for row in 0..3 {
        let old = volume.affine.0[row];
        for axis in 0..3 {
            affine.0[row][axis] = old[order[axis]];
        }
    }
    for axis in (0..3).filter(|axis| flipped[*axis]) {
        voxels.invert_axis(Axis(axis));
        for row in &mut affine.0[..3] {
            row[3] += row[axis] * (voxels.shape()[axis] - 1) as f64;
            row[axis] = -row[axis];
        }
    }
    let voxels = voxels.as_standard_layout().into_owned();
    Volume { voxels, affine }
}

/// A mask on another grid.
fn onto(mask: &Volume<u8>, grid: &Grid) -> Volume<u8> {
    let image = Volume {
        voxels: mask.voxels.mapv(f32::from),
        affine: mask.affine,
    };
    let moved = resample(&image, grid, Interpolation::Linear, false);
    Volume {
        voxels: moved.voxels.mapv(|part| u8::from(part >= 0.5)),
        affine: grid.affine,
    }
}

#[test]
fn every_order_and_direction_of_the_axes_gives_the_same_mask() {
    let (found, head) = (Found::new(), head());
    let mask = found.in_scan(&head);
    let voxels = mask.voxels.iter().filter(|voxel| **voxel == 1).count();
    assert!(voxels > 1000, "{voxels}");
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        for flips in 0..8_usize {
            let flipped = [0, 1, 2].map(|axis| flips & (1 << axis) != 0);
            let other = found.in_scan(&stored(&head, order, flipped));
            let dice = dice(&other, &stored(&mask, order, flipped));
            assert!(dice >= 0.99, "{order:?} {flipped:?}: {dice}");
        }
    }
}

#[test]
fn spacings_and_oblique_grids_change_little() {
    let (found, head) = (Found::new(), head());
    let mask = found.in_scan(&head);
    let mut told = String::new();
    let mut look = |what: &str, grid: &Grid, least: f64| {
        let other = found.in_scan(&resample(&head, grid, Interpolation::Linear, false));
        let dice = dice(&onto(&other, &mask.grid()), &mask);
        told += &format!("{what} {dice:.4}\n");
        assert!(dice >= least, "{told}");
    };
    for (spacing, least) in [
        ([0.5, 1.0, 2.0], 0.98),
        ([1.0, 1.0, 1.0], 0.98),
        ([3.0, 3.0, 3.0], 0.97),
        ([1.0, 1.0, 6.0], 0.95),
        ([6.0, 1.0, 1.0], 0.95),
        ([6.0, 6.0, 6.0], 0.93),
    ] {
        let grid = Grid::covering(&head.grid(), spacing);
        look(&format!("{spacing:?}"), &grid, least);
    }
    for degrees in [10.0_f64, 30.0, 80.0] {
        // About the middle of the head, first one axis, then another.
        let (s, c) = degrees.to_radians().sin_cos();
        let turned = [[c, -s * c, s * s], [s, c * c, -c * s], [0.0, s, c]];
        let shape = [128; 3];
        let centre = head.grid().centre();
        let mut affine = Affine::identity();
        for row in 0..3 {
            for (to, of) in affine.0[row].iter_mut().zip(turned[row]) {
                *to = 2.0 * of;
            }
            let middle: f64 = (0..3).map(|column| affine.0[row][column] * 63.5).sum();
            affine.0[row][3] = centre[row] - middle;
        }
        look(&format!("{degrees} degrees"), &Grid { shape, affine }, 0.97);
    }
}

#[test]
fn the_type_of_numbers_and_their_scale_change_nothing() {
    let (found, head) = (Found::new(), head());
    let mask = found.in_scan(&head);
    let folder = tempfile::tempdir().unwrap();
    let most = head.voxels.iter().copied().fold(0.0, f32::max);
    let scaled = |dtype, slope, inter| Encoding {
        dtype,
        slope,
        inter,
    };
    for (name, factor, encoding) in [
        (
            "bytes",
            1.0,
            scaled(Dtype::Uint8, f64::from(most) / 255.0, 0.0),
        ),
        ("shorts", 1000.0 / most, Dtype::Int16.into()),
        (
            "shifted",
            1.0,
            scaled(Dtype::Int16, f64::from(most) / 30000.0, -7.5),
        ),
        ("doubles", 1e-6, Dtype::Float64.into()),
    ] {
        let path: PathBuf = folder.path().join(format!("{name}.nii.gz"));
        let mut other = head.clone();
        other.voxels.mapv_inplace(|voxel| voxel * factor);
        write_image(&path, &other, encoding).unwrap();
        let dice = dice(&found.in_file(&path), &mask);
        assert!(dice >= 0.99, "{name}: {dice}");
    }
}

#[test]
fn a_bias_noise_and_a_cropped_field_of_view_change_little() {
    let (found, head) = (Found::new(), head());
    let mask = found.in_scan(&head);
    let [nx, _, nz] = head.shape();
    let mut told = String::new();
    let mut look = |what: &str, scan: &Volume<f32>, truth: &Volume<u8>, least: f64| {
        let dice = dice(&found.in_scan(scan), truth);
        told += &format!("{what} {dice:.4}\n");
        assert!(dice >= least, "{told}");
    };
    let mut biased = head.clone();
    for ((x, _, z), voxel) in biased.voxels.indexed_iter_mut() {
        let place = x as f32 / nx as f32 + z as f32 / nz as f32 - 1.0;
        *voxel *= (0.3 * place).exp();
    }
    look("bias", &biased, &mask, 0.93);
    let mut noisy = head.clone();
    let most = head.voxels.iter().copied().fold(0.0, f32::max);
    let random = noise::<1>(3, [head.voxels.len()]);
    let random: Vec<f32> = random.iter::<f32>().collect();
    for (voxel, random) in noisy.voxels.iter_mut().zip(random) {
        *voxel = (*voxel + 0.03 * most * random).max(0.0);
    }
    look("noise", &noisy, &mask, 0.93);
    // Without its lower third, along the axis that runs along the head.
    let codes = calvaria::volume::orientation::AxisCodes::of(&head.affine).to_string();
    let axis = codes.find(['S', 'I']).unwrap();
    let third = head.shape()[axis] / 3;
    let from = if codes.contains('S') { third } else { 0 };
    let cut = |volume: &Volume<f32>| {
        let mut affine = volume.affine;
        for row in &mut affine.0[..3] {
            row[3] += row[axis] * from as f64;
        }
        let range = from..from + volume.shape()[axis] - third;
        let mut voxels = volume.voxels.view();
        voxels.slice_axis_inplace(Axis(axis), range.into());
        Volume {
            voxels: voxels.as_standard_layout().into_owned(),
            affine,
        }
    };
    let cropped = cut(&head);
    look("cropped", &cropped, &onto(&mask, &cropped.grid()), 0.9);
}

#[test]
fn a_blank_scan_has_an_empty_mask_and_a_warning() {
    let (found, mut head) = (Found::new(), head());
    head.voxels.fill(7.0);
    let predicted = found.0.predict(head.clone().into()).unwrap();
    assert!(predicted.mask.voxels.iter().all(|voxel| *voxel == 0));
    assert_eq!(predicted.mask.grid(), head.grid());
    assert!(
        predicted.warnings[0].contains("blank"),
        "{:?}",
        predicted.warnings
    );
    // As a file, with exit code 0.
    let folder = tempfile::tempdir().unwrap();
    write_image(&folder.path().join("blank.nii.gz"), &head, Dtype::Float32).unwrap();
    let run = RUN.path().join("quickstart/seed-42");
    let done = calvaria()
        .current_dir(folder.path())
        .args(["predict", "--device", "cpu", "blank.nii.gz", "--run"])
        .arg(run)
        .assert()
        .success();
    let warned = String::from_utf8_lossy(&done.get_output().stderr).into_owned();
    assert!(warned.contains("blank"), "{warned}");
    assert!(
        folder
            .path()
            .join("blank_desc-calvaria_mask.nii.gz")
            .is_file()
    );
}
