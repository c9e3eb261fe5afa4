#!/usr/bin/env bash
# MedPy 0.5.2 with numpy 2.4.6: dc of two empty masks is NaN, while jc of the same masks is 1.
#
# Guess: the source of both says 1 where both masks are empty (`except ZeroDivisionError: dc = 1.0`), so both return 1.
# Seen: numpy's counts are numpy numbers by now, whose division by 0 raises nothing; jc turns them into Python's first
# and dc does not. With numpy 2.2.6 both are 1. A mean over cases becomes NaN, or leaves out cases that are right.
#
# Seen 2026-11-30 with medpy 0.5.2, numpy 2.4.6, scipy 1.17.1 (Python 3.11). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check medpy==0.5.2 numpy==2.4.6 scipy==1.17.1
venv/bin/python -W ignore - <<'PY' | tee seen
import numpy as np
from medpy.metric import binary

empty = np.zeros((4, 4, 4), np.uint8)
print("dc", float(binary.dc(empty, empty)), "jc", float(binary.jc(empty, empty)))
PY
diff seen - <<'SEEN'
dc nan jc 1.0
SEEN
