//! A part of a sample gives the same as the whole sample, to the last bit.

use ndarray::Slice;

use super::*;
use crate::random;
use crate::volume::{Affine, Named, Region, Undeclared};

const SHAPE: [usize; 3] = [37, 30, 41];

/// Two images of random values with a map of three classes, or with a mask.
fn sample(structures: Structures) -> Sample {
    let image = |seed| {
        let mut rng = random::stream(seed, &["image"], &[]);
        Array3::from_shape_simple_fn(SHAPE, || rng.random::<f32>() - 0.5)
    };
    let mut rng = random::stream(7, &["mask"], &[]);
    let classes = structures.count() + 1;
    let mask = Array3::from_shape_simple_fn(SHAPE, || rng.random_range(0..classes) as u8);
    Sample {
        images: vec![image(1), image(2)],
        structures: Arc::new(structures),
        ..Sample::of_mask(image(0), mask, Affine::diagonal([2.0, 1.0, 1.5], [3.0; 3]))
    }
}

fn samples() -> [Sample; 2] {
    let named: Vec<Named> = [("a", 1), ("b", 2), ("c", 3)]
        .map(|(name, label)| (name.into(), vec![label]))
        .into();
    let classes = Structures::labels(&named, None, Undeclared::Refused).unwrap();
    [sample(Structures::Mask), sample(classes)]
}

/// The part of `whole` that lies in `region`.
fn piece(whole: &Sample, region: Region) -> Piece {
    fn cut<T: Clone>(of: &Array3<T>, region: Region) -> Array3<T> {
        let part = of.slice_each_axis(|axis| {
            let at = axis.axis.index();
            Slice::from(region.start[at]..region.end()[at])
        });
        part.as_standard_layout().into_owned()
    }
    let lowest = |image: &Array3<f32>| image.iter().copied().fold(f32::INFINITY, f32::min);
    Piece {
        sample: Sample {
            images: (whole.images.iter())
                .map(|image| cut(image, region))
                .collect(),
            mask: cut(&whole.mask, region),
            ..whole.clone()
        },
        start: region.start,
        grid: whole.grid(),
        lowest: whole.images.iter().map(lowest).collect(),
    }
}

/// Lists of transforms that move voxels, each acting for certain.
const LISTS: [&str; 12] = [
    "[]",
    "[{flip: {axes: [left_right, front_back, up_down], p: 1.0}}]",
    "[{shift: {p: 1.0}}]",
    "[{affine: {p: 1.0}}]",
    "[{affine: {rotate: 180, scale: [0.3, 3.0], shear: 30, translate: 40, p: 1.0}}]",
    "[{elastic: {p: 1.0}}]",
    "[{elastic: {max_displacement: 30, control_points: 4, locked_borders: 0, p: 1.0}}]",
    "[{crop: {shape: [5, 6, 7]}}]",
    "[{affine: {p: 1.0}}, {elastic: {p: 1.0}}, {crop: {shape: [6, 7, 9]}}]",
    "[{elastic: {p: 1.0}}, {affine: {p: 1.0}}, {elastic: {p: 1.0}}, {shift: {p: 1.0}}]",
    "[{flip: {p: 1.0}}, {affine: {p: 1.0}}, {gamma: {p: 1.0}}, {noise: {p: 1.0}}]",
    "[{anisotropy: {p: 1.0}}, {bias_field: {p: 1.0}}]",
];

/// Inside, in corners, over an edge, wider than the whole, and wholly outside.
const PATCHES: [([isize; 3], [usize; 3]); 6] = [
    ([12, 9, 15], [11, 10, 9]),
    ([0, 0, 0], [9, 8, 13]),
    ([29, 21, 31], [8, 9, 10]),
    ([-5, 24, 36], [12, 12, 12]),
    ([-2, -3, 4], [41, 36, 16]),
    ([60, -20, 5], [4, 5, 6]),
];

#[test]
fn a_piece_becomes_what_the_whole_becomes_to_the_last_bit() {
    let images = ["t1".to_owned(), "t2".to_owned()];
    for (whole, list) in samples().iter().flat_map(|s| LISTS.map(|list| (s, list))) {
        let augment: Augmentations = serde_yaml::from_str(list).unwrap();
        for (start, shape) in PATCHES {
            for draw in 0..8 {
                let window = Drawn::Crop(CropParams::window(start, shape)).into();
                let mut drawn: Vec<DrawnOn> = vec![window];
                drawn.extend(augment.draw(1, 2, "case", draw, &images));
                let mut expected = whole.clone();
                apply(&drawn, &mut expected);
                let part = piece(whole, reach(&drawn, &whole.grid()));
                let made = apply_to_piece(&drawn, part);
                assert_eq!(made, expected, "{list}, patch at {start:?}, draw {draw}");
            }
        }
    }
}

#[test]
fn without_a_patch_the_whole_is_the_piece() {
    let whole = &samples()[1];
    for list in LISTS {
        let augment: Augmentations = serde_yaml::from_str(list).unwrap();
        let drawn = augment.draw(1, 2, "case", 0, &["t1".into(), "t2".into()]);
        let mut expected = whole.clone();
        apply(&drawn, &mut expected);
        let part = piece(whole, reach(&drawn, &whole.grid()));
        assert_eq!(apply_to_piece(&drawn, part), expected, "{list}");
    }
    assert_eq!(reach(&[], &whole.grid()), Region::whole(SHAPE));
}

#[test]
fn a_piece_is_little_larger_than_what_is_made_of_it() {
    let grid = Grid {
        shape: [200; 3],
        affine: Affine::diagonal([1.0; 3], [0.0; 3]),
    };
    let window = Drawn::Crop(CropParams::window([70; 3], [60; 3])).into();
    let mut drawn: Vec<DrawnOn> = vec![window];
    let edge = |drawn: &[DrawnOn]| reach(drawn, &grid).shape.into_iter().max().unwrap();
    assert!(edge(&drawn) <= 64);
    let augment: Augmentations =
        serde_yaml::from_str("[{elastic: {max_displacement: 5, p: 1.0}}]").unwrap();
    drawn.extend(augment.draw(1, 2, "case", 0, &["image".into()]));
    assert!(edge(&drawn) <= 74);
}
