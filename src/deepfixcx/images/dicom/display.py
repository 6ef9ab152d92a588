"""Stored DICOM values become what a viewer would show, in [0, 1].

Grayscale goes modality LUT or rescale, then the first VOI LUT or window, then the inversion of
MONOCHROME1. What a window or VOI LUT calls black is 0, what it calls white is 1. A file without
either has no such range, so its smallest value is 0 and its largest 1, over all frames and
without padding; only plain 8-bit data stays as it is. So is a file whose window shows a single
gray although its values differ. A constant image is 0. Colour is scaled by its depth alone.

Reference: DICOM PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT), PS3.4 N.2 (the pipeline).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut

from deepfixcx._kernels.lookup import look_up
from deepfixcx.errors import DecodeError, NonFiniteError, UnsupportedImageError
from deepfixcx.images.dicom.native import Header
from deepfixcx.images.frames import spread

__all__ = ["displayed", "displayed_gray"]

_MODALITY: Final = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept")
_VOI: Final = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")
_FRAME_MACROS: Final = (
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
)
Table = dict[str, Any]
"""What a header says about the display of a frame: values by their DICOM keyword."""


def displayed(frames: NDArray[Any], photometric: str, dataset: Dataset) -> NDArray[Any]:
    """Turn stored values into gray or RGB for display.

    Parameters
    ----------
    frames : NDArray
        Stored values ``(F, H, W, S)``.
    photometric : str
        Photometric interpretation of these values.
    dataset : Dataset
        The header, with the look-up tables.

    Returns
    -------
    NDArray
        ``(F, C, H, W)``: uint8 or uint16 over the full range, or float32 in [0, 1].

    Raises
    ------
    DecodeError
        A photometric interpretation that is not displayed here.
    NonFiniteError
        NaN or infinity among the pixels.

    Examples
    --------
    >>> frames = np.array([[[[0], [1000]]]], np.uint16)
    >>> displayed(frames, "MONOCHROME1", Dataset()).ravel().tolist()
    [1.0, 0.0]
    """
    frames = frames.astype(frames.dtype.newbyteorder("="), copy=False)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        return displayed_gray(frames[..., 0], dataset, inverted=photometric == "MONOCHROME1")
    if photometric == "PALETTE COLOR":
        return np.moveaxis(_coloured(frames[..., 0], dataset), -1, 1)
    if photometric == "RGB":
        return np.moveaxis(_scaled_by_depth(frames, dataset), -1, 1)
    raise UnsupportedImageError(
        "its photometric interpretation is not displayed here; convert it to RGB"
    )


def displayed_gray(stored: NDArray[Any], header: Header, *, inverted: bool) -> NDArray[Any]:
    """Turn gray stored values into gray for display.

    Parameters
    ----------
    stored : NDArray
        Stored values ``(F, H, W)``.
    header : Header
        The header, with the look-up tables.
    inverted : bool
        Whether small values are bright.

    Returns
    -------
    NDArray
        ``(F, 1, H, W)``: uint8 over the full range, or float32 in [0, 1].

    Raises
    ------
    DecodeError
        A look-up table is damaged.
    NonFiniteError
        NaN or infinity among the pixels.

    Examples
    --------
    >>> displayed_gray(np.array([[[0, 1000]]]), Dataset(), inverted=False).ravel().tolist()
    [0.0, 1.0]
    """
    return _gray(stored, header, inverted=inverted)[:, np.newaxis]


def _gray(stored: NDArray[Any], header: Header, *, inverted: bool) -> NDArray[Any]:
    """Bring gray frames ``(F, H, W)`` to uint8, or to float32 in [0, 1]."""
    tables = _tables(header, len(stored))
    if stored.dtype == np.uint8 and not any(_changes_values(table) for table in tables):
        if header.get("BitsStored") == 1:
            stored = stored * np.uint8(255)
        if header.get("BitsStored") in (1, 8):
            return 255 - stored if inverted else stored
    shown, single = _spread_or_windowed(stored, header, tables)
    if single and stored.min() != stored.max():
        # The window lies beside all values: it belongs to other pixels, and would leave nothing.
        tables = [{name: table[name] for name in table.keys() - _VOI} for table in tables]
        shown, single = _spread_or_windowed(stored, header, tables)
    constant = single and shown.flat[0] == 0
    return np.subtract(1, shown, out=shown) if inverted and not constant else shown


def _spread_or_windowed(
    stored: NDArray[Any], header: Header, tables: list[Table]
) -> tuple[NDArray[np.float32], bool]:
    """Apply the modality LUT, then each frame's VOI, or the range of all where it has none.

    Also tells whether all pixels have become a single gray.
    """
    ends = [(frame.min(), frame.max()) for frame in stored]
    low = high = 0.0
    if not all(_has_voi(table) for table in tables):
        low, high = _extremes(stored, header, tables, ends)
    shown = np.empty(stored.shape, np.float32)
    some: list[float] = []
    for frame, table, (least, most), target in zip(stored, tables, ends, shown, strict=True):
        levels, places = _levels(frame, least, most)
        values = _after_modality(levels, table)
        grays = _after_voi(values, table) if _has_voi(table) else spread(values, low, high)
        darkest, brightest = float(grays.min()), float(grays.max())
        if not np.isfinite([darkest, brightest]).all():  # either is NaN where any number is
            raise NonFiniteError("NaN or infinity among the pixels; replace them in the source")
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
    """Return numbers among which are all values of a frame, and where each pixel's stands.

    What becomes of a pixel depends on its value alone, so the work is done once for each value
    instead of once for each pixel. Where that would be more (floats, say), the pixels themselves
    are returned, without places.
    """
    if frame.dtype.kind not in "iu" or frame.dtype.itemsize > 2:
        return frame, None
    low, high = min(int(least), 0), int(most)
    if high - low >= frame.size:
        return frame, None
    levels = np.arange(low, high + 1).astype(frame.dtype)
    # A difference of signed numbers may wrap around; as an unsigned one it is right.
    differences = frame - frame.dtype.type(low) if low else frame
    return levels, differences.view(f"u{frame.dtype.itemsize}")


def _tables(header: Header, frames: int) -> list[Table]:
    """Collect the look-up tables of each frame: its own, else the shared ones, else the file's."""
    whole = _found(header)
    shared = header.get("SharedFunctionalGroupsSequence") or []
    own = header.get("PerFrameFunctionalGroupsSequence") or []
    if not shared and not own:
        return [whole] * frames
    return [
        whole
        | {
            name: value
            for group in (*shared[:1], *own[index : index + 1])
            for macro in _FRAME_MACROS
            if group.get(macro)
            for name, value in _found(group[macro][0]).items()
        }
        for index in range(frames)
    ]


