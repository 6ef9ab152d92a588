#!/usr/bin/env bash
# pydicom 3.0.2 and DCMTK 3.6.7: the DICOM JSON of a file whose FD element is not a number is not JSON. pydicom's
# to_json writes NaN, dcm2json writes nan with exit code 0 and no message. RFC 8259 has neither: orjson refuses
# both. Python's json reads NaN and refuses nan; therefore pydicom cannot read what dcm2json wrote.
# Such values are valid in DICOM. Exits 1 if that changes. Runs on Debian 12 (amd64, arm64).
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
env/bin/pip install -qq --disable-pip-version-check pydicom==3.0.2 orjson==3.11.4
env/bin/python - <<'PYTHON'
import json
import subprocess
import sys

import orjson
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

image = Dataset()
image.SOPClassUID, image.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3.4"
image.StudyInstanceUID, image.SeriesInstanceUID, image.Modality = "1.2.3.1", "1.2.3.2", "OT"
image.AcquisitionDuration = float("nan")
image.file_meta = FileMetaDataset()
image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
image.save_as("image.dcm", enforce_file_format=True)


def reads(reader, text):
    """Return whether a reader accepts the text."""
    try:
        reader(text)
    except ValueError as error:
        return f"refuses it: {error}"[:70]
    return "reads it"


written = {"pydicom": pydicom.dcmread("image.dcm").to_json()}
done = subprocess.run(["debian/usr/bin/dcm2json", "image.dcm"], capture_output=True, text=True)
written["dcm2json"] = done.stdout
answers = {}
for name, text in written.items():
    answers[name] = [reads(reader, text) for reader in (json.loads, pydicom.Dataset.from_json, orjson.loads)]
    value = text[text.index("00189073") :].split("Value")[1].split("[")[1].split("]")[0].strip()
    print(f"{name} writes {value}: json {answers[name][0]}; pydicom {answers[name][1]}; orjson {answers[name][2]}")
print(f"exit code of dcm2json: {done.returncode}, messages: {done.stderr!r}")
accepted = {name: [answer == "reads it" for answer in each] for name, each in answers.items()}
same = accepted == {"pydicom": [True, True, False], "dcm2json": [False, False, False]}
sys.exit(0 if same and (done.returncode, done.stderr) == (0, "") else 1)
PYTHON
