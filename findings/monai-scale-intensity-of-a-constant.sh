#!/usr/bin/env bash
# MONAI 1.6.1: ScaleIntensity(minv=10, maxv=20) makes 70 of a constant image of 7.
#
# Guess: the result lies between minv and maxv: 10 (as MONAI's own ScaleIntensityRangePercentiles gives), 20, or an error.
# Seen: 7 x minv = 70. A constant image is multiplied by the lower end of the range, so an empty patch of air at 1000
# lands at 10000 in a network's input that is otherwise within 10 and 20. With the default range (0 to 1) it is 0, which
# hides it.
#
# Seen 2026-11-30 with MONAI 1.6.1, PyTorch 2.15.0 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check monai==1.6.1 torch==2.15.0
venv/bin/python -W ignore - <<'PY' | tee seen
import torch
from monai.transforms import ScaleIntensity, ScaleIntensityRangePercentiles

constant = torch.full((1, 4, 4, 4), 7.0)
print("ScaleIntensity", ScaleIntensity(minv=10, maxv=20)(constant).unique().tolist())
print("ScaleIntensityRangePercentiles", ScaleIntensityRangePercentiles(0, 100, 10, 20)(constant).unique().tolist())
PY
diff seen - <<'SEEN'
ScaleIntensity [70.0]
ScaleIntensityRangePercentiles [10.0]
SEEN
