#!/usr/bin/env bash
# WeasyPrint 70.0 puts a gray PNG of 16 bits into a PDF as RGB of 8 bits with the stream of 16 bits, so that pages
# show noise instead of the image. Gray PNG of 8 bits and the PDF itself are sound; no warning is given. Exits 1
# if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check weasyprint==70.0 pypdf==7.1.1 pillow==13.0.0 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import sys

import numpy as np
import pypdf
import weasyprint
from PIL import Image

seen = {}
for bits, dtype in ((8, np.uint8), (16, np.uint16)):
    Image.fromarray(np.full((8, 8), 200, dtype)).save("gray.png")
    weasyprint.HTML(string='<img src="gray.png">', base_url=".").write_pdf("page.pdf")
    objects = pypdf.PdfReader("page.pdf").pages[0]["/Resources"]["/XObject"]
    image = next(iter(objects.values())).get_object()
    seen[bits] = str(image["/ColorSpace"]), int(image["/BitsPerComponent"]), len(image.get_data())
    print(f"gray PNG of {bits} bits, 8 x 8: the PDF declares {seen[bits][:2]} and holds {seen[bits][2]} bytes")
# 8 x 8 pixels of RGB at 8 bits would be 192 bytes, of gray at 16 bits 128
sys.exit(0 if seen[8] == ("/DeviceGray", 8, 64) and seen[16] == ("/DeviceRGB", 8, 128) else 1)
PYTHON
