#!/usr/bin/env bash
# SimpleITK 2.5.7 (ITK's NIfTI reader), asked for scan.nii.gz, reads scan.nii where both lie in one folder,
# without a warning. nibabel 5.4.2 reads the file that it is asked for. Exits 1 if that changes.
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

for name, value in (("scan.nii", 1), ("scan.nii.gz", 2)):
    sitk.WriteImage(sitk.GetImageFromArray(np.full((2, 3, 4), value, np.int16)), name)
seen = {name: int(sitk.GetArrayFromImage(sitk.ReadImage(name)).max()) for name in ("scan.nii", "scan.nii.gz")}
other = int(nibabel.load("scan.nii.gz").get_fdata().max())
print("written: scan.nii holds 1, scan.nii.gz holds 2")
print("SimpleITK", sitk.Version.VersionString(), "reads", seen, "; nibabel reads scan.nii.gz as", other)
sys.exit(0 if seen == {"scan.nii": 1, "scan.nii.gz": 1} and other == 2 else 1)
PYTHON
