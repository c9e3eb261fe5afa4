#!/usr/bin/env bash
# SimpleITK 2.5.7: the Dice coefficient of two empty masks is infinite, their Jaccard coefficient 1.8e308.
#
# Guess: 0/0 is NaN, or 1 since the masks agree, or 0; in any case a share stays within 0 and 1, and the two measures of
# the same thing treat it alike.
# Seen: Dice is inf, Jaccard and the errors are the largest number of double precision, and nothing is reported. One
# structure that is rightly not found makes the mean over all cases infinite, or overflows it.
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

empty = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.uint8))
overlap = sitk.LabelOverlapMeasuresImageFilter()
overlap.Execute(empty, empty)
for name in ("DiceCoefficient", "JaccardCoefficient", "FalseNegativeError"):
    print(name, getattr(overlap, f"Get{name}")())
PY
diff seen - <<'SEEN'
DiceCoefficient inf
JaccardCoefficient 1.7976931348623157e+308
FalseNegativeError 1.7976931348623157e+308
SEEN
