"""Stored DICOM values become what a viewer would show, in [0, 1].

Grayscale goes modality LUT or rescale, then the first VOI LUT or window, then the inversion of
MONOCHROME1. What a window or VOI LUT calls black is 0, what it calls white is 1. A file without
either has no such range, so its smallest value is 0 and its largest 1, over all frames and
without padding; only plain 8-bit data stays as it is. So is a file whose window shows a single
gray although its values differ. A constant image is 0. Colour is scaled by its depth alone.

Reference: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), PS3.4 N.2 (the pipeline).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from deepfixcx._kernels import look_up
from deepfixcx.errors import ContradictoryHeaderError, NonFiniteError, UnsupportedImageError
from deepfixcx.images.dicom.native import Header, without_unused_bits
from deepfixcx.images.dicom.tables import Lut, decimal, read_lut, read_palette
from deepfixcx.images.frames import NOT_FINITE, spread

__all__ = ["SINGLE_GRAY", "displayed", "displayed_gray", "is_inverted", "modality_values"]

SINGLE_GRAY: Final = (
    "the window or VOI LUT would show a single gray, so it was ignored: the smallest value is "
    "black and the largest white"
)

_FRAME_MACROS: Final = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_FUNCTIONS: Final = frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})
_PADDINGS: Final = (
    ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Grading:
    """How stored values of a frame become gray: modality LUT or line, then VOI LUT or window."""

    slope: float = 1.0
    intercept: float = 0.0
    modality: Lut | None = None
    voi: Lut | None = None
    window: tuple[float, float, str] | None = None

    @property
    def has_voi(self) -> bool:
        return self.voi is not None or self.window is not None

    @property
    def changes(self) -> bool:
        return self.has_voi or self.modality is not None or (self.slope, self.intercept) != (1, 0)

    def values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Apply the modality LUT or the line of Rescale Slope and Intercept."""
        if self.modality is not None:
            return self.modality(stored)
        rescaled: NDArray[Any] = stored.astype(np.float64) * self.slope + self.intercept
        return rescaled

    def grays(self, values: NDArray[Any]) -> NDArray[Any]:
        """Apply the VOI LUT or the window, whose black becomes 0 and white 1."""
        if self.voi is not None:
            return spread(self.voi(values), 0, 2**self.voi.bits - 1)
        if self.window is None:
            return values
        centre, width, function = self.window
        if function == "SIGMOID":
            # Beyond these ends the curve is flat, and exp would overflow.
            curve: NDArray[Any] = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -99, 99)))
            return curve
        if function == "LINEAR_EXACT":
            return spread(values, centre - width / 2, centre + width / 2)
        if width == 1:
            return (values > centre - 0.5).astype(np.float32)
        return spread(values, centre - width / 2, centre + width / 2 - 1)


def displayed(
    frames: NDArray[Any], photometric: str, dataset: Dataset, notes: list[str]
) -> NDArray[Any]:
    """Turn stored values into gray or RGB for display."""
    if photometric == "RGB":
        return np.moveaxis(_scaled_by_depth(frames, dataset), -1, 1)
    if photometric == "PALETTE COLOR":
        return _coloured(frames[..., 0], dataset, notes)
    inverted = is_inverted(photometric, dataset)
    return displayed_gray(frames[..., 0], dataset, notes, inverted=inverted)


def is_inverted(photometric: str, header: Header) -> bool:
    """Return whether small values of a gray image are bright."""
    small_is_bright = photometric == "MONOCHROME1"
    shape = str(header.get("PresentationLUTShape") or "")
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") is not small_is_bright:
        raise ContradictoryHeaderError(
            f"Photometric Interpretation is {photometric} and Presentation LUT Shape is {shape}: "
            "the two contradict each other; correct one of them"
        )
    return small_is_bright


def displayed_gray(
    stored: NDArray[Any], header: Header, notes: list[str], *, inverted: bool
) -> NDArray[Any]:
    """Turn gray stored values into gray for display."""
    gradings = _gradings(header, len(stored), notes)
    if stored.dtype == np.uint8 and not any(grading.changes for grading in gradings):
        if header.get("BitsStored") == 1:
            stored = stored * np.uint8(255)
        if header.get("BitsStored") in (1, 8):
            return (255 - stored if inverted else stored)[:, np.newaxis]
    shown, single = _spread_or_windowed(stored, header, gradings)
    if single and any(each.has_voi for each in gradings) and stored.min() != stored.max():
        # The window lies beside all values: it belongs to other pixels, and would leave nothing.
        notes.append(SINGLE_GRAY)
        gradings = [replace(each, voi=None, window=None) for each in gradings]
        shown, single = _spread_or_windowed(stored, header, gradings)
    constant = single and shown.flat[0] == 0
    shown = np.subtract(1, shown, out=shown) if inverted and not constant else shown
    return shown[:, np.newaxis]


