"""PNG, JPEG, TIFF and BMP, read with pillow.

Three things are done elsewhere: pillow reduces PNG with 16-bit colour or alpha to 8 bits, so
imagecodecs (libpng) reads those; it does not tell a size of zero from damage, so the header is
looked at when pillow refuses a file; and plain JPEG and PNG files are decoded faster in `plain`.
"""

from __future__ import annotations

from typing import Any, BinaryIO, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from deepfixcx.errors import DecodeError, NonFiniteError, PixelsShapeError
from deepfixcx.images.codestream import codestream_size
from deepfixcx.images.frames import ImageFacts, ImageFrames, OpenedImage, full_range
from deepfixcx.images.plain import decode_plain, plain_jpeg_shape

__all__ = ["open_picture"]

_GRAY_MODES: Final = frozenset({"1", "L", "LA", "La"})
_INTEGER_MODES: Final = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_PHOTOMETRIC: Final = {
    "P": "palette",
    "PA": "palette",
    "CMYK": "cmyk",
    "YCbCr": "ycbcr",
    "LAB": "lab",
}
_BITS: Final = {"1": 1, "I": 32, "F": 32}
_NEW_SUBFILE_TYPE: Final = 254
_ORIENTATION: Final = 0x0112
_TURNED: Final = frozenset(range(2, 9))
_MAY_TURN: Final = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})
_BITS_PER_SAMPLE: Final = 258


def open_picture(stream: BinaryIO, format_name: str, max_pixels: int) -> OpenedImage:
    """Read the header of a PNG, JPEG, TIFF or BMP file.

    Parameters
    ----------
    stream : binary file
        Positioned at its first byte; stays in use until the pixels are decoded.
    format_name : str
        What `sniff` found.
    max_pixels : int
        Largest height x width x pages; counting of pages stops there.

    Returns
    -------
    OpenedImage
        The facts, and a function that decodes the frames ``(F, C, H, W)``.

    Raises
    ------
    PixelsShapeError
        A declared height or width of zero.
    DecodeError
        The header is damaged, or the pages have different sizes.

    Examples
    --------
    >>> import io
    >>> stream = io.BytesIO()
    >>> Image.new("L", (6, 4)).save(stream, "BMP")
    >>> open_picture(stream, "BMP", max_pixels=100).facts.width
    6
    """
    stream.seek(0)
    head = stream.read(1 << 16)
    shape = plain_jpeg_shape(head) if format_name == "JPEG" else None
    if shape is not None:
        return _plain_jpeg(stream, shape)
    image = _header(stream, head, format_name)
    pages = _pages(image, max_pixels) if format_name == "TIFF" else [0]
    deep = format_name == "PNG" and head[24] == 16 and head[25] in (2, 4, 6)
    gray_alpha = deep and head[25] == 4
    gray = image.mode in _GRAY_MODES | _INTEGER_MODES | {"F"} or gray_alpha
    facts = ImageFacts(
        format=format_name,
        width=image.width,
        height=image.height,
        channels=1 if gray else 3,
        bits=_bits(image, head, format_name),
        photometric="grayscale" if gray else _PHOTOMETRIC.get(image.mode, "rgb"),
        frames=len(pages),
    )

    def decode() -> ImageFrames:
        if deep:
            stream.seek(0)
            pixels = _channels_first(imagecodecs.png_decode(stream.read()))
        else:
            plain = _plain_png(stream, image) if format_name == "PNG" else None
            pixels = _stacked(image, pages) if plain is None else plain
        return _as_frames(pixels, format_name)

    return OpenedImage(facts, decode)


def _as_frames(pixels: NDArray[Any], format_name: str) -> ImageFrames:
    bits = 8 if pixels.dtype == np.uint8 else 16
    return ImageFrames(np.ascontiguousarray(pixels), bits=bits, format=format_name)


def _plain_jpeg(stream: BinaryIO, shape: tuple[int, ...]) -> OpenedImage:
    """Return a JPEG file of this shape, for whose header pillow is not needed."""
    channels = (*shape, 1)[2]
    photometric = "grayscale" if channels == 1 else "rgb"
    facts = ImageFacts("JPEG", shape[1], shape[0], channels, 8, photometric, frames=1)

    def decode() -> ImageFrames:
        samples = decode_plain(stream, "JPEG", shape, np.uint8)
        if samples is None:
            return _as_frames(_stacked(_header(stream, b"", "JPEG"), [0]), "JPEG")
        return _as_frames(_channels_first(samples), "JPEG")

    return OpenedImage(facts, decode)


def _plain_png(stream: BinaryIO, image: Image.Image) -> NDArray[Any] | None:
    """Decode a plain PNG file to ``(1, C, H, W)``; None where pillow must do it."""
    if image.mode not in ("L", "I;16", "RGB") or _MAY_TURN & image.info.keys():
        return None
    shape = (image.height, image.width) + (3,) * (image.mode == "RGB")
    dtype = np.uint16 if image.mode == "I;16" else np.uint8
    samples = decode_plain(stream, "PNG", shape, dtype)
    return None if samples is None else _channels_first(samples)


