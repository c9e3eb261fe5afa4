#!/usr/bin/env bash
# MONAI 1.6.1: moving a label map by half a voxel with mode "nearest" doubles every other plane and drops the rest.
#
# Guess: halfway between two voxels nearest neighbour takes the lower or the higher one, the same for all planes, so that
# the result is the map moved by a whole voxel or by none, as in SciPy, nilearn and ITK.
# Seen: PyTorch's grid_sample rounds to the even index. Labels 1 2 3 4 5 6 become 1 1 3 3 5 5: labels of one plane, such as
# thin structures in every second plane, vanish.
#
# Seen 2026-11-30 with MONAI 1.6.1, PyTorch 2.15.0, SimpleITK 2.5.7 (Python 3.11); SimpleITK gives 1 2 3 4 5 6. Exits with 1
# if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check monai==1.6.1 torch==2.15.0 SimpleITK==2.5.7
venv/bin/python -W ignore - <<'PY' | tee seen
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample

labels = torch.arange(1.0, 7).reshape(1, 6, 1, 1).expand(1, 6, 3, 3).clone()
half = torch.eye(4, dtype=torch.float64)
half[0, 3] = -0.5
image = MetaTensor(labels, affine=torch.eye(4, dtype=torch.float64))
moved = SpatialResample(mode="nearest")(image, dst_affine=half, spatial_size=(6, 3, 3))
print("MONAI", moved[0, :, 1, 1].int().tolist())

image = sitk.GetImageFromArray(labels[0].numpy().transpose(2, 1, 0).copy())
moved = sitk.Resample(image, (6, 3, 3), sitk.Transform(), sitk.sitkNearestNeighbor, (-0.5, 0.0, 0.0))
print("SimpleITK", [int(moved[x, 1, 1]) for x in range(6)])
PY
diff seen - <<'SEEN'
MONAI [1, 1, 3, 3, 5, 5]
SimpleITK [1, 2, 3, 4, 5, 6]
SEEN
