//! Resampling against nilearn.

use std::fs;

use calvaria::volume::nifti::read_image;
use calvaria::volume::resample::{Interpolation, resample, resample_mask};
use calvaria::volume::{Affine, Grid, Volume};
use ndarray::{Array3, Axis};
use safetensors::{Dtype as TensorType, SafeTensors};

use super::reading::fixture;

struct Reference(Vec<u8>);

impl Reference {
    fn open() -> Self {
        Self(fs::read(fixture("../resample/expected.safetensors")).unwrap())
    }

    /// A case's source and nilearn's result, on the published grid in small.
    fn case(&self, name: &str) -> (Volume<f32>, Vec<f32>) {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let affine: Vec<f64> = tensors
            .tensor(&format!("{name}.affine"))
            .unwrap()
            .data()
            .chunks_exact(8)
            .map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        let rows = std::array::from_fn(|r| std::array::from_fn(|c| affine[4 * r + c]));
        let result = tensors.tensor(name).unwrap();
        let values = match result.dtype() {
            TensorType::I16 => result
                .data()
                .chunks_exact(2)
                .map(|bytes| f32::from(i16::from_le_bytes(bytes.try_into().unwrap())))
                .collect(),
            _ => result
                .data()
                .chunks_exact(4)
                .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
                .collect(),
        };
        (
            Volume {
                affine: Affine(rows),
                ..source()
            },
            values,
        )
    }
}

fn source() -> Volume<f32> {
    read_image(&fixture("../resample/source.nii.gz")).unwrap()
}

fn target() -> Grid {
    Grid::centred_on_world([20, 36, 40], [2.0; 3])
}

#[track_caller]
fn assert_close(ours: &Volume<f32>, theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.voxels.len(), theirs.len());
    let worst = ours
        .voxels
        .iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(worst <= tolerance, "off by up to {worst}");
}

#[test]
fn the_source_of_the_references_has_their_affine() {
    assert_eq!(source(), Reference::open().case("aligned_nearest").0);
}

#[test]
fn nearest_voxels_are_nilearns_ties_and_edges_included() {
    let reference = Reference::open();
    for name in ["aligned_nearest", "shifted_nearest", "oblique_nearest"] {
        let (source, expected) = reference.case(name);
        let ours = resample(&source, &target(), Interpolation::Nearest, false);
        assert_close(&ours, &expected, 0.0);
        assert_eq!(ours.grid(), target());
    }
}

#[test]
fn linear_and_cubic_values_are_nilearns() {
    let reference = Reference::open();
    for (name, interpolation) in [
        ("aligned_linear", Interpolation::Linear),
        ("oblique_linear", Interpolation::Linear),
        ("aligned_continuous", Interpolation::Cubic),
        ("oblique_continuous", Interpolation::Cubic),
    ] {
        let (source, expected) = reference.case(name);
        assert_close(
            &resample(&source, &target(), interpolation, false),
            &expected,
            1e-4,
        );
    }
}

#[test]
fn antialiasing_smooths_by_the_ratio_of_the_spacings() {
    let (_, expected) = Reference::open().case("antialiased_linear");
    assert_close(
        &resample(&source(), &target(), Interpolation::Linear, true),
        &expected,
        1e-3,
    );
}

#[test]
fn antialiasing_leaves_a_finer_grid_alone() {
    let grid = Grid::covering(&source().grid(), [1.0, 1.2, 1.3]);
    let [with, without] =
        [true, false].map(|antialias| resample(&source(), &grid, Interpolation::Linear, antialias));
    assert_eq!(with, without);
}

#[test]
fn antialiasing_smooths_along_the_coarser_axis_alone() {
    let image = |axis: usize| Volume {
        voxels: Array3::from_shape_fn((24, 24, 24), |(x, y, z)| [x, y, z][axis] as f32 % 2.0),
        affine: Affine::identity(),
    };
    for (coarse, striped) in (0..3).flat_map(|a| (0..3).map(move |b| (a, b))) {
        let mut spacing = [1.0; 3];
        spacing[coarse] = 4.0;
        let grid = Grid {
            shape: std::array::from_fn(|a| if a == coarse { 6 } else { 24 }),
            affine: Affine::diagonal(spacing, [0.0; 3]),
        };
        let [with, without] =
            [true, false].map(|on| resample(&image(striped), &grid, Interpolation::Nearest, on));
        let change = (&with.voxels - &without.voxels)
            .iter()
            .fold(0f32, |c, d| c.max(d.abs()));
        assert_eq!(
            change > 0.3,
            coarse == striped,
            "{change} along {striped} for {coarse}"
        );
        assert!(!(1e-6..=0.3).contains(&change));
    }
}

