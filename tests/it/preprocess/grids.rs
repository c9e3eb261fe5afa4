//! Steps that change grids, and what holds for all steps.

use std::fs;

use calvaria::preprocess::{CaseVolumes, Centre, Pipeline, Resample, Step};
use calvaria::volume::nifti::{Dtype, write_image};
use calvaria::volume::resample::Interpolation;
use calvaria::volume::{Affine, Grid, Volume};
use ndarray::Array3;

use crate::common::ball as case;

fn pipeline(yaml: &str) -> Pipeline {
    let pipeline: Pipeline = serde_yaml::from_str(yaml).unwrap();
    pipeline.validate().unwrap();
    pipeline
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
    assert_eq!(prepared.images[0].grid(), published);
    assert_eq!(prepared.mask.unwrap().grid(), published);
}

#[test]
fn image_and_mask_keep_their_place_and_size() {
    for yaml in [
        "[{resample: {interpolation: linear}}]",
        "[{resample: {centre: image, shape: [30, 30, 30], interpolation: cubic}}]",
        "[{resample: {centre: head, shape: [16, 16, 16], interpolation: linear}}]",
        "[{crop_pad: {centre: head, shape: [27, 41, 20]}}]",
        "[{crop_pad: {shape: [50, 30, 31]}}, {reorient: {axes: SPL}}]",
        "[{reorient: {axes: PIR}}, {resample: {shape: null}}]",
        "[{resample: {shape: null, spacing: [1.5, 1, 2], antialias: true}}]",
    ] {
        let before = case([5.0, -3.0, 2.0]);
        let after = pipeline(yaml).apply(before.clone()).unwrap();
        let (old, new) = (before.mask.unwrap(), after.mask.unwrap());
        assert_eq!(after.images[0].grid(), new.grid(), "{yaml}");
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
    Pipeline::from(vec![Step::Resample(centred)])
        .apply(far)
        .unwrap();
}

/// A grid of 1 mm that holds the part of the ball above a height (mm from its centre).
fn grid_above(height: f64) -> Pipeline {
    let first = [-20.0, -20.0, height];
    let grid = Volume {
        voxels: Array3::<f32>::zeros((41, 41, 41)),
        affine: Affine::diagonal([1.0; 3], first),
    };
    let folder = tempfile::tempdir().unwrap().keep();
    let template = folder.join("grid.nii");
    write_image(&template, &grid, Dtype::Uint8).unwrap();
    pipeline(&format!("[{{resample: {{onto: {}}}}}]", template.display()))
}

#[test]
fn a_grid_that_cuts_the_mask_off_is_reported_or_refused() {
    let in_full = |height: f64| grid_above(height).apply_in_full(case([0.0; 3]));
    assert!(in_full(-15.0).unwrap().warnings.is_empty());
    let warnings = in_full(-6.0).unwrap().warnings;
    // A cap of height 6 (up to a voxel) of a ball with the radius 12 has 5/32 of its volume.
    let part: f64 = warnings[0].split(' ').next().unwrap().parse().unwrap();
    assert!((8.0..22.0).contains(&part), "{warnings:?}");
    assert!(warnings[0].contains("of the mask") && warnings[0].contains("centre: head"));
    assert!(in_full(6.0).unwrap().is_cut_off);
    let message = in_full(6.0).unwrap().useful().unwrap_err().to_string();
    assert!(message.contains("% of the mask lies outside"), "{message}");
}

#[test]
fn without_a_mask_the_foreground_is_what_must_not_be_cut_off() {
    let scan = || CaseVolumes {
        mask: None,
        ..case([0.0; 3])
    };
    assert!(
        grid_above(-15.0)
            .apply_in_full(scan())
            .unwrap()
            .warnings
            .is_empty()
    );
    let warnings = grid_above(-3.0).apply_in_full(scan()).unwrap().warnings;
    assert!(warnings[0].contains("of the foreground"), "{warnings:?}");
    assert!(grid_above(6.0).apply(scan()).is_err());
    // The published grid lies around the world's origin, and a run's grid cannot be changed.
    let mut far = scan();
    far.images[0].affine.0[2][3] += 175.0;
    let message = pipeline("[resample]").apply(far).unwrap_err().to_string();
    assert!(
        message.contains("set the origin in the scan's header"),
        "{message}"
    );
}

#[test]
fn outside_a_scan_is_its_own_background() {
    let shifted = |offset: f32, factor: f32| {
        let mut case = case([0.0; 3]);
        case.images[0].change(|value| offset + factor * value);
        case
    };
    for yaml in [
        "[{resample: {interpolation: linear}}]",
        "[{resample: {interpolation: cubic}}]",
        "[resample]",
        "[{crop_pad: {shape: [60, 60, 60]}}]",
    ] {
        let usual = pipeline(yaml)
            .apply(shifted(0.0, 1.0))
            .unwrap()
            .images
            .remove(0);
        assert_eq!(usual.voxels[[0, 0, 0]], 0.0, "{yaml}");
        // An offset, CT in Hounsfield units, and few negative values.
        for (offset, factor, outside) in [
            (5000.0, 1.0, 5000.0),
            (-1024.0, 10.0, -1024.0),
            (-2.0, 1.0, 0.0),
        ] {
            let moved = pipeline(yaml)
                .apply(shifted(offset, factor))
                .unwrap()
                .images
                .remove(0);
            assert_eq!(moved.voxels[[0, 0, 0]], outside, "{yaml}");
            let middle = [
                usual.shape()[0] / 2,
                usual.shape()[1] / 2,
                usual.shape()[2] / 2,
            ];
            let expected = offset + factor * usual.voxels[middle];
            assert!((moved.voxels[middle] - expected).abs() < 0.01, "{yaml}");
        }
        let set = yaml
            .replace("[resample]", "[{resample: {}}]")
            .replace("}}]", ", fill: 3}}]");
        let set = set.replace("{, ", "{");
        let filled = pipeline(&set)
            .apply(shifted(5000.0, 1.0))
            .unwrap()
            .images
            .remove(0);
        assert_eq!(filled.voxels[[0, 0, 0]], 3.0, "{set}");
    }
}

#[test]
fn the_heads_centre_is_found_wherever_the_header_puts_it() {
    for place in [[0.0, 400.0, 0.0], [-3.0, 2.0, 900.0]] {
        let mut image = case(place).images.remove(0);
        // A bright vessel far from the head, and an empty half.
        image.voxels[[0, 0, 0]] = 90.0;
        let prepared = pipeline("[{resample: {centre: head, shape: [9, 9, 9]}}]")
            .apply(image.into())
            .unwrap();
        let centre = prepared.images[0].grid().centre();
        for a in 0..3 {
            assert!(
                (centre[a] - place[a]).abs() < 1.0,
                "{centre:?} for {place:?}"
            );
        }
    }
}

#[test]
fn cropping_and_padding_keep_every_voxel_at_its_place() {
    let mut before = case([5.0, -3.0, 2.0]);
    before.region = before.mask.as_ref().map(|mask| Volume {
        voxels: mask.voxels.mapv(f32::from),
        affine: mask.affine,
    });
    let after = pipeline("[{crop_pad: {shape: [31, 44, 30]}}]")
        .apply(before.clone())
        .unwrap();
    assert_eq!(after.images[0].shape(), [31, 44, 30]);
    assert_eq!(
        after.region.as_ref().unwrap().grid(),
        after.images[0].grid()
    );
    let to_old = before.images[0].affine.inverse().unwrap();
    let mut kept = 0;
    for ((x, y, z), value) in after.images[0].voxels.indexed_iter() {
        let world = after.images[0].affine.apply([x as f64, y as f64, z as f64]);
        let at = to_old.apply(world).map(|at| (at + 1e-6).floor());
        let old = at
            .iter()
            .all(|at| *at >= 0.0)
            .then(|| at.map(|at| at as usize));
        let expected = old.and_then(|at| before.images[0].voxels.get(at));
        assert_eq!(*value, expected.copied().unwrap_or(0.0));
        kept += usize::from(expected.is_some());
    }
    assert_eq!(kept, 31 * 36 * 30);
    let far = pipeline("[{crop_pad: {centre: world, shape: [8, 8, 8]}}]");
    let message = far.apply(case([0.0, 400.0, 0.0])).unwrap_err().to_string();
    assert!(
        message.contains("`crop_pad`") && message.contains("centre: image"),
        "{message}"
    );
}

#[test]
fn an_image_can_be_moved_onto_the_grid_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.nii.gz");
    let shape = (12, 14, 10);
    let grid = Volume {
        voxels: Array3::<f32>::zeros(shape),
        affine: Affine::diagonal([3.0, 2.5, 4.0], [-13.0, -20.0, -18.0]),
    };
    write_image(&template, &grid, Dtype::Uint8).unwrap();
    let yaml = format!("[{{resample: {{onto: {}}}}}]", template.display());
    let steps = pipeline(&yaml);
    let moved = steps.apply(case([5.0, -3.0, 2.0])).unwrap();
    assert_eq!(moved.images[0].grid(), grid.grid());
    assert_eq!(moved.mask.unwrap().grid(), grid.grid());
    assert_eq!(steps.files(), [template.as_path()]);
    fs::remove_file(&template).unwrap();
    let message = steps.apply(case([0.0; 3])).unwrap_err().to_string();
    assert!(message.contains("template.nii.gz"), "{message}");
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
        ("[{clip: {lower_percentile: 99.9}}]", "lower_percentile"),
        ("[{crop_pad: {shape: [0, 1, 1]}}]", "shape"),
        ("[{resample: {onto: a.nii, spacing: [1, 1, 1]}}]", "onto"),
    ] {
        let why = serde_yaml::from_str::<Pipeline>(yaml)
            .unwrap()
            .validate()
            .unwrap_err()
            .to_string();
        assert!(why.contains(field), "{yaml}: {why}");
    }
    assert!(serde_yaml::from_str::<Pipeline>("[{resample: {spacings: [2, 2, 2]}}]").is_err());
    assert!(serde_yaml::from_str::<Pipeline>("[{resample: {interpolation: sinc}}]").is_err());
    let wrong_axes = serde_yaml::from_str::<Pipeline>("[{reorient: {axes: RAR}}]").unwrap_err();
    assert!(wrong_axes.to_string().contains("one each of R or L"));
}

#[test]
fn every_step_is_in_the_family_and_reads_back() {
    assert_eq!(
        Step::NAMES,
        [
            "nan_to_zero",
            "n4",
            "reorient",
            "resample",
            "crop_pad",
            "clip",
            "rescale",
            "zscore",
            "nyul"
        ]
    );
    let every = Pipeline::from(Step::defaults());
    every.validate().unwrap();
    let yaml = serde_yaml::to_string(&every).unwrap();
    assert_eq!(serde_yaml::from_str::<Pipeline>(&yaml).unwrap(), every);
    assert_eq!(Resample::default().interpolation, Interpolation::Nearest);
}
