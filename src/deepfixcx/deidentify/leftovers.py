"""Names, numbers and dates of the patient that stand where the table does not expect them.

Every value of every element is compared, whatever its group and representation. What is exempt is
so by structure: terms that are registered for just their element, registered UIDs, values that
were made here, and sizes that have to agree with the pixel data.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Final

from pydicom.charset import python_encoding
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from deepfixcx.deidentify.actions import Action, Handled
from deepfixcx.deidentify.elements import DUMMIES, emptied, made, text_values
from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.walking import PIXEL_TAGS
from deepfixcx.errors import DeidentifyError

__all__ = ["erase"]

CHARACTER_SET, IMAGE_TYPE, MODALITY = 0x00080005, 0x00080008, 0x00080060
SIZES: Final = frozenset(
    {0x00280002, 0x00280006, 0x00280010, 0x00280011}  # samples, planes, height and width
    | {0x00280100, 0x00280101, 0x00280102, 0x00280103}  # bits, and whether they are signed
)
"""Numbers of 16 bits that say how large the image itself is. They are compared in sequences."""
NUMBER_OF_FRAMES: Final = 0x00280008

TERMS: Final = {
    IMAGE_TYPE: frozenset({"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "MIXED"}),
    0x00280004: frozenset(
        {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422"}
        | {"YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "HSV", "ARGB", "CMYK", "XYB"}
    ),
    0x00080068: frozenset({"FOR PRESENTATION", "FOR PROCESSING"}),
    0x00281056: frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
    0x00282110: frozenset({"00", "01"}),
    0x00100040: frozenset({"M", "F", "O"}),
    0x00120062: frozenset({"YES", "NO"}),
}
"""Enumerated values of PS3.3 without which an image cannot be read, by their element."""

SPLIT: Final = frozenset({"AE", "CS", "LO", "PN", "SH", "UC"})
"""Kinds of texts; an element may have several of each."""

IN_BINARY: Final = frozenset({"FD", "FL", "SL", "SS", "SV", "UL", "US", "UV", "IS", "DS"})


def erase(
    header: Dataset,
    identity: Identity,
    generated: frozenset[str],
    *,
    dates_moved: bool,
    keep_pixels: bool,
    path: str = "",
) -> list[Handled]:
    """Empty every element that holds a name, a number or a date of the source; in place."""
    done = []
    encodings = _encodings(header)
    for element in list(header):
        where = f"{path}{element.tag}".replace(" ", "")
        if element.tag not in header:  # with the creator of its block
            continue
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                done += erase(
                    item,
                    identity,
                    generated,
                    dates_moved=dates_moved,
                    keep_pixels=keep_pixels,
                    path=f"{where}[{number}]",
                )
            continue
        if element.tag in PIXEL_TAGS:
            continue
        if not path and (element.tag in SIZES or (element.tag == NUMBER_OF_FRAMES and keep_pixels)):
            continue
        bad = [
            number
            for number, value in enumerate(_values(element))
            if (
                identity.has_number(str(value))
                if dates_moved and element.VR in ("DA", "DT", "TM")
                else _is_named(element, number, value, identity, generated, encodings)
            )
        ]
        if not bad and identity.stands_in_text(_joined(element)):
            bad = list(range(element.VM))
        if bad:
            if keep_pixels and isinstance(element.value, bytes) and element.tag.group == 0x0028:
                raise DeidentifyError(
                    f"the lookup table {where} contains a name or number of the patient, so it "
                    "is removed, and the pixels cannot be shown without it; exclude this image"
                )
            _replace(header, element, bad)
            done.append(Handled(where, Action.EMPTY, "name inside"))
    return done


def _is_named(
    element: DataElement,
    number: int,
    value: Any,
    identity: Identity,
    generated: frozenset[str],
    encodings: Iterable[str],
) -> bool:
    tag, vr = element.tag, element.VR
    if isinstance(value, bytes):
        return value != DUMMIES.get(vr, b"\0\0") and identity.stands_in_bytes(value, encodings)
    text = str(value).strip(" \0")
    if not text or text in generated or vr == "UI":
        return False
    if tag == CHARACTER_SET:
        return text not in python_encoding
    if text == str(DUMMIES.get(vr)) or text in TERMS.get(tag, ()):
        return False
    if tag == MODALITY and text in _modalities():
        return False
    if vr in IN_BINARY:
        # The first value of a descriptor is how many entries its table has, the last their bits.
        descriptor = element.keyword.endswith("Descriptor") and number != 1
        return not descriptor and identity.is_number(text)
    return identity.stands_in_text(text)


def _joined(element: DataElement) -> str:
    r"""Return the several values of an element as one text: Muster\mann is Mustermann."""
    if element.VM < 2 or element.VR not in SPLIT or element.tag == CHARACTER_SET:
        return ""
    known = TERMS.get(element.tag, frozenset())
    return " ".join(text for text in text_values(element) if text not in known)


def _values(element: DataElement) -> list[Any]:
    if element.value is None:
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def _replace(header: Dataset, element: DataElement, bad: list[int]) -> None:
    """Take values away: all of an element, or those alone that a reader can do without."""
    tag = element.tag
    if tag.is_private_creator:
        block = [each for each in header.keys() if each >> 8 == tag >> 16 << 8 | tag & 0xFF]  # noqa: SIM118 - iterating yields elements, not tags
        for each in (tag, *block):
            del header[each]
    elif tag == MODALITY:
        header.add(made(element, "OT"))
    elif tag in (IMAGE_TYPE, CHARACTER_SET):
        values = [each for number, each in enumerate(text_values(element)) if number not in bad]
        header.add(made(element, values))
    elif isinstance(element.value, bytes):
        del header[tag]  # a table without entries makes a file unreadable
    else:
        header.add(emptied(element))


def _encodings(header: Dataset) -> tuple[str, ...]:
    value = header.get("SpecificCharacterSet") or ()
    names = [value] if isinstance(value, str) else list(value)
    return tuple(python_encoding[name] for name in names if name in python_encoding)


@functools.cache
def _modalities() -> frozenset[str]:
    """Return the defined terms of Modality, which the standard lists as codes (CID 29, 32, 33)."""
    return frozenset(
        getattr(cid, name).value
        for cid in (codes.CID29, codes.CID32, codes.CID33)
        for name in cid.dir()
    )
