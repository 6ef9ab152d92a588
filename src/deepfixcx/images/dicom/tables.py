"""Lookup tables and decimal numbers of a DICOM header, as careless programs write them.

pydicom converts values by the rules of one edition of the standard. Here the bytes are read: a
table may have one byte an entry, and its first input value may be signed although the value
representation, or its absence, says otherwise.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from deepfixcx.errors import ContradictoryHeaderError
from deepfixcx.images.dicom.layout import name_of
from deepfixcx.images.dicom.native import Header

__all__ = ["Lut", "decimal", "read_lut", "read_palette"]

_NEGATIVE: Final = 1 << 15
_MOST_ENTRIES: Final = 1 << 16
_CORRECT: Final = "correct the header, or export the image again"
_COLOURS: Final = ("Red", "Green", "Blue")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3},\d{3}")
"""A comma that may separate thousands as well as decimals."""


@dataclass(frozen=True, slots=True, eq=False)
class Lut:
    """A lookup table."""

    first: int
    bits: int
    entries: NDArray[Any]

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Map values through the table."""
        wide = np.int64 if values.dtype.kind in "iu" else np.float64
        index = np.clip(np.rint(values.astype(wide)) - self.first, 0, len(self.entries) - 1)
        return np.asarray(self.entries[index.astype(np.intp)])


def decimal(header: Header, keyword: str, notes: list[str]) -> float | None:
    """Return the first value of a decimal element, None where it is absent or empty."""
    value: Any
    try:
        value = header.get(keyword)
    except Exception:  # pydicom raises in several ways on values that are no numbers
        value = _text(header, keyword)
    if isinstance(value, MultiValue | list):
        value = next(iter(value), None)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        value = value.split("\\")[0].strip()
        if "," in value and not _GROUPED.fullmatch(value):
            value = value.replace(",", ".")
            notes.append(f"{name_of(keyword)} has a decimal comma, which was read as a point")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not math.isfinite(number):
        raise ContradictoryHeaderError(f"{name_of(keyword)} is not a decimal number; {_CORRECT}")
    return number


def _text(header: Any, keyword: str) -> str:
    """Return the text of an element that pydicom does not convert."""
    elements = header if isinstance(header, Dataset) else header.elements
    value = elements.get_item(keyword).value
    return value.decode("latin-1").rstrip("\x00") if isinstance(value, bytes) else str(value)


def read_lut(
    item: Dataset, what: str, notes: list[str], *, signed: bool, prefix: str = "LUT"
) -> Lut | None:
    """Read a lookup table from the bytes of its elements."""
    words, stated = _words(item, f"{prefix}Descriptor")
    data, little = _bytes(item, f"{prefix}Data")
    if not words and not data:
        notes.append(f"the {what} is empty and was ignored")
        return None
    if len(words) != 3 or not 1 <= words[2] <= 16:
        raise ContradictoryHeaderError(f"the descriptor of the {what} is not usable; {_CORRECT}")
    first = _first(words[1], stated, signed)
    entries = _entries(data, words[0] or _MOST_ENTRIES, little)
    if entries is None:
        raise ContradictoryHeaderError(f"the {what} has fewer entries than declared; {_CORRECT}")
    if entries.max() >> words[2]:
        raise ContradictoryHeaderError(
            f"the {what} has entries of more bits than declared; {_CORRECT}"
        )
    return Lut(first, words[2], entries)


def read_palette(dataset: Dataset, notes: list[str]) -> tuple[Lut, Lut, Lut]:
    """Read the palette of a PALETTE COLOR image, plain or segmented, for red, green and blue."""
    signed = dataset.get("PixelRepresentation") == 1
    if "RedPaletteColorLookupTableData" not in dataset:
        return _segmented(dataset, signed=signed)
    luts = [
        read_lut(
            dataset,
            f"{colour.lower()} palette",
            notes,
            signed=signed,
            prefix=f"{colour}PaletteColorLookupTable",
        )
        for colour in _COLOURS
    ]
    red, green, blue = luts
    if red is None or green is None or blue is None or len({lut.bits for lut in luts if lut}) > 1:
        raise ContradictoryHeaderError(f"the palette is empty or of several depths; {_CORRECT}")
    return red, green, blue


