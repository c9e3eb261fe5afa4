#!/usr/bin/env bash
# nnU-Net 2.8.1: with an ignore label in dataset.json the cross-entropy of overlapping regions is as many times larger as
# there are regions, even where no voxel is ignored.
#
# Guess: DC_and_BCE_loss gives the same number with `use_ignore_label=True` and an empty ignore channel as without it: a
# mean over voxels and regions, or over those that count.
# Seen: 0.7927 without, 2.3781 with it, for three regions: with the mask the sum over all regions is divided by the voxels
# that count, once for all regions. So declaring an ignore label triples the weight of the cross-entropy against the Dice.
#
# Seen 2026-11-30 with nnunetv2 2.8.1, PyTorch 2.15.0 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nnunetv2==2.8.1 torch==2.15.0
venv/bin/python -W ignore - <<'PY' | tee seen
import torch
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

torch.manual_seed(0)
logits = torch.randn(1, 3, 4, 4, 4)
regions = (torch.rand(1, 3, 4, 4, 4) > 0.5).float()
nothing_ignored = torch.zeros(1, 1, 4, 4, 4)
dice = dict(batch_dice=False, do_bg=True, smooth=1e-5, ddp=False)


def loss(use_ignore_label):
    return DC_and_BCE_loss({}, dice, weight_dice=0, use_ignore_label=use_ignore_label,
                           dice_class=MemoryEfficientSoftDiceLoss)


without = loss(False)(logits, regions).item()
with_it = loss(True)(logits, torch.cat([regions, nothing_ignored], 1)).item()
print(f"{without:.4f} {with_it:.4f} ratio {with_it / without:.3f}")
PY
diff seen - <<'SEEN'
0.7927 2.3781 ratio 3.000
SEEN
