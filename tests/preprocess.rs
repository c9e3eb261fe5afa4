//! The preprocessing steps against SimpleITK, torchio and MONAI, and the cache.

use std::fs;
use std::path::{Path, PathBuf};

use calvaria::preprocess::cache::{Cache, check_pair};
use calvaria::preprocess::{Centre, Over, Pipeline, Prepared, Resample, Rescale, Step, Zscore};
use calvaria::volume::nifti::{Dtype, read_image, read_mask, write_image, write_mask};
use calvaria::volume::resample::Interpolation;
use calvaria::volume::{Affine, Grid, Volume};
use ndarray::Array3;
use safetensors::{Dtype as TensorType, SafeTensors};
use tempfile::TempDir;

fn pipeline(yaml: &str) -> Pipeline {
    let pipeline: Pipeline = serde_yaml::from_str(yaml).unwrap();
    pipeline.validate().unwrap();
    pipeline
}

fn apply(step: Step, image: Volume<f32>) -> Volume<f32> {
    Pipeline(vec![step])
        .apply(Prepared { image, mask: None })
        .unwrap()
        .image
}

fn volume(shape: (usize, usize, usize), values: Vec<f32>) -> Volume<f32> {
    Volume {
        voxels: Array3::from_shape_vec(shape, values).unwrap(),
        affine: Affine::identity(),
    }
}

/// A tensor of the references.
fn reference(name: &str) -> Volume<f32> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/rescale/expected.safetensors"
    );
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let values = match tensor.dtype() {
        TensorType::I16 => (tensor.data().chunks_exact(2))
            .map(|bytes| f32::from(i16::from_le_bytes(bytes.try_into().unwrap())))
            .collect(),
        _ => (tensor.data().chunks_exact(4))
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect(),
    };
    volume((24, 24, 24), values)
}

#[track_caller]
fn assert_close(ours: &Volume<f32>, theirs: &str, tolerance: f32) {
    let difference = &ours.voxels - &reference(theirs).voxels;
    let worst = difference.iter().fold(0f32, |worst, d| worst.max(d.abs()));
    assert!(worst <= tolerance, "off by up to {worst} from {theirs}");
}

#[test]
fn rescaling_is_itks() {
    let float = apply(Step::Rescale(Rescale::default()), reference("crop_float"));
    assert_close(&float, "sitk_rescale_float", 2e-5 * 255.0);
    let truncating = Rescale {
        truncate: true,
        ..Rescale::default()
    };
    let whole = apply(Step::Rescale(truncating), reference("crop_int16"));
    assert_close(&whole, "sitk_rescale_int16", 0.0);
}

#[test]
fn rescaling_between_percentiles_is_torchios() {
    let rescale = Rescale {
        max: 1.0,
        lower_percentile: 0.5,
        upper_percentile: 99.5,
        ..Rescale::default()
    };
    let ours = apply(Step::Rescale(rescale), reference("crop_float"));
    assert_close(&ours, "percentile_01_torchio_crop_float", 2e-6);
}

#[test]
fn percentiles_lie_between_the_voxels_around_them() {
    let rescale = Rescale {
        max: 32.0,
        lower_percentile: 10.0,
        upper_percentile: 90.0,
        ..Rescale::default()
    };
    // The 10th percentile is 4, the 90th 36.
    let image = volume((1, 1, 5), vec![30.0, 0.0, 40.0, 10.0, 20.0]);
    let ours = apply(Step::Rescale(rescale), image);
    assert_eq!(
        ours.voxels.as_slice().unwrap(),
        [26.0, 0.0, 32.0, 6.0, 16.0]
    );
}

#[test]
fn rescaling_takes_negative_ranges_and_constant_images() {
    let rescale = Rescale {
        min: -1.0,
        max: 1.0,
        ..Rescale::default()
    };
    let ours = apply(
        Step::Rescale(rescale.clone()),
        volume((1, 1, 3), vec![-30.0, 20.0, 70.0]),
    );
    assert_eq!(ours.voxels.as_slice().unwrap(), [-1.0, 0.0, 1.0]);
    let constant = apply(Step::Rescale(rescale), volume((1, 1, 2), vec![7.5; 2]));
    assert_eq!(constant.voxels.as_slice().unwrap(), [-1.0; 2]);
    // The cut is toward 0, also below it.
    let cut = Rescale {
        min: -10.0,
        max: 10.0,
        truncate: true,
        ..Rescale::default()
    };
    let ours = apply(
        Step::Rescale(cut),
        volume((1, 1, 4), vec![0.0, 0.28, 0.72, 1.0]),
    );
    assert_eq!(ours.voxels.as_slice().unwrap(), [-10.0, -4.0, 4.0, 10.0]);
}

