#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK's NIfTI reader) converts a NIfTI header in metres or micrometres to millimetres; nibabel
# 5.4.2 returns the numbers as they are stored. One file, two spacings that differ by 1,000 or more. Both fields
# (pixdim, xyzt_units) are as the NIfTI-1 standard has them. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK as sitk

seen = {}
for unit in ("mm", "meter", "micron"):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([0.5, 0.5, 0.5, 1]))
    image.header.set_xyzt_units(unit)
    image.to_filename(f"{unit}.nii")
    zooms = tuple(float(zoom) for zoom in nibabel.load(f"{unit}.nii").header.get_zooms())
    seen[unit] = zooms[0], sitk.ReadImage(f"{unit}.nii").GetSpacing()[0]
    print(f"{unit}: pixdim 0.5, nibabel {seen[unit][0]}, SimpleITK {seen[unit][1]:g}")
same = np.allclose(seen["mm"], [0.5, 0.5])
same &= np.allclose(seen["meter"], [0.5, 500]) and np.allclose(seen["micron"], [0.5, 0.0005], rtol=1e-3)
sys.exit(0 if same else 1)
PYTHON
