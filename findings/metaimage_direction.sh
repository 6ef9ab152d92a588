#!/usr/bin/env bash
# The TransformMatrix of a MetaImage file (.mha) is the transpose of the direction matrix: SimpleITK 2.5.7 writes
# it column by column, where Image.GetDirection() goes row by row. A program that reads the nine numbers of the
# text in the order of rows turns an oblique or rotated image the wrong way around. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check SimpleITK==2.5.7
cd "$work"
env/bin/python - <<'PYTHON'
import re
import sys

import SimpleITK as sitk

image = sitk.Image(2, 2, 2, sitk.sitkUInt8)
image.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))  # a quarter turn about the third axis
sitk.WriteImage(image, "turned.mha")
with open("turned.mha", "rb") as file:
    text = re.search(rb"TransformMatrix = ([-\d ]+)", file.read()).group(1)
stored = tuple(float(number) for number in text.split())
direction = sitk.ReadImage("turned.mha").GetDirection()
transposed = tuple(direction[3 * column + row] for row in range(3) for column in range(3))
print("GetDirection, row by row:    ", direction)
print("TransformMatrix, in the file:", stored)
sys.exit(0 if stored == transposed != direction else 1)
PYTHON
