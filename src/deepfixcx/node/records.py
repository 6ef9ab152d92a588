"""Records of the ledger of a node: objects, results, deliveries, requests for commitment.

`meaning_of` is how the ledger knows an object that comes again in another encoding.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["Commitment", "Delivery", "Made", "Outcome", "Waiting", "meaning_of"]


class Waiting(NamedTuple):
    """An object that waits for its profile."""

    number: int
    content: str
    calling: str
    received: float


@dataclass(frozen=True)  # without slots, which make pickling slow
class Made:
    """What a route made of an object."""

    route: str
    content: str
    sop_class: str
    instance: str
    syntax: str
    study: str
    series: str
    bytes: int
    to: tuple[str, ...]


@dataclass(frozen=True)  # without slots, which make pickling slow
class Outcome:
    """What became of an object: results, and why something was withheld (empty: nothing)."""

    made: tuple[Made, ...] = ()
    reason: str = ""
    meaning: str = ""
    """Digest of what the object states and shows, the same in every encoding."""


class Delivery(NamedTuple):
    """A result that waits for a destination."""

    number: int
    made: int
    content: str
    sop_class: str
    instance: str
    syntax: str
    study: str
    series: str
    refused: int


class Commitment(NamedTuple):
    """A request for storage commitment that is to be answered."""

    number: int
    calling: str
    uid: str
    items: list[tuple[str, str]]
    attempts: int


PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
OF_ENCODING: Final = frozenset(
    (0x00280004, 0x00280006, 0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010, 0xFFFCFFFC)
)
"""Pixels, which are decoded, and what states how they or the file are encoded."""


def meaning_of(source: Dataset, most: int) -> str:
    """Return a digest of what an object states and shows, the same in each lossless encoding.

    It is empty where the pixels cannot be decoded or are more than `most`: such an object is never
    taken for a repetition of another one.
    """
    from deepfixcx.images.dicom.decoding import decode_frames
    from deepfixcx.images.dicom.layout import read_layout
    from deepfixcx.images.reading import QUIET

    digest = hashlib.sha256()
    try:
        with QUIET:
            if any(name in source for name in PIXELS):
                layout = read_layout(source)
                if layout.frames * layout.height * layout.width > most:
                    return ""
                stored = decode_frames(source)
                digest.update(repr((stored.photometric, stored.values.shape)).encode())
                digest.update(stored.values.tobytes())
            _add_elements(source, digest)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic of a compiled library is no Exception
        return ""
    return digest.hexdigest()


def _add_elements(dataset: Dataset, digest: Any) -> None:
    """Add the values of all elements as they are stored; nested ones differ by their encoding."""
    from pydicom.datadict import dictionary_has_tag, dictionary_VR

    for tag in sorted(dataset.keys()):
        if not tag.element or tag in OF_ENCODING:  # element 0 is the length of a group
            continue
        element = dataset.get_item(tag)
        vr = element.VR
        if vr in (None, "UN") and dictionary_has_tag(tag):
            vr = dictionary_VR(tag)
        digest.update(struct.pack("<I", tag))
        if vr == "SQ":
            for item in dataset[tag].value:
                digest.update(b"item")
                _add_elements(item, digest)
            digest.update(b"end")
            continue
        value = element.value
        content = (
            value if isinstance(value, bytes) else str("" if value is None else value).encode()
        )
        if content[-1:] in (b"\0", b" "):  # it makes the length even
            content = content[:-1]
        digest.update(struct.pack("<Q", len(content)) + content)
