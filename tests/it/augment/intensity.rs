//! What transforms of the intensities do: other programs' numbers, and what must hold for any image.

use std::collections::{BTreeSet, HashMap};

use calvaria::augment::{Drawn, Mixup, Sample, Transform, mix_batch};
use calvaria::random;
use calvaria::volume::Affine;
use ndarray::{Array3, Axis, s};
use proptest::prelude::*;
use safetensors::SafeTensors;
use serde::Deserialize;

/// Transforms that have a file of tests of their own.
const SPATIAL: [&str; 6] = ["flip", "shift", "affine", "elastic", "crop", "anisotropy"];

/// Transforms whose numbers are checked in a test of this file, as they are random or plain.
const CHECKED_HERE: [&str; 3] = ["noise", "cutout", "mixup"];

#[derive(Deserialize)]
struct Expected {
    spacing: [f64; 3],
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    transform: String,
    params: serde_json::Value,
    input: String,
    output: String,
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/augment_intensity"
    );
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

fn expected() -> (Expected, HashMap<String, Array3<f32>>) {
    let bytes = fixture("expected.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let arrays = tensors.iter().map(|(name, view)| {
        let (words, _) = view.data().as_chunks::<4>();
        let values = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let [x, y, z] = view.shape() else { panic!() };
        let array = Array3::from_shape_vec((*x, *y, *z), values).unwrap();
        (name.to_owned(), array)
    });
    let arrays = arrays.collect();
    (
        serde_json::from_slice(&fixture("expected.json")).unwrap(),
        arrays,
    )
}

fn with_image(image: Array3<f32>, spacing: [f64; 3]) -> Sample {
    let mask = image.mapv(|value| u8::from(value > 0.0));
    Sample::of_mask(image, mask, Affine::diagonal(spacing, [0.0; 3]))
}

/// The fixture's head, z-scored.
fn scored() -> Sample {
    let (expected, arrays) = expected();
    with_image(arrays["scored"].clone(), expected.spacing)
}

fn applied(drawn: &Drawn, before: &Sample) -> Sample {
    let mut sample = before.clone();
    drawn.apply(&mut sample);
    sample
}

fn drawn(yaml: &str) -> Drawn {
    serde_yaml::from_str::<serde_yaml::Value>(yaml)
        .and_then(|value| {
            serde_json::from_value(serde_json::to_value(value).unwrap())
                .map_err(serde::de::Error::custom)
        })
        .unwrap_or_else(|why| panic!("{yaml}: {why}"))
}

/// Every transform of intensities, always acting.
fn transforms() -> Vec<Transform> {
    let names = Transform::NAMES
        .iter()
        .filter(|name| !SPATIAL.contains(name));
    names
        .map(|name| serde_yaml::from_str(&format!("{name}: {{p: 1.0}}")).unwrap())
        .collect()
}

fn draws(transform: &Transform, count: u64) -> impl Iterator<Item = Drawn> {
    (0..count).map(|index| {
        let mut rng = random::stream(11, &["test"], &[index]);
        transform.draw(&mut rng).unwrap()
    })
}

fn largest_difference(a: &Array3<f32>, b: &Array3<f32>) -> f32 {
    let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    difference.fold(0.0, |largest, d| {
        if d > largest || d.is_nan() {
            d
        } else {
            largest
        }
    })
}

fn range(image: &Array3<f32>) -> (f32, f32) {
    let low = image.iter().copied().fold(f32::INFINITY, f32::min);
    (low, image.iter().copied().fold(f32::NEG_INFINITY, f32::max))
}

fn mean(image: &Array3<f32>) -> f64 {
    image.iter().map(|&value| f64::from(value)).sum::<f64>() / image.len() as f64
}

#[test]
fn other_programs_make_the_same_of_a_head() {
    let (expected, arrays) = expected();
    for (at, case) in expected.cases.iter().enumerate() {
        let drawn = serde_json::json!({ &case.transform: &case.params });
        let drawn: Drawn = serde_json::from_value(drawn).unwrap();
        let before = with_image(arrays[&case.input].clone(), expected.spacing);
        let after = applied(&drawn, &before);
        let (low, high) = range(&before.images[0]);
        let difference = largest_difference(&after.images[0], &arrays[&case.output]) / (high - low);
        assert!(
            difference < 5e-6,
            "case {at}, {drawn:?}: {difference} of the range"
        );
        assert!(largest_difference(&after.images[0], &before.images[0]) > 0.01 * (high - low));
    }
}

#[test]
fn every_transform_has_its_numbers_checked() {
    let (expected, _) = expected();
    let mut checked: BTreeSet<&str> = expected.cases.iter().map(|case| &*case.transform).collect();
    checked.extend(CHECKED_HERE);
    let all: BTreeSet<&str> = transforms().iter().map(Transform::name).collect();
    assert_eq!(checked, all);
}

