#!/usr/bin/env bash
# SciPy 1.17.1: wilcoxon drops pairs that do not differ, yet a 14th such pair takes p from 1.0 to 0.32.
#
# Guess: with zero_method="wilcox", the default, "all zero-differences are discarded", so that p depends on the other
# pairs alone; 13 or 14 equal pairs are both p = 1, or both NaN.
# Seen: the number of pairs with the equal ones decides how p is computed. Up to 13, all signs are gone through; from 14
# on, if any pair ties or is equal, the normal approximation is taken, of as few pairs as are left: here of one.
#
# Seen 2026-11-30 with SciPy 1.17.1, numpy 2.4.6 (Python 3.11): one difference of 4 and 12 equal pairs: p 1.0; 13 equal
# pairs: 0.3173. 13 equal pairs alone: 1.0; 14: nan. Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
venv/bin/python -W ignore - <<'PY' | tee seen
from scipy.stats import wilcoxon

for equal in (12, 13):
    print("4 and", equal, "equal", round(float(wilcoxon([4.0] + equal * [0.0]).pvalue), 4))
for equal in (13, 14):
    print(equal, "equal", float(wilcoxon(equal * [0.0]).pvalue))
PY
diff seen - <<'SEEN'
4 and 12 equal 1.0
4 and 13 equal 0.3173
13 equal 1.0
14 equal nan
SEEN
