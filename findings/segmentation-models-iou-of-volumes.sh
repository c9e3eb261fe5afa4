#!/usr/bin/env bash
# segmentation_models 1.0.1: iou_score of volumes is a mean over planes, in which a missed structure scores 0.5 and more.
#
# Guess: iou_score sums over everything but the classes (and the batch, if told), so that a volume [batch, x, y, z, class]
# has the IoU of its voxels, or is refused.
# Seen: batch, x and y are summed, and z is averaged like a class. A plane without the structure that is predicted empty
# counts 1: a box in half of the planes that is missed altogether scores 0.5. Its 3-D sibling (segmentation_models_3D) gives
# 5.6e-7 for the same volumes.
#
# Seen 2026-11-30 with segmentation-models 1.0.1, tensorflow-cpu 2.21.0, tf_keras 2.21.0 (Python 3.11). Exits with 1 if that
# changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check segmentation-models==1.0.1 tensorflow-cpu==2.21.0 tf_keras==2.21.0
export TF_CPP_MIN_LOG_LEVEL=3 TF_USE_LEGACY_KERAS=1 SM_FRAMEWORK=tf.keras
venv/bin/python -W ignore - 2>messages <<'PY' | tail -1 | tee seen || { cat messages; exit 1; }
import numpy as np
import segmentation_models
import tensorflow as tf

truth = np.zeros((1, 5, 4, 6, 1), np.float32)
truth[:, 1:4, 1:3, 2:5] = 1  # in three of six planes
missed = np.zeros_like(truth)
print("missed altogether:", round(float(segmentation_models.metrics.iou_score(tf.constant(truth), tf.constant(missed))), 4))
PY
diff seen - <<'SEEN'
missed altogether: 0.5
SEEN
