#!/usr/bin/env bash
# A DICOM series with a missing slice (at 0, 1, 2, 4, 5 mm) has three spacings in three readers, none of which
# places all slices: SimpleITK 2.5.7 divides the whole length by the number of steps (1.25 mm, wrong for each
# slice but the ends) and warns; VTK 9.7.2 and dcm2niix 1.0.20260724 take 1 mm (and end 1 mm early). dcm2niix
# writes the file and ends with exit status 1; VTK says nothing. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check SimpleITK==2.5.7 vtk==9.7.2 dcm2niix==1.0.20260724 nibabel==5.4.2 pydicom==3.0.2 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
import vtk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


def slice_at(z, name, number):
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"1.2.3.4.{number}"
    image.Modality, image.PatientID, image.PatientName = "CT", "1", "A^B"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    image.StudyDate, image.StudyID, image.SeriesNumber, image.InstanceNumber = "20200101", "1", 1, number
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [1, 1], 1
    image.Rows, image.Columns, image.SamplesPerPixel, image.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    image.PixelData = np.full((16, 16), z, "<u2").tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(name, enforce_file_format=True)


Path("series").mkdir()
for number, z in enumerate((0, 1, 2, 4, 5), start=1):
    slice_at(z, f"series/{number}.dcm", number)
reader = sitk.ImageSeriesReader()
reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames("series"))
image = reader.Execute()
seen = {"SimpleITK": (image.GetSize()[2], image.GetSpacing()[2])}
of_vtk = vtk.vtkDICOMImageReader()
of_vtk.SetDirectoryName("series")
of_vtk.Update()
seen["VTK"] = of_vtk.GetOutput().GetDimensions()[2], of_vtk.GetOutput().GetSpacing()[2]
done = subprocess.run(["env/bin/dcm2niix", "-f", "out", "-o", ".", "series"], capture_output=True)
image = nibabel.load("out.nii")
seen["dcm2niix"] = image.shape[2], float(image.header.get_zooms()[2])
for name, (slices, spacing) in seen.items():
    print(f"{name}: {slices} slices, {spacing:g} mm apart")
print("dcm2niix: exit status", done.returncode)
sys.exit(0 if done.returncode == 1 and seen == {"SimpleITK": (5, 1.25), "VTK": (5, 1.0), "dcm2niix": (5, 1.0)} else 1)
PYTHON
