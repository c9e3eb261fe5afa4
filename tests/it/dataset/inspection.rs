//! What is told of a case's files.

use std::path::{Path, PathBuf};

use calvaria::dataset::{Case, Inspection};
use calvaria::preprocess::{GRID_TOLERANCE, ImageFile};
use calvaria::volume::{Marked, MaskRule, Structures, Undeclared};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/multi")
        .join(name)
}

fn image(name: &str, file: &str) -> ImageFile {
    ImageFile {
        name: name.into(),
        ..ImageFile::only(fixture(file))
    }
}

fn case(images: Vec<ImageFile>, onto: Option<&str>, mask: &str, marked: Marked) -> Case {
    Case {
        id: "ms-19".into(),
        subject: "ms-19".into(),
        onto: onto.map(|name| {
            images
                .iter()
                .find(|image| image.name == name)
                .unwrap()
                .clone()
        }),
        images,
        mask: fixture(mask),
        mask_rule: MaskRule {
            marked,
            ..MaskRule::STRICT
        },
        grid_tolerance: GRID_TOLERANCE,
        region: None,
        columns: Default::default(),
    }
}

#[test]
fn every_image_is_told_with_its_own_grid_and_what_would_be_refused() {
    let images = || {
        vec![
            image("t1", "t1.nii.gz"),
            image("flair", "flair_oblique.nii.gz"),
        ]
    };
    let of = |onto| Inspection::of(&case(images(), onto, "lesion.nii.gz", Marked::OneValue));
    let found = of(Some("t1"));
    let grids: Vec<_> = (found.images.iter())
        .map(|(name, facts)| (name.as_str(), facts.shape))
        .collect();
    assert_eq!(grids, [("t1", [24, 26, 22]), ("flair", [18, 30, 14])]);
    let spacing = found.images[1].1.spacing;
    for (found, expected) in spacing.into_iter().zip([2.5, 1.5, 3.0]) {
        assert!((found - expected).abs() < 1e-5, "{spacing:?}");
    }
    assert_eq!(found.problems, [""; 0]);
    assert!(found.labels.is_empty(), "a mask of one structure");
    assert!(found.mask_ml.is_some());

    let refused = of(None);
    assert_eq!(refused.images.len(), 2);
    assert_eq!(refused.problems.len(), 1);
    assert!(refused.problems[0].contains("`onto: t1`"), "{refused:?}");
}

#[test]
fn one_image_without_a_name_is_told_as_ever() {
    let found = Inspection::of(&case(
        vec![image(ImageFile::ONLY, "t1.nii.gz")],
        None,
        "lesion.nii.gz",
        Marked::OneValue,
    ));
    assert!(found.images.is_empty() && found.labels.is_empty());
    assert_eq!(found.scan.unwrap().shape, [24, 26, 22]);
    assert_eq!(found.problems, [""; 0]);
}

#[test]
fn labels_are_told_with_what_they_stand_for_and_their_voxels() {
    let regions = [("whole", vec![1, 2]), ("core", vec![2])];
    let regions = regions.map(|(name, labels)| (name.to_owned(), labels));
    let of = |undeclared| {
        let structures = Structures::regions(&regions, None, Some(255), undeclared).unwrap();
        let images = vec![image(ImageFile::ONLY, "classes.nii.gz")];
        let marked = Marked::Structures(structures);
        Inspection::of(&case(images, None, "classes.nii.gz", marked))
    };
    let found = of(Undeclared::Refused);
    let told: Vec<String> = found.labels.iter().map(ToString::to_string).collect();
    let begins = [
        "1 whole ",
        "2 whole+core ",
        "3 undeclared ",
        "7 undeclared ",
        "255 ignored ",
    ];
    assert_eq!(told.len(), begins.len());
    for (told, begin) in told.iter().zip(begins) {
        assert!(told.starts_with(begin), "{told}");
    }
    let counts: u64 = found.labels.iter().map(|label| label.voxels).sum();
    assert!(counts > 0 && counts < 14 * 12 * 10);
    assert_eq!(found.mask_ml, None);
    assert!(found.problems[0].contains("not declared"), "{found:?}");

    let lenient = of(Undeclared::Background);
    assert_eq!(lenient.labels, found.labels);
    assert_eq!(lenient.problems, [""; 0]);
    let marked: u64 = lenient.labels[..2].iter().map(|label| label.voxels).sum();
    let ml = marked as f64 * 3.0 * 3.0 * 4.0 / 1000.0;
    assert!((lenient.mask_ml.unwrap() - ml).abs() < 1e-9);
}
