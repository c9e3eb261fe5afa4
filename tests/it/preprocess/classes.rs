//! Maps of several classes on their way through preprocessing.

use std::fs;
use std::path::{Path, PathBuf};

use calvaria::preprocess::cache::{Cache, CachedResult};
use calvaria::preprocess::{CaseVolumes, Inputs, PreprocessError};
use calvaria::volume::nifti::{Dtype, read_image, write_image};
use calvaria::volume::resample::{resample_classes, resample_mask};
use calvaria::volume::{Affine, Grid, Marked, MaskRule, Structures, Undeclared, Volume};
use ndarray::Array3;

use super::images::{expected, pipeline};

fn blobs() -> Volume<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/multi/classes.nii.gz");
    let Volume { voxels, affine } = read_image(&path).unwrap();
    Volume {
        voxels: voxels.mapv(|class| class as u8),
        affine,
    }
}

fn assert_classes(found: &Volume<u8>, name: &str) {
    let expected = expected(name);
    assert_eq!(found.voxels.len(), expected.len());
    let differing = found.voxels.iter().zip(&expected);
    let differing = differing.filter(|(found, expected)| f64::from(**found) != **expected);
    assert_eq!(differing.count(), 0, "{name}");
}

#[test]
fn linear_classes_are_the_largest_of_scipys() {
    let source = blobs();
    let mut fine = Grid {
        shape: [28, 24, 20],
        affine: source.affine,
    };
    for axis in 0..3 {
        fine.affine.0[axis][axis] /= 2.0;
        fine.affine.0[axis][3] -= source.affine.0[axis][axis] / 4.0;
    }
    let found = resample_classes(&source, &fine);
    assert_classes(&found, "classes_fine");
    let nearest = resample_mask(&source, &fine);
    assert_ne!(found, nearest);

    let rows = expected("oblique");
    let oblique = Grid {
        shape: [20, 26, 16],
        affine: Affine(std::array::from_fn(|r| {
            std::array::from_fn(|c| rows[4 * r + c])
        })),
    };
    assert_classes(&resample_classes(&source, &oblique), "classes_oblique");
}

#[test]
fn classes_of_a_mask_are_moved_by_the_nearest_voxel_unless_asked_otherwise() {
    let case = || CaseVolumes {
        mask: Some(blobs()),
        ..Volume {
            voxels: blobs().voxels.mapv(f32::from),
            affine: blobs().affine,
        }
        .into()
    };
    let moved = |labels: &str| {
        let yaml = format!("[{{resample: {{spacing: [2, 2, 2], shape: null{labels}}}}}]");
        pipeline(&yaml).apply(case()).unwrap().mask.unwrap()
    };
    let (usual, nearest, linear) = (
        moved(""),
        moved(", labels: nearest"),
        moved(", labels: linear"),
    );
    assert_eq!(usual, nearest);
    assert_eq!(usual, resample_mask(&blobs(), &usual.grid()));
    assert_eq!(linear, resample_classes(&blobs(), &usual.grid()));
    assert_ne!(usual, linear);
    // A run that does not ask has the settings it always had.
    let written = serde_yaml::to_string(&pipeline("[resample]")).unwrap();
    assert!(!written.contains("labels"), "{written}");
}

fn structures() -> Structures {
    let named = [("big", vec![10]), ("small", vec![20]), ("other", vec![300])];
    let named = named.map(|(name, labels)| (name.to_owned(), labels));
    Structures::labels(&named, Some(255), Undeclared::Refused).unwrap()
}

struct Files {
    folder: tempfile::TempDir,
    rule: MaskRule,
}

