"""Pixels of a DICOM file that are kept as they are stored, but for regions painted black.

Frames without a painted region keep their bytes. A painted gray frame is compressed again without
loss in the transfer syntax of the file, and decoded for comparison; where that is not possible, all
frames are stored uncompressed, as they decode.
"""

from __future__ import annotations

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
from deepfixcx.images.dicom.fragments import compressed_frames
from deepfixcx.images.dicom.layout import Layout, read_layout
from deepfixcx.images.masking import Region

__all__ = ["comments_of", "examined_frames", "paint_frames"]

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


def comments_of(frame: bytes) -> bytes:
    """Return what a compressed frame holds besides the image: comments, and what follows its end.

    In JPEG these are the segments APPn and COM, in JPEG 2000 the segments COM.
    """
    if frame[:2] == b"\xff\xd8":
        end = frame.rfind(b"\xff\xd9")
        return _segments(frame, frozenset({0xFE, *range(0xE0, 0xF0)}), 0xDA) + frame[end + 2 :]
    if frame[:4] == b"\xff\x4f\xff\x51":
        return _segments(frame, frozenset({0x64}), 0x90)
    return b""


def _segments(frame: bytes, wanted: frozenset[int], last: int) -> bytes:
    found, at = [], 2
    while at + 4 <= len(frame) and frame[at] == 0xFF and frame[at + 1] != last:
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        if frame[at + 1] in wanted:
            found.append(frame[at + 4 : at + 2 + length])
        at += 2 + max(2, length)
    return b"\n".join(found)


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
