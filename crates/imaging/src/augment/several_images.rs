//! Samples of several images: which draw on their own, `channels`, and what moves with what.

use proptest::prelude::*;

use super::*;
use crate::channels::On;
use crate::random;
use crate::volume::{Affine, Named, Undeclared};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn list(yaml: &str) -> Augmentations {
    serde_yaml::from_str(yaml).unwrap()
}

/// Every transform, acting for certain where it has a probability for that.
fn transforms() -> Vec<Transform> {
    let yaml = |name: &str| match name {
        "crop" => "{crop: {shape: [6, 7, 8]}}".to_owned(),
        name => format!("{{{name}: {{p: 1.0}}}}"),
    };
    let all = Transform::NAMES.iter().map(|name| yaml(name));
    all.map(|yaml| serde_yaml::from_str(&yaml).unwrap())
        .collect()
}

fn image(shape: [usize; 3], seed: u64) -> Array3<f32> {
    let mut rng = random::stream(seed, &["image"], &[]);
    Array3::from_shape_simple_fn(shape, || rng.random::<f32>())
}

/// Three images of random values, and a mask.
fn sample() -> Sample {
    let shape = [12, 10, 11];
    let inside = |(x, y, z)| u8::from((3..9).contains(&x) && (2..8).contains(&y) && z < 7);
    let mask = Array3::from_shape_fn(shape, inside);
    let affine = Affine::diagonal([2.0, 1.0, 1.5], [0.0; 3]);
    Sample {
        images: (0..3).map(|seed| image(shape, seed)).collect(),
        ..Sample::of_mask(image(shape, 0), mask, affine)
    }
}

#[test]
fn which_transforms_draw_for_each_image() {
    let each = transforms()
        .into_iter()
        .filter(|transform| matches!(transform.sharing(), Sharing::Each { .. }));
    let each: Vec<&str> = each.map(|transform| transform.name()).collect();
    // As nnU-Net 2.8's default transforms do it; all others have one draw, as in TorchIO 2 and MONAI.
    let expected = [
        "gamma",
        "noise",
        "brightness",
        "contrast",
        "blur",
        "low_resolution",
        "sharpen",
    ];
    assert_eq!(each, expected);
}

#[test]
fn the_first_image_is_drawn_as_if_it_were_alone_and_others_by_their_places() {
    let (one, three) = (names(&["image"]), names(&["t1", "t2", "flair"]));
    for transform in transforms() {
        let augment = Augmentations::from_iter([transform.clone()]);
        let alone = augment.draw(1, 2, "case", 0, &one);
        let drawn = augment.draw(1, 2, "case", 0, &three);
        let params = |at: usize| -> &Drawn { &drawn[at].drawn };
        assert_eq!(params(0), &alone[0].drawn, "{}", transform.name());
        match transform.sharing() {
            Sharing::Alike => assert_eq!((drawn.len(), &drawn[0].images), (1, &vec![])),
            Sharing::Each { .. } => {
                let images: Vec<&[usize]> = drawn.iter().map(|one| &*one.images).collect();
                assert_eq!(images, [[0], [1], [2]]);
                assert_ne!(params(0), params(1), "{}", transform.name());
                assert_ne!(params(1), params(2), "{}", transform.name());
            }
        }
        // What an image gets does not depend on which others there are.
        let two = augment.draw(1, 2, "case", 0, &three[..2]);
        assert_eq!(
            two.last().map(|one| &one.drawn),
            Some(params(two.len() - 1))
        );
        if transform.concerns_all().is_none() {
            let last = On {
                channels: Some(names(&["flair"])),
                ..On::from(transform)
            };
            let last = Augmentations(vec![last]).draw(1, 2, "case", 0, &three);
            assert_eq!(last[0].images, [2]);
            assert_eq!(&last[0].drawn, params(drawn.len() - 1));
        }
    }
}

#[test]
fn noise_has_one_strength_and_is_new_in_each_image() {
    let drawn = list("[{noise: {p: 1}}]").draw(1, 2, "case", 0, &names(&["t1", "t2"]));
    let [Drawn::Noise(first), Drawn::Noise(second)] = [&drawn[0].drawn, &drawn[1].drawn] else {
        panic!("{drawn:?}")
    };
    assert_eq!(first.std, second.std);
    assert_ne!(first.seed, second.seed);
}