def _header(stream: BinaryIO, head: bytes, format_name: str) -> Image.Image:
    """Let pillow read the header, or say why it does not."""
    stream.seek(0)
    try:
        return Image.open(stream, formats=[format_name])
    except UnidentifiedImageError:
        pass
    if _declares_zero(stream, head, format_name):
        raise PixelsShapeError("the image declares a size of zero: it has no pixels to encode")
    raise DecodeError(
        f"the file starts like {format_name}, but its header is damaged; "
        "copy it again from its source"
    )


def _declares_zero(stream: BinaryIO, head: bytes, format_name: str) -> bool:
    """Tell whether the reason why pillow refuses a file is a height or width of zero."""
    size: tuple[int, int] | None = None
    if format_name == "PNG" and head[12:16] == b"IHDR" and len(head) >= 24:
        size = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    elif format_name == "BMP":
        # Headers of 12 bytes hold two 16-bit numbers, all later ones two of 32 bits.
        step = 2 if head[14] == 12 else 4
        size = (
            int.from_bytes(head[18 : 18 + step], "little"),
            int.from_bytes(head[18 + step : 18 + 2 * step], "little"),
        )
    elif format_name == "JPEG":
        size = codestream_size(head)
    elif format_name == "TIFF":
        start = head[:16] if 43 in head[2:4] else head[:8]  # 43 says BigTIFF
        directory = TiffImagePlugin.ImageFileDirectory_v2(start)
        stream.seek(directory.next)
        directory.load(stream)
        size = directory[TiffImagePlugin.IMAGELENGTH], directory[TiffImagePlugin.IMAGEWIDTH]
    return size is not None and 0 in size


def _bits(image: Image.Image, head: bytes, format_name: str) -> int:
    if format_name == "PNG":
        return head[24]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))[0])
    return 16 if image.mode.startswith("I;16") else _BITS.get(image.mode, 8)


def _pages(image: Image.Image, max_pixels: int) -> list[int]:
    """List the pages of a TIFF file that are frames; thumbnails beside them are not.

    Counting stops once the frames are more than `max_pixels`: the file is refused then.
    """
    frames: list[int] = []
    size = image.size
    index = 0
    while len(frames) * image.height * image.width <= max_pixels:
        try:
            image.seek(index)
        except EOFError:
            break
        tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
        if index == 0 or not int(tags.get(_NEW_SUBFILE_TYPE, 0)) & 1:
            if image.size != size:
                raise DecodeError(
                    "the pages of this TIFF file have different sizes; "
                    "save every page as a file of its own"
                )
            frames.append(index)
        index += 1
    image.seek(0)
    return frames


def _stacked(image: Image.Image, pages: list[int]) -> NDArray[Any]:
    """Decode the pages into one array ``(F, C, H, W)`` of uint8, uint16 or float32 in [0, 1]."""
    frames = []
    for index in pages:
        image.seek(index)
        frames.append(_samples(_upright(image)))
    if len({(frame.shape, frame.dtype) for frame in frames}) != 1:
        raise DecodeError(
            "the pages of this TIFF file are of different kinds; save every page as its own file"
        )
    stack = np.stack(frames)
    if stack.dtype.kind == "f":
        if not np.isfinite(stack).all():
            raise NonFiniteError("NaN or infinity among the pixels; replace them in the source")
        return stack if stack.min() >= 0 and stack.max() <= 1 else full_range(stack)
    if stack.dtype == np.int32:
        fits = stack.min() >= 0 and stack.max() <= np.iinfo(np.uint16).max
        return stack.astype(np.uint16) if fits else full_range(stack)
    return stack


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; without one, spare the copy that pillow would make."""
    image.load()
    turned = image.getexif().get(_ORIENTATION) in _TURNED
    return ImageOps.exif_transpose(image) if turned else image


def _samples(image: Image.Image) -> NDArray[Any]:
    """Decode one page to ``(C, H, W)``: uint8, uint16, int32 or float32."""
    if image.mode in _INTEGER_MODES | {"F"}:
        array = np.asarray(image)
        return array[np.newaxis].astype(array.dtype.newbyteorder("="), copy=False)
    if image.mode in _GRAY_MODES:
        return np.asarray(image if image.mode == "L" else image.convert("L"))[np.newaxis]
    colours = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    return colours[:1] if image.mode in ("P", "PA") and _only_grays(image) else colours


def _only_grays(image: Image.Image) -> bool:
    palette = image.getpalette("RGB") or []
    entries = np.asarray(palette, np.uint8).reshape(-1, 3)
    return bool((entries == entries[:, :1]).all())


def _channels_first(samples: NDArray[Any]) -> NDArray[Any]:
    """Turn ``(H, W)`` or ``(H, W, C)`` into ``(1, C, H, W)`` without the alpha channel."""
    if samples.ndim == 2:
        return samples[np.newaxis, np.newaxis]
    return np.moveaxis(samples[..., : 3 if samples.shape[-1] >= 3 else 1], -1, 0)[np.newaxis]
