//! Scans of several images.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use calvaria::preprocess::cache::Cache;
use calvaria::preprocess::{CaseVolumes, GRID_TOLERANCE, ImageFile, Inputs, Pipeline};
use calvaria::volume::nifti::{Dtype, read_image, read_volumes, write_image};
use calvaria::volume::{Grid, MaskRule, Volume};
use ndarray::s;
use safetensors::{Dtype as TensorType, SafeTensors};

use crate::common::ball;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/multi")
        .join(name)
}

/// What other programs made of the fixtures: numbers, index `[x, y, z]`, z fastest.
pub(super) fn expected(name: &str) -> Vec<f64> {
    let bytes = fs::read(fixture("expected.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let data = tensor.data();
    match tensor.dtype() {
        TensorType::U8 => data.iter().map(|value| f64::from(*value)).collect(),
        TensorType::F32 => (data.as_chunks::<4>().0.iter())
            .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
            .collect(),
        _ => (data.as_chunks::<8>().0.iter())
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect(),
    }
}

fn assert_equal(found: &Volume<f32>, expected: &[f64], tolerance: f64) {
    assert_eq!(found.voxels.len(), expected.len());
    for (found, expected) in found.voxels.iter().zip(expected) {
        let found = f64::from(*found);
        assert!((found - expected).abs() <= tolerance, "{found} {expected}");
    }
}

pub(super) fn pipeline(yaml: &str) -> Pipeline {
    let pipeline: Pipeline = serde_yaml::from_str(yaml).unwrap();
    pipeline.validate().unwrap();
    pipeline
}

pub(super) fn image(name: &str, path: impl Into<PathBuf>, volume: Option<usize>) -> ImageFile {
    ImageFile {
        name: name.into(),
        path: path.into(),
        volume,
    }
}

fn t1() -> ImageFile {
    image("t1", fixture("t1.nii.gz"), None)
}

fn flair() -> ImageFile {
    image("flair", fixture("flair_oblique.nii.gz"), None)
}

/// T1 and a FLAIR image of another grid, with the mask of T1's.
fn two_grids<'a>(mask: &'a Path, onto: Option<&'a ImageFile>) -> Inputs<'a> {
    let images = vec![t1(), flair()];
    Inputs {
        id: "ms-19",
        onto,
        mask: Some(mask),
        ..Inputs::images(images, None)
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_volumes_of_a_file_are_nibabels_whichever_are_read_together() {
    let path = fixture("four.nii.gz");
    let all = |index| expected(&format!("volume_{index}"));
    for wanted in [&[0][..], &[1], &[2], &[0, 2], &[0, 1, 2]] {
        let read = read_volumes(&path, &wanted.iter().copied().collect()).unwrap();
        assert_eq!(read.keys().copied().collect::<Vec<_>>(), wanted);
        for (index, scan) in read {
            assert_equal(&scan.volume, &all(index), 0.0);
            assert_eq!(
                scan.volume.grid(),
                read_image(&fixture("t1.nii.gz")).unwrap().grid()
            );
        }
    }
    // As images of a case, in any order, one of them twice.
    let images = [("flair", 2), ("t1", 0), ("again", 2)];
    let images = images.map(|(name, volume)| image(name, &path, Some(volume)));
    let case = Inputs::images(images.to_vec(), None).read().unwrap().case;
    assert_eq!(case.names, names(&["flair", "t1", "again"]));
    for (image, volume) in case.images.iter().zip([2, 0, 2]) {
        assert_equal(image, &all(volume), 0.0);
    }
}

#[test]
fn a_file_of_several_volumes_is_no_image_and_one_of_a_single_volume_has_no_second() {
    let refused = |file: ImageFile| {
        let inputs = Inputs::images(vec![file], None);
        inputs.read().unwrap_err().to_string()
    };
    let whole = refused(image("image", fixture("four.nii.gz"), None));
    assert!(
        whole.contains("it holds 3 volumes") && whole.contains("the source `decathlon`"),
        "{whole}"
    );
    let second = refused(image("t2", fixture("t1.nii.gz"), Some(1)));
    assert!(
        second.contains("t1.nii.gz") && second.contains("volume 1 is asked for"),
        "{second}"
    );
    let fourth = refused(image("t2", fixture("four.nii.gz"), Some(3)));
    assert!(
        fourth.contains("it holds 3 volumes, but volume 3 is asked for"),
        "{fourth}"
    );
    let first = Inputs::images(vec![image("t1", fixture("t1.nii.gz"), Some(0))], None);
    assert_eq!(
        first.read().unwrap().case.images[0],
        read_image(&fixture("t1.nii.gz")).unwrap()
    );
}

#[test]
fn a_file_that_ends_within_a_volume_is_incomplete_and_the_volume_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("four.nii");
    let bytes = {
        let mut unpacked = Vec::new();
        let mut file =
            flate2::read::GzDecoder::new(fs::File::open(fixture("four.nii.gz")).unwrap());
        std::io::Read::read_to_end(&mut file, &mut unpacked).unwrap();
        unpacked
    };
    let volume = 24 * 26 * 22 * 2;
    fs::write(&path, &bytes[..bytes.len() - volume - 7]).unwrap();
    assert!(read_volumes(&path, &BTreeSet::from([0])).is_ok());
    let message = read_volumes(&path, &BTreeSet::from([0, 1]))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(&format!("ends after {} bytes of volume 1", volume - 7)),
        "{message}"
    );
}

#[test]
fn images_on_two_grids_are_refused_with_the_image_to_take() {
    let lesion = fixture("lesion.nii.gz");
    let message = two_grids(&lesion, None).read().unwrap_err().to_string();
    for part in [
        "the image `flair`",
        "flair_oblique.nii.gz",
        "does not lie on the grid of `t1`",
        "[18, 30, 14]",
        "set beside the data's source `onto: t1` (the mask lies on that image's grid)",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let without_mask = Inputs {
        mask: None,
        ..two_grids(&lesion, None)
    };
    let message = without_mask.read().unwrap_err().to_string();
    assert!(
        message.contains("`onto:` and the name of the image"),
        "{message}"
    );
}

#[test]
fn onto_resamples_the_other_images_as_simpleitk_does() {
    let lesion = fixture("lesion.nii.gz");
    let loaded = two_grids(&lesion, Some(&t1())).read().unwrap();
    let t1 = read_image(&fixture("t1.nii.gz")).unwrap();
    assert_eq!(loaded.case.images[0], t1);
    assert_eq!(loaded.case.images[1].grid(), t1.grid());
    // The last plane lies at exactly half a voxel behind the last centres: ITK has nothing there, and a value at half a
    // voxel before the first ones. Here both have one.
    let mut expected = expected("onto_t1");
    let moved = &loaded.case.images[1];
    let last = moved.shape()[2] - 1;
    for (value, (index, found)) in expected.iter_mut().zip(moved.voxels.indexed_iter()) {
        if index.2 == last {
            assert_eq!(*value, 0.0);
            *value = f64::from(*found);
        }
    }
    assert!(
        moved
            .voxels
            .slice(s![.., .., last])
            .iter()
            .any(|v| *v > 50.0)
    );
    assert_equal(moved, &expected, 1e-3);
    assert_eq!(loaded.case.mask.unwrap().grid(), t1.grid());
    assert_eq!(
        loaded.warnings,
        ["25.4 % of the mask lies outside the image `flair`, which has its background there"]
    );
}

#[test]
fn a_mask_on_another_grid_than_that_of_onto_is_refused_with_the_remedy() {
    let lesion = fixture("lesion.nii.gz");
    let message = two_grids(&lesion, Some(&flair()))
        .read()
        .unwrap_err()
        .to_string();
    for part in [
        "lesion.nii.gz lies on the grid of the image `t1`, not on that of `flair`",
        "Set `onto: t1`",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn an_image_takes_the_grid_of_one_that_the_network_does_not_see() {
    let lesion = fixture("lesion.nii.gz");
    let both = two_grids(&lesion, Some(&t1())).read().unwrap();
    let t1 = t1();
    let alone = Inputs {
        images: vec![flair()].into(),
        ..two_grids(&lesion, Some(&t1))
    };
    let alone_read = alone.read().unwrap();
    assert_eq!(alone_read.case.images, both.case.images[1..]);
    assert_eq!(alone_read.case.mask, both.case.mask);
    assert_eq!(alone_read.warnings, both.warnings);
    let cache = Cache::new(tempfile::tempdir().unwrap().path());
    let unmoved = Inputs {
        onto: None,
        ..alone.clone()
    };
    let [moved, unmoved] = [&alone, &unmoved].map(|inputs| cache.digests(inputs).unwrap());
    assert_eq!(moved.image, unmoved.image);
    assert_eq!(
        (moved.others.len(), unmoved.others.len()),
        (1, 0),
        "a changed grid is noticed"
    );
}

#[test]
fn images_of_two_places_are_not_resampled_onto_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let away = folder.path().join("away.nii.gz");
    let mut moved = read_image(&fixture("flair_oblique.nii.gz")).unwrap();
    moved.affine.0[1][3] += 500.0;
    write_image(&away, &moved, Dtype::Int16).unwrap();
    let images = vec![t1(), image("flair", away, None)];
    let t1 = t1();
    let inputs = Inputs {
        onto: Some(&t1),
        ..Inputs::images(images, None)
    };
    let message = inputs.read().unwrap_err().to_string();
    assert!(
        message.contains("nothing of the image `flair`"),
        "{message}"
    );
}

/// Balls of two images, the second one of other intensities.
fn two_balls() -> CaseVolumes {
    let case = ball([5.0, -3.0, 2.0]);
    let mut second = case.images[0].clone();
    second.change(|value| 7.0 + 0.01 * value * value);
    CaseVolumes {
        images: vec![case.images[0].clone(), second],
        names: names(&["t1", "flair"]),
        ..case
    }
}

fn alone(case: &CaseVolumes, at: usize) -> CaseVolumes {
    CaseVolumes {
        images: vec![case.images[at].clone()],
        names: names(&["image"]),
        ..case.clone()
    }
}

#[test]
fn every_step_does_to_each_image_what_it_does_to_one_alone() {
    for yaml in [
        "[nan_to_zero]",
        "[{n4: {iterations: [3], shrink_factor: 4}}]",
        "[{reorient: {axes: SPL}}]",
        "[{resample: {interpolation: cubic, centre: image, shape: [30, 20, 25]}}]",
        "[{crop_pad: {shape: [50, 30, 31]}}]",
        "[clip]",
        "[{rescale: {upper_percentile: 98}}]",
        "[{zscore: {over: above_mean}}]",
        "[{nyul: {landmarks: [0, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 100]}}]",
    ] {
        let case = two_balls();
        let together = pipeline(yaml).apply(case.clone()).unwrap();
        assert_eq!(together.names, case.names);
        for at in [0, 1] {
            let apart = pipeline(yaml).apply(alone(&case, at)).unwrap();
            assert_eq!(together.images[at], apart.images[0], "{yaml}: {at}");
            assert_eq!(together.mask, apart.mask);
        }
    }
}

#[test]
fn a_step_with_channels_leaves_the_other_images_as_they_are() {
    let case = two_balls();
    let steps =
        pipeline("[{zscore: {over: foreground}, channels: [flair]}, {clip: , channels: [t1]}]");
    assert_eq!(steps.check(&case.names), []);
    let done = steps.apply(case.clone()).unwrap();
    for (at, step) in ["[clip]", "[{zscore: {over: foreground}}]"]
        .iter()
        .enumerate()
    {
        let apart = pipeline(step).apply(alone(&case, at)).unwrap();
        assert_eq!(done.images[at], apart.images[0]);
    }
}

#[test]
fn a_grid_that_depends_on_the_head_is_that_of_the_first_image() {
    let mut case = two_balls();
    case.images[1].voxels.fill(0.0);
    case.images[1].voxels[[0, 0, 0]] = 90.0;
    let steps = pipeline("[{resample: {centre: head, shape: [9, 9, 9]}}]");
    let done = steps.apply(case).unwrap();
    let centre = done.grid().centre();
    for (a, expected) in [5.0, -3.0, 2.0].into_iter().enumerate() {
        assert!((centre[a] - expected).abs() < 1.0, "{centre:?}");
    }
}

#[test]
fn unknown_channels_are_refused_with_the_nearest_and_grids_take_none() {
    let steps = pipeline(
        "[{zscore: , channels: [t1, flare]}, {nyul: {landmarks: {t1: [0, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90, 100]}}}]",
    );
    let faults = |images: &[&str]| {
        let faults = steps.check(&names(images)).into_iter();
        faults
            .map(|fault| (fault.path, fault.message))
            .collect::<Vec<_>>()
    };
    let found = faults(&["t2", "flair"]);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["0.channels.0", "0.channels.1", "1.nyul.landmarks"]);
    assert!(found[1].1.contains("Did you mean `flair`?"), "{found:?}");
    let message = steps.apply(two_balls()).unwrap_err().to_string();
    assert!(message.contains("`flare`"), "{message}");

    for step in ["reorient", "resample", "crop_pad"] {
        let yaml = format!("[{{{step}: , channels: [t1]}}]");
        let why = serde_yaml::from_str::<Pipeline>(&yaml).unwrap().validate();
        let message = why.unwrap_err().to_string();
        assert!(
            message.contains("the grid of all images alike"),
            "{message}"
        );
    }
}

#[test]
fn what_fails_names_the_image() {
    let mut case = two_balls();
    case.images[1].voxels.fill(4.0);
    let message = pipeline("[zscore]")
        .apply(case.clone())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("on the image `flair`, the image is constant"),
        "{message}"
    );
    case.images[1].voxels[[0, 0, 1]] = f32::NAN;
    for yaml in ["[clip]", "[{nan_to_zero: , channels: [t1]}]"] {
        let message = pipeline(yaml).apply(case.clone()).unwrap_err().to_string();
        assert!(
            message.contains("[0, 0, 1] of the image `flair` is NaN"),
            "{message}"
        );
    }
    assert!(
        pipeline("[{nan_to_zero: , channels: [flair]}]")
            .apply(case)
            .is_ok()
    );
}

#[test]
fn landmarks_are_learnt_from_each_image_and_written_by_its_name() {
    let cases = || {
        [[0.0; 3], [1.0, 2.0, 3.0]].map(|centre| {
            let mut case = two_balls();
            case.images[0] = ball(centre).images.remove(0);
            case
        })
    };
    let learnt = |yaml: &str, cases: Vec<CaseVolumes>| {
        let learnt = pipeline(yaml).learnt(cases.into_iter().map(Ok)).unwrap();
        assert_eq!(learnt.first_to_learn(), None);
        let text = serde_yaml::to_string(&learnt).unwrap();
        assert_eq!(pipeline(&text), learnt);
        text
    };
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines
            .filter(|line| line.starts_with("- ") && !line.contains(':'))
            .collect()
    };
    let both = learnt("[nyul]", cases().to_vec());
    assert!(both.contains("flair:") && both.contains("t1:"), "{both}");
    let apart: Vec<Vec<String>> = [1, 0]
        .map(|at| {
            let alone = cases().iter().map(|case| alone(case, at)).collect();
            lines(&learnt("[nyul]", alone))
        })
        .into();
    assert_eq!(apart[0].len(), 13);
    assert_eq!(lines(&both), apart.concat(), "flair, then t1");
    // One image of the two: a list, as for a run of one image.
    let one = learnt("[{nyul: , channels: [flair]}]", cases().to_vec());
    assert!(!one.contains("flair:"), "{one}");
    assert_eq!(lines(&one)[..13], apart[0]);

    let message = pipeline(&both)
        .apply(ball([0.0; 3]))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("its landmarks are of other images, not of `image`"),
        "{message}"
    );
}

