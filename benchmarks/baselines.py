"""The same transform as other programs do it: torch, ptwt and PyWavelets.

``Conv`` is how the original research code works: four two-dimensional filters as one grouped
convolution with stride 2, repeated for each level, then pooling on the padded grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import ptwt
import pywt
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from deepfixcx.spec import CodecSpec
from deepfixcx.wavelets import filter_bank

__all__ = ["Conv", "Ptwt", "PyWavelets"]

Arrays = NDArray[Any]
SUBBANDS = "avhd"


class Conv:
    """Grouped convolutions; their numbers are those of the codec with the padded grid."""

    def __init__(self, spec: CodecSpec, threads: int, batch: int = 16) -> None:
        torch.set_num_threads(threads)
        self.spec, self.batch = spec, batch
        bank = filter_bank(spec.wavelet)
        self.analysis = _outer(bank.analysis_low, bank.analysis_high)
        self.synthesis = _outer(bank.synthesis_low, bank.synthesis_high)
        self.margin = bank.offset

    def encode(self, pixels: Arrays) -> Arrays:
        """Turn pixels (B, H, W) into a code (B, 4**J, P, P)."""
        with torch.inference_mode():
            codes = [
                self._encode(pixels[start : start + self.batch])
                for start in range(0, len(pixels), self.batch)
            ]
            return _joined(codes)

    def _encode(self, pixels: Arrays) -> torch.Tensor:
        bands = _as_floats(pixels)[:, None]
        for _ in range(self.spec.level):
            odd_rows, odd_columns = (size % 2 for size in bands.shape[2:])
            if odd_rows or odd_columns:
                bands = F.pad(bands, (0, odd_columns, 0, odd_rows))
            groups = bands.shape[1]
            kernels = self.analysis.repeat(groups, 1, 1, 1)
            bands = F.conv2d(bands, kernels, stride=2, padding=self.margin, groups=groups)
        return _pooled(bands.abs(), self.spec)

    def decode(self, code: Arrays, height: int, width: int, size: str) -> Arrays:
        """Turn a code (B, 4**J, P, P) into reconstructions (B, H', W')."""
        parts = [code[start : start + self.batch] for start in range(0, len(code), self.batch)]
        with torch.inference_mode():
            images = [self._decode(torch.from_numpy(part), height, width, size) for part in parts]
            return _joined(images)

    def _decode(self, bands: torch.Tensor, height: int, width: int, size: str) -> torch.Tensor:
        if size == "compact":
            height, width = self.spec.compact_shape()
        else:
            bands = _unpooled(bands, self.spec, height, width)
        for rows, columns in reversed(self.spec.split_shapes(height, width)[:-1]):
            groups = bands.shape[1] // 4
            kernels = self.synthesis.repeat(groups, 1, 1, 1)
            bands = F.conv_transpose2d(
                bands, kernels, stride=2, padding=self.margin, groups=groups
            )[..., :rows, :columns]
        return bands[:, 0]


class Ptwt:
    """The packet of ptwt, then the same pooling."""

    def __init__(self, spec: CodecSpec, threads: int, batch: int = 16) -> None:
        torch.set_num_threads(threads)
        self.spec, self.batch, self.keys = spec, batch, _keys(spec.level)

    def encode(self, pixels: Arrays) -> Arrays:
        """Turn pixels (B, H, W) into a code (B, 4**J, P, P)."""
        with torch.inference_mode():
            codes = [
                _pooled(self._bands(pixels[start : start + self.batch]).abs(), self.spec)
                for start in range(0, len(pixels), self.batch)
            ]
            return _joined(codes)

    def _packet(self, pixels: Arrays) -> Any:
        return ptwt.WaveletPacket2D(
            _as_floats(pixels), self.spec.wavelet, mode="zero", maxlevel=self.spec.level
        )

    def _bands(self, pixels: Arrays) -> torch.Tensor:
        packet = self._packet(pixels)
        return torch.stack([packet[key] for key in self.keys], dim=1)

    def decoder(self, pixels: Arrays) -> Callable[[], Arrays]:
        """Return a call that makes reconstructions of the size of these pixels, one batch."""
        with torch.inference_mode():
            packet = self._packet(pixels)
            bands = torch.stack([packet[key] for key in self.keys], dim=1)
            code = _pooled(bands.abs(), self.spec)
        height, width = bands.shape[2:]

        def decode() -> Arrays:
            with torch.inference_mode():
                values = _repeated(code, self.spec, height, width)
                for place, key in enumerate(self.keys):
                    packet[key] = values[:, place]
                packet.reconstruct()
                return _joined([packet[""]])

        return decode


class PyWavelets:
    """The packet of PyWavelets, a batch a thread; then the same pooling."""

    def __init__(self, spec: CodecSpec, threads: int, batch: int = 8) -> None:
        torch.set_num_threads(threads)
        self.spec, self.batch, self.keys = spec, batch, _keys(spec.level)
        self.pool = ThreadPoolExecutor(threads)

    def encode(self, pixels: Arrays) -> Arrays:
        """Turn pixels (B, H, W) into a code (B, 4**J, P, P)."""
        parts = [pixels[start : start + self.batch] for start in range(0, len(pixels), self.batch)]
        return np.concatenate(list(self.pool.map(self._encode, parts)))

    def _encode(self, pixels: Arrays) -> Arrays:
        bands = torch.from_numpy(self._bands(pixels))
        with torch.inference_mode():
            return _joined([_pooled(bands.abs(), self.spec)])

    def _bands(self, pixels: Arrays) -> Arrays:
        floats = pixels if pixels.dtype == np.float32 else np.float32(pixels) * np.float32(1 / 255)
        packet = pywt.WaveletPacket2D(
            floats, self.spec.wavelet, mode="zero", maxlevel=self.spec.level, axes=(-2, -1)
        )
        return np.stack([packet[key].data for key in self.keys], axis=1)

    def decoder(self, pixels: Arrays) -> Callable[[], list[Arrays]]:
        """Return a call that makes reconstructions of the size of these pixels."""
        parts = [pixels[start : start + self.batch] for start in range(0, len(pixels), self.batch)]
        codes, shapes = [], []
        for part in parts:
            bands = torch.from_numpy(self._bands(part))
            codes.append(_pooled(bands.abs(), self.spec))
            shapes.append(tuple(bands.shape[2:]))

        def decode() -> list[Arrays]:
            return list(self.pool.map(self._decode, codes, shapes))

        return decode

    def _decode(self, code: torch.Tensor, shape: tuple[int, int]) -> Arrays:
        with torch.inference_mode():
            values = _repeated(code, self.spec, *shape).numpy()
        packet = pywt.WaveletPacket2D(
            None, self.spec.wavelet, mode="zero", maxlevel=self.spec.level, axes=(-2, -1)
        )
        for place, key in enumerate(self.keys):
            packet[key] = values[:, place]
        image: Arrays = packet.reconstruct(update=False)
        return image


def _joined(tensors: Sequence[torch.Tensor]) -> Arrays:
    array: Arrays = torch.cat(list(tensors)).numpy()
    return array


def _keys(level: int) -> list[str]:
    return ["".join(path) for path in itertools.product(SUBBANDS, repeat=level)]


def _outer(low: Arrays, high: Arrays) -> torch.Tensor:
    """Return the four two-dimensional filters, (4, 1, L, L), rows before columns."""
    pairs = [np.outer(rows, columns) for rows in (low, high) for columns in (low, high)]
    return torch.from_numpy(np.stack(pairs)[:, None].astype(np.float32))


def _as_floats(pixels: Arrays) -> torch.Tensor:
    tensor = torch.from_numpy(pixels)
    return tensor if pixels.dtype == np.float32 else tensor.float().mul_(1 / 255)


def _pooled(bands: torch.Tensor, spec: CodecSpec) -> torch.Tensor:
    """Lay bands on the padded grid and take the mean of each cell."""
    (rows, top), (columns, left) = map(_cell, bands.shape[2:], spec.grid_shape)
    below = rows * spec.grid_shape[0] - bands.shape[2] - top
    right = columns * spec.grid_shape[1] - bands.shape[3] - left
    if top or below or left or right:
        bands = F.pad(bands, (left, right, top, below))
    return F.avg_pool2d(bands, (rows, columns))


def _unpooled(code: torch.Tensor, spec: CodecSpec, height: int, width: int) -> torch.Tensor:
    return _repeated(code, spec, *spec.band_shape(height, width))


def _repeated(code: torch.Tensor, spec: CodecSpec, height: int, width: int) -> torch.Tensor:
    (rows, top), (columns, left) = map(_cell, (height, width), spec.grid_shape)
    whole = code.repeat_interleave(rows, 2).repeat_interleave(columns, 3)
    return whole[..., top : top + height, left : left + width].contiguous()


def _cell(length: int, patches: int) -> tuple[int, int]:
    """Return the size of a cell of the padded grid, and the zeros before the first."""
    size = -(-length // patches)
    return size, (size * patches - length) // 2
