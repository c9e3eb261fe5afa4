//! What batches hold, and in which order they come.

use super::*;
use crate::augment::Drawn;
use crate::preprocess::cache::{Cache, PiecewiseCase};
use crate::preprocess::{ImageFile, Inputs, Pipeline};

use crate::dataset::Case;
use crate::volume::nifti::{Dtype, write_image, write_mask};
use crate::volume::{Affine, Marked, MaskRule, Named, Structures, Undeclared, Volume};
use burn::backend::Flex;
use ndarray::Array3;

fn cases(folder: &std::path::Path, count: usize) -> Vec<TrainingCase> {
    (0..count)
        .map(|index| {
            let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
            let image = folder.join(format!("{index}.nii"));
            let mask = folder.join(format!("{index}_mask.nii"));
            let voxels = Array3::from_shape_fn((4, 4, 4), |(x, ..)| (x + index) as f32);
            write_image(&image, &Volume { voxels, affine }, Dtype::Float32).unwrap();
            let voxels = Array3::from_elem((4, 4, 4), 1);
            write_mask(&mask, &Volume { voxels, affine }).unwrap();
            let id = format!("case-{index}");
            let inputs = Inputs {
                grid_tolerance: crate::preprocess::GRID_TOLERANCE,
                id: &id,
                images: vec![ImageFile::only(&image)].into(),
                onto: None,
                mask: Some(&mask),
                mask_rule: &MaskRule::ANY_PART,
                region: None,
            };
            let cache = Cache::new(folder.join("cache"));
            let files = cache.prepare(&inputs, &Pipeline::default()).unwrap().files;
            TrainingCase {
                id,
                files: PiecewiseCase::new(files),
                images: ["image".to_owned()].into(),
                structures: Arc::default(),
            }
        })
        .collect()
}

fn epoch(cases: &[TrainingCase], workers: usize, epoch: usize) -> Vec<(Vec<String>, Vec<f32>)> {
    let sampling = Sampling {
        seed: 7,
        order: Order::Shuffled {
            batches: 5,
            patch: None,
            augment: serde_yaml::from_str("[flip, {noise: {p: 1.0}}]").unwrap(),
        },
        batch_size: 2,
        workers,
    };
    let loader = BatchLoader::<Flex>::new(
        cases.to_vec(),
        sampling,
        Arc::new(AtomicUsize::new(epoch)),
        Failure::default(),
        Default::default(),
    );
    loader
        .iter()
        .map(|batch| (batch.cases, batch.images.into_data().to_vec().unwrap()))
        .collect()
}

#[test]
fn batches_do_not_depend_on_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 3);
    let one = epoch(&cases, 1, 1);
    assert_eq!(one.len(), 5);
    assert_eq!(one, epoch(&cases, 4, 1));
    assert_eq!(one, epoch(&cases, 0, 1), "made when asked for");
    assert_ne!(one, epoch(&cases, 1, 2), "each epoch is drawn on its own");
}

#[test]
fn mixup_mixes_each_sample_with_the_next_of_its_batch() {
    let folder = tempfile::tempdir().unwrap();
    let augment: Augmentations = serde_yaml::from_str("[{mixup: {alpha: 1, p: 1}}]").unwrap();
    let sampling = Sampling {
        seed: 7,
        order: Order::Shuffled {
            batches: 1,
            patch: None,
            augment: augment.clone(),
        },
        batch_size: 3,
        workers: 1,
    };
    let loader = BatchLoader::<Flex>::new(
        cases(folder.path(), 3),
        sampling,
        Arc::new(AtomicUsize::new(2)),
        Failure::default(),
        Default::default(),
    );
    let batch = loader.iter().next().unwrap();
    let images: Vec<f32> = batch.images.into_data().to_vec().unwrap();
    // The first voxel of case n is n.
    let first = |at: usize| {
        batch.cases[at % 3]
            .trim_start_matches("case-")
            .parse::<f32>()
    };
    for (at, case) in batch.cases.iter().enumerate() {
        let drawn = augment.draw(7, 2, case, 0, &["image".into()]);
        let Drawn::Mixup(params) = &drawn[0].drawn else {
            panic!("{drawn:?}")
        };
        let own = params.lambda as f32;
        let mixed = own * first(at).unwrap() + (1.0 - own) * first(at + 1).unwrap();
        assert!((images[64 * at] - mixed).abs() < 1e-6, "{at}");
    }
}

