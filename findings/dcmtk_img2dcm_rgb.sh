#!/usr/bin/env bash
# DCMTK 3.6.7: img2dcm calls every colour JPEG YBR_FULL_422 and removes the Adobe marker, which says that a
# JPEG holds RGB. In the file that it makes, DCMTK's own dcmj2pnm and SimpleITK 2.5.7 show red as green,
# without a warning. Exits 1 if that changes. Runs on Debian 12 (amd64, arm64).
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
env/bin/pip install -qq --disable-pip-version-check pydicom==3.0.2 SimpleITK==2.5.7 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PYTHON'
import subprocess
import sys

import numpy as np
import pydicom
import SimpleITK as sitk
from PIL import Image

red = np.zeros((16, 16, 3), np.uint8)
red[..., 0] = 200
Image.fromarray(red).save("red.jpg", keep_rgb=True, quality=95)
subprocess.run(["img2dcm", "red.jpg", "red.dcm"], check=True)
subprocess.run(["dcmj2pnm", "+on", "red.dcm", "red.png"], check=True)
image = pydicom.dcmread("red.dcm")
seen = {
    "the JPEG": Image.open("red.jpg").getpixel((0, 0)),
    "dcmj2pnm": Image.open("red.png").getpixel((0, 0)),
    "SimpleITK": tuple(sitk.GetArrayFromImage(sitk.ReadImage("red.dcm"))[0, 0, 0].tolist()),
}
print(image.PhotometricInterpretation, seen)
green = {name for name, (r, g, b) in seen.items() if g > 200 and r < 50}
sys.exit(0 if image.PhotometricInterpretation == "YBR_FULL_422" and green == {"dcmj2pnm", "SimpleITK"} else 1)
PYTHON