#[test]
fn whether_a_transform_acts_is_drawn_once_for_all_images() {
    let augment = list("[{brightness: {p: 0.3}}]");
    let images = names(&["t1", "t2", "flair"]);
    let counts = (0..4000).map(|epoch| augment.draw(1, epoch, "case", 0, &images).len());
    let mut of_count = [0_u32; 4];
    counts.for_each(|count| of_count[count] += 1);
    // Four standard deviations of a binomial.
    assert!(of_count[3].abs_diff(1200) < 116, "{of_count:?}");
    assert_eq!(of_count[0] + of_count[3], 4000);
}

#[test]
fn a_probability_for_each_image_leaves_some_out() {
    let augment = list("[{blur: {p: 1, p_per_image: 0.5}}]");
    let images = names(&["t1", "t2"]);
    let mut acted = [0_u32; 4];
    for epoch in 0..4000 {
        let drawn = augment.draw(1, epoch, "case", 0, &images);
        let both: usize = drawn.iter().map(|one| 1 << one.images[0]).sum();
        acted[both] += 1;
    }
    // Independent of each other: a quarter each; four standard deviations are 110.
    assert!(acted.iter().all(|n| n.abs_diff(1000) < 110), "{acted:?}");
    // What is drawn for an image of one is left out half the time as well.
    let one =
        (0..4000).filter(|&epoch| !augment.draw(1, epoch, "case", 0, &images[..1]).is_empty());
    assert!(one.count().abs_diff(2000) < 127);
}

#[test]
fn a_transform_changes_the_images_it_is_for_and_no_others() {
    let images = names(&["t1", "t2", "flair"]);
    for transform in transforms()
        .into_iter()
        .filter(|t| t.concerns_all().is_none())
    {
        let name = transform.name();
        let on = On {
            channels: Some(names(&["flair", "t1"])),
            ..On::from(transform)
        };
        let augment = Augmentations(vec![on]);
        let changed = (0..5).any(|epoch| {
            let mut after = sample();
            apply(&augment.draw(1, epoch, "case", 0, &images), &mut after);
            let changed = [0, 1, 2].map(|at| after.images[at] != sample().images[at]);
            assert!(!changed[1] && after.mask == sample().mask, "{name}");
            changed == [true, false, true]
        });
        assert!(changed, "{name}");
    }
}

#[test]
fn cutout_hides_the_same_boxes_in_all_images() {
    let (before, mut after) = (sample(), sample());
    let augment = list("[{cutout: {p: 1, size: [4, 8]}}]");
    apply(
        &augment.draw(1, 2, "case", 0, &names(&["a", "b", "c"])),
        &mut after,
    );
    let hidden = [0, 1, 2].map(|at| {
        let pairs = after.images[at].iter().zip(&before.images[at]);
        pairs.map(|(a, b)| a == b).collect::<Vec<bool>>()
    });
    assert!(hidden[0].contains(&false));
    // A box's own lowest voxel looks as if it stayed.
    let differ = |other: &[bool]| hidden[0].iter().zip(other).filter(|(a, b)| a != b).count();
    assert!(differ(&hidden[1]) <= 2 && differ(&hidden[2]) <= 2);
}

#[test]
fn each_image_moves_as_it_would_alone() {
    let names = names(&["a", "b", "c"]);
    for yaml in [
        "[{affine: {p: 1}}]",
        "[{elastic: {p: 1}}, {affine: {p: 1}}]",
        "[{flip: {p: 1}}, {shift: {p: 1}}, {crop: {shape: [8, 9, 14]}}]",
    ] {
        let drawn = list(yaml).draw(5, 1, "case", 0, &names);
        let mut together = sample();
        apply(&drawn, &mut together);
        for (at, image) in sample().images.into_iter().enumerate() {
            let mut alone = Sample::of_mask(image, sample().mask, sample().affine);
            apply(&drawn, &mut alone);
            assert_eq!(together.images[at], alone.images[0], "{yaml}");
            assert_eq!(together.mask, alone.mask, "{yaml}");
            assert_eq!(together.affine, alone.affine);
        }
    }
}

