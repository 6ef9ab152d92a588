"""Arrays through the kernels in one pass: pixels into codes, codes into pixels.

Two paths lead each way. Haar with l1 pooling, and every Haar reconstruction, need no filters; the
general path serves every wavelet and pooling. Both equal the slow way through `packets` and
`pooling`, which holds all bands at once; that is tested, not assumed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfixcx._kernels.cells import KINDS, WHOLE_CELLS
from deepfixcx._kernels.haar import encode_haar_l1
from deepfixcx._kernels.haar_decode import decode_haar
from deepfixcx._kernels.packet import decode_packet, encode_packet
from deepfixcx._kernels.threads import threaded
from deepfixcx.pixels import check_finite, pixel_scale
from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import filter_bank

__all__ = ["decode_values", "encode_batch"]

STRIP_VALUES = 1 << 20
"""Pixels of a strip on the general path: two float32 buffers of them fit a cache."""

PART_MARGINS = 8
"""A part of a strip is at least so many times as high as its margin, which is worked twice."""


def encode_batch(batch: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode pixels (B, C, H, W) into an array (B, C, 4**J, P, P), or (..., F)."""
    if spec.wavelet == "haar" and spec.pooling == "l1":
        return _encode_haar_l1(batch, spec)
    return _encode_packet(batch, spec)


def _encode_packet(batch: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode strip by strip; equal to pooling the bands of `decompose`."""
    height, width = batch.shape[2:]
    rows, columns = spec.cells(height, width)
    bank = filter_bank(spec.wavelet)
    periodic = spec.boundary == "periodic"
    values = height * width if periodic else STRIP_VALUES  # what comes around is far away
    strips = spec.strips(height, width, values)
    most = max(values // width >> spec.level, PART_MARGINS * bank.offset, 1)
    if periodic or not WHOLE_CELLS.isdisjoint(spec.poolings):
        most = height
    kinds = np.array([KINDS[name] for name in spec.poolings])
    images = batch.reshape(-1, height, width)
    code = np.empty((len(kinds), len(images), *spec.code_shape(1)[1:4]), np.float32)
    sums: list[float] = []

    def work(start: int, stop: int) -> None:
        total = encode_packet(
            images,
            code,
            rows.arrays,
            columns.arrays,
            strips,
            most,
            bank.offset,
            spec.level,
            np.float32(pixel_scale(batch)),
            bank.analysis,
            periodic,
            kinds,
            start,
            stop,
        )
        sums.append(total)

    threaded(work, len(images) * (len(strips) - 1))
    if not np.isfinite(sums).all():  # some pixel is not finite, or all are large
        check_finite(np.asarray(batch, np.float32), "pixels")
    check_finite(code, "cells, because pixels are too large,")
    code = code[0] if len(kinds) == 1 else np.ascontiguousarray(np.moveaxis(code, 0, -1))
    return code.reshape(len(batch), *spec.code_shape(batch.shape[1]))


def _encode_haar_l1(batch: NDArray[Any], spec: CodecSpec) -> NDArray[np.float32]:
    """Encode on the fast path; equal to pooling the bands of `decompose`."""
    rows, columns = spec.cells(*batch.shape[2:])
    images = batch.reshape(-1, *batch.shape[2:])
    code = np.empty((len(images), spec.bands, *spec.grid_shape), np.float32)
    sums: list[float] = []

    def work(start: int, stop: int) -> None:
        total = encode_haar_l1(
            images,
            code,
            rows.arrays,
            columns.arrays,
            spec.level,
            pixel_scale(batch),
            start,
            stop,
        )
        sums.append(total)

    threaded(work, len(images) * len(rows.starts))
    if not np.isfinite(sums).all():  # some number is not finite, or all are large
        check_finite(code, "cells, because pixels are NaN, infinite or too large,")
    return code.reshape(len(batch), *spec.code_shape(batch.shape[1]))


def decode_values(
    values: NDArray[np.float32], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Reconstruct pixels (B, C, H, W) from one coefficient a cell (B, C, 4**J, P, P)."""
    if spec.wavelet == "haar":
        return _decode_haar(values, spec, height, width)
    return _decode_packet(values, spec, height, width)


def _decode_packet(
    values: NDArray[np.float32], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Decode image by image; equal to recomposing the unpooled bands."""
    rows, columns = spec.cells(height, width)
    row_of, column_of = rows.of_each_row(), columns.of_each_row()
    bank = filter_bank(spec.wavelet)
    flat = np.ascontiguousarray(values).reshape(-1, *values.shape[2:])
    images = np.empty((len(flat), height, width), np.float32)

    def work(start: int, stop: int) -> None:
        decode_packet(
            flat,
            images,
            row_of,
            column_of,
            spec.level,
            bank.synthesis,
            spec.boundary == "periodic",
            start,
            stop,
        )

    threaded(work, len(flat))
    return images.reshape(*values.shape[:2], height, width)


def _decode_haar(
    values: NDArray[np.float32], spec: CodecSpec, height: int, width: int
) -> NDArray[np.float32]:
    """Decode on the fast path; equal to recomposing the unpooled bands."""
    rows, columns = spec.cells(height, width)
    flat = np.ascontiguousarray(values).reshape(-1, *values.shape[2:])
    images = np.empty((len(flat), height, width), np.float32)

    def work(start: int, stop: int) -> None:
        decode_haar(flat, images, rows.arrays, columns.arrays, spec.level, start, stop)

    threaded(work, len(flat) * len(rows.starts))
    return images.reshape(*values.shape[:2], height, width)
