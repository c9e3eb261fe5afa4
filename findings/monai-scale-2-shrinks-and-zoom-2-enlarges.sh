#!/usr/bin/env bash
# MONAI 1.6.1: Affine(scale_params=2) shrinks what it shows to half, Zoom(2) enlarges it to the double.
#
# Guess: within one library a factor of 2 means the same; and "scale" means of the object, as in TorchIO, where 2 enlarges.
# Seen: Affine's parameters describe the way back from the result to the image (so does its translate_params: 4 moves
# content by -4), Zoom's the way there. A cube of 125 voxels becomes 27 by the one and 1000 by the other. A scale range
# taken over from one program to the other is inverted, without any sign of it.
#
# Seen 2026-11-30 with MONAI 1.6.1, TorchIO 1.2.1, PyTorch 2.15.0 (Python 3.11): 27, 1000, TorchIO 729 (the same factor, its
# edges interpolated). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check monai==1.6.1 torchio==1.2.1 torch==2.15.0
venv/bin/python -W ignore - <<'PY' | tee seen
import torch
import torchio
from monai.transforms import Affine, Zoom

cube = torch.zeros(1, 21, 21, 21)
cube[:, 8:13, 8:13, 8:13] = 1


def about(image):
    inside = torch.as_tensor(image)[0] > 0.5
    return int(inside.sum()), "first plane", int(inside.any(2).any(1).nonzero()[0])


image = torchio.ScalarImage(tensor=cube)
print("cube", *about(cube))
print("MONAI Affine scale 2", *about(Affine(scale_params=(2, 2, 2), padding_mode="zeros", image_only=True)(cube)))
print("MONAI Zoom 2", *about(Zoom(2, padding_mode="constant")(cube)))
print("TorchIO scale 2", *about(torchio.Affine(scales=2, degrees=0, translation=0)(image).data))
print("MONAI translate 4", *about(Affine(translate_params=(4, 0, 0), padding_mode="zeros", image_only=True)(cube)))
print("TorchIO translate 4", *about(torchio.Affine(scales=1, degrees=0, translation=(4, 0, 0))(image).data))
PY
diff seen - <<'SEEN'
cube 125 first plane 8
MONAI Affine scale 2 27 first plane 9
MONAI Zoom 2 1000 first plane 5
TorchIO scale 2 729 first plane 6
MONAI translate 4 125 first plane 4
TorchIO translate 4 125 first plane 12
SEEN
