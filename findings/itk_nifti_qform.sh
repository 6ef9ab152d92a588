#!/usr/bin/env bash
# A NIfTI file may hold two positions, qform and sform (for example scanner and aligned). nibabel 5.4.2 takes the
# sform wherever its code is set. SimpleITK 2.5.7 (ITK) takes the sform only if the sform's code is 1 (scanner) or
# the qform's is 0, and else the qform, without a warning: the origins of one registered image differ. Exits 1 if
# that changes.
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


def at(x, y, z):
    return np.array([[2, 0, 0, x], [0, 2, 0, y], [0, 0, 2, z], [0, 0, 0, 1.0]])


same = True
# codes: 0 unknown, 1 scanner, 2 aligned to another image, 4 MNI 152
for qform, sform, expected in ((1, 2, "qform"), (1, 4, "qform"), (2, 1, "sform"), (0, 2, "sform")):
    image = nibabel.Nifti1Image(np.zeros((3, 4, 5), np.int16), None)
    image.header.set_qform(at(10, 20, 30), code=qform)
    image.header.set_sform(at(-11, -22, -33), code=sform)
    image.to_filename("both.nii")
    theirs = nibabel.load("both.nii").affine[:3, 3]
    x, y, z = sitk.ReadImage("both.nii").GetOrigin()  # of a space that runs left, posterior, up
    taken = {(10, 20, 30): "qform", (-11, -22, -33): "sform"}.get((round(-x), round(-y), round(z)))
    print(f"codes: qform {qform}, sform {sform}; nibabel takes the sform {theirs}; SimpleITK takes the {taken}")
    same &= np.allclose(theirs, [-11, -22, -33]) and taken == expected
sys.exit(0 if same else 1)
PYTHON
