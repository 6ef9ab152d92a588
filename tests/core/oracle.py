"""The paper once more, slowly: plain NumPy in float64, sharing no code with the package.

Only filters come from PyWavelets. A signal is extended in full before it is filtered and a padded
grid is really padded, where the package never does either, so that the two can only agree if the
index arithmetic of both is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def split_along(bands: Array, axis: int, wavelet: str, boundary: str) -> list[Array]:
    """Split an array along one axis into its low and its high part."""
    return [
        np.moveaxis(split_axis(np.moveaxis(bands, axis, 0), taps, boundary), 0, axis)
        for taps in pywt.Wavelet(wavelet).filter_bank[:2]
    ]


def decompose(
    image: Array, level: int, wavelet: str, boundary: str, level_z: int | None = None
) -> Array:
    """Split one image (H, W) or volume (D, H, W) into the bands (N, h, w) or (N, d, h, w)."""
    bands = image[np.newaxis]
    for depth in range(level):
        axes = [*range(image.ndim)]
        if image.ndim == 3 and depth >= (level if level_z is None else level_z):
            axes = [1, 2]
        for axis in axes:
            parts = np.stack(split_along(bands, axis + 1, wavelet, boundary), axis=1)
            bands = parts.reshape(-1, *parts.shape[2:])
    return bands


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
    bands: Array,
    level: int,
    wavelet: str,
    boundary: str,
    *size: int,
    level_z: int | None = None,
) -> Array:
    """Merge the bands of a packet into one image (H, W) or volume (D, H, W)."""
    splits = [level] * len(size)
    if len(size) == 3:
        splits[0] = level if level_z is None else level_z
    for depth in reversed(range(level)):
        for axis in reversed(range(len(size))):
            if depth < splits[axis]:
                pair = [np.moveaxis(part, axis + 1, 0) for part in (bands[::2], bands[1::2])]
                length = -(-size[axis] // 2**depth)
                merged = merge_axis(pair, wavelet, boundary, length)
                bands = np.moveaxis(merged, 0, axis + 1)
    image: Array = bands[0]
    return image


def lay_grid(bands: Array, patches: tuple[int, ...], grid: str) -> dict[tuple[int, ...], Array]:
    """Return the members of every cell, (N, members), by its place in the grid."""
    edges = []
    for axis, cells in enumerate(patches, start=1):
        length = bands.shape[axis]
        if grid == "padded":
            size = -(-length // cells)
            before = (size * cells - length) // 2
            around = [(0, 0)] * bands.ndim
            around[axis] = (before, size * cells - length - before)
            bands = np.pad(bands, around)
            edges.append([i * size for i in range(cells + 1)])
        else:
            edges.append([i * length // cells for i in range(cells + 1)])
    return {
        place: bands[_ranges(edges, place)].reshape(len(bands), -1)
        for place in np.ndindex(*patches)
    }


def _ranges(edges: list[list[int]], place: tuple[int, ...]) -> tuple[slice, ...]:
    cell = (slice(along[i], along[i + 1]) for along, i in zip(edges, place, strict=True))
    return slice(None), *cell


def pool(bands: Array, patches: tuple[int, ...], pooling: str, grid: str) -> Array:
    """Reduce every cell to one number: (N, *patches)."""
    code = np.zeros((len(bands), *patches))
    for place, members in lay_grid(bands, patches, grid).items():
        code.reshape(len(code), -1)[:, _number(place, patches)] = REDUCE[pooling](members)
    return code


def unpool(code: Array, shape: tuple[int, ...], grid: str) -> Array:
    """Repeat every number over its cell: (N, *shape)."""
    out = np.zeros((len(code), *shape))
    number = np.arange(1, out[0].size + 1, dtype=np.float64).reshape(1, *shape)  # 0 is padding
    flat = out.reshape(len(out), -1)
    for place, cell in lay_grid(number, code.shape[1:], grid).items():
        for member in cell[0][cell[0] > 0].astype(int) - 1:
            flat[:, member] = code.reshape(len(code), -1)[:, _number(place, code.shape[1:])]
    return out


def _number(place: tuple[int, ...], patches: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index(place, patches))