#[test]
fn parameters_that_say_nothing_change_nothing() {
    let before = scored();
    let (low, high) = range(&before.images[0]);
    for (yaml, exactly) in [
        (
            "gamma: {gamma: 1, invert: false, keep_statistics: false}",
            false,
        ),
        (
            "gamma: {gamma: 1, invert: true, keep_statistics: true}",
            false,
        ),
        ("brightness: {factor: 1}", true),
        ("contrast: {factor: 1}", false),
        ("noise: {std: 0, distribution: gaussian, seed: 1}", true),
        ("noise: {std: 0, distribution: rician, seed: 1}", true),
        ("blur: {std: [0, 0, 0]}", true),
        ("low_resolution: {scale: 1}", true),
        ("sharpen: {amount: 0, std: 2}", true),
        ("bias_field: {order: 1, coefficients: [0, 0, 0, 0]}", false),
        (
            "histogram_shift: {control_points: [0, 0.25, 0.5, 0.75, 1]}",
            false,
        ),
        (
            "ghosting: {ghosts: 4, axis: up_down, intensity: 0, restore: 0}",
            true,
        ),
        (
            "ghosting: {ghosts: 4, axis: up_down, intensity: 1, restore: 1}",
            true,
        ),
        ("spike: {intensity: 0, positions: [[0.1, 0.2, 0.3]]}", true),
        ("spike: {intensity: 2, positions: []}", true),
        (
            "motion: {axis: front_back, movements: [{time: 0.4, degrees: [0, 0, 0], translation: [0, 0, 0]}]}",
            false,
        ),
        ("motion: {axis: front_back, movements: []}", false),
        ("cutout: {boxes: [], fill: lowest}", true),
    ] {
        let after = applied(&drawn(yaml), &before);
        let difference = largest_difference(&after.images[0], &before.images[0]) / (high - low);
        let bound = if exactly { 0.0 } else { 1e-6 };
        assert!(difference <= bound, "{yaml}: {difference}");
    }
}

#[test]
fn masks_stay_and_nothing_becomes_infinite_or_nan() {
    let before = scored();
    for transform in transforms() {
        for drawn in draws(&transform, 40) {
            let after = applied(&drawn, &before);
            assert_eq!(after.mask, before.mask, "{drawn:?}");
            assert!(
                after.images[0].iter().all(|value| value.is_finite()),
                "{drawn:?}"
            );
            assert!(drawn == applied_to_a_point(&drawn));
        }
    }
}

/// An image of a single voxel, or a flat one, must not cause a panic.
fn applied_to_a_point(drawn: &Drawn) -> Drawn {
    for shape in [(1, 1, 1), (5, 1, 4), (4, 6, 1), (1, 3, 2), (0, 0, 0)] {
        let image = Array3::from_shape_fn(shape, |(x, y, z)| (x + 2 * y + 3 * z) as f32);
        let after = applied(drawn, &with_image(image, [1.0; 3]));
        assert!(
            after.images[0].iter().all(|value| value.is_finite()),
            "{drawn:?}"
        );
    }
    drawn.clone()
}

#[test]
fn constant_images_stay_constant() {
    for value in [0.0, -1.7, 250.0] {
        let before = with_image(Array3::from_elem((9, 8, 10), value), [1.0; 3]);
        for transform in transforms() {
            for drawn in draws(&transform, 5) {
                let after = applied(&drawn, &before);
                let brightness = matches!(drawn, Drawn::Brightness(_));
                let constant = if brightness {
                    after.images[0][[0, 0, 0]]
                } else {
                    value
                };
                assert!(
                    after.images[0].iter().all(|value| *value == constant),
                    "{drawn:?}"
                );
            }
        }
    }
}

#[test]
fn results_have_the_same_bits_at_any_number_of_threads() {
    // More voxels than one task works on.
    let image = Array3::from_shape_fn((40, 41, 42), |(x, y, z)| {
        ((x * 7 + y * 5 + z * 3) % 31) as f32
    });
    let before = with_image(image, [1.0, 2.0, 1.5]);
    let at = |threads: usize, drawn: &Drawn| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| applied(drawn, &before))
    };
    for transform in transforms() {
        for drawn in draws(&transform, 3) {
            assert_eq!(at(1, &drawn), at(4, &drawn), "{drawn:?}");
        }
    }
}

#[test]
fn blur_and_ghosts_keep_the_mean() {
    let before = scored();
    let image = before.images[0].mapv(|value| value + 3.0);
    let before = with_image(image, before.spacing());
    for yaml in [
        "blur: {p: 1, std: [0.5, 8]}",
        "ghosting: {p: 1}",
        "ghosting: {p: 1, restore: 0.3}",
    ] {
        for drawn in draws(&serde_yaml::from_str(yaml).unwrap(), 20) {
            let after = applied(&drawn, &before);
            assert!(
                (mean(&after.images[0]) - mean(&before.images[0])).abs() < 1e-5,
                "{drawn:?}"
            );
        }
    }
}

