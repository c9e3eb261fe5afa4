#!/usr/bin/env bash
# cubek-matmul 0.2.0 (Burn 0.21's matrix products on GPUs): `double_unit` is wrong by the largest value of the product.
#
# Guess: strategies of one product differ in speed alone, since Burn chooses the one that it measures as the fastest.
# Seen: with 8 columns on the left and the right factor stored by columns (a transposed weight)
# most numbers are wrong, while `simple_unit`, on the same inputs, is exact. With 16 columns, or with the right
# factor stored by rows, both are exact. Which of them a network gets depends on the machine and on the day's timing.
#
# Seen 2026-11-30 with cubek-matmul 0.2.0, cubecl-wgpu 0.10.0 (Vulkan; Mesa's lavapipe 22.3.6, rustc 1.95), 686x8 by 8x16.
# Exits with 1 if that changes. Needs a Vulkan driver: Debian's mesa-vulkan-drivers
# has one in software. Compiles for some minutes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "products"
version = "0.0.0"
edition = "2021"
[dependencies]
cubecl = "=0.10.0"
cubecl-std = "=0.10.0"
cubecl-wgpu = { version = "=0.10.0", features = ["spirv"] }
cubek-matmul = "=0.2.0"
cubek-std = "=0.2.0"
[profile.dev]
debug = false
TOML
cat >src/main.rs <<'RUST'
use cubecl::{prelude::*, Runtime};
use cubecl_std::tensor::TensorHandle;
use cubecl_wgpu::WgpuRuntime;
use cubek_matmul::definition::MatmulElems;
use cubek_matmul::launch::{launch_ref, Strategy};
use cubek_matmul::routines::BlueprintStrategy::Inferred;
use cubek_std::InputBinding;

fn main() {
    let client = WgpuRuntime::client(&Default::default());
    let f32s = f32::as_type_native_unchecked().storage_type();
    let tensor = |shape: [usize; 2], values: &[f32]| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        TensorHandle::<WgpuRuntime>::new_contiguous(shape, client.create_from_slice(&bytes), f32s)
    };
    let (m, n) = (686, 16);
    for k in [8, 16] {
        // Small whole numbers, so that every sum is exact.
        let a: Vec<f32> = (0..m * k).map(|i| (i * 7919 % 13) as f32 - 6.0).collect();
        let b: Vec<f32> = (0..n * k).map(|i| (i * 104729 % 11) as f32 - 5.0).collect();
        let dot = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[j * k + l]).sum::<f32>();
        let right: Vec<f32> = (0..m * n).map(|at| dot(at / n, at % n)).collect();
        for (name, strategy) in [
            ("simple_unit", Strategy::SimpleUnit(Inferred(Default::default()))),
            ("double_unit", Strategy::DoubleUnit(Inferred(Default::default()))),
        ] {
            let out = tensor([m, n], &vec![0.0; m * n]);
            let lhs = InputBinding::new(tensor([m, k], &a).binding(), f32s);
            // n x k by rows, seen as k x n.
            let mut rhs = InputBinding::new(tensor([n, k], &b).binding(), f32s);
            rhs.swap_dims(0, 1);
            let mut types = MatmulElems::from_single_dtype(f32::as_type_native_unchecked());
            launch_ref(&strategy, &client, lhs, rhs, out.clone().binding(), &mut types).unwrap();
            let bytes = client.read_one_unchecked(out.handle.clone());
            let found = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            let wrong = found.zip(&right).filter(|(found, right)| found != *right).count();
            println!("{m}x{k} by {k}x{n}, {name}: more than half wrong: {}", 2 * wrong > m * n);
        }
    }
}
RUST
unset CARGO_TARGET_DIR
export RUST_MIN_STACK=67108864
cargo run --quiet 2>errors | tee seen || { cat errors; exit 1; }
diff seen - <<'SEEN'
686x8 by 8x16, simple_unit: more than half wrong: false
686x8 by 8x16, double_unit: more than half wrong: true
686x16 by 16x16, simple_unit: more than half wrong: false
686x16 by 16x16, double_unit: more than half wrong: false
SEEN
