"""DICOM files: is there an image inside, how large is it, and its frames ready for display."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from io import SEEK_END, BytesIO
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from deepfixcx.errors import DamagedImageError, NoPixelsError, OversizedImageError
from deepfixcx.images.dicom.decoding import Stored, decode_frames
from deepfixcx.images.dicom.display import (
    displayed,
    displayed_gray,
    is_inverted,
    modality_values,
)
from deepfixcx.images.dicom.layout import check_syntax, transfer_syntax, whole_number
from deepfixcx.images.dicom.native import (
    Header,
    PlainHeader,
    native_frames,
    plain_header,
    plain_instance,
)
from deepfixcx.images.frames import ImageFacts, ImageFrames, OpenedImage

__all__ = [
    "DicomHeader",
    "DicomValues",
    "decoded_values",
    "open_dicom",
    "read_dicom_header",
    "read_dicom_values",
    "unit_of",
    "windows_of",
    "without_pixels_error",
]

_PIXEL_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_HEAD_BYTES: Final = 1 << 16
_INSTANCE_BYTES: Final = 1 << 12
_SHORTEST_ELEMENT: Final = 8
_PHOTOMETRIC: Final = frozenset(
    {"MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT"}
    | {"YBR_RCT", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "HSV", "ARGB", "CMYK"}
)
_SYNTAX: Final = re.compile(rb"\x02\x00\x10\x00UI..([0-9.]{1,64})", re.DOTALL)
_NAMES_DEFLATE: Final = b"\x02\x00\x10\x00UI\x16\x00" + DeflatedExplicitVRLittleEndian.encode()
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_KINDS: Final = (
    # (SOP class, or what it starts with; modality; what such a file is), most specific first
    ("1.2.840.10008.1.3.10", "", "a DICOM directory (DICOMDIR)"),
    (_STORAGE + "88.59", "KO", "a DICOM key object selection"),
    (_STORAGE + "88.", "SR", "a DICOM structured report"),
    (_STORAGE + "11.", "PR", "a DICOM presentation state"),
    (_STORAGE + "481.3", "RTSTRUCT", "a DICOM radiotherapy structure set"),
    (_STORAGE + "481.5", "RTPLAN", "a DICOM radiotherapy plan"),
    (_STORAGE + "481.8", "", "a DICOM radiotherapy plan"),
    (_STORAGE + "481.4", "RTRECORD", "a DICOM radiotherapy treatment record"),
    (_STORAGE + "481.6", "", "a DICOM radiotherapy treatment record"),
    (_STORAGE + "481.7", "", "a DICOM radiotherapy treatment record"),
    (_STORAGE + "9.", "ECG", "a DICOM waveform"),
    (_STORAGE + "104.", "DOC", "a document inside DICOM"),
    (_STORAGE + "66.1", "REG", "a DICOM spatial registration"),
    (_STORAGE + "66.5", "", "a DICOM surface segmentation"),
)


def open_dicom(stream: BinaryIO, max_pixels: int) -> OpenedImage:
    """Read a DICOM header up to the pixels."""
    head = stream.read(_HEAD_BYTES)
    plain = plain_header(head)
    if plain is not None:
        return OpenedImage(_facts(plain, plain.syntax.name), lambda: _native(stream, plain))
    _refuse_inflation(stream, head, max_pixels)
    seen: list[int] = []

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        if tag in _PIXEL_TAGS:
            seen.append(tag)
        return bool(seen)

    stream.seek(0)
    try:
        header = read_partial(stream, stop_when=at_pixels, force=True)
    except Exception:
        _check_stated_syntax(head)  # which may be the reason
        raise
    if not seen:
        _check_stated_syntax(head)
        raise without_pixels_error(header)
    at = stream.tell()
    facts = _facts(header, transfer_syntax(header))
    return OpenedImage(facts, lambda: _decoded(_read_on(stream, header, at)))


@dataclass(frozen=True, slots=True)
class DicomHeader:
    """A whole header, for those who write one."""

    dataset: Dataset
    syntax: UID
    stored: int


def read_dicom_header(stream: BinaryIO) -> DicomHeader:
    """Read the header of a DICOM file, without its pixels."""
    stream.seek(0)
    dataset = dcmread(stream, stop_before_pixels=True, force=True)
    at = stream.tell()
    meta = getattr(dataset, "file_meta", Dataset())
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    return DicomHeader(dataset, syntax, stream.seek(0, SEEK_END) - at)


def read_instance(stream: BinaryIO) -> str:
    """Return the SOP Instance UID of a DICOM file; empty where it has none."""
    stream.seek(0)
    plain = plain_instance(stream.read(_INSTANCE_BYTES))
    if plain is not None:
        return plain
    stream.seek(0)
    try:
        tags = ["SOPInstanceUID"]
        found = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=tags)
        return str(found.get("SOPInstanceUID") or "")
    except Exception:  # pydicom raises whatever a damaged header leads to
        return ""


_UNITS: Final = frozenset({"HU", "OD"})
_MOST_WINDOWS: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class DicomValues:
    """Gray values before any window, their unit, and the windows of the header.

    ``(F, H, W)`` of frames, ``(T, D, H, W)`` of volumes.
    """

    values: NDArray[Any]
    unit: str
    windows: tuple[tuple[float, float], ...]


def read_dicom_values(stream: BinaryIO) -> DicomValues | None:
    """Read what a viewer shows under the pointer: values of the modality. None for colour."""
    dataset = _read_whole(stream)
    stored = decode_frames(_with_syntax(dataset))
    if stored.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        return None
    values = modality_values(stored.values[..., 0], dataset)
    return DicomValues(values, unit_of(dataset), windows_of(dataset))


def unit_of(dataset: Dataset) -> str:
    """Return the unit of the values of the modality; "" where it is unknown."""
    unit = str(dataset.get("RescaleType") or "")
    if not unit and dataset.get("Modality") == "CT" and "RescaleIntercept" in dataset:
        unit = "HU"  # PS3.3 C.8.2.1: of CT images unless the type states another
    return unit if unit in _UNITS else ""


def windows_of(dataset: Dataset) -> tuple[tuple[float, float], ...]:
    """Return centre and width of each usable window."""
    several = []
    for keyword in ("WindowCenter", "WindowWidth"):
        value = dataset.get(keyword)
        listed = [] if value is None else value if isinstance(value, MultiValue) else [value]
        several.append([float(each) for each in listed])
    pairs = list(zip(*several, strict=False))[:_MOST_WINDOWS]
    return tuple((centre, width) for centre, width in pairs if width >= 1)


def _native(stream: BinaryIO, header: PlainHeader) -> ImageFrames:
    """Decode uncompressed gray pixels that end the file; pydicom reads what stands behind them."""
    value: bytes | memoryview
    if isinstance(stream, BytesIO):  # a file that was read whole: its pixels need no copy
        content = memoryview(stream.getvalue())
        value = content[header.at : header.at + header.length]
        ended = len(content) - header.at - header.length < _SHORTEST_ELEMENT
    else:
        stream.seek(header.at)
        value = stream.read(header.length)
        ended = len(stream.read(_SHORTEST_ELEMENT)) < _SHORTEST_ELEMENT
    frames = native_frames(header, value) if ended and len(value) == header.length else None
    if frames is None:
        return _decoded(_read_whole(stream))
    notes: list[str] = []
    inverted = is_inverted(str(header.get("PhotometricInterpretation")), header)
    shown = displayed_gray(frames, header, notes, inverted=inverted)
    return _as_frames(shown, notes)


def _read_whole(stream: BinaryIO) -> Dataset:
    stream.seek(0)
    return dcmread(stream, force=True)


def _read_on(stream: BinaryIO, header: FileDataset, at: int) -> Dataset:
    """Read what follows a header that was read up to its pixels, which begin at `at`."""
    implicit, little = header.original_encoding
    if implicit is None or little is None or _is_deflated(header):
        return _read_whole(stream)  # a deflated one is not in the stream, but was inflated from it
    stream.seek(at)
    rest = read_dataset(stream, implicit, little)
    for tag in list(rest.keys()):
        header[tag] = rest.get_item(tag)
    return header


def _is_deflated(header: FileDataset) -> bool:
    return bool(header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian)


def decoded_values(dataset: Dataset) -> Stored:
    """Decode the stored values of a whole data set."""
    if not any(tag in dataset for tag in _PIXEL_TAGS):
        raise DamagedImageError("the file ends within its pixels; copy it again from its source")
    return decode_frames(_with_syntax(dataset))


def _decoded(dataset: Dataset) -> ImageFrames:
    stored = decoded_values(dataset)
    notes = list(stored.notes)
    return _as_frames(displayed(stored.values, stored.photometric, dataset, notes), notes)


def _with_syntax(dataset: Dataset) -> Dataset:
    """Return a data set that names its encoding, as its decoders need."""
    if "TransferSyntaxUID" not in dataset.file_meta:
        # A file without the group that names its encoding: take what pydicom parsed it as.
        implicit, little = dataset.original_encoding
        guess = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else guess
    return dataset


def _as_frames(pixels: NDArray[Any], notes: list[str]) -> ImageFrames:
    bits = 8 if pixels.dtype == np.uint8 else 16
    said = tuple(dict.fromkeys(notes))
    return ImageFrames(np.require(pixels, None, ["C", "W"]), bits=bits, format="DICOM", notes=said)


def _facts(header: Header, syntax: str) -> ImageFacts:
    photometric = str(header.get("PhotometricInterpretation", ""))
    samples = whole_number(header, "SamplesPerPixel", default=1)
    return ImageFacts(
        format="DICOM",
        width=whole_number(header, "Columns"),
        height=whole_number(header, "Rows"),
        channels=3 if photometric == "PALETTE COLOR" else samples,
        bits=whole_number(header, "BitsStored", default=0),
        # Only the terms of the standard: a damaged header may hold any text here.
        photometric=photometric if photometric in _PHOTOMETRIC else "",
        frames=whole_number(header, "NumberOfFrames", default=1) or 1,
        transfer_syntax=syntax,
    )


def without_pixels_error(header: Dataset) -> NoPixelsError | DamagedImageError:
    """State what a file without pixels is: not an image, or a truncated image."""
    meta = getattr(header, "file_meta", Dataset())
    sop_class = str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    modality = str(header.get("Modality", ""))
    for prefix, code, kind in _KINDS:
        by_modality = not sop_class and code and modality == code
        if sop_class.startswith(prefix) or by_modality:
            return NoPixelsError(f"this is {kind}, which has no pixels; exclude the file")
    if not header or "Rows" in header or sop_class.startswith(_STORAGE):
        return DamagedImageError(
            "the file ends or is damaged before its pixels; copy it again from its source"
        )
    return NoPixelsError("this is a DICOM file without an image; exclude the file")


def _check_stated_syntax(head: bytes) -> None:
    """Refuse a file in a transfer syntax that is not read, before its header is called damaged."""
    stated = _SYNTAX.search(head)
    if stated is not None and stated[1].startswith(b"1.2.840.10008.1.2."):
        check_syntax(UID(stated[1].decode()))


def _refuse_inflation(stream: BinaryIO, head: bytes, max_pixels: int) -> None:
    """Inflate a deflated file block by block and keep nothing, before pydicom keeps it all."""
    if _NAMES_DEFLATE not in head:
        return
    # Eight bytes a pixel cover 16-bit RGB; the rest is for the header.
    limit = 8 * max_pixels + (1 << 26)
    stream.seek(144 + int.from_bytes(head[140:144], "little"))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    while block := stream.read(1 << 16):
        while block:
            size += len(inflater.decompress(block, 1 << 20))
            block = inflater.unconsumed_tail
            if size > limit:
                raise OversizedImageError(
                    "the deflated file inflates to more bytes than an image of max_pixels needs; "
                    "if you trust the file, raise max_pixels (--max-pixels)"
                )