struct Files {
    folder: tempfile::TempDir,
    images: Vec<ImageFile>,
    mask: PathBuf,
}

impl Files {
    fn of(case: &CaseVolumes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(format!("{name}.nii.gz"));
        let images = case.images.iter().zip(&case.names).map(|(volume, name)| {
            write_image(&at(name), volume, Dtype::Float32).unwrap();
            image(name, at(name), None)
        });
        let images = images.collect();
        calvaria::volume::nifti::write_mask(&at("mask"), case.mask.as_ref().unwrap()).unwrap();
        Self {
            images,
            mask: at("mask"),
            folder,
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            id: "sub-01",
            images: self.images.as_slice().into(),
            onto: None,
            mask: Some(&self.mask),
            mask_rule: &MaskRule::STRICT,
            region: None,
            grid_tolerance: GRID_TOLERANCE,
        }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.folder.path().join("cache"))
    }
}

const STEPS: &str =
    "[{resample: {shape: [20, 20, 20], centre: image}}, {zscore: , channels: [flair]}]";

#[test]
fn all_images_of_a_case_come_back_from_the_cache_by_their_names() {
    let files = Files::of(&two_balls());
    let steps = pipeline(STEPS);
    let made = steps.apply(files.inputs().read().unwrap().case).unwrap();
    let first = files.cache().prepare(&files.inputs(), &steps).unwrap();
    let loaded = first.files.load().unwrap();
    assert_eq!(loaded.names, names(&["t1", "flair"]));
    for (loaded, made) in loaded.images.iter().zip(&made.images) {
        assert_eq!(loaded.voxels, made.voxels);
    }
    assert_eq!(first.files.load_images().unwrap(), made.images);
    assert!(first.classes.is_empty(), "a mask of one structure");
    assert_eq!(
        files
            .cache()
            .prepare(&files.inputs(), &steps)
            .unwrap()
            .times,
        None
    );
    let entries = files.cache().entries().unwrap();
    assert!(entries.iter().all(|entry| entry.record.is_some()) && entries.len() == 1);
}

