//! NIfTI files and resampling against nibabel and nilearn.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use calvaria::volume::nifti::{
    Dtype, Encoding, Placement, read_image, read_mask, read_scan, write_image, write_mask,
};
use calvaria::volume::orientation::AxisCodes;
use calvaria::volume::resample::{Interpolation, resample, resample_mask};
use calvaria::volume::{Affine, Grid, Volume};
use ndarray::{Array3, Axis};
use proptest::prelude::*;
use safetensors::{Dtype as TensorType, SafeTensors};
use serde::Deserialize;
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/volume"
    ))
    .join(name)
}

fn temporary(name: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

/// What reading `bytes` under `name` is refused with.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let (_folder, path) = temporary(name);
    fs::write(&path, bytes).unwrap();
    let message = read_image(&path).unwrap_err().to_string();
    assert!(
        message.contains(name),
        "the message does not name the file: {message}"
    );
    message
}

#[derive(Deserialize)]
struct Expected {
    shape: [usize; 3],
    files: BTreeMap<String, ExpectedFile>,
}

#[derive(Deserialize)]
struct ExpectedFile {
    affine: [[f64; 4]; 4],
    voxels: Vec<f64>,
    axes: String,
}

fn expected() -> Expected {
    serde_json::from_str(&fs::read_to_string(fixture("expected.json")).unwrap()).unwrap()
}

#[test]
fn every_form_of_file_reads_as_in_nibabel() {
    let Expected { shape, files } = expected();
    assert!(files.len() >= 17);
    for (name, file) in files {
        let volume = read_image(&fixture(&name)).unwrap();
        assert_eq!(volume.shape(), shape, "{name}");
        for (ours, theirs) in volume.voxels.iter().zip(&file.voxels) {
            assert_eq!(*ours, *theirs as f32, "{name}");
        }
        for (ours, theirs) in volume
            .affine
            .0
            .iter()
            .flatten()
            .zip(file.affine.iter().flatten())
        {
            assert!((ours - theirs).abs() < 1e-12, "{name}: {ours} for {theirs}");
        }
        assert_eq!(
            AxisCodes::of(&volume.affine).to_string(),
            file.axes,
            "{name}"
        );
    }
}

#[test]
fn either_file_of_a_pair_names_it() {
    for (header, image) in [
        ("pair.hdr", "pair.img"),
        ("packed_pair.hdr.gz", "packed_pair.img.gz"),
    ] {
        let [by_header, by_image] = [header, image].map(|name| read_image(&fixture(name)));
        assert_eq!(by_header.unwrap(), by_image.unwrap());
    }
}

#[test]
fn half_a_pair_is_refused_with_the_name_of_the_other_half() {
    for (half, other) in [("pair.hdr", "pair.img"), ("pair.img", "pair.hdr")] {
        let (folder, path) = temporary(half);
        fs::copy(fixture(half), &path).unwrap();
        let message = read_image(&path).unwrap_err().to_string();
        let other = folder.path().join(other).display().to_string();
        assert!(message.contains(&other), "{message}");
    }
}

#[test]
fn an_sform_is_float32_widened_to_float64() {
    // 4/3 in float32: nearest-neighbour ties on the published grid are decided by the difference.
    let volume = read_image(&fixture("big_endian_int16.nii.gz")).unwrap();
    assert_eq!(volume.affine.0[1][1], 1.333_333_373_069_763_2);
}

#[test]
fn without_any_orientation_the_voxel_sizes_remain() {
    let mut bytes = fs::read(fixture("int8_qform.nii")).unwrap();
    bytes[252..256].fill(0); // qform and sform codes
    let (_folder, path) = temporary("bare.nii");
    fs::write(&path, bytes).unwrap();
    let scan = read_scan(&path).unwrap();
    assert_eq!(scan.placement, Placement::VoxelSizes);
    assert!(scan.warnings()[0].contains("neither sform nor qform"));
    let with_qform = read_scan(&fixture("int8_qform.nii")).unwrap();
    assert!(with_qform.warnings().is_empty());
    let affine = scan.volume.affine;
    let expected = Affine::diagonal([1.1, 1.3, 2.7], [0.0; 3]);
    for (ours, theirs) in affine.0.iter().flatten().zip(expected.0.iter().flatten()) {
        assert!((ours - theirs).abs() < 1e-6);
    }
}

