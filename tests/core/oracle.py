"""The paper once more, slowly: plain NumPy in float64, sharing no code with the package.

Only filters come from PyWavelets. A signal is extended in full before it is filtered and a padded
grid is really padded, where the package never does either, so that the two can only agree if the
index arithmetic of both is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pywt
from numpy.typing import NDArray

Array = NDArray[np.float64]

REDUCE: dict[str, Callable[[Array], Array]] = {
    "l1": lambda members: np.abs(members).mean(-1),
    "l2": lambda members: (members**2).mean(-1),
    "sum": lambda members: members.mean(-1),
    "sum_pos": lambda members: np.where(members > 0, members, 0).mean(-1),
    "sum_neg": lambda members: np.where(members < 0, members, 0).mean(-1),
    "max": lambda members: members.max(-1),
    "min": lambda members: members.min(-1),
    "median": lambda members: np.sort(members, -1)[..., (members.shape[-1] - 1) // 2],
}


def to_unit(pixels: NDArray[np.generic]) -> Array:
    """Scale unsigned integers by their full range; take floats as they are."""
    full: float = 256**pixels.dtype.itemsize - 1 if pixels.dtype.kind == "u" else 1
    return pixels.astype(np.float64) / full


def split_axis(signal: Array, taps: Sequence[float], boundary: str) -> Array:
    """Cross-correlate along the first axis with step 2."""
    if len(signal) % 2:
        signal = np.concatenate([signal, np.zeros_like(signal[:1])])
    before = (len(taps) - 1) // 2
    around = [(before, len(taps)), *[(0, 0)] * (signal.ndim - 1)]
    extended = np.pad(signal, around, mode="wrap" if boundary == "periodic" else "constant")
    out = np.zeros((len(signal) // 2, *signal.shape[1:]))
    for k in range(len(out)):
        for m, tap in enumerate(taps):
            out[k] += tap * extended[2 * k + m]
    return out


def decompose(image: Array, level: int, wavelet: str, boundary: str) -> Array:
    """Split one image (H, W) into the bands (4**J, h, w) of a packet."""
    low, high = pywt.Wavelet(wavelet).filter_bank[:2]
    bands = [image]
    for _ in range(level):
        bands = [
            split_axis(split_axis(band, rows, boundary).T, columns, boundary).T
            for band in bands
            for rows in (low, high)
            for columns in (low, high)
        ]
    return np.array(bands)


def merge_axis(parts: Sequence[Array], wavelet: str, boundary: str, length: int) -> Array:
    """Spread a low and a high part along the first axis and drop what `split_axis` padded."""
    filters = pywt.Wavelet(wavelet).filter_bank[2:]
    even = 2 * len(parts[0])
    out = np.zeros((even, *parts[0].shape[1:]))
    for part, taps in zip(parts, filters, strict=True):
        before = (len(taps) - 1) // 2
        for k in range(len(part)):
            for m, tap in enumerate(reversed(taps)):
                place = 2 * k + m - before
                if boundary == "periodic":
                    out[place % even] += tap * part[k]
                elif 0 <= place < even:
                    out[place] += tap * part[k]
    return out[:length]


def recompose(
    bands: Array, level: int, wavelet: str, boundary: str, height: int, width: int
) -> Array:
    """Merge the bands (4**J, h, w) of a packet into one image (H, W)."""
    for depth in reversed(range(level)):
        rows, columns = -(-height // 2**depth), -(-width // 2**depth)
        bands = np.array(
            [
                merge_axis(
                    [
                        merge_axis([four[0].T, four[1].T], wavelet, boundary, columns).T,
                        merge_axis([four[2].T, four[3].T], wavelet, boundary, columns).T,
                    ],
                    wavelet,
                    boundary,
                    rows,
                )
                for four in bands.reshape(-1, 4, *bands.shape[1:])
            ]
        )
    image: Array = bands[0]
    return image


def lay_grid(bands: Array, patches: tuple[int, int], grid: str) -> list[list[Array]]:
    """Return the members of every cell, (4**J, members), by row and column of the grid."""
    edges = []
    for axis, cells in zip((1, 2), patches, strict=True):
        length = bands.shape[axis]
        if grid == "padded":
            size = -(-length // cells)
            before = (size * cells - length) // 2
            around = [(0, 0)] * 3
            around[axis] = (before, size * cells - length - before)
            bands = np.pad(bands, around)
            edges.append([i * size for i in range(cells + 1)])
        else:
            edges.append([i * length // cells for i in range(cells + 1)])
    return [
        [
            bands[:, top:bottom, left:right].reshape(len(bands), -1)
            for left, right in _pairs(edges[1])
        ]
        for top, bottom in _pairs(edges[0])
    ]


def pool(bands: Array, patches: tuple[int, int], pooling: str, grid: str) -> Array:
    """Reduce every cell to one number: (4**J, P, P)."""
    cells = lay_grid(bands, patches, grid)
    return np.moveaxis(np.array([[REDUCE[pooling](cell) for cell in row] for row in cells]), 2, 0)


def unpool(code: Array, shape: tuple[int, int], grid: str) -> Array:
    """Repeat every number over its cell: (4**J, h, w)."""
    out = np.zeros((len(code), *shape))
    number = np.arange(1, out[0].size + 1, dtype=np.float64).reshape(1, *shape)  # 0 is padding
    for i, row in enumerate(lay_grid(number, (code.shape[1], code.shape[2]), grid)):
        for j, cell in enumerate(row):
            for place in cell[0][cell[0] > 0].astype(int) - 1:
                out[:, place // shape[1], place % shape[1]] = code[:, i, j]
    return out


def _pairs(edges: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(edges))
