//! What every augmentation keeps, whichever it is.

use calvaria::augment::{Augmentations, Drawn, DrawnOn, Sample, Transform, apply};
use calvaria::random;
use calvaria::volume::Affine;
use ndarray::{Array3, Zip};

/// A grey background in noise-free steps, and a bright block that is the mask.
fn sample() -> Sample {
    let block = |(x, y, z): (usize, usize, usize)| {
        (4..9).contains(&x) && (6..12).contains(&y) && (5..11).contains(&z)
    };
    let shape = (16, 17, 18);
    let image = Array3::from_shape_fn(shape, |at| {
        let step = ((at.0 + at.1 + at.2) % 5) as f32;
        if block(at) { 200.0 + step } else { step }
    });
    let mask = Array3::from_shape_fn(shape, |at| u8::from(block(at)));
    let affine = Affine::diagonal([2.0, 1.0, 1.5], [5.0, -6.0, 7.0]);
    Sample::of_mask(image, mask, affine)
}

/// Every transform with its defaults, but with probability `p`. A crop always acts and has none: it
/// is left out unless `p` is 1.
fn transforms(p: f64) -> Vec<Transform> {
    let with_p = |transform: Transform| {
        let mut yaml = serde_yaml::to_value(&transform).unwrap();
        match yaml[transform.name()].get_mut("p") {
            Some(old) => *old = p.into(),
            None if p == 1.0 => yaml[transform.name()]["shape"] = vec![8, 18, 9].into(),
            None => return None,
        }
        Some(serde_yaml::from_value(yaml).unwrap())
    };
    Transform::defaults()
        .into_iter()
        .filter_map(with_p)
        .collect()
}

/// Whether the transform moves voxels, and the mask with them.
fn spatial(transform: &Transform) -> bool {
    matches!(
        transform,
        Transform::Flip(_)
            | Transform::Shift(_)
            | Transform::Affine(_)
            | Transform::Elastic(_)
            | Transform::Crop(_)
    )
}

fn draw(transform: &Transform, index: u64) -> Option<Drawn> {
    transform.draw(&mut random::stream(42, &["test"], &[index]))
}

/// What a list draws for a sample of one image.
fn draw_list(transforms: &[Transform], case: &str) -> Vec<DrawnOn> {
    let augment = Augmentations::from_iter(transforms.iter().cloned());
    augment.draw(1, 2, case, 0, &["image".into()])
}

/// The sample after `transform`, which must act.
fn applied(transform: &Transform, index: u64) -> Sample {
    let mut sample = sample();
    draw(transform, index).unwrap().apply(&mut sample);
    sample
}

#[test]
fn probability_0_never_acts_and_1_always_does() {
    for transform in transforms(0.0) {
        assert!((0..1000).all(|index| draw(&transform, index).is_none()));
    }
    for transform in transforms(1.0) {
        assert!((0..1000).all(|index| draw(&transform, index).is_some()));
        // What acts on a whole batch leaves a sample alone.
        if matches!(transform, Transform::Mixup(_)) {
            continue;
        }
        // A single draw may be too weak to change so small an image.
        let changes = |index| applied(&transform, index).images != sample().images;
        assert!((0..5).any(changes), "{transform:?}");
    }
}

#[test]
fn probability_is_how_often_it_acts() {
    for transform in transforms(0.3) {
        let acted = (0..4000)
            .filter(|&index| draw(&transform, index).is_some())
            .count();
        // Four standard deviations of a binomial.
        assert!(acted.abs_diff(1200) < 116, "{transform:?}: {acted} of 4000");
    }
}

#[test]
fn grids_stay_unless_cropped_and_masks_stay_binary() {
    let before = sample();
    for transform in transforms(1.0) {
        for index in 0..20 {
            let after = applied(&transform, index);
            assert_eq!(after.mask.dim(), after.images[0].dim());
            assert_eq!(after.spacing(), before.spacing());
            if !matches!(transform, Transform::Crop(_)) {
                assert_eq!(after.grid(), before.grid());
            }
            assert!(after.mask.iter().all(|&label| label <= 1));
            assert!(after.images[0].iter().all(|value| value.is_finite()));
        }
    }
}

