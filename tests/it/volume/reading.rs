//! Reading NIfTI files against nibabel, and the messages about damaged ones.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use calvaria::volume::Affine;
use calvaria::volume::nifti::{Placement, read_image, read_mask, read_mask_by, read_scan};
use calvaria::volume::orientation::AxisCodes;
use calvaria::volume::{Marked, MaskRule};
use proptest::prelude::*;
use serde::Deserialize;
use tempfile::TempDir;

use crate::common::amount;

pub fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/volume"
    ))
    .join(name)
}

pub fn temporary(name: &str) -> (TempDir, PathBuf) {
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
    assert_eq!(scan.forms.placement().0, Placement::VoxelSizes);
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
fn odd_headers_mean_what_the_agreement_page_says() {
    let plain = fs::read(fixture("int8_qform.nii")).unwrap();
    let expected = read_image(&fixture("int8_qform.nii")).unwrap();
    let read = |changes: &[(usize, &[u8])]| {
        let mut bytes = plain.clone();
        for (at, new) in changes {
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        let (_folder, path) = temporary("odd.nii");
        fs::write(&path, bytes).unwrap();
        read_image(&path)
    };
    // A negative voxel size, and voxels that start where they can.
    let size = f32::from_le_bytes(*plain[80..].first_chunk().unwrap());
    assert_eq!(read(&[(80, &(-size).to_le_bytes())]).unwrap(), expected);
    assert_eq!(read(&[(108, &0f32.to_le_bytes())]).unwrap(), expected);
    for offset in [f32::INFINITY, f32::NAN] {
        let why = read(&[(112, &1f32.to_le_bytes()), (116, &offset.to_le_bytes())]);
        let why = why.unwrap_err().to_string();
        assert!(why.contains("scl_inter"), "{why}");
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
fn members_after_one_another_and_zeros_at_the_end_are_read_as_gunzip_reads_them() {
    let packed = fs::read(fixture("int32.nii.gz")).unwrap();
    let plain = gunzip(&packed);
    let (first, second) = plain.split_at(plain.len() / 2);
    let members = [gzip(first), gzip(second), vec![0; 70_000]].concat();
    for (name, bytes) in [
        ("padded.nii.gz", [&packed[..], &[0; 512]].concat()),
        ("members.nii.gz", members),
    ] {
        let (_folder, path) = temporary(name);
        fs::write(&path, bytes).unwrap();
        let expected = read_image(&fixture("int32.nii.gz")).unwrap();
        assert_eq!(read_image(&path).unwrap(), expected, "{name}");
    }
    assert!(refusal("stray.nii.gz", &[&packed[..], b"\n"].concat()).contains("stray"));
    assert!(refusal("later.nii.gz", &[&packed[..], &[0, 0, 1]].concat()).contains("zeros"));
}

#[test]
fn whole_numbers_that_single_precision_cannot_keep_are_warned_of() {
    let mut bytes = fs::read(fixture("int8_qform.nii")).unwrap();
    let scan = read_scan(&fixture("int8_qform.nii")).unwrap();
    let count = scan.volume.voxels.len();
    assert_eq!(scan.rounded, 0);
    bytes.truncate(352);
    bytes[70..74].copy_from_slice(&[8, 0, 32, 0]);
    bytes[112..120].fill(0);
    let numbers = (0..count as i32).map(|n| if n < 2 { (1 << 24) + 1 } else { 1 << 24 });
    bytes.extend(numbers.flat_map(i32::to_le_bytes));
    let (_folder, path) = temporary("int32.nii");
    fs::write(&path, bytes).unwrap();
    let scan = read_scan(&path).unwrap();
    assert_eq!(scan.rounded, 2);
    assert!(
        scan.warnings()[0].starts_with("2 voxels"),
        "{:?}",
        scan.warnings()
    );
}

#[test]
fn a_scaling_too_fine_for_single_precision_is_warned_of() {
    let bytes = fs::read(fixture("scaled_int16.nii")).unwrap();
    assert_eq!(read_scan(&fixture("scaled_int16.nii")).unwrap().rounded, 0);
    let mut fine = bytes.clone();
    fine[112..116].copy_from_slice(&1e-6f32.to_le_bytes());
    fine[116..120].copy_from_slice(&1e6f32.to_le_bytes());
    let (_folder, path) = temporary("fine.nii");
    fs::write(&path, fine).unwrap();
    assert!(read_scan(&path).unwrap().rounded > 0);
    // Voxels that no scanner has.
    let mut tiny = fs::read(fixture("int8_qform.nii")).unwrap();
    tiny[80..84].copy_from_slice(&1e-30f32.to_le_bytes());
    let why = refusal("tiny.nii", &tiny);
    assert!(why.contains("smaller than any scanner's"), "{why}");
}

#[test]
fn a_scan_is_no_mask_and_the_refusal_names_its_values() {
    let why = read_mask(&fixture("scaled_int16.nii"))
        .unwrap_err()
        .to_string();
    let image = read_image(&fixture("scaled_int16.nii")).unwrap();
    let least = image.voxels.iter().copied().fold(f32::MAX, f32::min);
    let told = format!("different values from {least} to");
    assert!(
        why.contains("scaled_int16.nii is not a mask") && why.contains(&told),
        "{why}"
    );
    let threshold = MaskRule {
        marked: Marked::From(0.0),
        ..MaskRule::STRICT
    };
    let mask = read_mask_by(&fixture("scaled_int16.nii"), &threshold).unwrap();
    for (mask, value) in mask.voxels.iter().zip(&image.voxels) {
        assert_eq!(*mask, u8::from(*value >= 0.0));
    }
}

#[test]
fn kinds_of_file_that_are_no_scan_are_refused_with_what_to_do() {
    for (name, reason) in [
        ("two_volumes.nii.gz", "2 volumes"),
        ("complex.nii.gz", "complex"),
        ("rgb.nii.gz", "colours"),
        ("plane.nii.gz", "not a 3-D image"),
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
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let names = ["uint8_extension.nii", "nifti2_big_endian_qform.nii"];
    let plain = names.map(|name| fs::read(fixture(name)).unwrap());
    let packed = fs::read(fixture("big_endian_int16.nii.gz")).unwrap();
    let unpacked = gunzip(&packed);
    plain.into_iter().chain([packed, unpacked]).collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(amount(256, 1_000_000)))]

    #[test]
    fn damaged_bytes_give_a_volume_or_an_error_but_no_panic(
        seed in 0..4usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in prop::option::of(any::<prop::sample::Index>()),
        repack: bool,
    ) {
        let mut bytes = SEEDS[seed].clone();
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