#[test]
fn zscores_are_monais() {
    let whole = apply(
        Step::Zscore(Zscore { over: Over::Whole }),
        reference("crop_int16"),
    );
    assert_close(&whole, "zscore_monai_crop", 1e-5);
    let mut image = reference("crop_int16");
    image.voxels.slice_mut(ndarray::s![..4, .., ..]).fill(0.0);
    let foreground = apply(
        Step::Zscore(Zscore {
            over: Over::Foreground,
        }),
        image,
    );
    assert_close(&foreground, "zscore_monai_nonzero_crop_first4x_zero", 1e-5);
}

#[test]
fn a_constant_image_has_no_zscore() {
    for (over, value) in [
        (Over::Whole, 3.0),
        (Over::Foreground, 3.0),
        (Over::Foreground, 0.0),
    ] {
        let steps = Pipeline(vec![Step::Zscore(Zscore { over })]);
        let image = volume((2, 2, 2), vec![value; 8]);
        let message = steps
            .apply(Prepared { image, mask: None })
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`zscore`") && message.contains("constant"),
            "{message}"
        );
    }
}

/// A ball of 100 in a field of noise, with its mask, on a grid off the world's origin.
fn case(centre: [f64; 3]) -> Prepared {
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
    Prepared {
        image: Volume { voxels, affine },
        mask: Some(Volume {
            voxels: mask,
            affine,
        }),
    }
}

#[test]
fn the_default_grid_is_the_published_one_for_every_scan() {
    let prepared = pipeline("[resample]")
        .apply(case([5.0, -3.0, 2.0]))
        .unwrap();
    let published = Grid {
        shape: [96, 128, 160],
        affine: Affine::diagonal([2.0; 3], [-96.0, -128.0, -160.0]),
    };
    assert_eq!(prepared.image.grid(), published);
    assert_eq!(prepared.mask.unwrap().grid(), published);
}

#[test]
fn image_and_mask_keep_their_place_and_size() {
    for yaml in [
        "[{resample: {interpolation: linear}}]",
        "[{resample: {centre: image, shape: [30, 30, 30], interpolation: cubic}}]",
        "[{resample: {shape: null, spacing: [1.5, 1, 2], antialias: true}}]",
    ] {
        let before = case([5.0, -3.0, 2.0]);
        let after = pipeline(yaml).apply(before.clone()).unwrap();
        let (old, new) = (before.mask.unwrap(), after.mask.unwrap());
        assert_eq!(after.image.grid(), new.grid(), "{yaml}");
        assert!(new.voxels.iter().all(|v| *v <= 1), "{yaml}");
        let ml = |mask: &Volume<u8>| {
            mask.voxels.iter().map(|v| f64::from(*v)).sum::<f64>() * mask.voxel_volume_ml()
        };
        assert!(
            (ml(&new) / ml(&old) - 1.0).abs() < 0.03,
            "{yaml}: {} of {}",
            ml(&new),
            ml(&old)
        );
        let mut sum = [0.0; 3];
        for ((x, y, z), v) in new.voxels.indexed_iter() {
            let p = new.affine.apply([x as f64, y as f64, z as f64]);
            (0..3).for_each(|a| sum[a] += p[a] * f64::from(*v));
        }
        let count = ml(&new) / new.voxel_volume_ml();
        for (a, expected) in [5.0, -3.0, 2.0].into_iter().enumerate() {
            assert!((sum[a] / count - expected).abs() < 0.5, "{yaml}: axis {a}");
        }
    }
}

#[test]
fn a_mask_off_the_grid_is_an_error_that_offers_the_remedy() {
    let far = case([0.0, 400.0, 0.0]);
    let message = pipeline("[resample]")
        .apply(far.clone())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("`resample`") && message.contains("centre: image"),
        "{message}"
    );
    let centred = Resample {
        centre: Centre::Image,
        ..Resample::default()
    };
    Pipeline(vec![Step::Resample(centred)]).apply(far).unwrap();
}

