#!/usr/bin/env bash
# Burn 0.21.0 on wgpu: pooling down to one voxel per channel and a reshape give wrong numbers, most of them 0.
#
# Guess: a reshape changes no number, whatever operation the tensor comes from.
# Seen: of the maxima 3, 7, 11, 15, 19, 23 of two samples with three channels each, [2, 3, 1, 1] reshaped to [2, 3, 1, 1, 1]
# reads 3, 15, 0, 0, 0, 0. Pooling leaves channels last in memory, and the reshape mistakes the strides of such a tensor
# where axes of length 1 follow. The pooled tensor itself is right, and so is the reshape of one sample, or to [2, 3].
#
# Seen 2026-11-30 with burn 0.21.0 and burn-wgpu 0.21.0 (Vulkan; Mesa's lavapipe 22.3.6, rustc 1.95). Exits with 1 if that
# changes. Needs a Vulkan driver: Debian's mesa-vulkan-drivers has one in software. Compiles for some minutes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "pooling"
version = "0.0.0"
edition = "2021"
[dependencies]
burn = { version = "=0.21.0", default-features = false, features = ["std"] }
burn-wgpu = { version = "=0.21.0", default-features = false, features = ["std", "vulkan"] }
[profile.dev]
debug = false
TOML
cat >src/main.rs <<'RUST'
use burn::tensor::{Tensor, module::max_pool2d};
use burn_wgpu::Vulkan;

fn main() {
    let device = Default::default();
    let numbers: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let x = Tensor::<Vulkan, 1>::from_floats(numbers.as_slice(), &device).reshape([2, 3, 2, 2]);
    let pooled = max_pool2d(x, [2, 2], [2, 2], [0, 0], [1, 1], false);
    let row: Tensor<Vulkan, 2> = pooled.clone().reshape([2, 3]);
    let volume: Tensor<Vulkan, 5> = pooled.clone().reshape([2, 3, 1, 1, 1]);
    for (name, data) in [
        ("pooled", pooled.into_data()),
        ("[2, 3]", row.into_data()),
        ("[2, 3, 1, 1, 1]", volume.into_data()),
    ] {
        println!("{name}: {:?}", data.to_vec::<f32>().unwrap());
    }
}
RUST
unset CARGO_TARGET_DIR
cargo run --quiet 2>errors | tee seen || { cat errors; exit 1; }
diff seen - <<'SEEN'
pooled: [3.0, 7.0, 11.0, 15.0, 19.0, 23.0]
[2, 3]: [3.0, 7.0, 11.0, 15.0, 19.0, 23.0]
[2, 3, 1, 1, 1]: [3.0, 15.0, 0.0, 0.0, 0.0, 0.0]
SEEN
