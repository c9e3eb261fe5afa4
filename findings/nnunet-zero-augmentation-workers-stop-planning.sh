#!/usr/bin/env bash
# nnU-Net 2.8.1: the setting that turns off its augmentation processes stops its planning, though planning augments nothing.
#
# Guess: nnUNet_n_proc_DA=0 concerns training alone, whose trainer answers it with augmentation in its own process; plans
# are made as with any other number.
# Seen: the planner takes the number for PyTorch's threads while it estimates memory. With 0 it ends with "set_num_threads
# expects a positive integer", after the fingerprint; with 1 it writes its plans. So the variable has to be set for
# training alone.
#
# Seen 2026-11-30 with nnunetv2 2.8.1, PyTorch 2.15.0 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nnunetv2==2.8.1 torch==2.15.0
export nnUNet_raw="$folder/raw" nnUNet_preprocessed="$folder/preprocessed" nnUNet_results="$folder/results"
venv/bin/python - <<'PY'
import json
import os

import nibabel
import numpy

data = os.path.join(os.environ["nnUNet_raw"], "Dataset001_Balls")
for side in ("imagesTr", "labelsTr"):
    os.makedirs(os.path.join(data, side))
places = numpy.indices((32, 32, 32)) - 16
for case in range(5):
    ball = (numpy.sqrt((places ** 2).sum(0)) < 6 + case).astype("uint8")
    image = 100 * ball + numpy.random.default_rng(case).normal(0, 10, ball.shape)
    nibabel.save(nibabel.Nifti1Image(image.astype("float32"), numpy.eye(4)), f"{data}/imagesTr/{case}_0000.nii.gz")
    nibabel.save(nibabel.Nifti1Image(ball, numpy.eye(4)), f"{data}/labelsTr/{case}.nii.gz")
with open(f"{data}/dataset.json", "w") as file:
    json.dump({"channel_names": {"0": "image"}, "labels": {"background": 0, "ball": 1}, "numTraining": 5,
               "file_ending": ".nii.gz"}, file)
PY
for workers in 0 1; do
  rm -rf preprocessed
  status=0
  nnUNet_n_proc_DA=$workers venv/bin/nnUNetv2_plan_and_preprocess -d 1 -c 3d_fullres --no_pp >log 2>&1 || status=$?
  plans=no
  [ ! -f preprocessed/Dataset001_Balls/nnUNetPlans.json ] || plans=yes
  echo "$workers workers: exit $status, plans: $plans, $(grep -c 'set_num_threads expects a positive integer' log || true) complaint"
done | tee seen
diff seen - <<'SEEN'
0 workers: exit 1, plans: no, 1 complaint
1 workers: exit 0, plans: yes, 0 complaint
SEEN
