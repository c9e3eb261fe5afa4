#!/usr/bin/env bash
# A NIfTI file whose qform and sform code are 0: nibabel 5.4.2 and SimpleITK 2.5.7 read mirror images of each other.
#
# Guess: without a form a reader has voxel sizes alone, so programs differ by where they put the origin, if at all.
# Seen: nibabel mirrors x and centres the grid; SimpleITK mirrors x and y and begins at voxel 0. The two grids differ
# by a reflection front to back, which no translation or rotation undoes. Neither prints anything.
#
# Seen 2026-11-30 with nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11), voxels of 2 x 3 x 4 mm, 5 x 6 x 7 of
# them; RAS: nibabel [-2, 3, 4] from [4, -7.5, -12], SimpleITK [-2, -3, 4] from [0, 0, 0]. Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PY' | tee seen
import nibabel as nib
import numpy as np
import SimpleITK as sitk

image = nib.Nifti1Image(np.ones((5, 6, 7), np.int16), None)
image.header.set_zooms((2, 3, 4))
nib.save(image, "scan.nii")

read, itk = nib.load("scan.nii"), sitk.ReadImage("scan.nii")
print("codes", int(read.header["qform_code"]), int(read.header["sform_code"]))
print("nibabel", np.diag(read.affine)[:3].tolist(), read.affine[:3, 3].tolist())
lps_to_ras = np.array([-1, -1, 1])
axes = lps_to_ras * np.diag(np.array(itk.GetDirection()).reshape(3, 3)) * itk.GetSpacing()
print("SimpleITK", axes.tolist(), (lps_to_ras * itk.GetOrigin() + 0.0).tolist())
PY
diff seen - <<'SEEN'
codes 0 0
nibabel [-2.0, 3.0, 4.0] [4.0, -7.5, -12.0]
SimpleITK [-2.0, -3.0, 4.0] [0.0, 0.0, 0.0]
SEEN
