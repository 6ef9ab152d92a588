"""PNG, JPEG and BMP, read with pillow.

Three things are done elsewhere: pillow reduces PNG with 16-bit colour or alpha to 8 bits, so
imagecodecs (libpng) reads those; it does not report a size of zero or a kind that it does not read
from damage, so the header is looked at when pillow refuses a file; and plain JPEG and PNG files are
decoded faster in `plain`.
"""

from __future__ import annotations

import re
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from deepfixcx.errors import DamagedImageError, PixelsShapeError, UnsupportedImageError
from deepfixcx.images.codestream import codestream_size, read_codestream
from deepfixcx.images.frames import ZERO_SIZE, ImageFacts, ImageFrames, OpenedImage, upright
from deepfixcx.images.plain import decode_deep_png, decode_plain, plain_jpeg_shape, png_chunks

__all__ = ["open_picture"]

_GRAY_MODES: Final = frozenset({"1", "L", "LA", "La", "I;16"})
_PHOTOMETRIC: Final = {"P": "palette", "PA": "palette", "CMYK": "cmyk"}
_ORIENTATION: Final = 0x0112
_TURNED: Final = frozenset(range(2, 9))
_MAY_TURN: Final = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})
_PNG_START: Final = b"\x89PNG\r\n\x1a\n"
_ANOTHER_JPEG: Final = re.compile(rb"\xff\xd9\x00*\xff\xd8\xff")
_TEXTS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_TURNING_TEXTS: Final = (b"Raw profile type", b"XML:com.adobe.xmp")
_BMP_KINDS: Final = {4: "BMP that holds a JPEG image", 5: "BMP that holds a PNG image"}
_BMP_FIELDS: Final = ((28, 2), (30, 4))
_MPO_ENTRIES: Final = 0xB002


def open_picture(stream: BinaryIO, format_name: str) -> OpenedImage:
    """Read the header of a PNG, JPEG or BMP file."""
    stream.seek(0)
    head = stream.read(1 << 16)
    shape = plain_jpeg_shape(head) if format_name == "JPEG" else None
    if shape is not None:
        return _plain_jpeg(stream, shape)
    image = _header(stream, head, format_name)
    deep = format_name == "PNG" and head[24] == 16 and head[25] in (2, 4, 6)
    gray = image.mode in _GRAY_MODES or (deep and head[25] == 4)
    facts = ImageFacts(
        format=format_name,
        width=image.width,
        height=image.height,
        channels=1 if gray else 3,
        bits=head[24] if format_name == "PNG" else 1 if image.mode == "1" else 8,
        photometric="grayscale" if gray else _PHOTOMETRIC.get(image.mode, "rgb"),
        frames=1,
    )

    def decode() -> ImageFrames:
        _refuse_several_images(stream, image)
        if deep:
            _refuse_another_png(stream)
            return _as_frames(_deep_png(stream, image), format_name)
        plain = _plain_png(stream, image) if format_name == "PNG" else None
        if plain is None and format_name == "PNG":
            _refuse_another_png(stream)
        return _as_frames(_samples(image) if plain is None else plain, format_name)

    return OpenedImage(facts, decode)


def _as_frames(pixels: NDArray[Any], format_name: str) -> ImageFrames:
    bits = 8 if pixels.dtype == np.uint8 else 16
    return ImageFrames(np.require(pixels, None, ["C", "W"]), bits=bits, format=format_name)


def _plain_jpeg(stream: BinaryIO, shape: tuple[int, ...]) -> OpenedImage:
    """Return a JPEG file of this shape, for whose header pillow is not needed."""
    channels = (*shape, 1)[2]
    photometric = "grayscale" if channels == 1 else "rgb"
    facts = ImageFacts("JPEG", shape[1], shape[0], channels, 8, photometric, frames=1)

    def decode() -> ImageFrames:
        samples = decode_plain(stream, "JPEG", shape, np.uint8)
        if samples is None:
            image = _header(stream, b"", "JPEG")
            _refuse_several_images(stream, image)
            return _as_frames(_samples(image), "JPEG")
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


def _deep_png(stream: BinaryIO, image: Image.Image) -> NDArray[Any]:
    """Decode a PNG file with colour or alpha of 16 bits; pillow would keep 8."""
    stream.seek(0)
    content = stream.read()
    pixels = _channels_first(decode_deep_png(content))
    if not any(
        kind == b"eXIf" or (kind in _TEXTS and content.startswith(_TURNING_TEXTS, start))
        for kind, start, _ in png_chunks(content)
    ):
        return pixels
    image.load()  # pillow looks for an orientation behind the pixels, too
    return upright(pixels, image.getexif().get(_ORIENTATION))


