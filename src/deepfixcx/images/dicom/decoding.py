"""DICOM pixel data becomes stored values: every transfer syntax, no display yet.

Which decoder reads which syntax is fixed here, whatever else is installed:

- uncompressed, deflated and RLE: pydicom itself;
- JPEG baseline: pillow; JPEG-LS: pyjpegls; JPEG 2000 and HTJ2K: pylibjpeg-openjpeg;
- JPEG lossless and JPEG extended (up to 12 bits): imagecodecs (libjpeg-turbo).

GDCM would read the last group as well, but prints to stderr and aborts the process on some
damaged frames.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from deepfixcx.errors import DecodeError, PixelsShapeError
from deepfixcx.images.codestream import codestream_size
from deepfixcx.images.dicom.native import Header

__all__ = ["decode_frames", "transfer_syntax", "whole_number"]

_PLUGINS: Final = {
    JPEGBaseline8Bit: "pillow",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    RLELossless: "pydicom",
}
_LIBJPEG_TURBO: Final = frozenset({JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1})


def whole_number(header: Header, keyword: str, default: int | None = None) -> int:
    """Read a whole number from a header that may be damaged.

    Parameters
    ----------
    header : Header
        A data set, or what answers like one.
    keyword : str
        DICOM keyword of the element.
    default : int, optional
        What an absent or empty element means; without it, that is an error.

    Returns
    -------
    int
        The value.

    Raises
    ------
    DecodeError
        Absent without a default, or not a whole number.

    Examples
    --------
    >>> whole_number(Dataset(), "NumberOfFrames", default=1)
    1
    """
    value = header.get(keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int):
        raise DecodeError(f"the header says no usable {keyword}; copy the file from its source")
    return int(value)


def transfer_syntax(dataset: Dataset) -> str:
    """Name the transfer syntax of a data set.

    Parameters
    ----------
    dataset : Dataset
        The header, with its file meta information if it has any.

    Returns
    -------
    str
        The standard's name; empty where the file does not say, or says no standard one.

    Examples
    --------
    >>> transfer_syntax(Dataset())
    ''
    """
    uid = UID(str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", "")))
    # pydicom gives back the text itself as the name of an unknown one.
    return uid.name if uid.name != str(uid) else ""


def decode_frames(dataset: Dataset) -> tuple[NDArray[Any], str]:
    """Decode all frames of a data set whose size was checked.

    Parameters
    ----------
    dataset : Dataset
        A complete data set with its transfer syntax.

    Returns
    -------
    frames : NDArray
        Stored values ``(F, H, W, S)`` of the type the header declares, S samples per pixel.
        YBR has become RGB.
    photometric : str
        The photometric interpretation of these values.

    Raises
    ------
    DecodeError
        Truncated or damaged pixel data, or contradictions between it and the header. Other
        exceptions of the decoders pass through: the caller turns them into this one.

    Examples
    --------
    >>> from pydicom import examples
    >>> decode_frames(examples.ct)[0].shape
    (1, 128, 128, 1)
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    height, width = whole_number(dataset, "Rows"), whole_number(dataset, "Columns")
    samples = whole_number(dataset, "SamplesPerPixel", default=1)
    count = whole_number(dataset, "NumberOfFrames", default=1) or 1
    if samples not in (1, 3):
        raise DecodeError("the image has neither one nor three samples per pixel")
    if min(height, width, count) <= 0:
        raise PixelsShapeError("the image declares a size of zero: it has no pixels to encode")
    if syntax.is_encapsulated:
        _check_codestreams(dataset, (height, width), count)
    elif "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        raise DecodeError("the pixels are compressed, but the file does not say how")
    if syntax in _LIBJPEG_TURBO:
        frames, photometric = _decode_libjpeg_turbo(dataset, count)
    else:
        # Bytes beyond the announced frames stay undecoded.
        options: dict[str, Any] = {"allow_excess_frames": False}
        frames, meta = get_decoder(syntax).as_array(
            dataset, decoding_plugin=_PLUGINS.get(syntax, ""), **options
        )
        photometric = str(meta["photometric_interpretation"])
    return frames.reshape(count, height, width, samples), photometric


def _frames(dataset: Dataset, count: int) -> list[bytes]:
    """Split the pixel data into the compressed frames that the header announces."""
    offsets = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    frames = generate_frames(
        dataset.PixelData,
        number_of_frames=count,
        extended_offsets=offsets if all(offsets) else None,
    )
    return list(islice(frames, count))


def _check_codestreams(dataset: Dataset, size: tuple[int, int], count: int) -> None:
    """Refuse JPEG frames whose own size is another than the header's, before memory is taken."""
    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        return
    frames = _frames(dataset, count)
    if len(frames) < count or any(codestream_size(frame) != size for frame in frames):
        raise DecodeError(
            "the compressed frames contradict the header in number or size; "
            "copy the file from its source"
        )


def _decode_libjpeg_turbo(dataset: Dataset, count: int) -> tuple[NDArray[Any], str]:
    """Decode JPEG lossless and JPEG extended; YBR becomes RGB as pydicom does it."""
    photometric = str(dataset.PhotometricInterpretation)
    # The same colour space for both ends: libjpeg must not guess and convert.
    space = None if dataset.SamplesPerPixel == 1 else "RGB"
    images = []
    for frame in _frames(dataset, count):
        # libjpeg fills up a frame that was cut off, so look for its end marker; padding follows.
        if b"\xff\xd9" not in frame[-16:]:
            raise DecodeError("a compressed frame is truncated; copy the file from its source")
        images.append(imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space))
    stack = np.stack(images)
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        stack, photometric = convert_color_space(stack, "YBR_FULL", "RGB"), "RGB"
    return _as_declared(stack, dataset), photometric


def _as_declared(stack: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Give unsigned numbers the type of the header; JPEG itself knows no negative ones."""
    allocated, stored = dataset.BitsAllocated, dataset.BitsStored
    if not 0 < stored <= allocated <= 16 or allocated % 8:
        raise DecodeError("the header declares an impossible number of bits")
    values = stack.astype(f"u{allocated // 8}")
    if not dataset.PixelRepresentation:
        return values
    # Move the stored sign bit to the top and back, which fills the bits above it.
    shift = allocated - stored
    signed: NDArray[Any] = (values << shift).view(f"i{allocated // 8}") >> shift
    return signed
