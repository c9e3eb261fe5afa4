//! Helpers shared by the test programs.

#![allow(dead_code)] // Each program uses its part.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use burn::tensor::TensorData;
use calvaria::preprocess::CaseVolumes;
use calvaria::volume::nifti::{Dtype, write_image, write_mask};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;

/// Whether tests run at their full length: `CALVARIA_TESTS=full`. Otherwise those that take minutes do a part of
/// it, so that the whole suite is soon done.
pub fn full() -> bool {
    std::env::var("CALVARIA_TESTS").is_ok_and(|value| value == "full")
}

/// How much of something a test does.
pub fn amount<T>(short: T, whole: T) -> T {
    if full() { whole } else { short }
}

/// Values between -1 and 1 that look random and depend on the seed alone.
pub fn noise<const D: usize>(seed: u64, shape: [usize; D]) -> TensorData {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let count: usize = shape.iter().product();
    TensorData::new((0..count).map(|_| next()).collect::<Vec<_>>(), shape)
}

/// The program, with neither colours nor a user's environment.
pub fn calvaria() -> Command {
    let mut command = Command::cargo_bin("calvaria").unwrap();
    command
        .env_remove("NFBS_ROOT")
        .env_remove("IXI_ROOT")
        .env_remove("HIPPOCAMPUS_ROOT")
        .env_remove("CALVARIA_RESULTS");
    command
}

/// A path inside the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A made-up head of 16 x 16 x 16 voxels of 4 mm: a bright ellipsoid (the brain) in a dimmer one.
pub fn toy_head(seed: u64) -> (Volume<f32>, Volume<u8>) {
    let affine = Affine::diagonal([4.0; 3], [-32.0, -32.0, -32.0]);
    let shift = seed as f64 % 3.0 - 1.0;
    let radius = move |x: usize, y: usize, z: usize| {
        let centred = [
            x as f64 - 7.5 - shift,
            y as f64 - 7.5,
            z as f64 - 7.5 + shift,
        ];
        centred.iter().map(|c| c * c).sum::<f64>().sqrt()
    };
    let voxels = Array3::from_shape_fn((16, 16, 16), |(x, y, z)| match radius(x, y, z) {
        r if r < 4.0 => 100.0 + ((x * 7 + y * 5 + z * 3 + seed as usize) % 11) as f32,
        r if r < 6.5 => 40.0 + ((x + y + z) % 5) as f32,
        _ => 1.0 + ((x * y + z) % 3) as f32,
    });
    let mask = Array3::from_shape_fn((16, 16, 16), |(x, y, z)| u8::from(radius(x, y, z) < 4.0));
    (
        Volume { voxels, affine },
        Volume {
            voxels: mask,
            affine,
        },
    )
}

/// Writes `count` toy heads in the layout of NFBS.
pub fn toy_dataset(folder: &Path, count: usize) {
    for index in 1..=count {
        let (image, mask) = toy_head(index as u64);
        let subject = folder.join(format!("sub-{index:02}"));
        let name = format!("sub-{index:02}_T1w");
        write_image(
            &subject.join(format!("{name}.nii.gz")),
            &image,
            Dtype::Float32,
        )
        .unwrap();
        write_mask(&subject.join(format!("{name}_brainmask.nii.gz")), &mask).unwrap();
    }
}

/// An experiment that trains in seconds on toy heads in `heads` beside it.
pub const TOY_EXPERIMENT: &str = "\
name: toy
seed: 7
data: {nfbs: {root: heads}}
preprocess: [{zscore: {over: whole}}]
augment: [flip, {noise: {p: 1.0}}]
split: {holdout: {validation: 1}}
model: {unet: {filters: 2, levels: 2}}
loss: {sum: [dice, bce]}
optimizer: {adam: {learning_rate: 0.01}}
schedule: constant
train: {epochs: 3, steps_per_epoch: 3, batch_size: 2, gradient_clip: 1.0}
";

/// A folder with toy heads and the toy experiment, `toy.yaml`.
pub fn toy_workplace(cases: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    toy_dataset(&folder.path().join("heads"), cases);
    fs::write(folder.path().join("toy.yaml"), TOY_EXPERIMENT).unwrap();
    folder
}

/// A ball of 100 in a field of noise, with its mask, on a grid off the world's origin.
pub fn ball(centre: [f64; 3]) -> CaseVolumes {
    let shape = (40, 36, 30);
    let middle = [19.5, 17.5, 14.5];
    let affine = Affine::diagonal(
        [-1.0, 1.2, 1.5],
        [
            centre[0] + middle[0],
            centre[1] - 1.2 * middle[1],
            centre[2] - 1.5 * middle[2],
        ],
    );
    let inside = |x: usize, y: usize, z: usize| {
        let p = affine.apply([x as f64, y as f64, z as f64]);
        (0..3).map(|a| (p[a] - centre[a]).powi(2)).sum::<f64>() < 12.0 * 12.0
    };
    let mask = Array3::from_shape_fn(shape, |(x, y, z)| u8::from(inside(x, y, z)));
    let voxels = Array3::from_shape_fn(shape, |(x, y, z)| {
        (mask[[x, y, z]] as usize * 100 + (7 * x + 11 * y + 13 * z) % 17) as f32
    });
    CaseVolumes {
        mask: Some(Volume {
            voxels: mask,
            affine,
        }),
        ..Volume { voxels, affine }.into()
    }
}

/// Runs the toy experiment until its first epoch is saved, and kills it: what an interruption leaves.
pub fn killed_run(folder: &Path, more: &[&str], run: &str) {
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("calvaria"))
        .current_dir(folder)
        .args(["run", "toy.yaml", "--device", "cpu", "-q"])
        .args(more)
        .spawn()
        .unwrap();
    let state = folder.join(run).join("checkpoints/last.state");
    for _ in 0..6000 {
        if state.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The toy experiment, and a sweep over it in `search.yaml`.
pub fn sweep_workplace(sweep: &str) -> tempfile::TempDir {
    let folder = toy_workplace(4);
    fs::write(folder.path().join("search.yaml"), sweep).unwrap();
    folder
}

/// The rows of `sweep.csv` by trial, without how often each was begun.
pub fn sweep_table(folder: &Path, results: &str) -> BTreeMap<String, Vec<(String, String)>> {
    let path = folder.join(results).join("search/sweep.csv");
    let mut table = csv::Reader::from_path(path).unwrap();
    let header = table.headers().unwrap().clone();
    let rows = table.records().map(|row| {
        let row = row.unwrap();
        let cells = header.iter().zip(&row);
        let cells = cells.filter(|(name, _)| *name != "attempts");
        let cells: Vec<(String, String)> = cells
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        (row[1].to_owned(), cells)
    });
    rows.collect()
}

/// A small sweep over the toy experiment that prunes.
pub const TPE: &str = "\
experiment: toy.yaml
seeds: [1, 2]
space:
  loss: {choice: [dice, bce, focal]}
  loss.focal.gamma: {uniform: [0.5, 4.0], when: {loss: focal}}
  optimizer.adam.learning_rate: {log_uniform: [1.0e-3, 3.0e-2]}
sampler: {tpe: {startup: 4}}
pruner: {median: {startup: 2, warmup: 0}}
objective: {metric: validation_iou_soft, goal: maximize}
budget: {trials: 8}
executor: {local: {workers: 1, devices: [cpu]}}
";
