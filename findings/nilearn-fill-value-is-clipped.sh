#!/usr/bin/env bash
# nilearn 0.14.1: resample_img(fill_value=-1000) fills with 0, and fill_value=1000 with the brightest voxel.
#
# Guess: outside the scan stands what was asked for, such as the -1000 of air that a CT needs, or a value that marks
# voxels as unknown.
# Seen: the fill is clipped to the range of the image, to which 0 is counted. The clipping is meant against overshoot of
# splines (its parameter `clip` says so), but it is done for linear interpolation and to the fill, too.
#
# Seen 2026-11-30 with nilearn 0.14.1, scipy 1.17.1, numpy 2.4.6 (Python 3.11), intensities from 10 to 60: -1000 becomes
# 0, 1000 becomes 60. Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nilearn==0.14.1 scipy==1.17.1 numpy==2.4.6
venv/bin/python -W ignore - <<'PY' | tee seen
import nibabel as nib
import numpy as np
from nilearn.image import resample_img

scan = np.linspace(10, 60, 1000, dtype=np.float32).reshape(10, 10, 10)
away = np.eye(4)
away[0, 3] = -5  # the first five planes lie outside
for fill in (-1000, 1000):
    moved = resample_img(nib.Nifti1Image(scan, np.eye(4)), away, (10, 10, 10), interpolation="linear", fill_value=fill,
                         copy_header=True, force_resample=True)
    print(fill, np.unique(moved.get_fdata()[:5]).tolist())
PY
diff seen - <<'SEEN'
-1000 [0.0]
1000 [60.0]
SEEN
