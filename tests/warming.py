"""Compile every kernel that the tests run, once: python -m tests.warming, before the tests.

numba keeps what it compiled on disk, but a fresh checkout has nothing there. Then each process of
a test run would compile for itself, traced by coverage: minutes of processor time, not half of one.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from deepfixcx import Codec
from deepfixcx.choices import Boundary, Pooling

__all__ = ["warm"]

REST: tuple[Pooling, ...] = ("l2", "sum", "min", "max", "median", "sum_pos", "sum_neg")
DTYPES = (np.float32, np.float64, np.uint8, np.uint16)
WAVELETS: dict[str, tuple[Boundary, ...]] = {"haar": ("zero",), "db2": ("zero", "periodic")}


def warm(wavelet: str) -> None:
    """Encode and decode a small image of each dtype, in each way that has kernels of its own."""
    pixels = np.random.default_rng(0).random((2, 1, 48, 40))
    if wavelet == "haar":
        volume = np.random.default_rng(0).integers(0, 200, (1, 1, 16, 24, 20))
        for dtype in DTYPES:
            Codec(2, 3, ndim=3).privatize(volume.astype(dtype))
    for dtype in DTYPES:
        image = (pixels * (1 if np.issubdtype(dtype, np.floating) else 200)).astype(dtype)
        for boundary in WAVELETS[wavelet]:
            Codec(2, 3, wavelet, boundary=boundary).privatize(image)
            Codec(2, 3, wavelet, "max", boundary).privatize(image)
            Codec(2, 3, wavelet, REST, boundary, "padded").encode(image)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        warm(sys.argv[1])
    else:
        running = [
            subprocess.Popen([sys.executable, "-m", __spec__.name, name]) for name in WAVELETS
        ]
        sys.exit(max(process.wait(600) for process in running))
