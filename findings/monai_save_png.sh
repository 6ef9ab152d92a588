#!/usr/bin/env bash
# MONAI 1.6.1: SaveImage writes PNG with 8 bits and without scaling unless told otherwise: 12-bit pixel values are
# stored modulo 256 (290 becomes 34), and an image scaled to 0 ... 1 becomes black. No warning is given.
# output_dtype=np.uint16 keeps the values. LoadImage returns a PNG as (width, height) and SaveImage transposes again:
# a (height, width) array from elsewhere is written on its side. Exits 1 if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install -qq --disable-pip-version-check monai==1.6.1 torch==2.13.0 pillow==13.0.0 numpy==2.4.6
env/bin/python - <<'PYTHON' 2>&1 | grep -v nvImageCodec
import sys
import warnings

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImage, SaveImage
from PIL import Image

warnings.simplefilter("error", UserWarning)


def saved(values, name, **options):
    """Return the pixels of a PNG that SaveImage writes."""
    image = MetaTensor(torch.as_tensor(values.astype(np.float32))[None], meta={"filename_or_obj": f"{name}.png"})
    where = {"output_dir": ".", "output_postfix": "saved", "output_ext": ".png", "separate_folder": False}
    SaveImage(**where, print_log=False, **options)(image)
    return np.array(Image.open(f"{name}_saved.png"))


original = np.arange(15, dtype=np.uint16).reshape(3, 5) * 290  # 12 bits: 0 ... 4060
twelve, unit = saved(original, "twelve"), saved(original / 4060, "unit")
wide = saved(original, "wide", output_dtype=np.uint16)
Image.fromarray(original).save("original.png")
loaded = LoadImage(image_only=True)("original.png")
print(f"12-bit values up to {original.max()}: written as {twelve.dtype}, largest {twelve.max()}; 290 became {twelve[1, 0]}")
print(f"values from 0 to 1: written as {unit.dtype}, {np.count_nonzero(unit)} of {unit.size} pixels not 0")
print(f"output_dtype=np.uint16: written as {wide.dtype}, largest {wide.max()}")
print(f"PNG of {original.shape[0]} rows and {original.shape[1]} columns: LoadImage {tuple(loaded.shape)}, written {twelve.shape}")
same = (
    twelve.dtype == unit.dtype == np.uint8
    and np.array_equal(twelve, original.T % 256)
    and np.count_nonzero(unit) == 1
    and np.array_equal(wide, original.T)
    and tuple(loaded.shape) == (5, 3)
)
sys.exit(0 if same else 1)
PYTHON