def _found(group: Header) -> Table:
    values = {name: group.get(name) for name in (*_MODALITY, *_VOI)}
    return {name: value for name, value in values.items() if value is not None}


def _changes_values(table: Table) -> bool:
    rescales = (table.get("RescaleSlope", 1), table.get("RescaleIntercept", 0)) != (1, 0)
    return bool(rescales or table.get("ModalityLUTSequence") or _has_voi(table))


def _has_voi(table: Table) -> bool:
    return bool(table.get("VOILUTSequence")) or _window(table) is not None


def _window(table: Table) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window; None where there is no usable one."""
    centre, width = _first(table.get("WindowCenter")), _first(table.get("WindowWidth"))
    if centre is None or width is None:
        return None
    function = str(table.get("VOILUTFunction") or "LINEAR")
    narrowest = 1 if function == "LINEAR" else np.finfo(np.float32).tiny
    if not (np.isfinite([float(centre), float(width)]).all() and float(width) >= narrowest):
        return None
    return float(centre), float(width), function


def _first(value: Any) -> Any:
    return next(iter(value), None) if isinstance(value, MultiValue) else value


def _after_modality(stored: NDArray[Any], table: Table) -> NDArray[Any]:
    if table.get("ModalityLUTSequence"):
        return _looked_up(stored, table["ModalityLUTSequence"][0])[0]
    slope = float(table.get("RescaleSlope", 1))
    intercept = float(table.get("RescaleIntercept", 0))
    rescaled: NDArray[Any] = stored.astype(np.float64) * slope + intercept
    return rescaled


def _after_voi(values: NDArray[Any], table: Table) -> NDArray[Any]:
    """Apply the VOI LUT or the window, whose black becomes 0 and white 1."""
    if table.get("VOILUTSequence"):
        entries, bits = _looked_up(values, table["VOILUTSequence"][0])
        return spread(entries, 0, 2**bits - 1)
    window = _window(table)
    if window is None:
        return values
    centre, width, function = window
    if function == "SIGMOID":
        # Beyond these ends the curve is flat, and exp would overflow.
        sigmoid: NDArray[Any] = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -99, 99)))
        return sigmoid
    if function == "LINEAR_EXACT":
        return spread(values, centre - width / 2, centre + width / 2)
    if width == 1:
        return (values > centre - 0.5).astype(np.float32)
    return spread(values, centre - width / 2, centre + width / 2 - 1)


def _looked_up(values: NDArray[Any], item: Dataset) -> tuple[NDArray[Any], int]:
    """Map values through a table; those beyond its ends take its first or last entry."""
    _, first, bits = (int(number) for number in item.LUTDescriptor)
    data = item.LUTData
    if isinstance(data, bytes):
        # Little endian, as in every transfer syntax but a retired one.
        data = np.frombuffer(data[: len(data) // 2 * 2], "<u2")
    entries = np.atleast_1d(np.asarray(data, np.uint16))
    if not 1 <= bits <= 16 or entries.size == 0:
        raise DecodeError("a look-up table of the header is damaged")
    index = np.clip(np.rint(values.astype(np.float64)) - first, 0, len(entries) - 1)
    return entries[index.astype(np.intp)], bits


def _extremes(
    stored: NDArray[Any], header: Header, tables: list[Table], ends: list[tuple[Any, Any]]
) -> tuple[float, float]:
    """Smallest and largest value over all frames, padding excluded."""
    lows, highs = [], []
    for frame, table, (least, most) in zip(stored, tables, ends, strict=True):
        padding = _padding(frame, header)
        kept = frame if padding is None else frame[~padding]
        if kept.size:
            if not table.get("ModalityLUTSequence"):  # a line has its ends where the pixels have
                if padding is not None:
                    least, most = kept.min(), kept.max()
                kept = np.array([least, most])
            values = _after_modality(kept, table)
            lows.append(values.min())
            highs.append(values.max())
    if not lows:
        return 0.0, 0.0
    if not np.isfinite([lows, highs]).all():
        raise NonFiniteError("NaN or infinity among the pixels; replace them in the source")
    return float(min(lows)), float(max(highs))


def _padding(frame: NDArray[Any], header: Header) -> NDArray[np.bool_] | None:
    """Tell which pixels are padding; None where the file has no such value."""
    value = header.get("PixelPaddingValue")
    if value is None or frame.dtype.kind not in "iu":
        return None
    ends = np.array([value, header.get("PixelPaddingRangeLimit", value)], np.int64)
    # Some files write these two signed beside unsigned pixels, or the other way round.
    low, high = np.sort(ends.astype(frame.dtype))
    inside: NDArray[np.bool_] = (frame >= low) & (frame <= high)
    return inside


def _coloured(stored: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Apply the palette: ``(F, H, W)`` becomes ``(F, H, W, 3)``."""
    colours = apply_color_lut(stored, dataset)[..., :3]
    if colours.dtype == np.uint16 and colours.max(initial=0) <= np.iinfo(np.uint8).max:
        # Eight-bit entries that were stored in 16 bits each.
        colours = colours.astype(np.uint8)
    return colours


def _scaled_by_depth(frames: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Let colour fill its range: as it is with 8 or 16 bits stored, else float32 in [0, 1]."""
    if frames.dtype.kind != "u":
        raise UnsupportedImageError(
            "colour with signed or floating-point samples is not displayed here"
        )
    stored = int(dataset.BitsStored)
    if stored == 8 * frames.dtype.itemsize and stored <= 16:
        return frames
    return spread(frames, 0, 2**stored - 1)