#[test]
fn a_pass_shows_every_case_once() {
    let folder = tempfile::tempdir().unwrap();
    let shown = epoch(&cases(folder.path(), 5), 2, 3);
    let ids: Vec<&String> = shown.iter().flat_map(|(ids, _)| ids).collect();
    let pass = |range: &[&String]| {
        let mut range = range.to_vec();
        range.sort();
        range.dedup();
        range.len()
    };
    assert_eq!((pass(&ids[..5]), pass(&ids[5..])), (5, 5));
}

#[test]
fn a_case_that_vanishes_ends_the_epoch_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases(folder.path(), 1);
    std::fs::remove_file(&cases[0].files.files().images[0]).unwrap();
    let failure = Failure::default();
    let loader = BatchLoader::<Flex>::new(
        cases,
        Sampling {
            seed: 1,
            order: Order::Sequential,
            batch_size: 1,
            workers: 1,
        },
        Arc::default(),
        Arc::clone(&failure),
        Default::default(),
    );
    assert_eq!(loader.iter().count(), 0);
    let message = failure.lock().unwrap().take().unwrap().to_string();
    assert!(message.contains("case-0"), "{message}");
}

#[test]
fn batches_hold_every_image_and_the_class_of_each_voxel() {
    let folder = tempfile::tempdir().unwrap();
    let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
    let voxels = |value: f32| Array3::from_shape_fn((4, 3, 2), |(x, ..)| value + x as f32);
    let path = |name: &str| folder.path().join(name);
    for (name, value) in [("t1.nii", 10.0), ("flair.nii", 20.0)] {
        let voxels = voxels(value);
        write_image(&path(name), &Volume { voxels, affine }, Dtype::Float32).unwrap();
    }
    let voxels = voxels(0.0);
    write_image(
        &path("labels.nii"),
        &Volume { voxels, affine },
        Dtype::Float32,
    )
    .unwrap();
    let named: Vec<Named> = [("a", 1), ("b", 2)]
        .map(|(name, label)| (name.into(), vec![label]))
        .into();
    let structures = Structures::labels(&named, Some(3), Undeclared::Refused).unwrap();
    let images = ["t1", "flair"].map(|name| ImageFile::new(name, path(&format!("{name}.nii"))));
    let case = Case {
        mask_rule: MaskRule {
            marked: Marked::Structures(structures),
            ..MaskRule::STRICT
        },
        ..Case::of_files("case", images.into(), path("labels.nii"))
    };
    let cache = Cache::new(folder.path().join("cache"));
    let files = cache
        .prepare(&case.inputs(), &Pipeline::default())
        .unwrap()
        .files;
    let sampling = Sampling {
        seed: 1,
        order: Order::Sequential,
        batch_size: 2,
        workers: 0,
    };
    let case = TrainingCase::new(&case, files);
    let loader = BatchLoader::<Flex>::new(
        vec![case.clone(), case],
        sampling,
        Arc::default(),
        Failure::default(),
        Default::default(),
    );
    let batch = loader.iter().next().unwrap();
    assert_eq!(batch.images.dims(), [2, 2, 4, 3, 2]);
    assert_eq!(batch.masks.dims(), [2, 1, 4, 3, 2]);
    let images: Vec<f32> = batch.images.into_data().to_vec().unwrap();
    let masks: Vec<f32> = batch.masks.into_data().to_vec().unwrap();
    let starts: Vec<f32> = images.chunks(24).map(|image| image[0]).collect();
    assert_eq!(starts, [10.0, 20.0, 10.0, 20.0]);
    let along_x: Vec<f32> = masks[..24].iter().step_by(6).copied().collect();
    assert_eq!(along_x, [0.0, 1.0, 2.0, 255.0]);
}