#[test]
fn rician_noise_has_the_mean_of_its_distribution() {
    // Air of -2 and tissue of 98, half and half: the standard deviation is 50.
    let image = Array3::from_shape_fn((64, 64, 64), |(x, ..)| if x < 32 { -2.0 } else { 98.0 });
    let before = with_image(image, [1.0; 3]);
    let after = applied(
        &drawn("noise: {std: 0.1, distribution: rician, seed: 5}"),
        &before,
    );
    let of = |part: ndarray::ArrayView3<f32>| mean(&part.to_owned());
    let air = of(after.images[0].slice(s![..32, .., ..])) + 2.0;
    // In air it is Rayleigh's, with mean sd sqrt(pi / 2) and variance (2 - pi / 2) sd²; bounds are four
    // standard errors of 131,072 draws.
    let sd = 5.0;
    let rayleigh = sd * std::f64::consts::FRAC_PI_2.sqrt();
    assert!(
        (air - rayleigh).abs() < 4.0 * sd * 0.655 / 362.0,
        "{air} for {rayleigh}"
    );
    // Far above the noise it is normal about sqrt(v² + sd²).
    let tissue = of(after.images[0].slice(s![32.., .., ..])) + 2.0;
    assert!((tissue - 100.125).abs() < 4.0 * sd / 362.0, "{tissue}");
    assert!(
        after.images[0].iter().all(|value| *value >= -2.0),
        "below air"
    );
}

#[test]
fn cutout_fills_boxes_measured_in_millimetres() {
    let image = Array3::from_shape_fn((10, 10, 10), |(x, y, z)| {
        (x * 100 + y * 10 + z) as f32 - 3.0
    });
    let before = with_image(image, [2.0, 1.0, 4.0]);
    for (fill, value) in [("lowest", -3.0), ("mean", 496.5)] {
        let cut = format!(
            "cutout: {{boxes: [{{centre: [0.5, 0.5, 0], size: [8, 4, 16]}}], fill: {fill}}}"
        );
        let after = applied(&drawn(&cut), &before);
        for (at, voxel) in after.images[0].indexed_iter() {
            // 4 of 10 voxels along x, 4 along y, and 2 along z, where half of the box sticks out.
            let inside = (3..7).contains(&at.0) && (3..7).contains(&at.1) && at.2 < 2;
            assert_eq!(
                *voxel,
                if inside { value } else { before.images[0][at] },
                "{at:?}"
            );
        }
    }
}

