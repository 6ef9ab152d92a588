"""Pixels of a DICOM file that are kept as they are stored, but for regions painted black.

Frames without a painted region keep their bytes. A painted gray frame is compressed again without
loss in the transfer syntax of the file, and decoded for comparison; where that is not possible, all
frames are stored uncompressed, as they decode.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from deepfixcx.errors import UnsupportedImageError
from deepfixcx.images.dicom.decoding import Stored, decode_frames
from deepfixcx.images.dicom.layout import Layout, compressed_frames, read_layout
from deepfixcx.images.masking import Region

__all__ = ["examined_frames", "keep_frames", "paint_frames", "without_comments"]

EMBEDDED_OVERLAY: Final = 0x0102
"""Overlay Bit Position: its bitmap may lie in unused bits of the pixels."""


def examined_frames(dataset: Dataset) -> tuple[Layout, list[bytes]]:
    """Return the layout and the compressed frames (none if uncompressed), or refuse the pixels."""
    for tag in dataset.keys():  # noqa: SIM118 - iterating yields elements, not tags
        group = tag >> 16
        if (
            group >> 8 == 0x60
            and tag & 0xFFFF == EMBEDDED_OVERLAY
            and (group, 0x3000) not in (dataset)
        ):
            raise UnsupportedImageError(
                "an overlay lies in unused bits of the pixels, where it is not examined; save the "
                "overlay apart, or exclude this image"
            )
    layout = read_layout(dataset)
    if layout.family == "native":
        return layout, []
    return layout, compressed_frames(dataset, layout)


def without_comments(frame: bytes) -> tuple[bytes, bytes]:
    """Return a compressed frame without its comments, and what was cut out of it."""
    # Of JPEG and JPEG-LS these are the segments APPn and COM and what follows the end, of JPEG 2000
    # the segments COM of the main header and what follows the end. Version texts of known encoders
    # and what a decoder needs stay. What cannot be cut is refused.
    if frame[:2] == b"\xff\xd8":
        return _jpeg_without(frame)
    if frame[:4] == b"\xff\x4f\xff\x51":
        return _jpeg_2000_without(frame)
    if frame[:4] == b"\x00\x00\x00\x0c":
        _check_boxes(frame)
    return frame, b""


_NEEDED: Final = re.compile(
    rb"\xe0JFIF\0.{7}\0\0|\xeeAdobe.{7}|\xe8mrfx.|\xe8SPIFF.{0,30}"
    rb"|\xe8\0\0\0\x01(?:\xff\xd8)?",
    re.DOTALL,
)
"""Segments, with their marker, that say how to decode, and have no room for a text."""

_VERSION: Final = re.compile(
    rb"[\0-\x01]*(?:Kakadu|OpenJPH Ver|OpenJPEG|Created by (?:GDCM/)?OpenJPEG version|Lavc|IJG"
    rb"|LEAD Technologies Inc\.?|CREATOR: gd-jpeg|Intel\(R\) JPEG Library,? version)"
    rb"[-, vV]{0,3}[\d.\[\]]{0,12}\0?"
)
"""What encoders write of themselves."""

_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_BOXES: Final = frozenset({b"jP  ", b"ftyp", b"jp2h", b"jp2c", b"JXL ", b"jxlc", b"jxlp", b"jxll"})


def _jpeg_without(frame: bytes) -> tuple[bytes, bytes]:
    kept, cut, at = [frame[:2]], list[bytes](), 2
    while at + 1 < len(frame):
        marker = frame[at + 1]
        if frame[at] != 0xFF or marker == 0xFF:  # a fill byte, or entropy-coded data
            start, at = at, _next_marker(frame, at + 1)
            kept.append(frame[start:at])
        elif marker == 0xD9:
            kept.append(frame[at : at + 2])
            rest = frame[at + 2 :]
            (kept if len(rest) < 2 and rest in (b"", b"\0", b"\xff") else cut).append(rest)
            return b"".join(kept), b"\n".join(cut)
        else:
            length = 0 if marker in _ALONE else int.from_bytes(frame[at + 2 : at + 4], "big")
            segment, at = frame[at : at + 2 + length], at + 2 + length
            named = marker == 0xFE or 0xE0 <= marker <= 0xEF
            (cut if named and not _is_technical(segment) else kept).append(segment)
    return b"".join(kept), b"\n".join(cut)


def _is_technical(segment: bytes) -> bool:
    """Return whether a segment says how to decode, without a word in its numbers, or by what."""
    if _VERSION.fullmatch(segment[4:]):
        return True
    needed = _NEEDED.fullmatch(segment[1:2] + segment[4:])
    return needed is not None and re.search(rb"[A-Za-z]{3}", segment[9:]) is None


def _next_marker(frame: bytes, at: int) -> int:
    """Return where the next marker begins; within coded data, 255 is followed by less than 128."""
    while True:
        at = frame.find(b"\xff", at)
        if at < 0 or at + 1 >= len(frame):
            return len(frame)
        if 0xC0 <= frame[at + 1] < 0xFF and frame[at + 1] not in range(0xD0, 0xD8):
            return at
        at += 1


def _jpeg_2000_without(frame: bytes) -> tuple[bytes, bytes]:
    kept, cut, at = [frame[:2]], list[bytes](), 2
    while frame[at : at + 1] == b"\xff" and frame[at + 1 : at + 2] not in (b"\x90", b"\xd9", b""):
        segment = frame[at : at + 2 + int.from_bytes(frame[at + 2 : at + 4], "big")]
        named = segment[1:2] == b"\x64" and not _VERSION.fullmatch(segment[4:])
        (cut if named else kept).append(segment)
        at += max(4, len(segment))
    while frame[at : at + 2] == b"\xff\x90" and at + 12 <= len(frame):
        length = int.from_bytes(frame[at + 6 : at + 10], "big") or len(frame) - at
        inner = at + 12
        while frame[inner : inner + 1] == b"\xff" and frame[inner + 1 : inner + 2] != b"\x93":
            if frame[inner + 1 : inner + 2] == b"\x64":
                raise UnsupportedImageError(
                    "a part of a compressed frame holds a comment, which is not examined; convert "
                    "the file to an uncompressed transfer syntax"
                )
            inner += 2 + max(2, int.from_bytes(frame[inner + 2 : inner + 4], "big"))
        kept.append(frame[at : at + length])
        at += max(12, length)
    end = at + 2 if frame[at : at + 2] == b"\xff\xd9" else at
    rest = frame[end:]
    kept.append(frame[at:end])
    (kept if rest in (b"", b"\0", b"\xff") else cut).append(rest)
    return b"".join(kept), b"\n".join(cut)


def _check_boxes(frame: bytes) -> None:
    """Refuse boxes around an image that may hold a text."""
    at, names = 0, set[bytes]()
    while at + 8 <= len(frame):
        length = int.from_bytes(frame[at : at + 4], "big")
        names.add(frame[at + 4 : at + 8])
        if length < 8:  # up to the end, or a size of 64 bits
            break
        at += length
    inside = frame.partition(b"jp2c")[2]
    if not names <= _BOXES or (inside and _jpeg_2000_without(inside)[1].strip(b"\0")):
        raise UnsupportedImageError(
            "a compressed frame has boxes beside the image, which are not examined; convert the "
            "file to an uncompressed transfer syntax"
        )


def keep_frames(dataset: Dataset, frames: Sequence[bytes]) -> None:
    """Store compressed frames in place of those of a data set, one fragment each."""
    dataset.PixelData = encapsulate(list(frames))
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    _forget_offsets(dataset)


def paint_frames(dataset: Dataset, regions: Sequence[Region]) -> None:
    """Paint regions black on every frame of a data set, in place."""
    layout = read_layout(dataset)
    if not regions:
        return
    if _is_plain(layout):
        _paint_words(dataset, layout, regions)
        return
    stored = decode_frames(dataset)
    values = np.array(stored.values)
    for top, left, height, width in regions:
        for frame in values:
            area = frame[top : top + height, left : left + width]
            area[...] = _black(frame, layout, stored.photometric)
    painted = Stored(values, stored.photometric, stored.notes)
    if not _compress(dataset, layout, painted):
        _store(dataset, layout, painted)


def _black(frame: NDArray[Any], layout: Layout, photometric: str) -> Any:
    """Return the darkest value of a frame, which changes neither window nor range."""
    if layout.samples == 3:
        return 0
    return frame.max() if photometric == "MONOCHROME1" else frame.min()


def _is_plain(layout: Layout) -> bool:
    words = layout.allocated in (8, 16, 32) and layout.photometric != "YBR_FULL_422"
    swapped = layout.syntax == ExplicitVRBigEndian and layout.allocated == 8
    return layout.family == "native" and words and not swapped and layout.keyword == "PixelData"


def _paint_words(dataset: Dataset, layout: Layout, regions: Sequence[Region]) -> None:
    order = ">" if layout.syntax == ExplicitVRBigEndian else "<"
    content = bytearray(dataset.PixelData)
    kind = np.dtype(f"{order}{'i' if layout.signed else 'u'}{layout.allocated // 8}")
    count = layout.frames * layout.height * layout.width * layout.samples
    words = np.frombuffer(content, kind, count)
    planar = layout.samples == 3 and layout.planar == 1
    plane = (layout.height, layout.width)
    shape = (layout.frames, layout.samples, *plane) if planar else (-1, *plane, layout.samples)
    frames = words.reshape(shape)
    if planar:
        frames = np.moveaxis(frames, 1, -1)
    middle = 1 << layout.stored - 1
    for frame in frames:
        value: Any = [0, middle, middle] if layout.photometric == "YBR_FULL" else 0
        if layout.samples == 1:
            values = layout.stored_values(frame)
            dark = values.argmax if layout.photometric == "MONOCHROME1" else values.argmin
            value = frame.reshape(-1)[int(dark())]
        for top, left, height, width in regions:
            frame[top : top + height, left : left + width] = value
    dataset.PixelData = bytes(content)


def _jpeg_ls(values: NDArray[Any], _layout: Layout) -> bytes:
    return bytes(imagecodecs.jpegls_encode(values, level=0))


def _jpeg_2000(values: NDArray[Any], layout: Layout) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            values, level=0, codecformat="J2K", reversible=True, bitspersample=layout.stored
        )
    )


def _run_length(values: NDArray[Any], layout: Layout) -> bytes:
    return get_encoder(RLELossless).encode(
        values,
        rows=layout.height,
        columns=layout.width,
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=layout.allocated,
        bits_stored=layout.stored,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )


_ENCODERS: Final[dict[UID, Callable[[NDArray[Any], Layout], bytes]]] = {
    JPEGLSLossless: _jpeg_ls,
    JPEG2000Lossless: _jpeg_2000,
    RLELossless: _run_length,
}


def _compress(dataset: Dataset, layout: Layout, painted: Stored) -> bool:
    """Compress frames without loss in their own syntax; return whether they decode to the same."""
    encode = _ENCODERS.get(layout.syntax)
    if encode is None or layout.samples != 1 or layout.allocated not in (8, 16):
        return False
    mask = (1 << layout.stored) - 1
    words = (painted.values[..., 0].astype(np.int32) & mask).astype(f"u{layout.allocated // 8}")
    before = dataset["PixelData"]
    try:
        dataset.PixelData = encapsulate([encode(frame, layout) for frame in words])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
        same = np.array_equal(decode_frames(dataset).values, painted.values)
    except Exception:  # whatever the encoder does not support is stored uncompressed
        same = False
    if not same:
        dataset["PixelData"] = before
    else:
        _forget_offsets(dataset)
    return same


def _store(dataset: Dataset, layout: Layout, painted: Stored) -> None:
    """Store all frames uncompressed, as they decode."""
    content = (
        np.ascontiguousarray(painted.values)
        .astype(painted.values.dtype.newbyteorder("<"), copy=False)
        .tobytes()
    )
    for name in ("FloatPixelData", "DoubleFloatPixelData"):
        if name in dataset:
            raise UnsupportedImageError(
                "pixels that are floating-point numbers are not painted; exclude this image"
            )
    dataset.PixelData = content + bytes(len(content) % 2)
    depth = 8 * painted.values.dtype.itemsize
    dataset["PixelData"].VR = "OB" if depth == 8 else "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.BitsAllocated = depth
    dataset.HighBit = int(dataset.BitsStored) - 1
    dataset.PhotometricInterpretation = painted.photometric
    if layout.samples == 3:
        dataset.PlanarConfiguration = 0
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _forget_offsets(dataset)


def _forget_offsets(dataset: Dataset) -> None:
    for name in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if name in dataset:
            del dataset[name]
