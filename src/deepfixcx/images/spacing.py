"""How large a pixel of a file is, for the formats that say so: DICOM."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from deepfixcx.images.reading import open_image
from deepfixcx.images.sniffing import SNIFFED_BYTES, sniff

__all__ = ["PixelSpacing", "pixel_spacing"]

_TAGS: Final = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


@dataclass(frozen=True, slots=True)
class PixelSpacing:
    """Distances between pixels, in millimetres."""

    rows: float
    columns: float
    at_detector: bool = False


def pixel_spacing(path: str | os.PathLike[str], frame: int = 0) -> PixelSpacing | None:
    """Read how far apart the pixels of a DICOM file are."""
    with open_image(path) as stream:
        if sniff(stream.read(SNIFFED_BYTES)) != "DICOM":
            return None
        stream.seek(0)
        return _of_dicom(stream, frame)


def _of_dicom(stream: BinaryIO, frame: int) -> PixelSpacing | None:
    from pydicom import dcmread

    from deepfixcx.images.quiet import QUIET

    try:
        with QUIET:
            header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*_TAGS])
            measured = _positive_pair(_of_groups(header, frame))
            found = _positive_pair(header.get("PixelSpacing")) or measured
            if found:
                return PixelSpacing(*found)
            found = _positive_pair(header.get("ImagerPixelSpacing"))
            return PixelSpacing(*found, at_detector=True) if found else None
    except Exception:  # a header may hold anything; what cannot be read is not known
        return None


def _of_groups(header: Any, frame: int) -> object:
    """Return what the functional groups of a multi-frame file say."""
    of_each = header.get("PerFrameFunctionalGroupsSequence") or ()
    for groups in (
        *of_each[frame : frame + 1],
        *(header.get("SharedFunctionalGroupsSequence") or ()),
    ):
        for measures in groups.get("PixelMeasuresSequence") or ():
            return measures.get("PixelSpacing")
    return None


def _positive_pair(value: Any) -> tuple[float, float] | None:
    if value is None or isinstance(value, str | float) or len(value) != 2:
        return None
    rows, columns = map(float, value)
    fits = 0 < rows < math.inf and 0 < columns < math.inf
    return (rows, columns) if fits else None