#[test]
fn a_slope_of_zero_or_nan_means_no_scaling() {
    let bytes = fs::read(fixture("scaled_int16.nii")).unwrap();
    let stored = f32::from(i16::from_le_bytes([bytes[352], bytes[353]]));
    for slope in [0.0, f32::NAN, f32::INFINITY] {
        let mut bytes = bytes.clone();
        bytes[112..116].copy_from_slice(&slope.to_le_bytes());
        let (_folder, path) = temporary("unscaled.nii");
        fs::write(&path, bytes).unwrap();
        assert_eq!(read_image(&path).unwrap().voxels[[0, 0, 0]], stored);
    }
}

#[test]
fn the_content_decides_what_is_gzipped_not_the_name() {
    let packed = fs::read(fixture("int32.nii.gz")).unwrap();
    let volume = read_image(&fixture("int32.nii.gz")).unwrap();
    for (name, bytes) in [
        ("packed.nii", packed.clone()),
        ("plain.nii.gz", gunzip(&packed)),
    ] {
        let (_folder, path) = temporary(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(read_image(&path).unwrap(), volume, "{name}");
    }
}

#[test]
fn a_mask_is_one_wherever_the_file_is_not_zero() {
    let mask = read_mask(&fixture("scaled_int16.nii")).unwrap();
    let image = read_image(&fixture("scaled_int16.nii")).unwrap();
    assert!(image.voxels.iter().any(|value| *value < 0.0));
    for (mask, value) in mask.voxels.iter().zip(&image.voxels) {
        assert_eq!(*mask, u8::from(*value != 0.0));
    }
}

#[test]
fn kinds_of_file_that_are_no_scan_are_refused_with_what_to_do() {
    for (name, reason) in [
        ("two_volumes.nii.gz", "2 volumes"),
        ("complex.nii.gz", "complex"),
        ("rgb.nii.gz", "colours"),
        ("plane.nii.gz", "no 3-D image"),
        ("nan.nii.gz", "(1, 2, 3) is NaN"),
        ("analyze.hdr", "ANALYZE 7.5"),
        ("missing.nii.gz", "Check the path"),
    ] {
        let message = read_image(&fixture(name)).unwrap_err().to_string();
        assert!(
            message.contains(name) && message.contains(reason),
            "{message}"
        );
    }
    assert!(read_mask(&fixture("nan.nii.gz")).is_err());
}

#[test]
fn damaged_files_are_refused_with_what_to_do() {
    let packed = fs::read(fixture("float32_4d.nii.gz")).unwrap();
    let plain = gunzip(&packed);
    assert!(refusal("empty.nii.gz", b"").contains("empty"));
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    assert!(refusal("pointer.nii.gz", pointer).contains("git lfs pull"));
    assert!(refusal("annex.nii.gz", b"/annex/objects/MD5E-s1--0.nii.gz\n").contains("annex get"));
    assert!(refusal("page.nii.gz", b"<html>Not found</html>").contains("text file"));
    assert!(refusal("half.nii.gz", &packed[..packed.len() / 2]).contains("incomplete"));
    assert!(refusal("crc.nii.gz", &packed[..packed.len() - 6]).contains("incomplete"));
    assert!(refusal("half.nii", &plain[..400]).contains("promises 60 voxels"));
    assert!(refusal("header.nii", &plain[..200]).contains("incomplete"));
    assert!(refusal("noise.nii", &[0xa5; 1000]).contains("NIfTI"));
    let mut flipped = packed.clone();
    let middle = packed.len() / 2;
    flipped[middle] ^= 0x10;
    assert!(refusal("flipped.nii.gz", &flipped).contains("flipped"));
}

#[test]
fn a_header_that_lies_is_refused_without_its_memory() {
    let plain = fs::read(fixture("int8_qform.nii")).unwrap();
    let changed = |at: usize, bytes: &[u8]| {
        let mut copy = plain.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        copy
    };
    // 1500^3 voxels in a file of 412 bytes, and more than any scan has.
    let large: Vec<u8> = [1500u16; 3].iter().flat_map(|n| n.to_le_bytes()).collect();
    assert!(refusal("large.nii", &changed(42, &large)).contains("data ends after 60 bytes"));
    assert!(refusal("large.nii.gz", &gzip(&changed(42, &large))).contains("ends after 60 bytes"));
    assert!(refusal("absurd.nii", &changed(42, &[0xff; 6])).contains("more than any scan"));
    assert!(refusal("zero.nii", &changed(42, &[0, 0])).contains("dimensions"));
    assert!(refusal("rank.nii", &changed(40, &[0, 0])).contains("dimensions"));
    assert!(refusal("type.nii", &changed(70, &[99, 0])).contains("data type 99"));
    assert!(refusal("offset.nii", &changed(108, &f32::NAN.to_le_bytes())).contains("byte NaN"));
    assert!(refusal("offset.nii", &changed(108, &(-7f32).to_le_bytes())).contains("byte -7"));
    let mut flat = changed(252, &[0, 0, 1, 0]);
    flat[280..328].fill(0);
    assert!(refusal("sform.nii", &flat).contains("sform"));
    assert!(refusal("qform.nii", &changed(256, &f32::NAN.to_le_bytes())).contains("qform"));
    // The size of a voxel follows from its type, whatever the header's second word on it.
    let (_folder, path) = temporary("bitpix.nii");
    fs::write(&path, changed(72, &[0xff, 0xff])).unwrap();
    assert_eq!(
        read_image(&path).unwrap(),
        read_image(&fixture("int8_qform.nii")).unwrap()
    );
}

#[test]
fn dimensions_of_two_to_the_31_are_refused_at_once() {
    let mut bytes = gunzip(&fs::read(fixture("nifti2.nii.gz")).unwrap());
    for axis in 0..3 {
        bytes[24 + 8 * axis..32 + 8 * axis].copy_from_slice(&(1i64 << 31).to_le_bytes());
    }
    assert!(refusal("absurd.nii", &bytes).contains("more than any scan"));
    assert!(refusal("absurd.nii.gz", &gzip(&bytes)).contains("more than any scan"));
    // Just as many as might be: the data decides.
    bytes[24..32].copy_from_slice(&(1i64 << 10).to_le_bytes());
    bytes[32..40].copy_from_slice(&(1i64 << 11).to_le_bytes());
    bytes[40..48].copy_from_slice(&(1i64 << 11).to_le_bytes());
    assert!(refusal("large.nii", &bytes).contains("data ends after 240 bytes"));
}

/// Files of all forms, unpacked, and what there is to find in them.
fn seeds() -> Vec<Vec<u8>> {
    let names = ["uint8_extension.nii", "nifti2_big_endian_qform.nii"];
    let plain = names.map(|name| fs::read(fixture(name)).unwrap());
    let packed = fs::read(fixture("big_endian_int16.nii.gz")).unwrap();
    let unpacked = gunzip(&packed);
    plain.into_iter().chain([packed, unpacked]).collect()
}

proptest! {
    /// The command for many more: `PROPTEST_CASES=1000000 cargo test --release --test volume bytes`.
    #[test]
    fn damaged_bytes_give_a_volume_or_an_error_but_no_panic(
        seed in 0..4usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in prop::option::of(any::<prop::sample::Index>()),
        repack: bool,
    ) {
        let mut bytes = seeds().swap_remove(seed);
        for (at, byte) in changes {
            // Headers, where the promises are, more often than voxels.
            let at = at.index(bytes.len().min(560));
            bytes[at] = byte;
        }
        if let Some(length) = length {
            bytes.truncate(length.index(bytes.len()));
        }
        if repack {
            bytes = gzip(&bytes);
        }
        let (_folder, path) = temporary("damaged.nii");
        fs::write(&path, bytes).unwrap();
        match read_scan(&path) {
            Ok(scan) => prop_assert!(scan.volume.voxels.len() < 10_000),
            Err(error) => prop_assert!(error.to_string().contains("damaged.nii")),
        }
    }
}

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
        let mut scan = read_scan(&fixture(name)).unwrap();
        scan.encoding.units = 10; // mm and seconds
        let (_folder, path) = temporary(name);
        write_image(&path, &scan.volume, scan.encoding).unwrap();
        let back = read_scan(&path).unwrap();
        assert_eq!(back.encoding, scan.encoding, "{name}");
        assert_eq!(back.volume.voxels, scan.volume.voxels, "{name}");
    }
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
