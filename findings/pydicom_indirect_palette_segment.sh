#!/usr/bin/env bash
# pydicom 3.0.2 takes the offset of an indirect segment of a 16-bit segmented palette for a number of words.
#
# PS3.3 C.7.9.2.3: "The byte offset is relative to the beginning of the lookup table". With entries of 8 bits the two
# are the same, with entries of 16 bits they are not: the valid palette below expands to 8 entries, and pydicom
# refuses it or expands other segments. Exit code 1 if that is no longer so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

print("pydicom", pydicom.__version__)
wanted = [7, 9, 20, 40, 60, 20, 40, 60]
same = {}
for bits in (8, 16):
    # discrete 7 9; discrete 20 40 60; indirect: one segment, from the second one on
    codes = [0, 2, 7, 9, 0, 3, 20, 40, 60, 2, 1, 4 * bits // 8, *[0] * (32 // bits - 1)]
    content = np.array(codes).astype("<u2" if bits == 16 else "u1").tobytes()
    image = Dataset()
    for colour in ("Red", "Green", "Blue"):
        setattr(image, f"{colour}PaletteColorLookupTableDescriptor", [8, 0, bits])
        setattr(image, f"Segmented{colour}PaletteColorLookupTableData", content)
    image.set_original_encoding(is_implicit_vr=False, is_little_endian=True)
    try:
        found = apply_color_lut(np.arange(8, dtype=np.uint8), image)[:, 0].tolist()
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    same[bits] = found == wanted
    print(f"{bits} bits: wanted {wanted}, found {found}")
sys.exit(not (same[8] and not same[16]))
PYTHON