#[test]
fn motion_is_the_same_along_any_axis() {
    let before = scored();
    let movement = |translation: &str| {
        format!("movements: [{{time: 0.3, degrees: [0, 0, 0], translation: {translation}}}]")
    };
    let up = drawn(&format!(
        "motion: {{axis: up_down, {}}}",
        movement("[1, 2, 3]")
    ));
    let right = drawn(&format!(
        "motion: {{axis: left_right, {}}}",
        movement("[3, 2, 1]")
    ));
    let [x, y, z] = before.spacing();
    let turned = with_image(before.images[0].clone().reversed_axes(), [z, y, x]);
    let difference = largest_difference(
        &applied(&up, &before).images[0],
        &applied(&right, &turned).images.remove(0).reversed_axes(),
    );
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn a_movement_before_the_scan_or_after_it_is_not_seen() {
    let before = scored();
    for time in [0.0, 1.0] {
        let yaml = format!(
            "motion: {{axis: up_down, movements: [{{time: {time}, degrees: [9, 0, 0], translation: [5, 0, 0]}}]}}"
        );
        let after = applied(&drawn(&yaml), &before);
        assert!(
            largest_difference(&after.images[0], &before.images[0]) < 1e-5,
            "{time}"
        );
    }
}

#[test]
fn mixup_shares_images_and_masks_with_the_next_sample() {
    let lambda = |lambda: f64| vec![drawn(&format!("mixup: {{lambda: {lambda}}}")).into()];
    let batch = [lambda(0.75), Vec::new(), lambda(0.5)];
    let (mut images, mut masks) = (
        [8.0, -4.0, 0.0, 4.0, 2.0, 0.0],
        [1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    );
    mix_batch(&batch, &mut images, &mut masks);
    assert_eq!(images, [6.0, -2.0, 0.0, 4.0, 5.0, -2.0]);
    assert_eq!(masks, [0.75, 0.25, 0.0, 1.0, 0.5, 0.0]);
    let (mut image, mut mask) = ([8.0, -4.0], [1.0, 0.0]);
    mix_batch(&batch[..1], &mut image, &mut mask);
    assert_eq!(
        (image, mask),
        ([8.0, -4.0], [1.0, 0.0]),
        "nothing to mix with"
    );
}

#[test]
fn mixup_draws_from_a_beta_distribution() {
    for alpha in [0.2, 1.0, 4.0] {
        let mixup = Transform::Mixup(Mixup { alpha, p: 1.0 });
        let shares: Vec<f64> = draws(&mixup, 4000)
            .map(|drawn| match drawn {
                Drawn::Mixup(params) => params.lambda,
                _ => unreachable!(),
            })
            .collect();
        let mean = shares.iter().sum::<f64>() / 4000.0;
        let variance = shares
            .iter()
            .map(|share| (share - mean).powi(2))
            .sum::<f64>()
            / 4000.0;
        // Mean 1/2, variance 1 / (4 (2 alpha + 1)).
        let expected = 0.25 / (2.0 * alpha + 1.0);
        assert!(
            (mean - 0.5).abs() < 4.0 * (expected / 4000.0).sqrt(),
            "{mean}"
        );
        assert!(
            (variance / expected - 1.0).abs() < 0.1,
            "{variance} for {expected}"
        );
    }
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    for (yaml, message) in [
        ("gamma: {range: [0.7, 21]}", "gamma.range"),
        ("gamma: {range: [0, 1]}", "gamma.range"),
        ("brightness: {factor: [0.5, .inf]}", "brightness.factor"),
        ("contrast: {factor: [0, 1]}", "contrast.factor"),
        ("contrast: {factor: [1.2, 0.8]}", "contrast.factor"),
        ("blur: {std: [-1, 1]}", "blur.std"),
        ("blur: {std: [1, 101]}", "blur.std"),
        ("sharpen: {amount: [-0.1, 1]}", "sharpen.amount"),
        ("sharpen: {std: 0}", "sharpen.std"),
        ("bias_field: {coefficient: 0}", "bias_field.coefficient"),
        ("bias_field: {order: 7}", "bias_field.order"),
        (
            "histogram_shift: {control_points: [2, 5]}",
            "histogram_shift.control_points",
        ),
        (
            "histogram_shift: {control_points: [9, 5]}",
            "histogram_shift.control_points",
        ),
        ("ghosting: {ghosts: [0, 5]}", "ghosting.ghosts"),
        ("ghosting: {intensity: [0.5, 1.1]}", "ghosting.intensity"),
        ("ghosting: {restore: -0.1}", "ghosting.restore"),
        ("ghosting: {axes: []}", "ghosting.axes"),
        ("spike: {spikes: [0, 1]}", "spike.spikes"),
        ("spike: {intensity: [.nan, 1]}", "spike.intensity"),
        ("motion: {movements: 0}", "motion.movements"),
        ("motion: {degrees: 181}", "motion.degrees"),
        ("motion: {translation: -1}", "motion.translation"),
        ("motion: {axes: []}", "motion.axes"),
        ("cutout: {boxes: [0, 1]}", "cutout.boxes"),
        ("cutout: {size: [0, 10]}", "cutout.size"),
        (
            "low_resolution: {scale: [0.5, 1.1]}",
            "low_resolution.scale",
        ),
        ("mixup: {alpha: 0}", "mixup.alpha"),
    ] {
        let transform: Transform = serde_yaml::from_str(yaml).unwrap();
        let faults = transform.validate().unwrap_err().0;
        assert!(faults[0].path.starts_with(message), "{yaml}: {faults:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Curves of the intensities keep their order and their range, wherever the range lies.
    #[test]
    fn curves_rise_within_the_range(
        low in -1e3f32..1e3,
        width in 1e-2f32..1e4,
        name in prop::sample::select(vec!["gamma", "gamma_inverted", "contrast", "histogram_shift"]),
        seed in any::<u64>(),
    ) {
        let yaml = match name {
            "gamma_inverted" => "gamma: {range: [0.2, 5], invert: true, p: 1}".to_owned(),
            name => format!("{name}: {{p: 1}}"),
        };
        let transform: Transform = serde_yaml::from_str(&yaml).unwrap();
        let drawn = transform.draw(&mut random::stream(seed, &[], &[])).unwrap();
        let image = Array3::from_shape_fn((1, 1, 200), |(.., z)| low + width * (z as f32 / 199.0));
        let before = with_image(image, [1.0; 3]);
        let after = applied(&drawn, &before);
        let rounding = 2e-6 * width + 2e-7 * low.abs();
        for pair in after.images[0].lanes(Axis(2)).into_iter().next().unwrap().windows(2) {
            prop_assert!(pair[1] >= pair[0] - rounding, "{drawn:?}");
        }
        let ((least, most), (first, last)) = (range(&after.images[0]), range(&before.images[0]));
        prop_assert!(least >= first - rounding && most <= last + rounding, "{drawn:?}");
    }
}