def modality_values(stored: NDArray[Any], header: Header) -> NDArray[Any]:
    """Return gray stored values ``(F, H, W)`` in the unit of the modality, such as HU."""
    gradings = _gradings(header, len(stored), [])
    if not any((each.slope, each.intercept) != (1, 0) or each.modality for each in gradings):
        return stored
    pairs = zip(gradings, stored, strict=True)
    return np.stack([np.asarray(each.values(frame), np.float32) for each, frame in pairs])


def _spread_or_windowed(
    stored: NDArray[Any], header: Header, gradings: list[_Grading]
) -> tuple[NDArray[np.float32], bool]:
    """Apply the modality LUT, then each frame's VOI, or the range of all where it has none."""
    ends = [(frame.min(), frame.max()) for frame in stored]
    low = high = 0.0
    if not all(grading.has_voi for grading in gradings):
        low, high = _extremes(stored, header, gradings, ends)
    shown = np.empty(stored.shape, np.float32)
    some: list[float] = []
    for frame, grading, (least, most), target in zip(stored, gradings, ends, shown, strict=True):
        levels, places = _levels(frame, least, most)
        values = grading.values(levels)
        grays = grading.grays(values) if grading.has_voi else spread(values, low, high)
        darkest, brightest = float(grays.min()), float(grays.max())
        if not np.isfinite([darkest, brightest]).all():  # either is NaN where any number is
            raise NonFiniteError(NOT_FINITE)
        if places is None:
            target[:] = grays
            some += [darkest, brightest]
        else:
            look_up(grays.astype(np.float32, copy=False), places.ravel(), target.reshape(-1))
            # What the smallest and the largest value become: mostly that differs, and the pixels
            # need not be gone through.
            some += [float(grays[int(least) - int(levels[0])]), float(grays[-1])]
    return shown, min(some) == max(some) and bool(shown.min() == shown.max())


def _levels(frame: NDArray[Any], least: Any, most: Any) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return numbers among which are all values of a frame, and where each pixel's stands."""
    if frame.dtype.kind not in "iu" or frame.dtype.itemsize > 2:
        return frame, None
    low, high = min(int(least), 0), int(most)
    if high - low >= frame.size:
        return frame, None
    levels = np.arange(low, high + 1).astype(frame.dtype)
    # A difference of signed numbers may wrap around; as an unsigned one it is right.
    differences = frame - frame.dtype.type(low) if low else frame
    return levels, differences.view(f"u{frame.dtype.itemsize}")


def _gradings(header: Header, frames: int, notes: list[str]) -> list[_Grading]:
    """Collect how each frame is shown: by its own groups, else the shared ones, else the file's."""
    whole = _found(header, notes)
    shared = header.get("SharedFunctionalGroupsSequence") or []
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    tables = _Tables(header, notes)
    if shared:
        whole |= _of_group(shared[0], notes)
    if not own:
        return [tables.grading(whole)] * frames
    gradings = [tables.grading(whole | _of_group(group, notes)) for group in own[:frames]]
    return gradings + [tables.grading(whole)] * (frames - len(gradings))


