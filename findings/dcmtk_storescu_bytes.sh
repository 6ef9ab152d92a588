#!/usr/bin/env bash
# DCMTK 3.6.7: what storescu sends is not what the file holds, even to a storescp that keeps what it receives bit
# by bit (+B): a sequence of undefined length gets an explicit one. The objects are equivalent, but their
# checksums differ, so a checksum of the file says nothing of its arrival. Exits 1 if that changes. Runs on Debian
# 12 (amd64, arm64).
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
import hashlib
import subprocess
import sys
import time
from pathlib import Path

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


slice_at(0, "sent.dcm", 1)
image = pydicom.dcmread("sent.dcm")
code = Dataset()
code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99TEST", "test"
image.ProcedureCodeSequence = [code]
image["ProcedureCodeSequence"].is_undefined_length = True
image.save_as("sent.dcm")
Path("received").mkdir()
port = "11212"
receiver = subprocess.Popen(["storescp", "+B", "-od", "received", port])
try:
    time.sleep(2)
    subprocess.run(["storescu", "localhost", port, "sent.dcm"], check=True)
    time.sleep(1)
finally:
    receiver.terminate()


def dataset_bytes(path):
    meta = pydicom.dcmread(path).file_meta
    return Path(path).read_bytes()[144 + meta.FileMetaInformationGroupLength :]


(arrived,) = Path("received").iterdir()
sent, received = dataset_bytes("sent.dcm"), dataset_bytes(arrived)
same = pydicom.dcmread("sent.dcm") == pydicom.dcmread(arrived)
print(f"data set sent: {len(sent)} bytes, {hashlib.sha256(sent).hexdigest()[:12]}")
print(f"received:      {len(received)} bytes, {hashlib.sha256(received).hexdigest()[:12]}; equal elements: {same}")
sys.exit(0 if same and sent != received else 1)
PYTHON
