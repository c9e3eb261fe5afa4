//! Patches of 64x64x64 voxels from cached cases of 192x192x192, with flips and affine movements, as training takes them:
//!
//!     cargo bench --bench loader -- [CASES] [WORKERS] [SAMPLES] [FOLDER]
//!
//! SAMPLES patches are taken from a case each time it is read. FOLDER keeps the cases for another run; `peers/loader.py`
//! reads them there with TorchIO. Prints JSON: patches a second in the first epoch and in the fastest of the next ones, the
//! peak of resident memory, and a checksum of the patches of one more epoch. The cases are made by another process, so that
//! its memory does not count.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use burn::backend::Flex;
use burn::data::dataloader::DataLoader;
use calvaria::dataset::{BatchLoader, Case, Failure, Order, Patch, Sampling, TrainingCase};
use calvaria::preprocess::cache::Cache;
use calvaria::preprocess::{ImageFile, Pipeline};
use calvaria::volume::nifti::{Dtype, write_image, write_mask};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;

const EDGE: usize = 192;
const BATCH: usize = 2;
const EPOCHS: usize = 4;
/// The ranges are TorchIO's.
const AUGMENT: &str = "[flip, {affine: {rotate: 10, scale: [0.9, 1.1], translate: 5, p: 1.0}}]";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = arguments
        .iter()
        .filter_map(|one| one.parse().ok())
        .collect();
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let [cases, workers, samples] = [number(0, 8), number(1, 2), number(2, 1)];
    let temporary = tempfile::tempdir().expect("a folder for temporary files");
    let folder = arguments
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_absolute());
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    if arguments.iter().any(|one| one == "--prepare") {
        (0..cases).for_each(|index| drop(training_case(&folder, index)));
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let prepared = Command::new(program)
        .args(["--prepare", &cases.to_string()])
        .arg(&folder)
        .status();
    assert!(prepared.expect("this program").success());
    calvaria::kernel::keep_memory();
    let cases: Vec<TrainingCase> = (0..cases)
        .map(|index| training_case(&folder, index))
        .collect();
    let (rates, checksum) = rates(&cases, workers, samples);
    let best = rates[1..].iter().copied().fold(0.0, f64::max);
    println!(
        "{{\"cases\": {}, \"workers\": {workers}, \"samples\": {samples}, \"first_epoch\": {:.2}, \"patches_per_s\": \
         {best:.2}, \"peak_mib\": {:.0}, \"checksum\": {checksum}}}",
        cases.len(),
        rates[0],
        peak_mib()
    );
}

/// Patches a second in each epoch, and a checksum of the patches of one more.
fn rates(cases: &[TrainingCase], workers: usize, samples: usize) -> (Vec<f64>, u32) {
    let batches = (cases.len() * samples).div_ceil(BATCH).max(32);
    let epoch = Arc::new(AtomicUsize::new(0));
    let sampling = Sampling {
        seed: 42,
        order: Order::Shuffled {
            batches,
            patch: Some(Patch {
                samples,
                ..serde_yaml::from_str("{size: [64, 64, 64]}").expect("a patch")
            }),
            augment: serde_yaml::from_str(AUGMENT).expect("augmentations"),
        },
        batch_size: BATCH,
        workers,
    };
    let failure = Failure::default();
    let loader = BatchLoader::<Flex>::new(
        cases.to_vec(),
        sampling,
        Arc::clone(&epoch),
        Arc::clone(&failure),
        Default::default(),
    );
    let rate = |number| {
        epoch.store(number, std::sync::atomic::Ordering::Relaxed);
        let started = Instant::now();
        assert_eq!(loader.iter().count(), batches, "{failure:?}");
        (batches * BATCH) as f64 / started.elapsed().as_secs_f64()
    };
    let rates = (1..=EPOCHS).map(rate).collect();
    let mut checksum = crc32fast::Hasher::new();
    for batch in loader.iter() {
        checksum.update(batch.images.into_data().as_bytes());
        checksum.update(batch.masks.into_data().as_bytes());
    }
    (rates, checksum.finalize())
}

/// A case from the cache in `folder`, made if it is not there.
fn training_case(folder: &Path, index: usize) -> TrainingCase {
    let [image, mask] = ["", "_mask"].map(|end| folder.join(format!("case-{index:02}{end}.nii")));
    if !mask.exists() {
        write_raw(index, &image, &mask);
    }
    let case = Case::of_files(
        &format!("case-{index:02}"),
        vec![ImageFile::only(image)],
        mask,
    );
    let cache = Cache::new(folder.join("cache"));
    let prepared = cache.prepare(&case.inputs(), &Pipeline::default());
    TrainingCase::new(&case, prepared.expect("a case of its own").files)
}

/// A made-up head with noise, in whole numbers as scanners have them.
fn write_raw(index: usize, image: &Path, mask: &Path) {
    let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
    let middle = EDGE as f64 / 2.0 - index as f64;
    let radius = |(x, y, z)| {
        let squares = [x, y, z].map(|at: usize| (at as f64 - middle).powi(2));
        squares.iter().sum::<f64>().sqrt()
    };
    let mut state = index as u32 + 1;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) as f32
    };
    let voxels = Array3::from_shape_fn([EDGE; 3], |at| {
        (1000.0 * (-radius(at) / 60.0).exp()) as f32 + noise()
    });
    write_image(image, &Volume { voxels, affine }, Dtype::Int16).expect("a folder to write in");
    let voxels = Array3::from_shape_fn([EDGE; 3], |at| u8::from(radius(at) < 50.0));
    write_mask(mask, &Volume { voxels, affine }).expect("a folder to write in");
}

/// Peak of resident memory so far, if the system reports it.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib / 1024.0)
}