def _of_group(group: Dataset, notes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for macro in _FRAME_MACROS:
        if group.get(macro):
            found |= _found(group[macro][0], notes)
    return found


def _found(group: Header, notes: list[str]) -> dict[str, Any]:
    """Read what a header or a functional group says of the display; absent things are left out."""
    found = {
        name: decimal(group, name, notes)
        for name in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
    }
    sequences = {
        name: group.get(name) or None for name in ("ModalityLUTSequence", "VOILUTSequence")
    }
    function = {"VOILUTFunction": group.get("VOILUTFunction") or None}
    every = {**found, **sequences, **function}
    return {name: value for name, value in every.items() if value is not None}


class _Tables:
    """Turns what a header says into gradings; each lookup table is read once."""

    def __init__(self, header: Header, notes: list[str]) -> None:
        self._notes = notes
        self._luts: dict[tuple[int, bool], Lut | None] = {}
        bits = header.get("BitsStored")
        self._signed = header.get("PixelRepresentation") == 1 or not isinstance(bits, int)
        depth = bits if isinstance(bits, int) and 0 < bits <= 64 else 16
        half = 1 << depth - 1
        self._range = (-half, half - 1) if self._signed else (0, 2 * half - 1)

    def grading(self, found: dict[str, Any]) -> _Grading:
        modality = self._lut(found, "ModalityLUTSequence", "modality LUT", self._signed)
        slope = found.get("RescaleSlope", 1.0)
        intercept = found.get("RescaleIntercept", 0.0)
        if slope == 0:  # dcmtk ignores both as well
            self._say("Rescale Slope is 0, so Rescale Slope and Rescale Intercept were ignored")
            slope, intercept = 1.0, 0.0
        lowest = 0.0 if modality else min(end * slope + intercept for end in self._range)
        voi = self._lut(found, "VOILUTSequence", "VOI LUT", lowest < 0)
        window = None if voi else self._window(found)
        return _Grading(slope, intercept, modality, voi, window)

    def _lut(self, found: dict[str, Any], keyword: str, what: str, signed: bool) -> Lut | None:
        if keyword not in found:
            return None
        item = found[keyword][0]
        if (id(item), signed) not in self._luts:
            self._luts[id(item), signed] = read_lut(item, what, self._notes, signed=signed)
        return self._luts[id(item), signed]

    def _window(self, found: dict[str, Any]) -> tuple[float, float, str] | None:
        """Centre, width and function of the first window; None where there is no usable one."""
        if "WindowCenter" not in found or "WindowWidth" not in found:
            return None
        function = str(found.get("VOILUTFunction", "LINEAR"))
        if function not in _FUNCTIONS:
            self._say("VOI LUT Function is not a defined term, so LINEAR was used")
            function = "LINEAR"
        width = found["WindowWidth"]
        # PS3.3 C.11.2.1.2: at least 1 for LINEAR, above 0 for the other functions.
        if width < (1 if function == "LINEAR" else np.finfo(np.float32).tiny):
            self._say("Window Width is too small for a window, so the window was ignored")
            return None
        return found["WindowCenter"], width, function

    def _say(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


def _extremes(
    stored: NDArray[Any], header: Header, gradings: list[_Grading], ends: list[tuple[Any, Any]]
) -> tuple[float, float]:
    """Smallest and largest value over all frames, padding excluded."""
    lows, highs = [], []
    for frame, grading, (least, most) in zip(stored, gradings, ends, strict=True):
        padding = _padding(frame, header)
        kept = frame if padding is None else frame[~padding]
        if kept.size:
            if grading.modality is None:  # a line has its ends where the pixels have
                if padding is not None:
                    least, most = kept.min(), kept.max()
                kept = np.array([least, most])
            values = grading.values(kept)
            lows.append(values.min())
            highs.append(values.max())
    if not lows:
        return 0.0, 0.0
    if not np.isfinite([lows, highs]).all():
        raise NonFiniteError(NOT_FINITE)
    return float(min(lows)), float(max(highs))


def _padding(frame: NDArray[Any], header: Header) -> NDArray[np.bool_] | None:
    """Return which pixels are padding; None where the file has no such value."""
    for keyword, limit in _PADDINGS if frame.dtype.kind == "f" else _PADDINGS[:1]:
        value = header.get(keyword)
        if value is None or isinstance(value, str | bytes):
            continue
        ends: NDArray[Any] = np.array([value, header.get(limit, value)])
        if frame.dtype.kind in "iu":
            # Some files write these two signed beside unsigned pixels, or the other way round.
            ends = ends.astype(np.int64).astype(frame.dtype)
            unused = 8 * frame.dtype.itemsize - (header.get("BitsStored") or 0)
            stored = without_unused_bits(ends, unused, unused) if unused > 0 else ends
            # The words of padding may have bits beyond the stored ones, which the frame lost.
            ends = ends if stored[0] == ends[0] else stored
        low, high = np.sort(ends)
        inside: NDArray[np.bool_] = (frame >= low) & (frame <= high)
        return inside
    return None


def _coloured(stored: NDArray[Any], dataset: Dataset, notes: list[str]) -> NDArray[Any]:
    """Apply the palette: ``(F, H, W)`` becomes ``(F, 3, H, W)``."""
    luts = read_palette(dataset, notes)
    bits = luts[0].bits
    if bits not in (8, 16):
        raise UnsupportedImageError(
            "a palette of other than 8 or 16 bits is not read; export the image as RGB"
        )
    frames = np.stack([lut(stored) for lut in luts], axis=1)
    return frames.astype(np.uint8) if bits == 8 else frames


def _scaled_by_depth(frames: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Let colour fill its range: as it is with 8 or 16 bits stored, else float32 in [0, 1]."""
    if frames.dtype.kind != "u":
        raise UnsupportedImageError(
            "colour of signed or floating-point samples is not read; save it as unsigned RGB"
        )
    stored = int(dataset.BitsStored)
    if stored == 8 * frames.dtype.itemsize and stored <= 16:
        return frames
    return spread(frames, 0, 2**stored - 1)
