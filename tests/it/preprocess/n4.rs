//! N4 against SimpleITK on a real head, against a float64 implementation in numpy on a phantom, and
//! the properties that a user relies on. `fixtures/n4/README.md` says where the numbers come from.

use std::fs;
use std::path::{Path, PathBuf};

use calvaria::preprocess::n4::{Corrected, Mask, N4, N4Error};
use calvaria::volume::nifti::read_image;
use calvaria::volume::{Affine, Volume};
use ndarray::{Array3, s};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/n4")).join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|number| number.as_f64().unwrap()).collect()
}

fn head() -> Volume<f32> {
    read_image(&fixture("sub-01_2mm_input.nii.gz")).unwrap()
}

fn volume(voxels: Array3<f32>) -> Volume<f32> {
    Volume {
        voxels,
        affine: Affine::diagonal([2.0, 1.5, 3.0], [-10.0, 4.0, 7.0]),
    }
}

/// A quick correction, for properties that any correction has.
fn quick() -> N4 {
    N4 {
        shrink_factor: 1,
        iterations: vec![3, 2],
        convergence_threshold: 0.0,
        ..N4::default()
    }
}

/// Compares with SimpleITK's field, iterations, convergence and corrected image.
fn agrees_with_simpleitk(case: &str, settings: &N4, tolerance: f32, convergence_tolerance: f64) {
    let image = head();
    let corrected = settings.correct(&image, None).unwrap();
    let expected = &json("n4.json")["cases"][case];

    let field = read_image(&fixture(&format!("sub-01_{case}_logbias_step2.nii.gz"))).unwrap();
    assert_eq!(field.shape(), [40, 64, 64]);
    for ((x, y, z), expected) in field.voxels.indexed_iter() {
        let found = corrected.log_bias.voxels[[2 * x, 2 * y, 2 * z]];
        let difference = (found - expected).abs();
        assert!(
            difference < tolerance,
            "{found} instead of {expected} at {x} {y} {z}"
        );
    }
    let iterations = numbers(&expected["iterations_run"]);
    let run: Vec<f64> = corrected.iterations_run.iter().map(|n| *n as f64).collect();
    assert_eq!(run, iterations);
    let convergence = numbers(&expected["convergence"]);
    assert_eq!(corrected.convergence.len(), convergence.len());
    for (found, expected) in corrected.convergence.iter().zip(convergence) {
        assert!(
            (found - expected).abs() < convergence_tolerance,
            "{found} {expected}"
        );
    }

    let found = &corrected.image.voxels;
    let mean = found.iter().map(|v| f64::from(*v)).sum::<f64>() / found.len() as f64;
    let max = found.iter().copied().fold(0.0, f32::max);
    let expected_mean = expected["corrected"]["mean"].as_f64().unwrap();
    let expected_max = expected["corrected"]["max"].as_f64().unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 2.0 * f64::from(tolerance) * b;
    assert!(close(mean, expected_mean), "{mean} {expected_mean}");
    assert!(close(f64::from(max), expected_max), "{max} {expected_max}");
    assert_eq!(corrected.image.affine, image.affine);
    assert_eq!(corrected.log_bias.affine, image.affine);
}

#[test]
fn the_defaults_give_the_field_of_simpleitk() {
    agrees_with_simpleitk("nomask", &N4::default(), 1e-4, 1e-4);
}

#[test]
fn a_threshold_of_zero_runs_all_iterations_to_the_field_of_simpleitk() {
    let settings = N4 {
        convergence_threshold: 0.0,
        ..N4::default()
    };
    agrees_with_simpleitk("nomask_thr0", &settings, 1e-4, 1e-4);
}

#[test]
fn an_otsu_mask_gives_the_field_of_simpleitk() {
    let settings = N4 {
        convergence_threshold: 0.0,
        mask: Mask::Otsu,
        ..N4::default()
    };
    agrees_with_simpleitk("otsu_thr0", &settings, 1e-3, 1e-5);
}

