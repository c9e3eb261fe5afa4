//! Writing NIfTI files, and reading them back.

use std::fs;
use std::path::Path;

use calvaria::volume::nifti::{
    Dtype, Encoding, Origin, check_output, read_image, read_mask, read_scan, write_image,
    write_like, write_mask,
};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;

use super::reading::{fixture, temporary};

fn oblique(axes: [f64; 3]) -> Affine {
    let (s, c) = 25f64.to_radians().sin_cos();
    Affine([
        [axes[0] * c, -axes[1] * s, 0.0, -31.5],
        [axes[0] * s, axes[1] * c, 0.0, 17.25],
        [0.0, 0.0, axes[2], -99.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
}

fn ramp(affine: Affine) -> Volume<f32> {
    let voxels = Array3::from_shape_fn((4, 3, 5), |(x, y, z)| {
        (x as f32 - 1.4) * 300.7 + y as f32 * 10.3 - z as f32 * 77.1
    });
    Volume { voxels, affine }
}

#[test]
fn what_is_written_reads_back() {
    for name in ["sub.01.image.nii", "image.nii.gz"] {
        let (folder, path) = temporary(name);
        let volume = ramp(oblique([1.0, 1.5, -2.0]));
        write_image(&path, &volume, Dtype::Float32).unwrap();
        let back = read_image(&path).unwrap();
        assert_eq!(back.voxels, volume.voxels);
        assert!(volume.grid().largest_offset(&back.affine) < 1e-5);
        let gzipped = fs::read(&path).unwrap().starts_with(&[0x1f, 0x8b]);
        assert_eq!(gzipped, name.ends_with(".gz"));
        let voxels = volume.voxels.mapv(|value| u8::from(value > 0.0));
        let mask = Volume {
            voxels,
            affine: volume.affine,
        };
        write_mask(&path, &mask).unwrap();
        assert_eq!(read_mask(&path).unwrap().voxels, mask.voxels);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_scan_can_be_written_as_it_was_stored() {
    for name in [
        "scaled_int16.nii",
        "uint8_extension.nii",
        "big_endian_float64.nii",
        "uint16_sform_before_qform.nii.gz",
    ] {
        let scan = read_scan(&fixture(name)).unwrap();
        let (_folder, path) = temporary(name);
        let origin = Origin::of(&[&fixture(name)], scan.forms);
        write_like(&path, &scan.volume, scan.encoding, &origin).unwrap();
        let back = read_scan(&path).unwrap();
        assert_eq!(back.encoding, scan.encoding, "{name}");
        assert_eq!(back.volume.voxels, scan.volume.voxels, "{name}");
    }
}

#[test]
fn a_pair_is_another_scan_when_its_voxels_change() {
    let folder = tempfile::tempdir().unwrap();
    let [header, voxels] = ["pair.hdr", "pair.img"].map(|name| folder.path().join(name));
    fs::copy(fixture("pair.hdr"), &header).unwrap();
    fs::copy(fixture("pair.img"), &voxels).unwrap();
    let forms = read_scan(&header).unwrap().forms;
    let before = Origin::of(&[&header], forms);
    assert_eq!(Origin::of(&[&voxels], forms), before);
    let mut bytes = fs::read(&voxels).unwrap();
    bytes[0] ^= 1;
    fs::write(&voxels, bytes).unwrap();
    assert_ne!(Origin::of(&[&header], forms), before);
}

#[test]
fn a_result_is_replaced_only_by_one_of_the_same_images_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let [t1, flair, output] =
        ["t1.nii", "flair.nii", "mask.nii"].map(|name| folder.path().join(name));
    fs::copy(fixture("scaled_int16.nii"), &t1).unwrap();
    fs::copy(fixture("big_endian_float64.nii"), &flair).unwrap();
    let scan = read_scan(&t1).unwrap();
    let write = |images: &[&Path]| {
        let origin = Origin::of(images, scan.forms);
        write_like(&output, &scan.volume, Dtype::Int16, &origin).unwrap();
    };
    let is_free = |images: &[&Path]| check_output(&output, images, false).is_ok();

    write(&[&t1, &flair]);
    assert!(is_free(&[&t1, &flair]));
    for other in [&[&*t1][..], &[&flair, &t1], &[&t1, &t1]] {
        assert!(!is_free(other), "{other:?}");
        assert!(check_output(&output, other, true).is_ok());
    }
    fs::copy(fixture("uint8_extension.nii"), &flair).unwrap();
    assert!(!is_free(&[&t1, &flair]));

    // One image: the checksum of its file (that of Python's zlib), as results of earlier versions have it.
    write(&[&t1]);
    let description = String::from_utf8_lossy(&fs::read(&output).unwrap()[148..228]).into_owned();
    assert!(
        description.trim_end_matches('\0').ends_with(" of 57b6b8df"),
        "{description}"
    );
    assert!(is_free(&[&t1]) && !is_free(&[&t1, &flair]));
}

#[test]
fn a_scaling_that_single_precision_cannot_say_is_left_out() {
    let (_folder, path) = temporary("image.nii");
    let encoding = Encoding {
        slope: 1e-300,
        ..Dtype::Float32.into()
    };
    let volume = ramp(Affine::identity());
    write_image(&path, &volume, encoding).unwrap();
    assert_eq!(read_image(&path).unwrap(), volume);
}

#[test]
fn only_names_of_nifti_files_are_written() {
    for name in ["image.img", "image.nii.bz2", "image"] {
        let (_folder, path) = temporary(name);
        let error = write_image(&path, &ramp(Affine::identity()), Dtype::Float32).unwrap_err();
        assert!(error.to_string().contains(".nii or .nii.gz"), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn integer_files_hold_rounded_and_clamped_values() {
    let (_folder, path) = temporary("image.nii");
    let mut volume = ramp(Affine::identity());
    volume.voxels[[0, 0, 0]] = 1e9;
    write_image(&path, &volume, Dtype::Int16).unwrap();
    for (back, value) in read_image(&path).unwrap().voxels.iter().zip(&volume.voxels) {
        assert_eq!(*back, value.round().clamp(-32768.0, 32767.0));
    }
    write_image(&path, &volume, Dtype::Uint8).unwrap();
    for (back, value) in read_image(&path).unwrap().voxels.iter().zip(&volume.voxels) {
        assert_eq!(*back, value.round().clamp(0.0, 255.0));
    }
}

#[test]
fn a_written_qform_says_the_same_as_the_sform() {
    let flipped = Affine::diagonal([-1.0, -2.0, 3.0], [5.0, 6.0, 7.0]);
    let permuted = Affine([
        [0.0, 0.0, 1.5, 1.0],
        [-1.0, 0.0, 0.0, 2.0],
        [0.0, 1.0, 0.0, 3.0],
        [0.0, 0.0, 0.0, 1.0],
    ]);
    let turned = oblique([1.0; 3]).mul(&permuted);
    // Half turns about slanted axes: the quaternion's real part, which files leave out, is 0, and
    // what float32 makes of the others must not be taken for one.
    let half_turn = |x: f64, y: f64, z: f64| {
        let (k, square) = ([x, y, z], x * x + y * y + z * z);
        let mut half = Affine::diagonal([-1.0; 3], [4.0, 5.0, 6.0]);
        for (r, c) in (0..3).flat_map(|r| (0..3).map(move |c| (r, c))) {
            half.0[r][c] += 2.0 * k[r] * k[c] / square;
        }
        half
    };
    for affine in [
        Affine::identity(),
        flipped,
        turned,
        permuted,
        oblique([1.0, 1.5, -2.0]),
        half_turn(1.0, 2.0, 3.0),
        half_turn(4.0, 3.0, 3.0),
        half_turn(2.0, 7.0, 7.0),
    ] {
        let (_folder, path) = temporary("image.nii");
        let volume = ramp(affine);
        write_image(&path, &volume, Dtype::Float32).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[254..256].fill(0); // the sform's code
        fs::write(&path, bytes).unwrap();
        let back = read_image(&path).unwrap().affine;
        assert!(
            volume.grid().largest_offset(&back) < 1e-5,
            "{affine:?} became {back:?}"
        );
    }
}

#[test]
fn a_sheared_affine_is_kept_by_the_sform_alone() {
    let mut affine = oblique([1.0, 1.0, 1.0]);
    affine.0[0][1] += 0.3;
    let (_folder, path) = temporary("image.nii");
    write_image(&path, &ramp(affine), Dtype::Float32).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes[252..256], [0, 0, 1, 0]);
    assert!(
        ramp(affine)
            .grid()
            .largest_offset(&read_image(&path).unwrap().affine)
            < 1e-5
    );
}

#[test]
fn a_volume_too_large_for_the_format_is_refused() {
    let (_folder, path) = temporary("long.nii");
    let volume = Volume {
        voxels: Array3::zeros((32768, 1, 1)),
        affine: Affine::identity(),
    };
    let message = write_mask(&path, &volume).unwrap_err().to_string();
    assert!(
        message.contains("long.nii") && message.contains("32767"),
        "{message}"
    );
}
