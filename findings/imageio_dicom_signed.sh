#!/usr/bin/env bash
# imageio 2.38.1's DICOM reader applies RescaleSlope and RescaleIntercept, and where no result is negative takes a
# signed type that is too small: of a 16-bit unsigned image, 200 becomes -56 (int8) and 40000 becomes -25536
# (int16). Slope 1 and intercept 0, which most makers write, suffice; without both fields the values are right.
# Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check imageio==2.38.1 pydicom==3.0.2 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import contextlib
import io
import sys
from pathlib import Path

import imageio.v3 as imageio
import pydicom
import numpy as np
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


seen = {}
for number, value in enumerate((100, 200, 300, 40000), start=1):
    for kind in ("scaled", "plain"):
        path = Path(f"{kind}{value}", "slice.dcm")
        path.parent.mkdir()
        slice_at(value, path, number)
        if kind == "plain":
            image = pydicom.dcmread(path)
            del image.RescaleSlope, image.RescaleIntercept
            image.save_as(path)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            read = imageio.imread(path)
        seen[kind, value] = read.dtype.name, int(read.max())
    print(f"stored {value}: slope 1, intercept 0 {seen['scaled', value]}; neither {seen['plain', value]}")
scaled = [seen["scaled", value] for value in (100, 200, 300, 40000)]
same = scaled == [("int8", 100), ("int8", -56), ("int16", 300), ("int16", -25536)]
same &= all(seen["plain", value] == ("uint16", value) for value in (100, 200, 300, 40000))
sys.exit(0 if same else 1)
PYTHON
