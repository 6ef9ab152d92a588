"""Volumes into codes and back, as `codec` does it for images: Haar in one pass, all else in strips.

A strip is some slices of cells. For other wavelets and poolings its bands are held at once, with a
margin of slices wide enough that what filters see beyond it never reaches the cells of the strip.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._kernels.cells import KINDS, pool_volumes
from deepfixcx._kernels.threads import threaded
from deepfixcx._kernels.volume import decode_haar_volumes, encode_haar_volumes
from deepfixcx.packets import check_finite, pixel_scale, recompose, split_down
from deepfixcx.pooling import unpool
from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import filter_bank

__all__ = ["decode_volumes", "encode_volumes"]

STRIP_VALUES = 1 << 22
"""Voxels of a strip on the general path: two float32 arrays of them are held."""


def encode_volumes(batch: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode voxels (B, C, D, H, W) into an array (B, C, bands, P_z, P, P), or (..., F)."""
    volumes = batch.reshape(-1, *batch.shape[2:])
    shape = len(volumes), spec.bands, *spec.grid_shape
    if spec.wavelet == "haar" and spec.pooling == "l1":
        code = _encode_haar_l1(volumes, np.empty(shape, np.float32), spec)
    else:
        several = np.empty((len(spec.poolings), *shape), np.float32)
        for n, volume in enumerate(volumes):
            _encode_in_strips(volume, several[:, n], spec)
        check_finite(several, "cells, because voxels are too large,")
        code = several[0] if len(several) == 1 else np.moveaxis(several, 0, -1)
    return np.ascontiguousarray(code).reshape(len(batch), *spec.code_shape(batch.shape[1]))


def _encode_haar_l1(
    volumes: NDArray[Any], code: NDArray[np.float32], spec: CodecSpec
) -> NDArray[np.float32]:
    slices, rows, columns = (axis.arrays for axis in spec.cells(*volumes.shape[1:]))
    scale, sums = pixel_scale(volumes), list[float]()

    def work(start: int, stop: int) -> None:
        levels = spec.axis_levels[:2]
        run = levels, scale, start, stop
        sums.append(encode_haar_volumes(volumes, code, slices, rows, columns, *run))

    threaded(work, len(volumes) * spec.grid_shape[0] * spec.grid_shape[1])
    if not np.isfinite(sums).all():  # some number is not finite, or all are large
        check_finite(code, "cells, because voxels are NaN, infinite or too large,")
    return code


def _encode_in_strips(volume: NDArray[Any], code: NDArray[np.float32], spec: CodecSpec) -> None:
    """Fill `code` (F, bands, P_z, P, P) from one volume (D, H, W)."""
    slices, rows, columns = (axis.arrays for axis in spec.cells(*volume.shape))
    count, level_z = spec.grid_shape[0], spec.axis_levels[0]
    whole = spec.boundary == "periodic"  # what comes around is far away
    strips = 1 if whole else min(count, max(1, volume.size // STRIP_VALUES))
    margin = filter_bank(spec.wavelet).offset if level_z else 0
    edges = [strip * count // strips for strip in range(strips + 1)]
    for first, last in pairwise(edges):
        # the padded grid may lay its last cells beyond the bands
        top = 0 if whole else max(0, min(slices[0][first], slices[1][-1] - 1) - margin)
        bottom = slices[1][-1] if whole else slices[1][last - 1] + margin
        part = volume[top << level_z : max(top + 1, bottom) << level_z]
        bands = np.multiply(part, pixel_scale(part), dtype=np.float32)
        check_finite(bands, "voxels")
        bands = split_down(bands[np.newaxis], spec)
        for name, feature in zip(spec.poolings, code, strict=True):
            _pool(bands, feature, (slices, rows, columns), KINDS[name], (first, last, top))


def _pool(
    bands: NDArray[np.float32],
    code: NDArray[np.float32],
    cells: tuple[Any, Any, Any],
    kind: int,
    where: tuple[int, int, int],
) -> None:
    slices, rows, columns = cells
    first, last, top = where

    def work(start: int, stop: int) -> None:
        parts = bands[start:stop], code[start:stop]
        pool_volumes(*parts, slices, rows, columns, kind, first, last, top)

    threaded(work, len(bands))


def decode_volumes(
    values: NDArray[np.float32], spec: CodecSpec, size: tuple[int, ...]
) -> NDArray[np.float32]:
    """Reconstruct voxels (B, C, D, H, W) from one coefficient a cell (B, C, bands, P_z, P, P)."""
    if spec.wavelet != "haar":
        return recompose(unpool(values, spec, *size), spec, *size)
    slices, rows, columns = (axis.arrays for axis in spec.cells(*size))
    flat = np.ascontiguousarray(values).reshape(-1, *values.shape[2:])
    volumes = np.empty((len(flat), *size), np.float32)

    def work(start: int, stop: int) -> None:
        levels = spec.axis_levels[:2]
        decode_haar_volumes(flat, volumes, slices, rows, columns, levels, start, stop)

    threaded(work, len(flat) * spec.grid_shape[0] * spec.grid_shape[1])
    return volumes.reshape(*values.shape[:2], *size)
