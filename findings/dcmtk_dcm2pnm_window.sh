#!/usr/bin/env bash
# DCMTK 3.6.7: dcm2pnm ignores the window in the file unless +Wi is given, and spreads all values that the bits
# stored could hold, not those of the image: a CT of 0 to 4095 in 16 bits becomes nearly black, with 16 of 256
# grays. Exits 1 if that changes. Runs on Debian 12 (amd64, arm64).
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
env/bin/pip install -qq --disable-pip-version-check pydicom==3.0.2 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PYTHON'
import subprocess
import sys

import pydicom
from PIL import Image
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
image.PixelData = (np.arange(256) * 16).astype("<u2").tobytes()
image.WindowCenter, image.WindowWidth = 2048, 4096
image.save_as("ct.dcm")
seen = {}
for name, options in (("plain", []), ("+Wi 1", ["+Wi", "1"])):
    subprocess.run(["dcm2pnm", "+on", *options, "ct.dcm", "ct.png"], check=True)
    shown = np.asarray(Image.open("ct.png").convert("L"))
    seen[name] = int(shown.max()), len(np.unique(shown))
    print(f"dcm2pnm {name}: brightest gray {seen[name][0]}, {seen[name][1]} different grays")
sys.exit(0 if seen == {"plain": (15, 16), "+Wi 1": (254, 255)} else 1)
PYTHON
