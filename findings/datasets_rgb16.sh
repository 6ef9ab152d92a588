#!/usr/bin/env bash
# The Image feature of Hugging Face datasets 5.2.0 keeps gray arrays of 16 bits, but stores colour arrays of 16
# bits (H, W, 3) modulo 256: 1000 becomes 232, so that a smooth gradient becomes a sawtooth. It warns of
# "downcasting", not of wrong values. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -qq --disable-pip-version-check datasets==5.2.0 pillow==13.0.0 numpy==2.4.6
cd "$work"
env/bin/python - <<'PYTHON'
import sys
import warnings

import datasets
import numpy as np

warnings.simplefilter("ignore")
feature = datasets.Image()
seen = {}
for name, shape in (("gray", (4, 4)), ("colour", (4, 4, 3))):
    stored = feature.encode_example(np.full(shape, 1000, np.uint16))
    found = np.asarray(feature.decode_example(stored))
    seen[name] = found.dtype.name, int(found.min()), int(found.max())
    print(f"{name}: written uint16 1000, read {seen[name]}")
sys.exit(0 if seen == {"gray": ("uint16", 1000, 1000), "colour": ("uint8", 232, 232)} else 1)
PYTHON