#[test]
fn what_was_drawn_for_some_images_can_be_stored_and_replayed() {
    let augment = list("[flip, {blur: {p: 1}, channels: [b]}, {noise: {p: 1}}, {spike: {p: 1}}]");
    let drawn = augment.draw(5, 1, "case", 0, &names(&["a", "b"]));
    assert!(drawn.iter().any(|one| one.images == [1]));
    let json = serde_json::to_string(&drawn).unwrap();
    assert_eq!(serde_json::from_str::<Vec<DrawnOn>>(&json).unwrap(), drawn);
    let yaml = serde_yaml::to_string(&drawn).unwrap();
    assert_eq!(serde_yaml::from_str::<Vec<DrawnOn>>(&yaml).unwrap(), drawn);
    let told: Vec<String> = drawn
        .iter()
        .map(|one| one.summary(&names(&["a", "b"])))
        .collect();
    assert!(
        told.iter()
            .any(|told| told.starts_with("blur") && told.ends_with(" (b)"))
    );
    assert!(
        told.last().is_some_and(|told| !told.contains('(')),
        "{told:?}"
    );
}

#[test]
fn images_and_structures_that_are_not_there_are_refused_by_name() {
    let images = names(&["t1", "flair"]);
    let named: Vec<Named> = vec![("left_ear".into(), vec![1]), ("right_ear".into(), vec![2])];
    let ears = Structures::labels(&named, None, Undeclared::Refused).unwrap();
    let augment =
        list("[{blur: {}, channels: [flare]}, {flip: {swap: [[left_ear, right_eye]]}}, mixup]");
    let faults = augment.check(&ears, &images);
    let paths: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
    assert_eq!(paths, ["0.channels.0", "1.flip.swap.0.1", "2.mixup"]);
    assert!(faults[0].message.contains("Did you mean `flair`?"));
    assert!(faults[1].message.contains("Did you mean `right_ear`?"));
    assert_eq!(
        list("[mixup, {blur: {}, channels: [t1]}]").check(&Structures::Mask, &images),
        []
    );
    for spatial in ["flip", "shift", "affine", "elastic", "crop", "mixup"] {
        let faults = list(&format!("[{{{spatial}: {{}}, channels: [t1]}}]")).rules();
        assert!(
            faults[0].message.contains("cannot stand beside"),
            "{faults:?}"
        );
        assert_eq!(faults[0].path, "0.channels");
    }
    let note = list("[flip]").notes(&ears);
    assert!(note[0].contains("left_ear, right_ear"), "{note:?}");
    assert!(list("[{flip: {axes: [up_down]}}]").notes(&ears).is_empty());
}

proptest! {
    #[test]
    fn flipping_twice_with_an_exchange_of_structures_changes_nothing(
        classes in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 3, 4, 255]), 60),
        axes in prop::sample::subsequence(vec!["left_right", "front_back", "up_down"], 1..=3),
    ) {
        let labels: [(&str, u16); 4] = [("left a", 1), ("right b", 2), ("right a", 3), ("left b", 4)];
        let named = labels.map(|(name, label)| -> Named { (name.to_owned(), vec![label]) });
        let structures = Structures::labels(&named, Some(9), Undeclared::Refused).unwrap();
        let mask = Array3::from_shape_vec((5, 4, 3), classes).unwrap();
        let before = Sample {
            structures: Arc::new(structures),
            ..Sample::of_mask(image([5, 4, 3], 1), mask, Affine::identity())
        };
        let flip = format!("flip: {{axes: [{}], swap: [[left a, right a], [left b, right b]], p: 1}}", axes.join(", "));
        let flip: Transform = serde_yaml::from_str(&flip).unwrap();
        let drawn = flip.draw(&mut random::stream(1, &[], &[])).unwrap();
        let mut after = before.clone();
        drawn.apply(&mut after);
        let exchanged = match axes.contains(&"left_right") {
            true => [0, 3, 4, 1, 2],
            false => [0, 1, 2, 3, 4],
        };
        for ((x, y, z), class) in after.mask.indexed_iter() {
            let at = [("left_right", x, 5), ("front_back", y, 4), ("up_down", z, 3)];
            let from = at.map(|(axis, at, n)| if axes.contains(&axis) { n - 1 - at } else { at });
            let from = before.mask[from];
            prop_assert_eq!(*class, exchanged.get(usize::from(from)).copied().unwrap_or(from));
        }
        drawn.apply(&mut after);
        prop_assert_eq!(after, before);
    }
}
