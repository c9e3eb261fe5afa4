#!/usr/bin/env bash
# half 2.7.1, and with it burn-flex 0.21.0: a value a little above the middle between two numbers of bf16 is rounded down.
#
# Guess: a float32 becomes the nearest bf16, whichever function of the crate `half` converts it, and float64 in between
# changes nothing, as every float32 is a float64.
# Seen: 1.00390637 lies above 1.00390625, the middle between 1 and 1.0078125. `bf16::from_f32` gives 1.0078125,
# `bf16::from_f64` gives 1: it drops the lower 32 bits before it rounds, and takes the value for a tie, which goes to the
# even number. Burn's CPU backend casts float32 to bf16 through float64, so a tensor gets 1 as well. Affected are values less
# than 2^-13 of a place of bf16 above a tie whose even number is the lower one: of random values one in 19 thousand.
#
# Seen 2026-12-01 with half 2.7.1, burn 0.21.0 and burn-flex 0.21.0, rustc 1.95. Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "rounding"
version = "0.0.0"
edition = "2021"
[dependencies]
burn = { version = "=0.21.0", default-features = false, features = ["std"] }
burn-flex = { version = "=0.21.0", default-features = false, features = ["std"] }
half = "=2.7.1"
[profile.dev]
debug = false
TOML
cat >src/main.rs <<'RUST'
use burn::tensor::{FloatDType, Tensor};
use burn_flex::Flex;
use half::bf16;

fn main() {
    for value in [1.00390613f32, 1.00390625, 1.00390637, 1.00390720] {
        let tensor = Tensor::<Flex, 1>::from_floats([value], &Default::default());
        let cast = tensor.cast(FloatDType::BF16).cast(FloatDType::F32);
        println!(
            "{value:.8}: from_f32 {}, from_f64 {}, a tensor {}",
            bf16::from_f32(value),
            bf16::from_f64(f64::from(value)),
            cast.into_scalar(),
        );
    }
}
RUST
unset CARGO_TARGET_DIR
cargo run --quiet 2>errors | tee seen || { cat errors; exit 1; }
diff seen - <<'SEEN'
1.00390613: from_f32 1, from_f64 1, a tensor 1
1.00390625: from_f32 1, from_f64 1, a tensor 1
1.00390637: from_f32 1.0078125, from_f64 1, a tensor 1
1.00390720: from_f32 1.0078125, from_f64 1.0078125, a tensor 1.0078125
SEEN