#[test]
fn a_grid_too_fine_for_any_memory_is_refused() {
    let message = pipeline("[{resample: {shape: null, spacing: [0.01, 0.01, 0.01]}}]")
        .apply(case([0.0; 3]))
        .unwrap_err()
        .to_string();
    assert!(message.contains("larger spacing"), "{message}");
}

#[test]
fn an_overflowing_intensity_is_an_error_that_names_the_step() {
    let steps = pipeline("[zscore, {rescale: {min: -1.0e300, max: 1.0e300}}]");
    let message = steps.apply(case([0.0; 3])).unwrap_err().to_string();
    assert!(
        message.contains("`rescale`") && message.contains("infinite"),
        "{message}"
    );
}

#[test]
fn values_out_of_range_are_refused_before_any_work() {
    for (yaml, field) in [
        ("[{resample: {spacing: [2, 0, 2]}}]", "spacing"),
        ("[{resample: {spacing: [2, .nan, 2]}}]", "spacing"),
        ("[{resample: {shape: [96, 0, 160]}}]", "shape"),
        ("[{resample: {shape: [4096, 4096, 4096]}}]", "shape"),
        ("[{rescale: {min: 3, max: 3}}]", "min"),
        (
            "[{rescale: {lower_percentile: 60, upper_percentile: 40}}]",
            "lower_percentile",
        ),
        ("[{rescale: {upper_percentile: 101}}]", "upper_percentile"),
    ] {
        let why = serde_yaml::from_str::<Pipeline>(yaml)
            .unwrap()
            .validate()
            .unwrap_err();
        assert!(why.contains(field), "{yaml}: {why}");
    }
    assert!(serde_yaml::from_str::<Pipeline>("[{resample: {spacings: [2, 2, 2]}}]").is_err());
    assert!(serde_yaml::from_str::<Pipeline>("[{resample: {interpolation: sinc}}]").is_err());
}

#[test]
fn every_step_is_in_the_family_and_reads_back() {
    assert_eq!(Step::NAMES, ["n4", "resample", "rescale", "zscore"]);
    let every = Pipeline(Step::defaults());
    every.validate().unwrap();
    let yaml = serde_yaml::to_string(&every).unwrap();
    assert_eq!(serde_yaml::from_str::<Pipeline>(&yaml).unwrap(), every);
    assert_eq!(Resample::default().interpolation, Interpolation::Nearest);
}

struct Files {
    folder: TempDir,
    image: PathBuf,
    mask: PathBuf,
}