#[test]
fn another_second_image_or_other_names_make_a_case_anew() {
    let files = Files::of(&two_balls());
    let steps = pipeline("[{resample: {shape: [20, 20, 20], centre: image}}]");
    let cache = files.cache();
    let folder = |inputs: &Inputs| cache.prepare(inputs, &steps).unwrap().folder;
    let mut folders = BTreeSet::from([folder(&files.inputs())]);
    let with = |images: Vec<ImageFile>| Inputs {
        images: images.into(),
        ..files.inputs()
    };
    let [t1, flair] = &files.images[..] else {
        panic!()
    };
    folders.insert(folder(&with(vec![flair.clone(), t1.clone()])));
    folders.insert(folder(&with(vec![t1.clone()])));
    let renamed = image("t2", &flair.path, None);
    folders.insert(folder(&with(vec![t1.clone(), renamed])));
    folders.insert(folder(&Inputs {
        onto: Some(flair),
        ..files.inputs()
    }));
    let before = cache.digests(&files.inputs()).unwrap();
    let mut changed = read_image(&flair.path).unwrap();
    changed.change(|value| value + 1.0);
    write_image(&flair.path, &changed, Dtype::Float32).unwrap();
    folders.insert(folder(&files.inputs()));
    assert_eq!(folders.len(), 6);
    let after = cache.digests(&files.inputs()).unwrap();
    assert_eq!(before.image, after.image);
    assert_ne!(before, after);
}

