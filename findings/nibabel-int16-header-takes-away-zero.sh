#!/usr/bin/env bash
# nibabel 5.4.2: float results saved under the header of an int16 scan have no voxel that is 0 any more.
#
# Guess: saving as int16 rounds a little; background that is exactly 0 stays exactly 0, or the file becomes float.
# Seen: the header's int16 decides. nibabel chooses slope and offset so that the range fills all 65536 numbers, and no
# stored number means 0. Read back, `data != 0` is the whole grid, and so is every mask made that way.
#
# Seen 2026-11-30 with nibabel 5.4.2, numpy 2.4.6 (Python 3.11): of 1216 voxels at 0 around a z-scored brain none is left.
# Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
venv/bin/python - <<'PY' | tee seen
import nibabel as nib
import numpy as np

rng = np.random.default_rng(0)
scan = np.zeros((10, 12, 12), np.int16)
scan[2:8, 3:9, 2:10] = rng.integers(50, 200, (6, 6, 8))
scan[4:8, 4:8, 4:8] = 0
source = nib.Nifti1Image(scan, np.eye(4))

brain = scan > 0
scored = np.zeros(scan.shape)
scored[brain] = (scan[brain] - scan[brain].mean()) / scan[brain].std()
nib.save(nib.Nifti1Image(scored, source.affine, source.header), "scored.nii")
read = nib.load("scored.nii").get_fdata()
print("zeros before", int((scored == 0).sum()), "after", int((read == 0).sum()))
PY
diff seen - <<'SEEN'
zeros before 1216 after 0
SEEN