impl Files {
    fn of(case: &Prepared) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [image, mask] = ["scan.nii.gz", "brain.nii.gz"].map(|name| folder.path().join(name));
        write_image(&image, &case.image, Dtype::Int16).unwrap();
        write_mask(&mask, case.mask.as_ref().unwrap()).unwrap();
        Self {
            folder,
            image,
            mask,
        }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.cache_folder())
    }

    fn cache_folder(&self) -> PathBuf {
        self.folder.path().join("made/cache")
    }

    fn cached(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.cache_folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

const STEPS: &str = "[{resample: {shape: null}}, rescale]";

/// Marks a stored file, so that it can be told from one made anew.
fn mark(path: &Path) -> Volume<f32> {
    let mut image = read_image(path).unwrap();
    image.voxels[[0, 0, 0]] = 77.0;
    write_image(path, &image, Dtype::Float32).unwrap();
    image
}

#[test]
fn a_case_is_made_once_and_is_what_the_pipeline_gives() {
    let files = Files::of(&case([0.0; 3]));
    let prepare = || {
        files
            .cache()
            .prepare("sub-01", &files.image, Some(&files.mask), &pipeline(STEPS))
    };
    let cached = prepare().unwrap();
    let read = Prepared {
        image: read_image(&files.image).unwrap(),
        mask: Some(read_mask(&files.mask).unwrap()),
    };
    let made = pipeline(STEPS).apply(read).unwrap();
    let loaded = cached.load().unwrap();
    assert_eq!(loaded.image.voxels, made.image.voxels);
    assert_eq!(loaded.mask.unwrap().voxels, made.mask.unwrap().voxels);

    let marked = mark(&cached.image);
    assert_eq!(prepare().unwrap().load().unwrap().image, marked);
    assert_eq!(files.cached().len(), 1);
    assert!(files.cached()[0].starts_with("sub-01-"));
}

#[test]
fn whatever_shapes_a_case_makes_it_anew() {
    let files = Files::of(&case([0.0; 3]));
    let cache = files.cache();
    let prepare = |id: &str, mask: Option<&Path>, yaml: &str| {
        cache
            .prepare(id, &files.image, mask, &pipeline(yaml))
            .unwrap()
            .image
    };
    let mut seen = vec![prepare("a", Some(&files.mask), STEPS)];
    seen.push(prepare("b", Some(&files.mask), STEPS));
    seen.push(prepare("a", None, STEPS));
    seen.push(prepare(
        "a",
        Some(&files.mask),
        "[{resample: {shape: null}}]",
    ));
    let mut mask = case([0.0; 3]).mask.unwrap();
    mask.voxels[[0, 0, 0]] = 1;
    write_mask(&files.mask, &mask).unwrap();
    seen.push(prepare("a", Some(&files.mask), STEPS));
    write_image(&files.image, &case([1.0; 3]).image, Dtype::Int16).unwrap();
    seen.push(prepare("a", None, STEPS));
    assert_eq!(files.cached().len(), seen.len());
}

#[test]
fn a_damaged_case_is_made_again() {
    let files = Files::of(&case([0.0; 3]));
    let prepare = || {
        let cached = files
            .cache()
            .prepare("s", &files.image, Some(&files.mask), &pipeline(STEPS));
        cached.unwrap()
    };
    let cached = prepare();
    let whole = cached.load().unwrap();
    for path in [&cached.image, cached.mask.as_ref().unwrap()] {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(prepare().load().unwrap(), whole);
        fs::remove_file(path).unwrap();
        assert_eq!(prepare().load().unwrap(), whole);
    }
    assert_eq!(files.cached().len(), 1);
}

#[test]
fn many_at_once_make_one_case() {
    let files = Files::of(&case([0.0; 3]));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (image, mask) = (&files.image, Some(files.mask.as_path()));
                let cached = files
                    .cache()
                    .prepare("s", image, mask, &pipeline(STEPS))
                    .unwrap();
                cached.load().unwrap();
            });
        }
    });
    assert_eq!(files.cached().len(), 1);
}

#[test]
fn a_case_name_cannot_leave_the_cache() {
    let files = Files::of(&case([0.0; 3]));
    for id in ["../../sub-01/ses 1", ".."] {
        files
            .cache()
            .prepare(id, &files.image, None, &pipeline(STEPS))
            .unwrap();
    }
    assert_eq!(files.cached().len(), 2);
}

#[test]
fn a_mask_that_does_not_fit_is_refused_with_both_files() {
    let files = Files::of(&case([0.0; 3]));
    let refusal = |mask: &Volume<u8>| {
        write_mask(&files.mask, mask).unwrap();
        let (image, mask) = (&files.image, Some(files.mask.as_path()));
        let error = files
            .cache()
            .prepare("s", image, mask, &pipeline(STEPS))
            .unwrap_err();
        error.to_string()
    };
    let mask = case([0.0; 3]).mask.unwrap();
    let cut = Volume {
        voxels: mask.voxels.slice(ndarray::s![..39, .., ..]).to_owned(),
        affine: mask.affine,
    };
    let message = refusal(&cut);
    for part in [
        "scan.nii.gz",
        "brain.nii.gz",
        "[39, 36, 30]",
        "[40, 36, 30]",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let mut moved = mask.clone();
    moved.affine.0[1][3] += 0.01;
    let message = refusal(&moved);
    assert!(
        message.contains("0.010 mm") && message.contains("scan.nii.gz"),
        "{message}"
    );
    let mut empty = mask.clone();
    empty.voxels.fill(0);
    let message = refusal(&empty);
    assert!(message.contains("brain.nii.gz is empty"), "{message}");
    assert!(!files.cache_folder().exists());
}

#[test]
fn header_rounding_does_not_part_a_mask_from_its_image() {
    let Prepared { image, mask } = case([0.0; 3]);
    let mut mask = mask.unwrap();
    mask.affine.0[0][3] += 1e-4;
    check_pair((Path::new("scan"), &image), (Path::new("mask"), &mask)).unwrap();
}

#[test]
fn a_missing_scan_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nobody.nii.gz");
    let error = Cache::new(folder.path()).prepare("s", &missing, None, &pipeline(STEPS));
    assert!(error.unwrap_err().to_string().contains("nobody.nii.gz"));
}
