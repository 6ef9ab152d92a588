"""DICOM pixel data becomes stored values: every transfer syntax that is read, no display yet.

Which decoder reads which syntax is fixed here, whatever else is installed. pydicom reads
uncompressed pixels and separates compressed frames. imagecodecs decodes the frames (libjpeg-turbo,
CharLS, OpenJPEG, libjxl). GDCM prints to stderr and aborts the process on some damaged frames.

What the header says of a frame is compared with what the frame says of itself before a decoder
takes memory. Where the two contradict each other, explicit statements of the frame count (PS3.5
8.2.1: they "should be used to control the decompression"), or the file is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from deepfixcx.errors import (
    ContradictoryHeaderError,
    DamagedImageError,
    UnsupportedImageError,
)
from deepfixcx.images.codestream import Codestream, ends_before, read_codestream
from deepfixcx.images.dicom.layout import (
    Layout,
    compressed_frames,
    contradiction,
    inflated,
    name_of,
    of_size,
    other_frames,
    read_layout,
)
from deepfixcx.images.dicom.native import without_unused_bits

__all__ = ["Stored", "decode_frames"]

_TRUNCATED: Final = "the file ends within its pixels; copy it again from its source"
_AGAIN: Final = "copy the file again from its source"
_CORRECT: Final = "correct the header, or export the image again"
_YBR: Final = frozenset({"YBR_FULL", "YBR_FULL_422"})


class Stored(NamedTuple):
    """Stored values ``(F, H, W, S)``, what they mean, and what was read unlike the header."""

    values: NDArray[Any]
    photometric: str
    notes: tuple[str, ...]


def decode_frames(dataset: Dataset) -> Stored:
    """Decode all frames of a data set."""
    layout = read_layout(dataset)
    if layout.photometric in _YBR and layout.stored != 8:
        # The conversion of pydicom places zero chroma at 128, whatever the bits.
        raise UnsupportedImageError(
            f"{layout.photometric} of {layout.stored} bits per sample is not read; "
            "convert the image to RGB"
        )
    notes: list[str] = []
    if layout.family == "native":
        values = _native(dataset, layout)
    else:
        values = _encapsulated(dataset, layout, notes)
    if layout.photometric in _YBR and layout.family != "JPEG":
        for frame in values:
            frame[:] = _to_rgb(frame)
    return Stored(values, "RGB" if layout.samples == 3 else layout.photometric, tuple(notes))


def _to_rgb(frame: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(convert_color_space(frame, "YBR_FULL", "RGB"))


# -- uncompressed pixels --------------------------------------------------------------------------


def _native(dataset: Dataset, layout: Layout) -> NDArray[Any]:
    element = dataset.get_item(layout.keyword)
    announced = getattr(element, "length", None)  # a raw element, as it was read from the file
    if dataset[layout.keyword].is_undefined_length:
        raise ContradictoryHeaderError(
            "the pixels are compressed, but the transfer syntax is an uncompressed one; "
            "correct the transfer syntax, or export the image again"
        )
    content = getattr(dataset, layout.keyword)
    if not isinstance(content, bytes):
        raise ContradictoryHeaderError(f"{name_of(layout.keyword)} has no bytes; {_CORRECT}")
    if announced is not None and announced > len(content):
        raise DamagedImageError(_TRUNCATED)
    return _from_words(content, layout, str(dataset[layout.keyword].VR))


def _from_words(content: bytes, layout: Layout, vr: str = "OB") -> NDArray[Any]:
    """Turn the bytes of all uncompressed frames into stored values ``(F, H, W, S)``."""
    size = -(-layout.frame_bits * layout.frames // 8)
    if len(content) < size:
        raise ContradictoryHeaderError(
            "the pixels are fewer than Rows, Columns, Number of Frames and Bits Allocated declare; "
            f"{_CORRECT}"
        )
    beyond = content[size:]
    if len(beyond) * 8 >= layout.frame_bits and len(beyond) > 1:
        raise other_frames(len(content) * 8 // layout.frame_bits)
    if any(beyond[1:]):  # one byte makes the length even
        raise ContradictoryHeaderError(
            "the pixels are more than Rows, Columns, Number of Frames and Bits Allocated declare; "
            f"{_CORRECT}"
        )
    native = layout.syntax if layout.family == "native" else ExplicitVRLittleEndian
    words, _ = get_decoder(native).as_array(
        memoryview(content)[: size + size % 2],
        **_options(layout, number_of_frames=layout.frames, pixel_vr="OW" if "OW" in vr else "OB"),
    )
    values = layout.stored_values(words.astype(words.dtype.newbyteorder("="), copy=False))
    shape = (layout.frames, layout.height, layout.width, layout.samples)
    return np.require(values, None, ["W"] if layout.samples == 3 else []).reshape(shape)


# -- compressed frames ----------------------------------------------------------------------------


def _encapsulated(dataset: Dataset, layout: Layout, notes: list[str]) -> NDArray[Any]:
    """Decode compressed frames into stored values ``(F, H, W, S)``."""
    if not dataset[layout.keyword].is_undefined_length:
        raise ContradictoryHeaderError(
            "the transfer syntax is a compressed one, but the pixels are not compressed; "
            "correct the transfer syntax, or export the image again"
        )
    frames = compressed_frames(dataset, layout)
    if layout.family == "encapsulated":
        return _from_words(b"".join(of_size(frames, layout)), layout)
    if layout.family == "deflate":
        return _from_words(b"".join(inflated(frame, layout) for frame in frames), layout)
    shape = (layout.height, layout.width, layout.samples)
    if layout.family == "RLE":
        _check_rle(frames, layout)
        stack = np.empty((layout.frames, *shape), layout.dtype)
        for frame, values in zip(frames, stack, strict=True):
            values[:] = layout.stored_values(_run_length(frame, layout))
        return stack
    headers = [_checked(frame, layout) for frame in frames]
    if layout.frames == 1:
        return _decoded(frames[0], headers[0], layout, notes)[np.newaxis]
    stack = np.empty((layout.frames, *shape), layout.dtype)
    for frame, header, values in zip(frames, headers, stack, strict=True):
        values[:] = _decoded(frame, header, layout, notes)
    return stack


def _decoded(frame: bytes, header: Codestream, layout: Layout, notes: list[str]) -> NDArray[Any]:
    decoded = _DECODERS[layout.family](frame, header, layout, notes)
    shape = (layout.height, layout.width, layout.samples)
    if decoded.shape != (shape if layout.samples == 3 else shape[:2]):
        raise contradiction("size")
    return _as_declared(decoded, header, layout).reshape(shape)


def _check_rle(frames: list[bytes], layout: Layout) -> None:
    """Compare the number of segments: one for each byte of a pixel (PS3.5 G.2)."""
    segments = layout.samples * layout.allocated // 8
    if layout.allocated < 8:
        raise UnsupportedImageError("RLE of 1-bit pixels is not read; save the image uncompressed")
    for frame in frames:
        if len(frame) < 64:
            raise DamagedImageError(f"a compressed frame is truncated; {_AGAIN}")
        if int.from_bytes(frame[:4], "little") != segments:
            raise contradiction("number of bytes of a pixel")


def _run_length(frame: bytes, layout: Layout) -> NDArray[Any]:
    """Decode a frame of RLE with imagecodecs, or with pydicom where segments are padded."""
    shape = (layout.samples, layout.height, layout.width)
    dtype = layout.dtype.newbyteorder("<")
    content = bytearray(dtype.itemsize * layout.samples * layout.height * layout.width)
    try:
        whole = len(imagecodecs.dicomrle_decode(frame, dtype, out=content)) == len(content)
    except Exception:
        if len(frame) > 2 * len(content) + 1024:
            raise contradiction("size") from None
        padded, _ = get_decoder(RLELossless).as_array(
            encapsulate([frame]), **_options(layout, number_of_frames=1)
        )
        return padded.reshape(shape[1:] + shape[:1])
    if not whole:
        raise contradiction("size")
    return np.moveaxis(np.frombuffer(content, dtype).reshape(shape), 0, -1)


def _options(layout: Layout, **more: Any) -> dict[str, Any]:
    """Describe one frame or many to a decoder of pydicom."""
    return more | {
        "raw": True,
        "correct_unused_bits": False,  # `stored_values` does it, for any High Bit
        "rows": layout.height,
        "columns": layout.width,
        "samples_per_pixel": layout.samples,
        "photometric_interpretation": layout.photometric,
        "pixel_representation": int(layout.signed),
        "planar_configuration": layout.planar,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_keyword": layout.keyword,
    }


def _checked(frame: bytes, layout: Layout) -> Codestream:
    """Read the header of a frame, and refuse what contradicts that of the file."""
    header = read_codestream(frame)
    if header is None:
        raise DamagedImageError(
            f"a compressed frame does not begin with the marker of its format; {_AGAIN}"
        )
    if header.kind != layout.family:
        raise ContradictoryHeaderError(
            f"the frames are {header.kind}, but the transfer syntax is another one; correct the "
            "transfer syntax, or export the image again"
        )
    if (header.height, header.width) != (layout.height, layout.width):
        raise contradiction("size")
    if header.components not in (0, layout.samples):
        raise contradiction("number of colour components")
    if header.precision > layout.allocated:
        raise contradiction("number of bits")
    if header.process not in ("", "lossless"):
        raise UnsupportedImageError(
            f"{header.kind} of the kind '{header.process}' is not read; convert the file to "
            "Explicit VR Little Endian, for example with gdcmconv --raw"
        )
    if layout.samples == 3 and header.precision not in (0, layout.stored):
        raise contradiction("number of bits")
    if ends_before(frame, header):
        raise ContradictoryHeaderError(
            f"a frame contains more than one image, and only the first could be read; {_CORRECT}"
        )
    return header


def _decode_jpeg(
    frame: bytes, header: Codestream, layout: Layout, notes: list[str]
) -> NDArray[Any]:
    """Decode JPEG with libjpeg-turbo; colour becomes RGB."""
    # libjpeg fills up a frame that was cut off, so look for its end marker; padding follows.
    if b"\xff\xd9" not in frame[-16:]:
        raise DamagedImageError(f"a compressed frame is truncated; {_AGAIN}")
    if layout.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(frame))
    wanted = "YBR" if layout.photometric in _YBR else "RGB"
    if header.process == "lossless":  # libjpeg converts no colours here
        decoded = imagecodecs.jpeg8_decode(frame, colorspace="RGB", outcolorspace="RGB")
        return _to_rgb(decoded) if wanted == "YBR" else np.asarray(decoded)
    found = header.colour or wanted
    if found == "both" or (found == "RGB" and header.subsampled):
        raise contradiction("colour space")
    if found != wanted:
        notes.append(
            f"the JPEG data states its colour space, {found}, and the header states another one"
        )
    space = "YCBCR" if found == "YBR" else "RGB"
    return np.asarray(imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace="RGB"))


def _decode_jpeg_ls(frame: bytes, *_: object) -> NDArray[Any]:
    return np.asarray(imagecodecs.jpegls_decode(frame))


def _decode_jpeg_2000(
    frame: bytes, header: Codestream, layout: Layout, _notes: list[str]
) -> NDArray[Any]:
    """Decode JPEG 2000 and HTJ2K with OpenJPEG, which inverts the component transformation."""
    if header.subsampled:
        raise UnsupportedImageError(
            "JPEG 2000 with subsampled components is not read; save the image uncompressed"
        )
    if layout.samples == 3:
        transformed = header.colour == "transform"
        # PS3.5 8.2.4: YBR_RCT and YBR_ICT name the transformation, which YBR_FULL excludes.
        if transformed != (layout.photometric in ("YBR_RCT", "YBR_ICT")) and (
            layout.photometric != "RGB"
        ):
            raise contradiction("colour space")
    return np.asarray(imagecodecs.jpeg2k_decode(frame, numthreads=1))


def _decode_jpeg_xl(
    frame: bytes, _header: Codestream, layout: Layout, _notes: list[str]
) -> NDArray[Any]:
    """Decode JPEG XL with libjxl, which gives RGB whatever the codestream stores."""
    if layout.photometric in _YBR:
        raise UnsupportedImageError(
            "JPEG XL in YBR is not read; convert the file to Explicit VR Little Endian"
        )
    return np.asarray(imagecodecs.jpegxl_decode(frame, numthreads=1))


_DECODERS: Final[dict[str, Callable[[bytes, Codestream, Layout, list[str]], NDArray[Any]]]] = {
    "JPEG": _decode_jpeg,
    "JPEG-LS": _decode_jpeg_ls,
    "JPEG 2000": _decode_jpeg_2000,
    "JPEG XL": _decode_jpeg_xl,
}


def _as_declared(decoded: NDArray[Any], header: Codestream, layout: Layout) -> NDArray[Any]:
    """Give decoded numbers the sign of the header."""
    if decoded.dtype.kind not in "iu":
        raise UnsupportedImageError(
            "compressed floating-point pixels are not read; save them uncompressed"
        )
    if decoded.dtype == layout.dtype == np.dtype(f"u{layout.stored // 8 or 1}"):
        return decoded  # no number of this type is beyond the stored bits
    bits = header.precision or 8 * decoded.dtype.itemsize
    low = int(decoded.min()) if decoded.dtype.kind == "i" else 0
    high = int(decoded.max())
    if low < 0 and not layout.signed:
        raise contradiction("sign")
    if layout.signed and low >= 0 and not header.signed:
        # Where precision and Bits Stored differ, which bit is the sign is known only if none is.
        sign = min(bits, layout.stored) - 1
        if high >> sign == 0:
            return decoded.astype(layout.dtype)
        if header.precision not in (0, layout.stored):
            raise contradiction("number of bits")
        words = decoded.astype(layout.dtype.str.replace("i", "u")).view(layout.dtype)
        unused = layout.allocated - layout.stored
        return without_unused_bits(words, unused, unused)
    limit = layout.stored - int(layout.signed)
    if not -(1 << limit) <= low <= high < 1 << limit:
        raise contradiction("number of bits")
    return decoded.astype(layout.dtype, copy=False)