impl Files {
    fn of(labels: &Array3<f32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let affine = Affine::identity();
        let at = |name: &str| folder.path().join(name);
        let image = labels.mapv(|label| label + 1.0);
        let image = Volume {
            voxels: image,
            affine,
        };
        write_image(&at("scan.nii.gz"), &image, Dtype::Float32).unwrap();
        let voxels = labels.clone();
        write_image(
            &at("labels.nii.gz"),
            &Volume { voxels, affine },
            Dtype::Int16,
        )
        .unwrap();
        let marked = Marked::Structures(structures());
        Self {
            folder,
            rule: MaskRule {
                marked,
                ..MaskRule::STRICT
            },
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn prepare(&self, steps: &str) -> Result<CachedResult, PreprocessError> {
        let mask = self.at("labels.nii.gz");
        let inputs = Inputs {
            id: "sub-07",
            mask: Some(&mask),
            mask_rule: &self.rule,
            ..Inputs::scan(&self.at("scan.nii.gz"), None)
        };
        Cache::new(self.at("cache")).prepare(&inputs, &pipeline(steps))
    }
}

/// Label 10 in a cube, 20 in one voxel, 255 in two.
fn labels() -> Array3<f32> {
    let mut labels = Array3::zeros((16, 16, 16));
    labels
        .slice_mut(ndarray::s![3..13, 3..13, 3..13])
        .fill(10.0);
    labels[[5, 5, 5]] = 20.0;
    labels[[6, 5, 5]] = 255.0;
    labels[[0, 5, 5]] = 255.0;
    labels
}

#[test]
fn classes_come_back_from_the_cache_with_how_many_voxels_each_had() {
    let files = Files::of(&labels());
    for _ in ["made", "from the cache"] {
        let result = files.prepare("[zscore]").unwrap();
        let counts: Vec<(u8, u64)> = result.classes.into_iter().collect();
        assert_eq!(counts, [(0, 4096 - 1001), (1, 998), (2, 1), (255, 2)]);
        let mask = result.files.load().unwrap().mask.unwrap();
        let [class, ignored] = [[5, 5, 5], [6, 5, 5]].map(|at| mask.voxels[at]);
        assert_eq!((class, ignored), (2, Structures::IGNORED));
    }
}

#[test]
fn a_structure_that_vanishes_is_told_by_its_name_and_nothing_left_is_an_error() {
    let coarse = "[{resample: {spacing: [3, 3, 3], shape: null}}]";
    let files = Files::of(&labels());
    let warnings = files.prepare(coarse).unwrap().warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.contains("of small (1 voxel before)")),
        "{warnings:?}"
    );
    let again = files.prepare(coarse).unwrap();
    assert_eq!((again.warnings, again.times), (warnings, None));

    let mut only_small = labels();
    only_small.mapv_inplace(|label| {
        if label == 20.0 || label == 255.0 {
            label
        } else {
            0.0
        }
    });
    let message = Files::of(&only_small)
        .prepare(coarse)
        .unwrap_err()
        .to_string();
    assert!(message.contains("nothing of the mask is left"), "{message}");
}

#[test]
fn labels_that_are_not_declared_are_refused_with_the_case() {
    let mut labels = labels();
    labels[[1, 1, 1]] = 7.0;
    let message = Files::of(&labels).prepare("[]").unwrap_err().to_string();
    for part in [
        "in the case sub-07",
        "labels.nii.gz",
        "7 (1 voxel)",
        "small (20)",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn ignored_voxels_are_not_what_must_lie_on_the_grid() {
    let mut labels = Array3::zeros((16, 16, 16));
    labels.fill(255.0);
    labels
        .slice_mut(ndarray::s![6..10, 6..10, 6..10])
        .fill(10.0);
    let files = Files::of(&labels);
    let made = files.prepare("[{crop_pad: {shape: [6, 6, 6]}}]").unwrap();
    assert_eq!(made.warnings, [""; 0]);
}

#[test]
fn a_mask_of_one_structure_is_noted_as_ever() {
    let mut files = Files::of(&labels().mapv(|label| f32::from(u8::from(label == 10.0))));
    files.rule = MaskRule::STRICT;
    let made = files.prepare("[]").unwrap();
    let record = fs::read_to_string(made.folder.join("case.json")).unwrap();
    for unknown_before in ["classes", "names", "other_digests"] {
        assert!(!record.contains(unknown_before), "{record}");
    }
    assert!(made.folder.join("image.nii").is_file());
}
