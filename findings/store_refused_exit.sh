#!/usr/bin/env bash
# DCMTK 3.6.7 and pynetdicom 3.0.4: the receiver refuses every object (C-STORE status A700, out of resources, or
# 0122, SOP class not supported). DCMTK's storescu exits with 167 (the high byte of the status) and with 1. DCMTK's
# dcmsend and pynetdicom's storescu, which comes before DCMTK's in the PATH of an active environment, exit with 0
# and print nothing: a script that checks the exit code takes the objects for stored. dcmsend exits with 0 also
# where the receiver accepts no presentation context. Exits 1 if that changes. Runs on Debian 12 (amd64, arm64).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq dcmtk=3.6.7-9~deb12u4 libdcmtk17=3.6.7-9~deb12u4 libwrap0 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" debian; done
LD_LIBRARY_PATH=$(find "$work/debian" -name '*.so.*' -printf '%h\n' | sort -u | paste -s -d :)
DCMDICTPATH=$(find "$work/debian" -name dicom.dic | head -n 1)
export LD_LIBRARY_PATH DCMDICTPATH
python3 -m venv env
env/bin/pip install -qq --disable-pip-version-check pynetdicom==3.0.4 pydicom==3.0.2
env/bin/python - <<'PYTHON'
import subprocess
import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

image = Dataset()
image.SOPClassUID, image.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3.4"
image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
image.Modality, image.PatientID, image.PatientName = "OT", "1", "A^B"
image.Rows, image.Columns, image.SamplesPerPixel, image.PhotometricInterpretation = 8, 8, 1, "MONOCHROME2"
image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
image.PixelData = bytes(64)
image.file_meta = FileMetaDataset()
image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
image.save_as("image.dcm", enforce_file_format=True)

SENDERS = {
    "storescu of DCMTK": "debian/usr/bin/storescu",
    "dcmsend of DCMTK": "debian/usr/bin/dcmsend",
    "storescu of pynetdicom": "env/bin/storescu",
}
PORT = 11213


def exits(receiver, status):
    """Send the image with each program; return the exit codes and what was printed."""
    handlers = [(evt.EVT_C_STORE, lambda event: status)]
    server = receiver.start_server(("127.0.0.1", PORT), block=False, evt_handlers=handlers)
    try:
        sent = [
            subprocess.run([path, "127.0.0.1", str(PORT), "image.dcm"], capture_output=True, text=True)
            for path in SENDERS.values()
        ]
    finally:
        server.shutdown()
    for name, done in zip(SENDERS, sent):
        print(f"  {name:24} exit code {done.returncode:3}, {len(done.stdout + done.stderr)} characters printed")
    return [done.returncode for done in sent], [done.stdout + done.stderr for done in sent]


storing = AE()
storing.add_supported_context(SecondaryCaptureImageStorage)
verifying = AE()
verifying.add_supported_context(Verification)
print("stored (0000):")
stored, _ = exits(storing, 0x0000)
print("out of resources (A700):")
full, said_full = exits(storing, 0xA700)
print("SOP class not supported (0122):")
unsupported, said_unsupported = exits(storing, 0x0122)
print("no presentation context accepted:")
nothing, _ = exits(verifying, 0x0000)
same = stored == [0, 0, 0] and full == [167, 0, 0] and unsupported == [1, 0, 0] and nothing == [1, 0, 1]
silent = not any([*said_full, *said_unsupported])
sys.exit(0 if same and silent else 1)
PYTHON
