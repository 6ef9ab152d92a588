#!/usr/bin/env bash
# DCMTK 3.6.7: dcmcjpeg in lossy mode rewrites the scale of a CT. With 8-bit JPEG the slope becomes 4.01 and the
# values 0 to 254; with 12-bit JPEG at quality 100 all stored values move by one constant, and the intercept by
# its opposite. Stored values, and a window or a threshold in stored values, mean something else afterwards. Exits
# 1 if that changes. Runs on Debian 12 (amd64, arm64).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq dcmtk=3.6.7-9~deb12u4 libdcmtk17=3.6.7-9~deb12u4 libwrap0 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" debian; done
PATH=$work/debian/usr/bin:$PATH
LD_LIBRARY_PATH=$(find "$work/debian" -name '*.so.*' -printf '%h\n' | sort -u | paste -s -d :)
DCMDICTPATH=$(find "$work/debian" -name dicom.dic | head -n 1)
export PATH LD_LIBRARY_PATH DCMDICTPATH
python3 -m venv env
env/bin/pip install -qq --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
env/bin/python - <<'PYTHON'
import subprocess
import sys

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


slice_at(0, "ct.dcm", 1)
image = pydicom.dcmread("ct.dcm")
image.BitsStored, image.HighBit, image.RescaleIntercept = 12, 11, -1024
image.PixelData = (np.arange(256) * 4 + 1000).astype("<u2").tobytes()
image.save_as("ct.dcm")
seen = {}
for name in ("+e1", "+ee", "+eb"):  # lossless; lossy of 12 bits; lossy of 8 bits
    quality = [] if name == "+e1" else ["+q", "100"]
    subprocess.run(["dcmcjpeg", name, *quality, "ct.dcm", "jpeg.dcm"], check=True)
    subprocess.run(["dcmdjpeg", "jpeg.dcm", "back.dcm"], check=True)
    back = pydicom.dcmread("back.dcm")
    stored = back.pixel_array
    seen[name] = int(stored.min()), int(stored.max()), float(back.RescaleSlope), float(back.RescaleIntercept)
    print(f"{name}: stored {seen[name][0]} to {seen[name][1]}, slope {seen[name][2]}, intercept {seen[name][3]}")
moved = seen["+ee"][0] - 1000
same = seen["+e1"] == (1000, 2020, 1, -1024)
same &= moved > 10 and seen["+ee"] == (1000 + moved, 2020 + moved, 1, -1024 - moved)
same &= seen["+eb"][:2] == (0, 254) and round(seen["+eb"][2], 2) == 4.01
sys.exit(0 if same else 1)
PYTHON