/// The phantom of `fixtures/n4/make_phantom.py` and the log of the field that lies on it.
/// The settings of the variants.
fn variant(order: usize, mask: Mask) -> N4 {
    N4 {
        shrink_factor: 4,
        iterations: vec![8, 6],
        convergence_threshold: 0.0,
        spline_order: order,
        control_points: order + 1,
        mask,
        ..N4::default()
    }
}

/// How far, at most, the log bias field is from a variant's reference.
fn off_by(name: &str, settings: &N4, region: Option<&Volume<f32>>) -> f32 {
    let bytes = fs::read(fixture("variants.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let expected = tensors.tensor(name).unwrap();
    let ours = settings.correct(&head(), region).unwrap().log_bias.voxels;
    let ours = ours.slice(s![..;4, ..;4, ..;4]);
    assert_eq!(ours.shape(), expected.shape());
    let theirs = expected.data().chunks_exact(4);
    let theirs = theirs.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let offsets = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    offsets.fold(0.0, f32::max)
}

#[test]
fn splines_of_other_orders_give_the_field_of_simpleitk() {
    for order in [2, 4] {
        let off = off_by(&format!("order_{order}"), &variant(order, Mask::None), None);
        assert!(off < 2e-6, "order {order}: {off}");
    }
}

#[test]
fn a_region_is_the_mask_of_simpleitk_and_the_weights_of_ants() {
    let image = head();
    let shape = image.shape();
    let squared_radius = |index: [usize; 3]| -> f64 {
        let part = |a: usize| {
            let middle = (shape[a] as f64 - 1.0) / 2.0;
            ((index[a] as f64 - middle) / (0.45 * shape[a] as f64)).powi(2)
        };
        part(0) + part(1) + part(2)
    };
    let region = |weight: &dyn Fn(f64) -> f64| Volume {
        voxels: Array3::from_shape_fn(shape, |(x, y, z)| weight(squared_radius([x, y, z])) as f32),
        affine: image.affine,
    };
    let settings = variant(3, Mask::Region);
    let mask = region(&|r2| f64::from(u8::from(r2 < 1.0)));
    let off = off_by("region", &settings, Some(&mask));
    assert!(off < 1e-3, "mask: {off}");
    let weights = region(&|r2| (1.0 - r2).max(0.0));
    let off = off_by("weights", &settings, Some(&weights));
    assert!(off < 1e-3, "weights: {off}");

    let small = Volume {
        voxels: Array3::zeros((2, 2, 2)),
        ..image.clone()
    };
    let error = settings.correct(&image, Some(&small)).unwrap_err();
    assert!(matches!(error, N4Error::RegionShape { .. }), "{error}");
    let error = settings.correct(&image, None).unwrap_err();
    assert!(matches!(error, N4Error::NoRegion), "{error}");
}

fn phantom() -> (Volume<f32>, Array3<f64>) {
    let shape = [48, 40, 37];
    let centred = |i: usize, n: usize| (2.0 * i as f64 - (n as f64 - 1.0)) / n as f64;
    let place = |(x, y, z)| {
        [
            centred(x, shape[0]),
            centred(y, shape[1]),
            centred(z, shape[2]),
        ]
    };
    let truth = Array3::from_shape_fn(shape, |voxel| {
        let [a, b, c] = place(voxel);
        0.25 * a - 0.2 * b * b + 0.15 * a * c
    });
    let voxels = Array3::from_shape_fn(shape, |(x, y, z)| {
        let [a, b, c] = place((x, y, z));
        let tissue = match a * a + b * b + c * c {
            r if r < 0.6 && (x / 5 + y / 5 + z / 5) % 2 == 0 => 60.0,
            r if r < 0.6 => 100.0,
            r if r < 0.9 => 30.0,
            _ => 0.0,
        };
        let texture = 1.0 + (((7 * x + 5 * y + 3 * z) % 11) as f64 - 5.0) / 100.0;
        (tissue * texture * truth[[x, y, z]].exp()) as f32
    });
    (volume(voxels), truth)
}

/// The phantom's correction; every setting that can differ from the default does.
fn corrected_phantom(image: &Volume<f32>) -> Corrected {
    let settings = N4 {
        shrink_factor: 2,
        iterations: vec![12, 6, 3],
        convergence_threshold: 0.0018,
        control_points: 5,
        spline_order: 3,
        bins: 128,
        fwhm: 0.2,
        wiener_noise: 0.02,
        mask: Mask::Foreground,
    };
    settings.correct(image, None).unwrap()
}

#[test]
fn every_setting_means_what_it_means_in_the_numpy_implementation() {
    let corrected = corrected_phantom(&phantom().0);
    let expected = json("phantom.json");
    for probe in expected["probes"].as_array().unwrap() {
        let [x, y, z, field] = numbers(probe)[..] else {
            panic!("{probe}")
        };
        let found = f64::from(corrected.log_bias.voxels[[x as usize, y as usize, z as usize]]);
        assert!((found - field).abs() < 1e-6, "{found} instead of {field}");
    }
    let run: Vec<f64> = corrected.iterations_run.iter().map(|n| *n as f64).collect();
    assert_eq!(run, numbers(&expected["iterations_run"]));
    for (found, expected) in corrected
        .convergence
        .iter()
        .zip(numbers(&expected["convergence"]))
    {
        assert!((found - expected).abs() < 1e-8, "{found} {expected}");
    }
}

#[test]
fn a_known_smooth_field_is_recovered() {
    let (image, truth) = phantom();
    let corrected = corrected_phantom(&image);
    let pairs: Vec<(f64, f64)> = truth
        .indexed_iter()
        .filter(|(place, _)| image.voxels[*place] > 0.0)
        .map(|(place, truth)| (*truth, f64::from(corrected.log_bias.voxels[place])))
        .collect();
    let n = pairs.len() as f64;
    let mean = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / n;
    let sd = |f: &dyn Fn(&(f64, f64)) -> f64| {
        let middle = mean(f);
        mean(&|pair| (f(pair) - middle).powi(2)).sqrt()
    };
    let (before, after) = (sd(&|p| p.0), sd(&|p| p.0 - p.1));
    let (mean_truth, mean_field) = (mean(&|p| p.0), mean(&|p| p.1));
    let covariance = mean(&|p| (p.0 - mean_truth) * (p.1 - mean_field));
    let correlation = covariance / (before * sd(&|p| p.1));
    assert!(correlation > 0.99, "{correlation}");
    assert!(after < 0.1 * before, "{before} {after}");

    let expected = json("phantom.json");
    let agrees = |found: f64, name: &str| {
        let expected = expected[name].as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-6,
            "{name}: {found} instead of {expected}"
        );
    };
    agrees(correlation, "correlation");
    agrees(before, "truth_sd");
    agrees(after, "residual_sd");
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let image = head();
    for mask in [Mask::None, Mask::Otsu] {
        let settings = N4 {
            mask,
            ..N4::default()
        };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| settings.correct(&image, None).unwrap())
        };
        let one = with(1);
        for threads in [2, 3] {
            assert!(
                with(threads) == one,
                "{threads} threads differ with mask {mask:?}"
            );
        }
    }
}

