#!/usr/bin/env bash
# SimpleITK 2.5.7: reading a scan and writing it unchanged moves it, for every program that reads the sform.
#
# Guess: a copy of a scan lies where the scan lies, for any reader; at worst one of its two forms is lost.
# Seen: of a qform of code 1 and a sform of code 2 (usual after alignment) SimpleITK keeps the qform, writes it over the
# sform too, and gives it code 1. nibabel, which takes the sform, sees the copy somewhere else. With the sform's code
# 1 instead, the same affines are kept the other way round: there the qform is overwritten.
#
# Seen 2026-11-30 with nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6 (Python 3.11): the copy lies 20.0 mm off for nibabel
# (code 2), 0.0 mm (code 1). Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PY' | tee seen
import nibabel as nib
import numpy as np
import SimpleITK as sitk

aligned = np.eye(4)
scanner = np.eye(4)
scanner[1, 3] = 20
for code in (2, 1):
    image = nib.Nifti1Image(np.ones((4, 4, 4), np.int16), aligned)
    image.set_sform(aligned, code)
    image.set_qform(scanner, 1)
    nib.save(image, "scan.nii")
    sitk.WriteImage(sitk.ReadImage("scan.nii"), "copy.nii")
    copy = nib.load("copy.nii")
    codes = int(copy.header["qform_code"]), int(copy.header["sform_code"])
    print("sform code", code, "moved by", float(np.abs(copy.affine - image.affine).max()), "codes then", codes)
PY
diff seen - <<'SEEN'
sform code 2 moved by 20.0 codes then (1, 1)
sform code 1 moved by 0.0 codes then (1, 1)
SEEN
