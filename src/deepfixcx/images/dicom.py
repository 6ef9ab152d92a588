"""DICOM files: is there an image inside, how large is it, and its frames ready for display."""

from __future__ import annotations

import zlib
from typing import BinaryIO, Final

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from deepfixcx.errors import DecodeError, NonFiniteError, NoPixelsError, OversizedImageError
from deepfixcx.images.dicom_decoding import decode_frames, transfer_syntax, whole_number
from deepfixcx.images.dicom_display import displayed
from deepfixcx.images.frames import ImageFacts, ImageFrames, OpenedImage

__all__ = ["open_dicom"]

_PIXEL_TAGS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_PHOTOMETRIC: Final = frozenset(
    {"MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_ICT"}
    | {"YBR_RCT", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "HSV", "ARGB", "CMYK"}
)
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
    """Read a DICOM header up to the pixels.

    Parameters
    ----------
    stream : binary file
        Positioned at its first byte; stays in use until the pixels are decoded.
    max_pixels : int
        Bounds how far a deflated file may inflate.

    Returns
    -------
    OpenedImage
        The facts, and a function that decodes the frames ``(F, C, H, W)``.

    Raises
    ------
    NoPixelsError
        A report, a plan, a directory: not an image.
    OversizedImageError
        A deflated file inflates to more than an image of `max_pixels` needs.
    DecodeError
        The header is damaged, or ends before the pixels.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> with open(get_testdata_file("CT_small.dcm"), "rb") as stream:
    ...     open_dicom(stream, max_pixels=2**20).facts.photometric
    'MONOCHROME2'
    """
    _refuse_inflation(stream, max_pixels)
    seen: list[int] = []

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        if tag in _PIXEL_TAGS:
            seen.append(tag)
        return bool(seen)

    stream.seek(0)
    header = read_partial(stream, stop_when=at_pixels, force=True)
    if not seen:
        raise _without_pixels(header)
    facts = _facts(header)

    def decode() -> ImageFrames:
        stream.seek(0)
        return _decoded(dcmread(stream, force=True))

    return OpenedImage(facts, decode)


def _decoded(dataset: FileDataset) -> ImageFrames:
    if not any(tag in dataset for tag in _PIXEL_TAGS):
        raise DecodeError("the file ends within its pixels; copy it again from its source")
    if "TransferSyntaxUID" not in dataset.file_meta:
        # A file without the group that names its encoding: take what pydicom parsed it as.
        implicit, little = dataset.original_encoding
        guess = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else guess
    frames, photometric = decode_frames(dataset)
    pixels = displayed(frames, photometric, dataset)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise NonFiniteError("NaN or infinity among the pixels; replace them in the source")
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    bits = 8 if pixels.dtype == np.uint8 else 16
    return ImageFrames(np.ascontiguousarray(native), bits=bits, format="DICOM")


def _facts(header: Dataset) -> ImageFacts:
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
        transfer_syntax=transfer_syntax(header),
    )


def _without_pixels(header: Dataset) -> NoPixelsError | DecodeError:
    """Tell what a file without pixels is: not an image, or an image that was cut off."""
    meta = getattr(header, "file_meta", Dataset())
    sop_class = str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    modality = str(header.get("Modality", ""))
    for prefix, code, kind in _KINDS:
        by_modality = not sop_class and code and modality == code
        if sop_class.startswith(prefix) or by_modality:
            return NoPixelsError(f"this is {kind}: it has no pixels; leave it out")
    if not header or "Rows" in header or sop_class.startswith(_STORAGE):
        return DecodeError(
            "the file ends or is damaged before its pixels; copy it again from its source"
        )
    return NoPixelsError("this is a DICOM file without an image: it has no pixels; leave it out")


def _refuse_inflation(stream: BinaryIO, max_pixels: int) -> None:
    """Inflate a deflated file block by block and keep nothing, before pydicom keeps it all."""
    head = stream.read(4096)
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
                    "the file inflates to more than an image within max_pixels needs"
                )
