#!/usr/bin/env bash
# The crate nifti 0.18.0 casts stored numbers to the type that is asked for before it scales them: 300 x 0.5 as u8 is 22.
#
# Guess: the intensity is 150, which a byte holds; or what is stored does not fit and that is an error.
# Seen: 300 wraps to 44, and 44 x 0.5 = 22. As f32 the same voxel is 150. So masks and labels that a program stored as
# int16 with a slope come out as other labels, without an error.
#
# Seen 2026-11-30 with nifti 0.18.0 (rustc 1.95). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "casts"
version = "0.0.0"
edition = "2021"
[dependencies]
nifti = { version = "=0.18.0", features = ["ndarray_volumes"] }
TOML
cat >src/main.rs <<'RUST'
use nifti::{IntoNdArray, NiftiObject, ReaderOptions};

fn main() {
    // A header of nifti1.h with one voxel: int16, 300, slope 0.5.
    let mut file = vec![0u8; 354];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &348i32.to_le_bytes());
    for (axis, n) in [3i16, 1, 1, 1, 1, 1, 1, 1].iter().enumerate() {
        put(40 + 2 * axis, &n.to_le_bytes());
    }
    put(70, &4i16.to_le_bytes());
    put(72, &16i16.to_le_bytes());
    put(108, &352f32.to_le_bytes());
    put(112, &0.5f32.to_le_bytes());
    put(344, b"n+1\0");
    put(352, &300i16.to_le_bytes());
    std::fs::write("scan.nii", file).unwrap();
    let read = || ReaderOptions::new().read_file("scan.nii").unwrap().into_volume();
    println!("f32 {}", read().into_ndarray::<f32>().unwrap()[[0, 0, 0]]);
    println!("u8 {}", read().into_ndarray::<u8>().unwrap()[[0, 0, 0]]);
}
RUST
unset CARGO_TARGET_DIR
cargo run --quiet | tee seen
diff seen - <<'SEEN'
f32 150
u8 22
SEEN
