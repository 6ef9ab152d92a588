"""What a derived DICOM image says about how it was made, and what was lost on the way."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

__all__ = ["METHOD", "Derivation", "add_derivation", "lossy_before"]

METHOD: Final = "DEEPFIXCX"
"""How Lossy Image Compression Method calls the codec."""

_LOSSY: Final = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
}
_CODES: Final = {
    "lossy": ("113040", "DCM", "Lossy Compression"),
    "resampled": ("113085", "DCM", "Spatial resampling"),
    "codec": ("DFCX", "99DEEPFIXCX", "Wavelet packets pooled in cells"),
}
_LONGEST: Final = 1024
"""Characters of a Derivation Description."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How an image was made from another one."""

    description: str
    instance_uid: str
    series_uid: str
    ratio: float
    resampled: bool = False
    before: tuple[tuple[str, str], ...] = ()


def lossy_before(header: Dataset, syntax: UID, ratio: float) -> tuple[tuple[str, str], ...]:
    """List the lossy compressions that an image has gone through."""
    steps = tuple(
        (str(ratio or ""), str(method or ""))
        for ratio, method in zip_longest(
            _values(header, "LossyImageCompressionRatio"),
            _values(header, "LossyImageCompressionMethod"),
        )
    )
    denied = str(header.get("LossyImageCompression", "")) == "00"  # JPEG 2000 may be lossless
    if syntax in _LOSSY and not steps and not denied:
        return ((_short(ratio), _LOSSY[syntax]),)
    if syntax in _LOSSY and len(steps) == 1 and not steps[0][1]:
        return ((steps[0][0], _LOSSY[syntax]),)
    return steps


def _values(header: Dataset, keyword: str) -> list[object]:
    value = header.get(keyword)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | float | int) else list(value)


def add_derivation(made: Dataset, derivation: Derivation) -> None:
    """Write down how an image was made, in place, behind what the header says already."""
    before = [str(word) for word in _values(made, "ImageType")][1:]
    if before[:1] not in (["PRIMARY"], ["SECONDARY"]):
        before = ["SECONDARY", *before[1:]]
    made.ImageType = ["DERIVED", *before]
    said = str(made.get("DerivationDescription") or "")
    # Of a text that would be too long the end counts, which says what was done last.
    made.DerivationDescription = "; ".join(filter(None, (said, derivation.description)))[-_LONGEST:]
    names = ["lossy", "resampled", "codec"] if derivation.resampled else ["lossy", "codec"]
    codes = [_code(*_CODES[name]) for name in names]
    made.DerivationCodeSequence = [*(made.get("DerivationCodeSequence") or ()), *codes]
    steps = (*derivation.before, (_short(derivation.ratio), METHOD))
    made.LossyImageCompression = "01"
    made.LossyImageCompressionRatio = [ratio for ratio, _ in steps]
    made.LossyImageCompressionMethod = [method for _, method in steps]


def _short(ratio: float) -> str:
    return f"{ratio:.4g}" if ratio < 10_000 else f"{ratio:.0f}"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
