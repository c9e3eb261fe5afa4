#!/usr/bin/env bash
# SimpleITK 2.5.7: the volume similarity of a mask with itself is 0, not 1, and it has a sign.
#
# Guess: a similarity is 1 for equal volumes and falls towards 0, as Taha and Hanbury define it: 1 - ||A| - |B|| /
# (|A| + |B|).
# Seen: it is 2 (|A| - |B|) / (|A| + |B|): 0 for equal volumes, -2/3 where the first mask is half of the second, +2/3
# the other way round. The mean over cases that are too small and too large by as much is 0, which is the best value.
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

whole = np.zeros((4, 4, 4), np.uint8)
whole[:2] = 1
half = whole.copy()
half[1] = 0
none = np.zeros_like(whole)
for name, a, b in (("itself", whole, whole), ("half", half, whole), ("twice", whole, half), ("nothing", none, whole)):
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(sitk.GetImageFromArray(a), sitk.GetImageFromArray(b))
    print(name, round(overlap.GetVolumeSimilarity(), 4))
PY
diff seen - <<'SEEN'
itself 0.0
half -0.6667
twice 0.6667
nothing -2.0
SEEN