def _refuse_several_images(stream: BinaryIO, image: Image.Image) -> None:
    """Refuse animations, and JPEG files with more than one picture, thumbnails aside."""
    what = (
        "an animated PNG of several images"
        if image.format == "PNG"
        else "a file of several JPEG images"
    )
    several = int(getattr(image, "n_frames", 1)) > 1
    if image.format == "MPO":
        entries = getattr(image, "mpinfo", {}).get(_MPO_ENTRIES, [])[1:]
        kinds = [str(entry["Attribute"]["MPType"]) for entry in entries]
        several = not all(kind.startswith("Large Thumbnail") for kind in kinds)
    elif image.format == "JPEG":
        stream.seek(0)
        content = stream.read()
        header = read_codestream(content)
        several = header is not None and bool(_ANOTHER_JPEG.search(content, header.header_end))
    if several:
        raise _several(what)


def _refuse_another_png(stream: BinaryIO) -> None:
    """Refuse a PNG file behind which another one lies."""
    stream.seek(0)
    content = stream.read()
    ends = [end + 4 for kind, _, end in png_chunks(content) if kind == b"IEND"]
    if ends and content.find(_PNG_START, ends[0]) >= 0:
        raise _several("a file of several PNG images")


def _several(what: str) -> UnsupportedImageError:
    return UnsupportedImageError(
        f"this is {what}, and only one image would be read; save each image as a separate file"
    )


def _header(stream: BinaryIO, head: bytes, format_name: str) -> Image.Image:
    """Let pillow read the header, or say why it does not."""
    stream.seek(0)
    try:
        return Image.open(stream, formats=[format_name])
    except OSError as error:  # also of pillow, which then has no number
        if error.errno is not None:
            raise
    size = _declared_size(head, format_name)
    if size is not None and 0 in size:
        raise PixelsShapeError(ZERO_SIZE)
    kind = _jpeg_kind(head) if format_name == "JPEG" else _bmp_kind(head, format_name)
    if kind:
        raise UnsupportedImageError(f"{kind} is not read; convert it to PNG")
    raise DamagedImageError(
        f"the file starts as {format_name}, but its header is damaged; copy it again from its "
        "source"
    )


def _declared_size(head: bytes, format_name: str) -> tuple[int, int] | None:
    """Read height and width from a header that pillow refuses."""
    if format_name == "JPEG":
        return codestream_size(head)
    if format_name == "PNG":
        sized = head[12:16] == b"IHDR" and len(head) >= 24
        return (
            (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big"))
            if sized
            else None
        )
    # Headers of 12 bytes hold two 16-bit numbers, all later ones two of 32 bits.
    step = 2 if head[14] == 12 else 4
    return (
        int.from_bytes(head[18 : 18 + step], "little"),
        int.from_bytes(head[18 + step : 18 + 2 * step], "little"),
    )


def _jpeg_kind(head: bytes) -> str:
    """Name a JPEG file that is sound and that pillow does not read, or return nothing."""
    header = read_codestream(head)
    if header is None:
        return ""
    if header.kind != "JPEG":
        return header.kind
    if header.process in ("lossless", "hierarchical"):
        return f"{header.process} JPEG"
    if header.precision != 8:
        return f"JPEG of {header.precision} bits per sample"
    return f"JPEG of {header.components} components" if header.components not in (1, 3, 4) else ""


def _bmp_kind(head: bytes, format_name: str) -> str:
    """Name a BMP file that is sound and that pillow does not read, or return nothing."""
    if format_name != "BMP" or len(head) < 34 or head[14] == 12:
        return ""
    bits, compression = (int.from_bytes(head[at : at + size], "little") for at, size in _BMP_FIELDS)
    unknown = f"BMP of {bits} bits per pixel" if bits in (2, 48, 64) else ""
    return _BMP_KINDS.get(compression, unknown)


def _samples(image: Image.Image) -> NDArray[Any]:
    """Let pillow decode ``(1, C, H, W)`` of uint8 or uint16, upright."""
    image.load()
    if image.getexif().get(_ORIENTATION) in _TURNED:  # else spare the copy that pillow would make
        image = ImageOps.exif_transpose(image)
    if image.mode == "I;16":
        return np.asarray(image)[np.newaxis, np.newaxis]
    if image.mode in _GRAY_MODES:
        gray = np.asarray(image if image.mode == "L" else image.convert("L"))
        return gray[np.newaxis, np.newaxis]
    colours = _channels_first(np.asarray(image.convert("RGB")))
    return colours[:, :1] if image.mode in ("P", "PA") and _only_grays(image) else colours


def _only_grays(image: Image.Image) -> bool:
    palette = image.getpalette("RGB") or []
    entries = np.asarray(palette, np.uint8).reshape(-1, 3)
    return bool((entries == entries[:, :1]).all())


def _channels_first(samples: NDArray[Any]) -> NDArray[Any]:
    """Turn ``(H, W)`` or ``(H, W, C)`` into ``(1, C, H, W)`` without the alpha channel."""
    if samples.ndim == 2:
        return samples[np.newaxis, np.newaxis]
    return np.moveaxis(samples[..., : 3 if samples.shape[-1] >= 3 else 1], -1, 0)[np.newaxis]
