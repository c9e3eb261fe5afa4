#!/usr/bin/env bash
# Makes nnunet/ from two soft-tissue sarcomas in nnU-Net's names (T1, CT, PET): T1 and CT at 5 mm.
#   bash make-nnunet.sh FOLDER_WITH_imagesTr_AND_labelsTr
set -euo pipefail
from=${1:?the folder that holds imagesTr and labelsTr}
cd "$(dirname "$0")"
coarser() { calvaria preprocess "{resample: {spacing: [5, 5, 5], shape: null, $3}}" "$1" "$2" --dtype "$4"; }
for case in STS_002 STS_003; do
  for image in 0000 0001; do
    coarser "$from/imagesTr/${case}_$image.nii.gz" "nnunet/imagesTr/${case}_$image.nii.gz" \
      "interpolation: linear, antialias: true" float32
  done
  coarser "$from/labelsTr/$case.nii.gz" "nnunet/labelsTr/$case.nii.gz" "interpolation: nearest" uint8
done
