#!/usr/bin/env bash
# nilearn 0.14.1: resampling a scan to half the voxel size over the same box gives a dark shell; SimpleITK does not.
#
# Guess: a voxel of 2 mm covers 2 mm. A grid of 1 mm over exactly the same box lies inside the scan, so a constant scan
# stays constant.
# Seen: for resample_img the scan ends at the centres of its outermost voxels. All voxels of the new grid's outer shell
# (a quarter of a voxel inside the box) get the fill value, even by nearest neighbour, where each lies in a voxel of
# the source. SimpleITK's filter returns 100 everywhere.
#
# Seen 2026-11-30 with nilearn 0.14.1, scipy 1.17.1, SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11): 2168 of 8000 voxels are
# 0. Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nilearn==0.14.1 scipy==1.17.1 SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python -W ignore - <<'PY' | tee seen
import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nilearn.image import resample_img

scan = np.full((10, 10, 10), 100, np.float32)
fine = np.diag([1.0, 1, 1, 1])
fine[:3, 3] = -0.5  # voxel 0 of 2 mm reaches from -1 to 1 mm
image = nib.Nifti1Image(scan, np.diag([2.0, 2, 2, 1]))
for how in ("nearest", "linear"):
    moved = resample_img(image, fine, (20, 20, 20), interpolation=how, copy_header=True, force_resample=True)
    print("nilearn", how, int((moved.get_fdata() == 0).sum()))

source = sitk.GetImageFromArray(scan)
source.SetSpacing((2, 2, 2))
moved = sitk.Resample(source, (20, 20, 20), sitk.Transform(), sitk.sitkNearestNeighbor, (-0.5,) * 3, (1.0,) * 3)
print("SimpleITK nearest", int((sitk.GetArrayFromImage(moved) == 0).sum()))
PY
diff seen - <<'SEEN'
nilearn nearest 2168
nilearn linear 2168
SimpleITK nearest 0
SEEN
