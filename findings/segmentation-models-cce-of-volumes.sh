#!/usr/bin/env bash
# segmentation_models 1.0.1: categorical_crossentropy of volumes takes z for the classes, so that a perfect prediction costs.
#
# Guess: cce_dice_loss of a volume [batch, x, y, z, class] has the cross-entropy over classes, or is refused.
# Seen: it divides by the sum over axis 3, the channels of a picture [batch, height, width, class], which is z here. In each
# column along z probabilities are made to add up to 1. A structure that fills half of a column of 8 and is predicted perfectly
# has shares of 1/4 and costs log(4) / 2 = 0.6931; the Dice part is 0.
#
# Seen 2026-12-01 with segmentation-models 1.0.1 and tensorflow-cpu 2.15.1 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check segmentation-models==1.0.1 tensorflow-cpu==2.15.1
export TF_CPP_MIN_LOG_LEVEL=3 SM_FRAMEWORK=tf.keras
venv/bin/python -W ignore - 2>messages <<'PY' | tail -2 | tee seen || { cat messages; exit 1; }
import numpy as np
import segmentation_models
import tensorflow as tf

truth = np.zeros((1, 2, 2, 8, 1), np.float32)
truth[:, :, :, :4] = 1  # half of each column
truth = tf.constant(truth)
print("cross-entropy of a perfect prediction:", round(float(segmentation_models.losses.categorical_crossentropy(truth, truth)), 4))
print("its Dice loss:", round(float(segmentation_models.losses.dice_loss(truth, truth)), 4))
PY
diff seen - <<'SEEN'
cross-entropy of a perfect prediction: 0.6931
its Dice loss: 0.0
SEEN