#[test]
fn image_and_mask_stay_aligned() {
    for transform in transforms(1.0).iter().filter(|t| spatial(t)) {
        for index in 0..20 {
            let mut after = sample();
            after.images[0] = after.mask.mapv(f32::from);
            draw(transform, index).unwrap().apply(&mut after);
            assert!(after.mask.sum() > 0);
            Zip::from(&after.images[0])
                .and(&after.mask)
                .for_each(|&value, &label| {
                    assert_eq!(value >= 0.5, label == 1, "{transform:?}, draw {index}");
                });
        }
    }
}

#[test]
fn intensity_transforms_leave_the_mask_alone() {
    for transform in transforms(1.0) {
        assert_eq!(
            applied(&transform, 3).mask != sample().mask,
            spatial(&transform),
            "{transform:?}"
        );
    }
}

#[test]
fn flipping_twice_changes_nothing() {
    let flip = serde_yaml::from_str("flip: {axes: [left_right, front_back, up_down], p: 1.0}");
    let drawn = draw(&flip.unwrap(), 0).unwrap();
    let mut twice = sample();
    drawn.apply(&mut twice);
    drawn.apply(&mut twice);
    assert_eq!(twice, sample());
}

#[test]
fn the_layout_in_memory_does_not_matter() {
    for transform in transforms(1.0) {
        let mut turned = sample();
        let image = turned.images.remove(0).reversed_axes();
        turned.images = vec![image.as_standard_layout().into_owned().reversed_axes()];
        turned.mask = turned
            .mask
            .reversed_axes()
            .as_standard_layout()
            .into_owned()
            .reversed_axes();
        draw(&transform, 1).unwrap().apply(&mut turned);
        let plain = applied(&transform, 1);
        assert_eq!(turned.mask, plain.mask);
        // The sums behind a standard deviation are taken in memory's order.
        let difference = &turned.images[0] - &plain.images[0];
        assert!(
            difference.iter().all(|value| value.abs() < 1e-3),
            "{transform:?}"
        );
    }
}

#[test]
fn a_key_always_draws_the_same_and_another_key_something_else() {
    let augment = Augmentations::from_iter(transforms(1.0));
    let one = ["image".to_owned()];
    let drawn = augment.draw(42, 3, "sub-01", 0, &one);
    assert_eq!(drawn, augment.draw(42, 3, "sub-01", 0, &one));
    let others = [
        augment.draw(43, 3, "sub-01", 0, &one),
        augment.draw(42, 4, "sub-01", 0, &one),
        augment.draw(42, 3, "sub-02", 0, &one),
        augment.draw(42, 3, "sub-01", 1, &one),
    ];
    for other in &others {
        // All but the flip, whose parameters are the same whenever it acts.
        for (one, two) in drawn
            .iter()
            .zip(other)
            .filter(|(one, _)| !matches!(one.drawn, Drawn::Flip(_)))
        {
            assert_ne!(one, two);
        }
    }
}

#[test]
fn a_transform_draws_the_same_whatever_stands_after_it_and_itself_anew_when_repeated() {
    // All but the flip, whose parameters are the same whenever it acts.
    for transform in transforms(1.0).iter().filter(|t| t.name() != "flip") {
        let alone = draw_list(std::slice::from_ref(transform), "case");
        let twice = draw_list(&[transform.clone(), transform.clone()], "case");
        assert_eq!(alone[0], twice[0]);
        assert_ne!(twice[0], twice[1]);
    }
}