def _segmented(dataset: Dataset, *, signed: bool) -> tuple[Lut, Lut, Lut]:
    words, stated = _words(dataset, "RedPaletteColorLookupTableDescriptor")
    if len(words) != 3 or words[2] not in (8, 16):
        raise ContradictoryHeaderError(f"the header lacks a usable palette; {_CORRECT}")
    luts = []
    for colour in _COLOURS:
        data, little = _bytes(dataset, f"Segmented{colour}PaletteColorLookupTableData")
        order = "<u2" if little else ">u2"
        if words[2] == 8:
            data = data if little else np.frombuffer(data, order).astype("<u2").tobytes()
            order = "u1"
        codes = np.frombuffer(data[: len(data) // 2 * 2], order).tolist()
        table: list[int] = []
        try:
            _expand(codes, 0, len(codes), words[2], table)
        except (IndexError, ValueError):
            raise ContradictoryHeaderError(
                f"the segmented palette is damaged; {_CORRECT}"
            ) from None
        if len(table) != (words[0] or _MOST_ENTRIES):
            raise ContradictoryHeaderError(
                f"the segmented palette has other entries than declared; {_CORRECT}"
            )
        entries = np.array(table, np.uint16)
        luts.append(Lut(_first(words[1], stated, signed), words[2], entries))
    red, green, blue = luts
    return red, green, blue


def _expand(codes: list[int], at: int, segments: int, bits: int, table: list[int]) -> None:
    """Append the entries of some segments to a table (PS3.3 C.7.9.2)."""
    nested = segments != len(codes)
    for _ in range(segments):
        if at + 2 > len(codes) or len(table) >= _MOST_ENTRIES:
            return
        kind, length = codes[at : at + 2]
        at += 2
        if kind == 0:  # discrete
            table += codes[at : at + length]
            at += length
        elif kind == 1:  # linear, from the entry before
            steps = np.linspace(table[-1], codes[at], length + 1)[1:]
            table += np.floor(steps + 0.5).astype(int).tolist()
            at += 1
        elif kind == 2 and not nested and table:  # indirect: segments that were there before
            size = 32 // bits
            offset = sum(code << bits * place for place, code in enumerate(codes[at : at + size]))
            _expand(codes, offset * 8 // bits, length, bits, table)
            at += size
        else:
            raise ValueError("an unknown segment")


def _first(word: int, stated: str, signed: bool) -> int:
    """Return the first input value; a file that states SS, by its value representation, counts."""
    negative = word >= _NEGATIVE and (signed or stated == "SS")
    return word - 2 * _NEGATIVE if negative else word


def _entries(data: bytes, count: int, little: bool) -> NDArray[Any] | None:
    """Return entries of two bytes, or of one where the data is too short for two."""
    if len(data) >= 2 * count:
        return np.frombuffer(data, "<u2" if little else ">u2", count).astype(np.uint16)
    if len(data) < count:
        return None
    if not little and len(data) % 2 == 0:  # bytes in words of the other byte order
        data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
    return np.frombuffer(data, np.uint8, count).astype(np.uint16)


def _words(item: Dataset, keyword: str) -> tuple[list[int], str]:
    """Return the unsigned words of a descriptor, and the value representation the file states."""
    element = item.get_item(keyword, keep_deferred=True) if keyword in item else None
    if element is None or not element.value:
        return [], ""
    if isinstance(element.value, bytes):
        little = getattr(element, "is_little_endian", True)
        data = element.value[: len(element.value) // 2 * 2]
        words = np.frombuffer(data, "<u2" if little else ">u2").tolist()
        return words, str(element.VR or "")
    return [int(value) & 0xFFFF for value in element.value], str(element.VR)


def _bytes(item: Dataset, keyword: str) -> tuple[bytes, bool]:
    """Return the bytes of an element and whether they are little endian."""
    element = item.get_item(keyword, keep_deferred=True) if keyword in item else None
    if element is None or not element.value:
        return b"", True
    if isinstance(element.value, bytes):
        return element.value, bool(getattr(element, "is_little_endian", True))
    return np.atleast_1d(np.asarray(element.value)).astype("<u2").tobytes(), True
