#!/usr/bin/env bash
# One table of training steps and predictions on a GPU, calvaria against PyTorch. Builds nothing and
# downloads nothing:
#
#   benches/gpu.sh PROGRAM [DEVICE]       # target/release/calvaria built with --features cuda; cuda:0
#
# Ours is f32 (on CUDA Burn's convolutions round their factors to tf32) and bf16 (`train.precision`).
# PyTorch is that of `python3` (or $PYTHON), as f32, tf32 and bf16 autocast, channels last, benchmark mode;
# without it its columns stay empty. Every measurement is a process of its own, calvaria's two: the first one's
# first step compiles and tunes every kernel, the second one's what CubeCL and the driver do not keep. Memory
# is what the GPU has in use above what it had before. On `cpu` (to try it out) sizes are small and memory is the program's.
set -euo pipefail
program=$(realpath "${1:?usage: benches/gpu.sh PROGRAM [DEVICE]}")
device=${2:-cuda:0}
cd "$(dirname "$0")/.."
exec "${PYTHON:-python3}" benches/gpu.py "$program" "$device"
