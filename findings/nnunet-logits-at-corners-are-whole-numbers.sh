#!/usr/bin/env bash
# nnU-Net 2.8.1: in the corners of an image the logits of its sliding window are whole numbers, and near its edges multiples
# of a coarse step, whatever the network says.
#
# Guess: the weighted mean over windows of a network that says 0.4 everywhere is 0.4 everywhere, up to float16's three digits.
# Seen: 0.0 at the corner, 0.333 in the middle of an edge, 0.4 in the middle; of 0.6 the corner makes 1.0. The predictor
# keeps the Gaussian and the weighted sums in float16, on the CPU too. At a window's corner the Gaussian (1e-10 of its
# middle) is lifted to float16's smallest number, 6e-8, of which a sum can only hold multiples; divided by the weight they
# are whole numbers. A voxel near a corner of the image is seen by one window alone, at that window's corner.
#
# Seen 2026-11-30 with nnunetv2 2.8.1, PyTorch 2.15.0 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nnunetv2==2.8.1 torch==2.15.0
venv/bin/python -W ignore - <<'PY' | grep voxels | tee seen
from types import SimpleNamespace

import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor


class Says(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return torch.full((1, 1, *x.shape[2:]), self.value)


for value in (0.4, 0.6):
    predictor = nnUNetPredictor(use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu"),
                                allow_tqdm=False)
    predictor.network = Says(value)
    predictor.configuration_manager = SimpleNamespace(patch_size=(32, 32, 32))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=1)
    logits = predictor.predict_sliding_window_return_logits(torch.zeros(1, 48, 48, 48))[0].float()
    places = [logits[0, 0, 0].item(), logits[0, 0, 24].item(), logits[24, 24, 24].item()]
    off = int(((logits - value).abs() > 0.1).sum())
    print(f"{value}: corner %.3f, edge %.3f, middle %.3f; {off} voxels off by more than 0.1" % tuple(places))
PY
diff seen - <<'SEEN'
0.4: corner 0.000, edge 0.333, middle 0.400; 327 voxels off by more than 0.1
0.6: corner 1.000, edge 0.667, middle 0.601; 545 voxels off by more than 0.1
SEEN
