"""How the pixels and compressed frames of a DICOM file are laid out; contradictions are refused.

What a decoder would otherwise assume in silence is checked before any pixel is decoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, NoReturn, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, generate_frames, parse_basic_offsets
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from deepfixcx.errors import (
    ContradictoryHeaderError,
    DamagedImageError,
    PixelsShapeError,
    UnsupportedImageError,
)
from deepfixcx.images.dicom.native import Header, without_unused_bits
from deepfixcx.images.frames import ZERO_SIZE

__all__ = [
    "FAMILIES",
    "Layout",
    "check_syntax",
    "compressed_frames",
    "contradiction",
    "inflated",
    "name_of",
    "of_size",
    "other_frames",
    "read_layout",
    "transfer_syntax",
    "whole_number",
]

_ROOT: Final = "1.2.840.10008.1.2"

FAMILIES: Final = {
    ImplicitVRLittleEndian: "native",
    ExplicitVRLittleEndian: "native",
    ExplicitVRBigEndian: "native",
    DeflatedExplicitVRLittleEndian: "native",
    UID(f"{_ROOT}.1.98"): "encapsulated",  # uncompressed
    UID(f"{_ROOT}.8.1"): "deflate",  # each frame
    RLELossless: "RLE",
    JPEGBaseline8Bit: "JPEG",
    JPEGExtended12Bit: "JPEG",
    UID(f"{_ROOT}.4.53"): "JPEG",  # spectral selection, retired
    UID(f"{_ROOT}.4.55"): "JPEG",  # full progression, retired
    JPEGLossless: "JPEG",
    JPEGLosslessSV1: "JPEG",
    JPEGLSLossless: "JPEG-LS",
    JPEGLSNearLossless: "JPEG-LS",
    **dict.fromkeys(
        (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), "JPEG 2000"
    ),
    **{UID(f"{_ROOT}.4.{last}"): "JPEG XL" for last in (110, 111, 112)},
}
"""How frames are compressed, by transfer syntax; others are refused by name."""

_NEWER: Final = {
    f"{_ROOT}.4.110": "JPEG XL Lossless",
    f"{_ROOT}.4.111": "JPEG XL JPEG Recompression",
    f"{_ROOT}.4.112": "JPEG XL",
    f"{_ROOT}.8.1": "Deflated Image Frame Compression",
}
"""Names of transfer syntaxes that pydicom 3.0.2 does not know."""

_GRAY: Final = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_COLOUR: Final = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "XYB"})
_NOT_READ: Final = frozenset({"HSV", "ARGB", "CMYK", "YBR_PARTIAL_420", "YBR_PARTIAL_422"})
_ONLY_IN: Final = {"YBR_ICT": "JPEG 2000", "YBR_RCT": "JPEG 2000", "XYB": "JPEG XL"}
_FLOATS: Final = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}
_CORRECT: Final = "correct the header, or export the image again"


@dataclass(frozen=True, slots=True)
class Layout:
    """The Image Pixel module of a header, checked."""

    syntax: UID
    keyword: str
    frames: int
    height: int
    width: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    planar: int
    photometric: str

    @property
    def family(self) -> str:
        """How frames are compressed."""
        return FAMILIES[self.syntax]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of stored values in memory."""
        kind = "f" if self.keyword in _FLOATS else "i" if self.signed else "u"
        return np.dtype(f"{kind}{max(self.allocated, 8) // 8}")

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame."""
        # PS3.3 C.7.6.3.1.2: two pixels share their colour differences.
        per_pixel = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.height * self.width * per_pixel * self.allocated

    def stored_values(self, words: NDArray[Any]) -> NDArray[Any]:
        """Return the values in the stored bits of words; other bits are overlays, or undefined."""
        if self.keyword in _FLOATS or self.allocated == 1:
            return words
        left, unused = self.allocated - 1 - self.high, self.allocated - self.stored
        return without_unused_bits(words, left, unused)


def name_of(keyword: str) -> str:
    """Return the standard's name of an element, such as "Bits Stored" for ``BitsStored``."""
    return dictionary_description(cast(int, tag_for_keyword(keyword)))


def whole_number(header: Header, keyword: str, default: int | None = None) -> int:
    """Read a whole number from a header that may be damaged."""
    try:
        value = header.get(keyword)
    except Exception:  # pydicom raises in many ways on values that are no numbers
        value = ""
    if value is None and default is not None:
        return default
    if value is None:
        _refuse(f"the header lacks {name_of(keyword)}")
    if not isinstance(value, int):
        _refuse(f"{name_of(keyword)} is not a whole number")
    return int(value)


