//! Moving maps of several classes: numbers from scipy, and what must hold for any.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use calvaria::augment::{Drawn, DrawnOn, Sample, Transform, apply};
use calvaria::random;
use calvaria::volume::{Affine, Named, Structures, Undeclared};
use ndarray::{Array3, Zip};
use safetensors::SafeTensors;

/// Five structures of one label each, and voxels that nobody looked at.
fn structures() -> Arc<Structures> {
    let named = (1..=5).map(|label| -> Named { (format!("structure {label}"), vec![label]) });
    let named: Vec<Named> = named.collect();
    Arc::new(Structures::labels(&named, Some(255), Undeclared::Refused).unwrap())
}

#[derive(serde::Deserialize)]
struct Reference {
    spacing: [f64; 3],
    drawn: BTreeMap<String, Vec<DrawnOn>>,
}

/// The fixture's parameters and maps.
fn fixture() -> (Reference, BTreeMap<String, Array3<u8>>) {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/augment_classes"
    );
    let text = fs::read_to_string(format!("{folder}/classes.json")).unwrap();
    let bytes = fs::read(format!("{folder}/classes.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let maps = tensors.iter().map(|(name, view)| {
        let map = Array3::from_shape_vec((13, 11, 12), view.data().to_vec()).unwrap();
        (name.to_owned(), map)
    });
    let maps = maps.collect();
    (serde_json::from_str(&text).unwrap(), maps)
}

fn sample(map: &Array3<u8>, spacing: [f64; 3]) -> Sample {
    Sample {
        images: vec![map.mapv(f32::from), map.mapv(|class| -f32::from(class))],
        mask: map.clone(),
        structures: structures(),
        affine: Affine::diagonal(spacing, [0.0; 3]),
    }
}

fn draw(transform: &str, index: u64) -> Drawn {
    let transform: Transform = serde_yaml::from_str(transform).unwrap();
    let mut rng = random::stream(3, &["classes"], &[index]);
    transform.draw(&mut rng).unwrap()
}

#[test]
fn classes_go_where_scipy_puts_them() {
    const UNDECIDED: u8 = 254;
    let (reference, maps) = fixture();
    assert!(reference.drawn.len() >= 5);
    for (name, drawn) in &reference.drawn {
        let mut moved = sample(&maps["classes"], reference.spacing);
        apply(drawn, &mut moved);
        let mut compared = 0;
        Zip::from(&moved.mask)
            .and(&maps[name])
            .for_each(|ours, theirs| {
                if *theirs != UNDECIDED {
                    assert_eq!(ours, theirs, "{name}");
                    compared += usize::from(*theirs != 0);
                }
            });
        assert!(compared > 500, "{name}: only {compared} voxels");
    }
}

#[test]
fn no_class_comes_up_that_was_not_there() {
    let (reference, maps) = fixture();
    let before = sample(&maps["classes"], reference.spacing);
    for index in 0..20 {
        for transform in ["affine: {p: 1}", "elastic: {p: 1}"] {
            let mut after = before.clone();
            draw(transform, index).apply(&mut after);
            assert!(
                after
                    .mask
                    .iter()
                    .all(|class| [0, 1, 2, 3, 5, 255].contains(class))
            );
        }
    }
}

#[test]
fn a_map_of_one_class_moves_as_a_mask_does() {
    let (reference, maps) = fixture();
    let mask = maps["classes"].mapv(|class| u8::from(class == 2 || class == 3));
    let labels = sample(&mask, reference.spacing);
    let binary = Sample {
        structures: Arc::default(),
        ..labels.clone()
    };
    for index in 0..20 {
        let drawn = [
            draw("affine: {p: 1}", index).into(),
            draw("elastic: {p: 1}", index).into(),
        ];
        let (mut labels, mut binary) = (labels.clone(), binary.clone());
        apply(&drawn, &mut labels);
        apply(&drawn, &mut binary);
        assert_eq!(labels.images, binary.images);
        // Parts of a half each are decided by rounding.
        let differ = labels.mask.iter().zip(&binary.mask).filter(|(a, b)| a != b);
        assert!(differ.count() <= 1, "draw {index}");
    }
}

#[test]
fn moving_by_whole_voxels_copies_classes() {
    let (reference, maps) = fixture();
    let classes = &maps["classes"];
    let mut after = sample(classes, reference.spacing);
    draw("flip: {axes: [front_back], p: 1}", 0).apply(&mut after);
    for ((x, y, z), class) in after.mask.indexed_iter() {
        assert_eq!(*class, classes[[x, 10 - y, z]]);
    }
}
