#!/usr/bin/env bash
# nibabel 5.4.2: after header.set_zooms(2 mm) the affine is still that of 1 mm, and ITK reads the other one.
#
# Guess: the voxel size is one property of an image: who sets it and saves the file has a scan of 2 mm, or an error.
# Seen: the header's pixdim is 2, the sform stays at 1. nibabel reads the file with voxels of 1 mm, SimpleITK, which goes
# by the qform here, with voxels of 2 mm. The same mask has 8 times the volume in one program of what it has in the
# other.
#
# Seen 2026-11-30 with nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11): volume 1000.0 by nibabel's affine,
# 8000.0 by its own zooms and by SimpleITK. Exits with 1 if that changes.
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

image = nib.Nifti1Image(np.ones((10, 10, 10), np.uint8), np.eye(4))
image.header.set_zooms((2, 2, 2))
nib.save(image, "mask.nii")

sitk.ProcessObject_SetGlobalWarningDisplay(False)
read, itk = nib.load("mask.nii"), sitk.ReadImage("mask.nii")
print("by nibabel's affine", 1000 * abs(np.linalg.det(read.affine[:3, :3])))
print("by nibabel's zooms", 1000 * float(np.prod(read.header.get_zooms())))
print("by SimpleITK", 1000 * float(np.prod(itk.GetSpacing())))
PY
diff seen - <<'SEEN'
by nibabel's affine 1000.0
by nibabel's zooms 8000.0
by SimpleITK 8000.0
SEEN
