#!/usr/bin/env bash
# A NIfTI header with scl_slope 0 means "not scaled"; SimpleITK 2.5.7 adds scl_inter all the same, nibabel 5.4.2 does not.
#
# Guess: nifti1.h says "if the scl_slope field is nonzero, then each voxel value should be scaled", so that scl_inter
# means nothing beside a slope of 0, and every reader returns the stored 7.
# Seen: nibabel 7, SimpleITK 12 (7 + 5). The type tells it as well: float32 in place of the file's int16.
#
# Seen 2026-11-30 with nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11). Exits with 1 if that changes.
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

nib.save(nib.Nifti1Image(np.full((4, 4, 4), 7, np.int16), np.eye(4)), "scan.nii")
with open("scan.nii", "r+b") as file:
    file.seek(112)  # scl_slope, scl_inter
    file.write(np.array([0, 5], "<f4").tobytes())
print("nibabel", nib.load("scan.nii").get_fdata()[0, 0, 0])
image = sitk.ReadImage("scan.nii")
print("SimpleITK", image.GetPixelIDTypeAsString(), image[0, 0, 0])
PY
diff seen - <<'SEEN'
nibabel 7.0
SimpleITK 32-bit float 12.0
SEEN