#[test]
fn a_mask_moves_as_its_image_does() {
    let (source, expected) = Reference::open().case("oblique_nearest");
    let mask = Volume {
        voxels: source.voxels.mapv(|v| u8::from(v > 40.0)),
        affine: source.affine,
    };
    for (mask, value) in resample_mask(&mask, &target()).voxels.iter().zip(expected) {
        assert_eq!(*mask, u8::from(value > 40.0));
    }
}

#[test]
fn how_the_scan_is_stored_does_not_matter() {
    let source = source();
    let mut mirrored = source.clone();
    mirrored.voxels.invert_axis(Axis(0));
    let flip = Affine::diagonal([-1.0, 1.0, 1.0], [31.0, 0.0, 0.0]);
    mirrored.affine = source.affine.mul(&flip);
    for interpolation in [
        Interpolation::Nearest,
        Interpolation::Linear,
        Interpolation::Cubic,
    ] {
        let [a, b] = [&source, &mirrored].map(|s| resample(s, &target(), interpolation, true));
        let worst = (&a.voxels - &b.voxels)
            .iter()
            .fold(0f32, |worst, d| worst.max(d.abs()));
        assert!(worst < 1e-4, "{interpolation:?}: {worst}");
    }
}

#[test]
fn rounding_in_the_affine_decides_no_tie_and_no_edge() {
    // Thirds are not exact: samples lie at (k + 0.5) voxels and on the very edges only in theory.
    let third = 1.0 / 3.0;
    let source = Volume {
        voxels: Array3::from_shape_fn((31, 31, 31), |(x, y, z)| (x + 40 * y + 1600 * z + 1) as f32),
        affine: Affine::diagonal([third; 3], [-7.0 * third, 0.1, 1000.0 * third]),
    };
    let shifted = |shift: f64| source.affine.mul(&Affine::diagonal([1.0; 3], [shift; 3]));
    let ties = Grid {
        shape: [30; 3],
        affine: shifted(0.5),
    };
    let up = resample(&source, &ties, Interpolation::Nearest, false);
    assert_eq!(up.voxels, source.voxels.slice(ndarray::s![1.., 1.., 1..]));
    let turned = Grid {
        shape: [31; 3],
        affine: source
            .affine
            .mul(&Affine::diagonal([1.0 - 1e-13; 3], [1e-13; 3])),
    };
    for interpolation in [
        Interpolation::Nearest,
        Interpolation::Linear,
        Interpolation::Cubic,
    ] {
        let same = resample(&source, &turned, interpolation, false);
        assert_close(&same, source.voxels.as_slice().unwrap(), 0.01);
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let source = source();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| resample(&source, &target(), Interpolation::Cubic, true))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn the_same_grid_changes_nothing() {
    for interpolation in [
        Interpolation::Nearest,
        Interpolation::Linear,
        Interpolation::Cubic,
    ] {
        assert_eq!(
            resample(&source(), &source().grid(), interpolation, true),
            source()
        );
    }
}

#[test]
fn thin_volumes_and_other_places_are_no_trouble() {
    for shape in [(1, 1, 1), (1, 5, 2), (2, 1, 3)] {
        let source = Volume {
            voxels: Array3::from_elem(shape, 7.0),
            affine: Affine::identity(),
        };
        for interpolation in [
            Interpolation::Nearest,
            Interpolation::Linear,
            Interpolation::Cubic,
        ] {
            let grid = Grid::covering(&source.grid(), [0.9, 2.1, 0.5]);
            let there = resample(&source, &grid, interpolation, true);
            assert!(
                there
                    .voxels
                    .iter()
                    .all(|v| *v == 0.0 || (*v - 7.0).abs() < 1e-5)
            );
            let centre = Grid::centred_on(source.grid().centre(), [1; 3], [3.0; 3]);
            let middle = resample(&source, &centre, interpolation, true).voxels[[0, 0, 0]];
            assert!(
                (middle - 7.0).abs() < 1e-5,
                "{shape:?} {interpolation:?}: {middle}"
            );
            let far = Grid {
                affine: Affine::diagonal([1.0; 3], [1e6; 3]),
                ..grid
            };
            let nothing = resample(&source, &far, interpolation, true);
            assert!(nothing.voxels.iter().all(|v| *v == 0.0));
        }
    }
}
