#!/usr/bin/env bash
# Makes bids/: three of the heads in experiments/data at 8 mm, in the layout of BIDS.
# Run in results/golden/data, with calvaria on PATH.
set -euo pipefail
heads=../../../experiments/data/heads
for subject in sub-01 sub-02 sub-03; do
  calvaria preprocess '[{resample: {spacing: [8, 8, 8], shape: [24, 32, 32]}}]' --dtype int16 \
    "$heads/$subject/${subject}_T1w.nii.gz" "bids/$subject/anat/${subject}_T1w.nii.gz"
  calvaria preprocess \
    '[{resample: {spacing: [8, 8, 8], shape: [24, 32, 32], interpolation: nearest, antialias: false}}]' \
    --dtype uint8 "$heads/$subject/${subject}_T1w_brainmask.nii.gz" \
    "bids/derivatives/masks/$subject/anat/${subject}_desc-brain_mask.nii.gz"
done
