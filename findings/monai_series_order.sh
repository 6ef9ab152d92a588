#!/usr/bin/env bash
# MONAI 1.6.1: LoadImage with PydicomReader sorts the slices of a DICOM series by Instance Number, not by position.
# Where two interleaved acquisitions were numbered one after the other, the slices of the volume are out of order,
# the affine states a regular spacing, and no warning is given. The number need not follow the position in DICOM.
# SimpleITK sorts the same files by position. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq --disable-pip-version-check monai==1.6.1 torch==2.13.0 pydicom==3.0.2 simpleitk==2.5.7 numpy==2.4.6
env/bin/python - <<'PYTHON' 2>&1 | grep -v nvImageCodec
import sys
import warnings
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from monai.transforms import LoadImage
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


def slice_at(z, number):
    """Write a slice whose pixels all hold its position in millimetres."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"1.2.3.4.{number}"
    image.Modality, image.PatientID, image.PatientName = "CT", "1", "A^B"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    image.StudyDate, image.StudyID, image.SeriesNumber, image.InstanceNumber = "20200101", "1", 1, number
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [1, 1], 5
    image.Rows, image.Columns, image.SamplesPerPixel, image.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    image.PixelData = np.full((16, 16), z, "<u2").tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.save_as(f"series/{number}.dcm", enforce_file_format=True)


Path("series").mkdir()
for number, z in enumerate([0, 10, 20, 30, 5, 15, 25], 1):  # the second acquisition lies between the first
    slice_at(z, number)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    volume = LoadImage(image_only=True, reader="PydicomReader")("series")
told = [str(each.message) for each in told if "slice" in str(each.message).lower()]
monai = [int(value) for value in volume[0, 0].tolist()]
spacing = float(volume.affine[2, 2])
reader = sitk.ImageSeriesReader()
reader.SetFileNames(reader.GetGDCMSeriesFileNames("series"))
itk = sitk.GetArrayFromImage(reader.Execute())[:, 0, 0].tolist()
print(f"positions of the slices in the volume of MONAI: {monai}; spacing in its affine {spacing:.3f}; warnings: {told}")
print(f"positions of the slices in the volume of SimpleITK: {itk}")
same = monai == [0, 10, 20, 30, 5, 15, 25] and itk == [0, 5, 10, 15, 20, 25, 30] and not told
sys.exit(0 if same and abs(spacing - 25 / 6) < 1e-3 else 1)
PYTHON