#[test]
fn results_do_not_depend_on_the_thread() {
    let augment = Augmentations::from_iter(transforms(1.0));
    let run = |case: &str| {
        let mut sample = sample();
        apply(
            &augment.draw(42, 1, case, 0, &["image".into()]),
            &mut sample,
        );
        sample
    };
    let cases: Vec<String> = (0..16).map(|case| format!("sub-{case}")).collect();
    let alone: Vec<Sample> = cases.iter().map(|case| run(case)).collect();
    let together: Vec<Sample> = std::thread::scope(|scope| {
        let threads: Vec<_> = cases.iter().map(|case| scope.spawn(|| run(case))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(alone, together);
}

#[test]
fn what_was_drawn_can_be_stored_and_replayed() {
    for transform in transforms(1.0) {
        for index in 0..100 {
            let drawn = draw(&transform, index).unwrap();
            let stored = serde_yaml::to_string(&drawn).unwrap();
            assert_eq!(serde_yaml::from_str::<Drawn>(&stored).unwrap(), drawn);
        }
    }
}

#[test]
fn defaults_are_valid_and_read_back_from_yaml() {
    for transform in Transform::defaults() {
        transform.validate().unwrap();
        let yaml = serde_yaml::to_string(&transform).unwrap();
        assert_eq!(serde_yaml::from_str::<Transform>(&yaml).unwrap(), transform);
        assert_eq!(
            serde_yaml::from_str::<Transform>(transform.name()).unwrap(),
            transform
        );
    }
}

#[test]
fn a_probability_outside_0_to_1_is_refused_by_name() {
    for p in [-0.1, 1.5, f64::NAN] {
        for transform in transforms(p) {
            let faults = transform.validate().unwrap_err().0;
            let path = format!("{}.p", transform.name());
            assert!(faults.iter().any(|fault| fault.path == path), "{faults:?}");
        }
    }
}

#[test]
fn a_list_says_which_item_is_out_of_range() {
    let refused = [
        ("{gamma: {log_gamma: 0}}", "gamma.log_gamma"),
        ("{gamma: {log_gamma: 3.1}}", "gamma.log_gamma"),
        ("{noise: {std: -0.1}}", "noise.std"),
        ("{noise: {std: .inf}}", "noise.std"),
        ("{shift: {max: .nan}}", "shift.max"),
        ("{shift: {max: 0}}", "shift.max"),
        ("{affine: {rotate: 181}}", "affine.rotate"),
        ("{affine: {rotate: [1, -2, 3]}}", "affine.rotate"),
        ("{affine: {scale: [1.2, 0.9]}}", "affine.scale"),
        ("{affine: {scale: [0, 1]}}", "affine.scale"),
        ("{affine: {shear: 61}}", "affine.shear"),
        ("{affine: {translate: .inf}}", "affine.translate"),
        ("{elastic: {control_points: 3}}", "elastic.control_points"),
        ("{elastic: {control_points: 4}}", "elastic.locked_borders"),
        ("{elastic: {locked_borders: 3}}", "elastic.locked_borders"),
        (
            "{elastic: {max_displacement: 0}}",
            "elastic.max_displacement",
        ),
        ("{crop: {shape: [0, 1, 1]}}", "crop.shape"),
        ("{anisotropy: {axes: []}}", "anisotropy.axes"),
        ("{anisotropy: {factor: [0.9, 2]}}", "anisotropy.factor"),
        ("{brightness: {factor: [1.2, 0.8]}}", "brightness.factor"),
        ("{brightness: {factor: [0, 1]}}", "brightness.factor"),
    ];
    for (item, message) in refused {
        let augment: Augmentations = serde_yaml::from_str(&format!("[flip, {item}]")).unwrap();
        let faults = augment.0[1].member.validate().unwrap_err().0;
        assert!(faults[0].path.starts_with(message), "{item}: {faults:?}");
    }
}

#[test]
fn misspelt_keys_are_refused() {
    for transform in Transform::NAMES {
        let wrong = format!("{transform}: {{probability: 1.0}}");
        assert!(serde_yaml::from_str::<Transform>(&wrong).is_err());
    }
}