#[test]
fn zeros_stay_zero_and_everything_else_is_divided_by_the_field() {
    let (image, _) = phantom();
    let corrected = corrected_phantom(&image);
    for (place, voxel) in image.voxels.indexed_iter() {
        let expected = voxel / corrected.log_bias.voxels[place].exp();
        let found = corrected.image.voxels[place];
        assert!(
            (found - expected).abs() <= 1e-5 * expected,
            "{found} {expected}"
        );
    }
    assert_eq!(corrected.image.voxels[[0, 0, 0]], 0.0);
    assert!(corrected.log_bias.voxels[[0, 0, 0]].abs() > 0.01);
}

#[test]
fn inside_a_foreground_mask_the_unit_of_the_intensities_does_not_matter() {
    let (image, _) = phantom();
    let louder = volume(&image.voxels * 1000.0);
    let (field, louder_field) = (corrected_phantom(&image), corrected_phantom(&louder));
    for (a, b) in field
        .log_bias
        .voxels
        .iter()
        .zip(&louder_field.log_bias.voxels)
    {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn a_background_far_from_0_is_no_part_of_what_the_field_multiplies() {
    let image = head();
    let expected = quick().correct(&image, None).unwrap();
    // An offset, and CT's Hounsfield units.
    for (factor, offset) in [(1.0, 5000.0), (8.0, -1024.0)] {
        let mut moved = image.clone();
        moved.change(|value| factor * value + offset);
        let scaled = &mut image.clone();
        scaled.change(|value| factor * value);
        let expected = match factor {
            1.0 => expected.clone(),
            _ => quick().correct(scaled, None).unwrap(),
        };
        let corrected = quick().correct(&moved, None).unwrap();
        for (found, expected) in corrected.image.voxels.iter().zip(&expected.image.voxels) {
            assert!(
                (found - offset - expected).abs() < 0.02 * factor,
                "{found} {expected}"
            );
        }
    }
}

#[test]
fn the_order_in_which_voxels_lie_in_memory_does_not_matter() {
    let (image, _) = phantom();
    let mut fortran = Array3::zeros(ndarray::ShapeBuilder::f(image.voxels.dim()));
    fortran.assign(&image.voxels);
    assert_eq!(
        quick().correct(&volume(fortran), None).unwrap(),
        quick().correct(&image, None).unwrap()
    );
}

#[test]
fn images_without_anything_to_correct_are_refused_with_a_reason() {
    let constant = volume(Array3::from_elem((8, 8, 8), 7.0));
    let zero = volume(Array3::zeros((8, 8, 8)));
    for mask in [Mask::None, Mask::Otsu, Mask::Foreground] {
        for image in [&constant, &zero] {
            let error = N4 { mask, ..quick() }.correct(image, None).unwrap_err();
            assert!(matches!(error, N4Error::Flat { .. }), "{error}");
        }
    }
    let small = volume(Array3::from_shape_fn((8, 5, 8), |(x, _, _)| x as f32));
    let error = N4::default().correct(&small, None).unwrap_err();
    assert!(error.to_string().contains("at least 6 voxels"), "{error}");
    for bad in [f32::NAN, f32::INFINITY] {
        let mut image = phantom().0;
        image.voxels[[3, 2, 1]] = bad;
        assert!(matches!(
            quick().correct(&image, None),
            Err(N4Error::NotFinite)
        ));
    }
    let settings = N4 { bins: 0, ..quick() };
    assert!(matches!(
        settings.correct(&zero, None),
        Err(N4Error::Settings(_))
    ));
}

#[test]
fn what_yaml_leaves_out_is_itks_default_and_misspellings_are_refused() {
    let parsed: N4 = serde_yaml::from_str("{convergence_threshold: 0, mask: otsu}").unwrap();
    let expected = N4 {
        convergence_threshold: 0.0,
        mask: Mask::Otsu,
        ..N4::default()
    };
    assert_eq!(parsed, expected);
    assert_eq!(
        serde_yaml::from_str::<N4>(&serde_yaml::to_string(&parsed).unwrap()).unwrap(),
        parsed
    );
    assert_eq!(
        serde_yaml::from_str::<N4>("{mask: none}").unwrap(),
        N4::default()
    );
    let error = serde_yaml::from_str::<N4>("{shrink: 4}")
        .unwrap_err()
        .to_string();
    assert!(error.contains("shrink_factor"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any shape, any sign, any scale: a finite field or an error, never a panic.
    #[test]
    fn no_image_is_too_odd(
        shape in prop::array::uniform3(0..9usize),
        exponent in -30..31i32,
        lowest in -1.0..0.5f32,
        shrink_factor in 1..4usize,
        mask in prop::sample::select(vec![Mask::None, Mask::Otsu, Mask::Foreground]),
        seed in any::<u32>(),
    ) {
        let mut state = seed | 1;
        let voxels = Array3::from_shape_simple_fn(shape, || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (lowest + (state >> 8) as f32 / (1 << 24) as f32) * 10_f32.powi(exponent)
        });
        let settings = N4 { shrink_factor, mask, ..quick() };
        if let Ok(corrected) = settings.correct(&volume(voxels), None) {
            prop_assert!(corrected.log_bias.voxels.iter().all(|field| field.is_finite()));
        }
    }
}
