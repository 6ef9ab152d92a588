#!/usr/bin/env bash
# VTK 9.7.2's vtkNIFTIImageReader returns the stored numbers of a NIfTI file: it reads scl_slope and scl_inter,
# but leaves it to the caller to apply them. nibabel 5.4.2 and SimpleITK 2.5.7 apply them. Exits 1 if that
# changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check vtk==9.7.2 SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import sys

import nibabel
import numpy as np
import SimpleITK as sitk
import vtk

image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
image.header.set_slope_inter(2, -7)  # stored 0 to 59 mean -7 to 111
image.to_filename("scaled.nii")
reader = vtk.vtkNIFTIImageReader()
reader.SetFileName("scaled.nii")
reader.Update()
of_vtk = reader.GetOutput().GetScalarRange()
values = nibabel.load("scaled.nii").get_fdata()
of_nibabel = float(values.min()), float(values.max())
values = sitk.GetArrayFromImage(sitk.ReadImage("scaled.nii"))
of_itk = float(values.min()), float(values.max())
print("VTK", of_vtk, "slope", reader.GetRescaleSlope(), "; nibabel", of_nibabel, "; SimpleITK", of_itk)
sys.exit(0 if of_vtk == (0, 59) and of_nibabel == of_itk == (-7, 111) else 1)
PYTHON
