"""The values of an image in its own unit, before any window: for the probe and for windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "Units", "raw_about", "raw_bytes"]

MOST_SAMPLED = 1 << 20
"""Pixels from which a curve is found; of a larger frame every second, third, … is taken."""

STRAIGHT = 2e-4
"""Largest deviation of a gray, from 0 to 1, at which a curve counts as a line."""

OF_CT = (
    ("Soft tissue", 40.0, 400.0),
    ("Lung", -600.0, 1500.0),
    ("Liver", 90.0, 150.0),
    ("Bone", 480.0, 2500.0),
    ("Brain", 40.0, 80.0),
)
"""Name, centre and width of windows in Hounsfield units, as OHIF has them."""

KINDS = {"uint8": "Uint8Array", "uint16": "Uint16Array", "int16": "Int16Array"}
"""Arrays of JavaScript that hold values as they are; all others become 32-bit floats."""


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """Which value each gray stands for: grays (N,) growing from 0 to 1, with their values (N,)."""

    grays: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def ends(self) -> tuple[float, float]:
        """Values that are shown as 0 and as 1: the second is smaller where an image is inverted."""
        return float(self.values[0]), float(self.values[-1])

    def of(self, grays: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values of grays; a line also beyond 0 and 1."""
        if len(self.grays) == 2:
            low, high = self.ends
            return np.asarray(low + grays * (high - low), np.float32)
        return np.interp(grays, self.grays, self.values).astype(np.float32)

    @classmethod
    def between(cls, values: NDArray[Any], grays: NDArray[Any]) -> Curve | None:
        """Find the curve that made grays (0 to 1) of values; None where there is no single one."""
        step = -(-values.size // MOST_SAMPLED)
        levels, places = np.unique(values.reshape(-1)[::step], return_index=True)
        shown = grays.reshape(-1)[::step][places].astype(np.float64)
        levels = levels.astype(np.float64)
        if len(levels) < 2 or shown[0] == shown[-1]:
            return None
        if shown[0] > shown[-1]:
            levels, shown = levels[::-1], shown[::-1]
        if (np.diff(shown) < -STRAIGHT).any():
            return None
        inside = (shown > 0) & (shown < 1)
        some, here = (levels[inside], shown[inside]) if inside.sum() > 1 else (levels, shown)
        slope = (some[-1] - some[0]) / (here[-1] - here[0]) if here[-1] > here[0] else 0.0
        if slope and np.abs((some - some[0]) / slope - (here - here[0])).max() <= STRAIGHT:
            ends = np.array([some[0] - here[0] * slope, some[0] + (1 - here[0]) * slope])
            digits = 6 - math.ceil(math.log10(abs(ends[1] - ends[0])))
            return cls(np.array([0.0, 1.0]), np.round(ends, digits) + 0.0)  # no minus zero
        rising = np.append(True, np.diff(shown) > 0)
        return cls(shown[rising], levels[rising])


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """Values of gray frames (F, H, W), their unit, and the windows (centre, width) of the file.

    `values` is None where the frames of the picture are the values of the file themselves.
    """

    values: NDArray[Any] | None = None
    name: str = ""
    windows: Sequence[tuple[float, float]] = ()
    _curves: dict[int, Curve | None] = field(default_factory=dict)

    def curve(self, frames: NDArray[Any], frame: int) -> Curve | None:
        """Return which value each gray of a frame stands for."""
        if frame not in self._curves:
            self._curves[frame] = self._found(frames[frame], frame)
        return self._curves[frame]

    def _found(self, pixels: NDArray[Any], frame: int) -> Curve | None:
        if self.values is None:
            return Curve(np.array([0.0, 1.0]), np.array([0.0, _white(pixels)]))
        return Curve.between(self.values[frame], pixels[0].astype(np.float32) / _white(pixels))

    def of_frame(self, frames: NDArray[Any], frame: int) -> NDArray[Any]:
        """Return the values of a frame, (H, W) or (H, W, 3)."""
        pixels = frames[frame]
        if self.values is not None:
            if self.curve(frames, frame) is not None:
                return np.asarray(self.values[frame])
            pixels = pixels.astype(np.float32) / _white(pixels)
        return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)

    def about(self, frames: NDArray[Any], frame: int) -> dict[str, object]:
        """Describe the values of a frame to the viewer: unit, ends of its grays, windows."""
        curve = self.curve(frames, frame)
        low, high = (0.0, 1.0) if curve is None else curve.ends
        shown = self.of_frame(frames, frame)
        whole = abs(high - low) > 2 or shown.dtype.kind in "iu"
        least, most = float(shown.min()), float(shown.max())
        presets = [
            (f"Window {number} of the file", centre, width)
            for number, (centre, width) in enumerate(self.windows, 1)
        ]
        presets += OF_CT if self.name == "HU" else ()
        presets.append(("All values", (least + most + whole) / 2, most - least + whole))
        usual = ((low + high + whole) / 2, abs(high - low) + whole)
        return {
            "unit": self.name, "low": min(low, high), "high": max(low, high), "whole": whole,
            "inverted": low > high,
            "presets": [list(each) for each in presets if each[2] > 0 and each[1:] != usual],
        }  # fmt: skip


def _white(pixels: NDArray[Any]) -> float:
    return float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0


def raw_about(values: NDArray[Any]) -> dict[str, object]:
    """Return what the browser must know to read the bytes of an array (H, W) or (H, W, 3)."""
    height, width, channels = (*values.shape, 1)[:3]
    kind = KINDS.get(str(values.dtype), "Float32Array")
    return {"kind": kind, "width": width, "height": height, "channels": channels}


def raw_bytes(values: NDArray[Any]) -> bytes:
    """Return an array as little-endian bytes of the kind that `raw_about` names."""
    plain = values if str(values.dtype) in KINDS else np.asarray(values, np.float32)
    return np.ascontiguousarray(plain, plain.dtype.newbyteorder("<")).tobytes()
