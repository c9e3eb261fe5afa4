#!/usr/bin/env bash
# Makes experiments/data/heads from the ten native heads (OpenfMRI ds000011, defaced, with BET
# masks) in the folder given:  bash experiments/data/make-heads.sh NATIVE_HEADS [CALVARIA]
set -euo pipefail
native=$1
calvaria=${2:-target/release/calvaria}
here=$(cd "$(dirname "$0")" && pwd)/heads
for image in "$native"/sub-*/sub-*_T1w.nii.gz; do
  name=$(basename "$image" .nii.gz)
  subject=${name%_T1w}
  mkdir -p "$here/$subject"
  "$calvaria" preprocess '{resample: {spacing: [3, 3, 3], shape: null, interpolation: linear, antialias: true}}' \
    "$image" "$here/$subject/$name.nii.gz" --dtype int16
  "$calvaria" preprocess '{resample: {spacing: [3, 3, 3], shape: null, interpolation: nearest}}' \
    "${image%.nii.gz}_brainmask.nii.gz" "$here/$subject/${name}_brainmask.nii.gz" --dtype uint8
done
