#!/usr/bin/env bash
# SimpleITK 2.5.7: N4 with a mask of 0 and 255 returns the image unchanged and reports success.
#
# Guess: a mask is what is not 0, as in ANTs' N4 (antspyx 0.6.3 corrects with the same mask); or a mask without a voxel
# of the label that is looked for is an error.
# Seen: the filter looks for label 1, finds none, and returns the input bit for bit, with a log bias field of 0.
# Masks of 0 and 255 are what many tools write.
#
# Seen 2026-11-30 with SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PY' | tee seen
import numpy as np
import SimpleITK as sitk

# A ball of 100 under a field that rises threefold from left to right.
x, y, z = np.indices((32, 32, 32)) - 16.0
ball = (x**2 + y**2 + z**2 < 150).astype(np.uint8)
noise = np.random.default_rng(0).normal(0, 1, ball.shape)
scan = ((100 + noise) * np.exp(0.5 * x / 16)).astype(np.float32)
image = sitk.GetImageFromArray(scan)
for value in (1, 255):
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([20, 20])
    corrected = sitk.GetArrayFromImage(n4.Execute(image, sitk.GetImageFromArray(ball * value)))
    spread = [x[ball == 1].std() / x[ball == 1].mean() for x in (scan, corrected)]
    less = spread[1] < 0.5 * spread[0]
    print(f"mask of {value}: unchanged {np.array_equal(corrected, scan)}, half as uneven {less}")
PY
diff seen - <<'SEEN'
mask of 1: unchanged False, half as uneven True
mask of 255: unchanged True, half as uneven False
SEEN
