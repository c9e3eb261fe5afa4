#!/usr/bin/env bash
# MONAI 1.6.1: a structure that was missed altogether raises the mean Hausdorff distance to infinity, and leaves the mean
# of its 95th percentile at 0.
#
# Guess: HausdorffDistanceMetric with and without percentile=95 treat an empty prediction alike: both infinite, or both
# left out with a warning.
# Seen: without a percentile the missed case is inf; with one it is NaN, which the reduction leaves out. Of one perfect
# case and one in which nothing was found, the mean HD95 is 0.0, the best value there is. So the model that finds nothing
# in hard cases wins.
#
# Seen 2026-11-30 with MONAI 1.6.1, PyTorch 2.15.0, SciPy 1.17.1 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check monai==1.6.1 torch==2.15.0 scipy==1.17.1
venv/bin/python -W ignore - <<'PY' | tee seen
import torch
from monai.metrics import HausdorffDistanceMetric

truth = torch.zeros(1, 1, 12, 12, 12)
truth[..., 3:9, 3:9, 3:9] = 1
for percentile in (None, 95):
    metric = HausdorffDistanceMetric(include_background=True, percentile=percentile)
    metric(truth, truth)
    metric(torch.zeros_like(truth), truth)
    print(percentile, metric.get_buffer().flatten().tolist(), "mean", metric.aggregate().item())
PY
diff seen - <<'SEEN'
None [0.0, inf] mean inf
95 [0.0, nan] mean 0.0
SEEN