def transfer_syntax(dataset: Dataset) -> str:
    """Return the standard's name of a transfer syntax; empty where the file has no standard one."""
    uid = UID(str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", "")))
    # pydicom gives back the text itself as the name of an unknown one.
    return _NEWER.get(uid, uid.name if uid.name != str(uid) else "")


def read_layout(dataset: Dataset) -> Layout:
    """Read how pixels are laid out."""
    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    check_syntax(syntax)
    height, width = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
    frames = whole_number(dataset, "NumberOfFrames", default=1) or 1
    if min(height, width, frames) <= 0:
        raise PixelsShapeError(ZERO_SIZE)
    present = [name for name in ("PixelData", *_FLOATS) if name in dataset]
    if len(present) != 1:
        _refuse("the file contains its pixels twice, as integers and as floating-point numbers")
    keyword, family = present[0], FAMILIES[syntax]
    photometric = _photometric(dataset, family)
    samples = whole_number(dataset, "SamplesPerPixel", default=1 if photometric in _GRAY else None)
    if samples != (1 if photometric in _GRAY else 3):
        _refuse("Samples per Pixel contradicts Photometric Interpretation")
    allocated, stored, high = _bits(dataset, keyword)
    signed = 0
    if keyword not in _FLOATS:
        signed = whole_number(dataset, "PixelRepresentation")
        if signed not in (0, 1):
            _refuse("Pixel Representation is neither 0 nor 1")
    elif family != "native":
        raise UnsupportedImageError(
            "compressed floating-point pixels are not read; save them uncompressed"
        )
    return Layout(
        syntax,
        keyword,
        frames=frames,
        height=height,
        width=width,
        samples=samples,
        allocated=allocated,
        stored=stored,
        high=high,
        signed=bool(signed),
        planar=_planar(dataset, samples, family, photometric),
        photometric=photometric,
    )


def check_syntax(syntax: UID) -> None:
    """Refuse a transfer syntax that is not read, by its name in the standard."""
    if syntax in FAMILIES:
        return
    name = syntax.name
    if name == str(syntax) or not syntax.startswith("1.2.840.10008.1."):
        name = "a private or unknown one"
    advice = "convert the file to Explicit VR Little Endian, for example with gdcmconv --raw"
    if "MPEG" in name or "HEVC" in name or "SMPTE" in name:
        advice = "extract its frames as images with a video program"
    elif "JPIP" in name:
        advice = "its pixels are stored on a server; retrieve the image in another transfer syntax"
    raise UnsupportedImageError(f"the transfer syntax {name} is not read; {advice}")


def _photometric(dataset: Dataset, family: str) -> str:
    term = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if not term:
        _refuse("the header lacks Photometric Interpretation, which states whether 0 is black")
    if term in _NOT_READ:
        raise UnsupportedImageError(
            f"the photometric interpretation {term} is not read; convert the image to RGB"
        )
    if term not in _GRAY | _COLOUR:
        raise UnsupportedImageError(
            "the photometric interpretation is not a term of the DICOM standard; "
            "convert the image to RGB or MONOCHROME2"
        )
    if _ONLY_IN.get(term, family) != family:
        _refuse(f"the photometric interpretation {term} exists only in {_ONLY_IN[term]}")
    if term == "YBR_FULL_422" and family == "RLE":  # PS3.5 8.2.2: no subsampling
        _refuse("the photometric interpretation YBR_FULL_422 does not exist in RLE")
    if str(dataset.get("PixelPresentation") or "") in ("COLOR", "MIXED") and term in _GRAY:
        raise UnsupportedImageError(
            "colour by a supplemental palette is not read; export the image as RGB"
        )
    return term


def _bits(dataset: Dataset, keyword: str) -> tuple[int, int, int]:
    """Return Bits Allocated, Bits Stored and High Bit."""
    allocated = whole_number(dataset, "BitsAllocated", default=_FLOATS.get(keyword))
    if keyword in _FLOATS:
        if allocated != _FLOATS[keyword]:
            _refuse(f"Bits Allocated contradicts {name_of(keyword)}")
        return allocated, allocated, allocated - 1
    stored = whole_number(dataset, "BitsStored")
    high = whole_number(dataset, "HighBit", default=stored - 1)
    if not 0 < stored <= allocated:
        _refuse("Bits Stored is not between 1 and Bits Allocated")
    if allocated not in (1, 8, 16, 32, 64):
        raise UnsupportedImageError(
            "pixels are not allocated 1, 8, 16, 32 or 64 bits; save the image with 16 bits"
        )
    if not stored - 1 <= high < allocated:
        _refuse("High Bit contradicts Bits Stored and Bits Allocated")
    return allocated, stored, high


def _planar(dataset: Dataset, samples: int, family: str, photometric: str) -> int:
    """Return Planar Configuration."""
    if samples == 1 or family not in ("native", "encapsulated", "deflate"):
        return 0
    planar = whole_number(dataset, "PlanarConfiguration")
    if planar not in (0, 1) or (planar and photometric == "YBR_FULL_422"):
        _refuse("Planar Configuration contradicts Photometric Interpretation")
    return planar


def _refuse(what: str) -> NoReturn:
    raise ContradictoryHeaderError(f"{what}; {_CORRECT}")


_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0c", b"\xff\x0a")
"""First bytes of JPEG and JPEG-LS, of JPEG 2000, of boxes around it or JPEG XL, of JPEG XL."""

_AGAIN: Final = "copy the file again from its source"


def compressed_frames(dataset: Dataset, layout: Layout) -> list[bytes]:
    """Separate the frames, and refuse a number of them that is not the header's."""
    content = getattr(dataset, layout.keyword)
    offsets = parse_basic_offsets(content)
    behind_table = BytesIO(content)
    behind_table.seek(8 + 4 * len(offsets))
    fragments = [each for each in generate_fragments(behind_table) if each]
    wanted = layout.frames
    if not fragments:
        raise DamagedImageError(f"the pixels have no frames; {_AGAIN}")
    codestreams = layout.family not in ("encapsulated", "deflate", "RLE")
    if len(fragments) == wanted:
        frames = fragments
    elif codestreams or layout.family == "encapsulated":
        frames = list(_joined(fragments, dataset, content, layout, offsets))
    else:  # PS3.5 A.4.2: in RLE each frame is one fragment
        raise other_frames(len(fragments))
    if len(frames) != wanted:
        raise other_frames(len(frames))
    return frames


def _joined(
    fragments: list[bytes], dataset: Dataset, content: bytes, layout: Layout, offsets: list[int]
) -> Iterator[bytes]:
    """Put together frames that are more, or fewer, than the fragments."""
    extended = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    if all(extended) or len(offsets) == layout.frames > 1:
        yield from generate_frames(
            content,
            number_of_frames=layout.frames,
            extended_offsets=extended if all(extended) else None,
        )
        return
    begins = [fragment.startswith(_STARTS) for fragment in fragments]
    if not begins[0] or layout.family == "encapsulated":
        begins = [True] + [False] * (len(fragments) - 1)
    starts = [place for place, first in enumerate(begins) if first]
    for start, end in zip(starts, [*starts[1:], len(fragments)], strict=True):
        yield b"".join(fragments[start:end])


def of_size(frames: list[bytes], layout: Layout) -> Iterator[bytes]:
    """Cut the padding off uncompressed frames."""
    if layout.frame_bits % 8 and layout.frames > 1:
        raise UnsupportedImageError(
            "encapsulated frames of 1 bit per pixel are not read; save the image uncompressed"
        )
    size = -(-layout.frame_bits // 8)
    for frame in frames:
        if not 0 <= len(frame) - size <= 1:
            raise contradiction("size")
        yield frame[:size]


def inflated(frame: bytes, layout: Layout) -> bytes:
    """Inflate one frame, whose size is known (PS3.5 A.4.13: RFC 1951)."""
    size = -(-layout.frame_bits // 8)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    content = inflater.decompress(frame, size + 1)
    if len(content) != size or not inflater.eof:
        if len(content) < size and not inflater.eof:
            raise DamagedImageError(f"a compressed frame is truncated; {_AGAIN}")
        raise contradiction("size")
    return next(of_size([content], layout))


def other_frames(found: int) -> ContradictoryHeaderError:
    """Return the error for another number of frames than the header's."""
    return ContradictoryHeaderError(
        f"the pixels contain {found} frames, but Number of Frames is absent or different; "
        "correct Number of Frames in the header"
    )


def contradiction(what: str) -> ContradictoryHeaderError:
    """Return the error for frames that are not what the header says."""
    return ContradictoryHeaderError(
        f"the compressed frames contradict the header in their {what}; {_CORRECT}"
    )
