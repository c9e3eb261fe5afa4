#!/usr/bin/env bash
# Keras 3.15.1: the epsilon of Adam is 32 times as strong in the first step as PyTorch's of the same value, and RMSprop's
# stands inside the root, where Adam's stands outside.
#
# Guess: "epsilon: a small constant for numerical stability" stands where the paper's algorithm has it, beside the root of
# the corrected second moment, in both programs and in both rules.
# Seen: with epsilon 1 and a gradient of 0.001 Adam's first step is 3.16e-5 by Keras and 9.99e-4 by PyTorch: Keras adds
# epsilon before the correction by sqrt(1 - beta_2^t). RMSprop's first step of a gradient of 1 is 0.953 (1 / sqrt(0.1 + 1)), not
# 0.760 (1 / (sqrt(0.1) + 1)), which PyTorch gives. So a learning rate and an epsilon taken over from one to the other train
# differently where gradients are small.
#
# Seen 2026-11-30 with Keras 3.15.1 on JAX 0.10.2 (Python 3.11); the other numbers are by PyTorch 2.15.0's formula, written
# out here. Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
KERAS_BACKEND=jax venv/bin/python -W ignore - 2>messages <<'PY' | tee seen || { cat messages; exit 1; }
import keras
import numpy as np


def first_step(rule, gradient):
    weight = keras.Variable(np.zeros(1, np.float32))
    rule.apply([keras.ops.array([gradient])], [weight])
    return -float(weight[0])


adam = first_step(keras.optimizers.Adam(1.0, epsilon=1.0), 1e-3)
rmsprop = first_step(keras.optimizers.RMSprop(1.0, rho=0.9, epsilon=1.0), 1.0)
print(f"Adam {adam:.3g}, paper {1e-3 / (1e-3 + 1):.3g}")
print(f"RMSprop {rmsprop:.3g}, outside the root {1 / (np.sqrt(0.1) + 1):.3g}")
PY
diff seen - <<'SEEN'
Adam 3.16e-05, paper 0.000999
RMSprop 0.953, outside the root 0.76
SEEN
