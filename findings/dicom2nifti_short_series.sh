#!/usr/bin/env bash
# dicom2nifti 2.6.2: convert_directory takes a series of three slices for a localizer. It writes no file for it,
# logs a traceback and returns as if all was well; a series of four slices is converted. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check dicom2nifti==2.6.2 pydicom==3.0.2 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import contextlib
import io
import logging
import sys
from pathlib import Path

import dicom2nifti
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


logging.disable()
seen = {}
for count in (3, 4):
    Path(f"series{count}").mkdir()
    Path(f"made{count}").mkdir()
    for z in range(count):
        slice_at(z, f"series{count}/{z}.dcm", z + 1)
    with contextlib.redirect_stderr(io.StringIO()):  # the traceback that is logged
        dicom2nifti.convert_directory(f"series{count}", f"made{count}")
    seen[count] = len(list(Path(f"made{count}").iterdir()))
    print(f"{count} slices: {seen[count]} files written, no exception")
sys.exit(0 if seen == {3: 0, 4: 1} else 1)
PYTHON