#[test]
fn a_second_image_that_is_damaged_in_the_cache_is_made_anew() {
    let files = Files::of(&two_balls());
    let prepare = || {
        files
            .cache()
            .prepare(&files.inputs(), &pipeline(STEPS))
            .unwrap()
    };
    let whole = prepare().files.load().unwrap();
    let second = prepare().files.images[1].clone();
    let bytes = fs::read(&second).unwrap();
    fs::write(&second, &bytes[..bytes.len() / 2]).unwrap();
    assert!(prepare().times.is_some());
    assert_eq!(prepare().files.load().unwrap(), whole);
    fs::remove_file(second).unwrap();
    assert!(prepare().times.is_some());
}

#[test]
fn images_a_small_part_of_a_voxel_apart_are_one_grid_with_a_word() {
    let mut case = two_balls();
    case.images[1].affine.0[0][3] += 0.05;
    let files = Files::of(&case);
    let loaded = files.inputs().read().unwrap();
    let grids: Vec<Grid> = loaded.case.images.iter().map(Volume::grid).collect();
    assert_eq!(grids[0], grids[1]);
    assert!(
        loaded.warnings[0]
            .starts_with("the image `flair`: it lies up to 0.050 mm from `t1`'s voxels"),
        "{:?}",
        loaded.warnings
    );
}
