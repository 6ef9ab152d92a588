"""TIFF, read with tifffile: made for the field, it keeps what the file says.

pillow turns 16-bit colour, planes, packed bits, 32-bit integers and WhiteIsZero into other pixels
without a word. tifffile returns the stored samples; this module displays them as TIFF 6.0 says, or
refuses by name what has no such display. Damage that tifffile tolerates (a broken chain of
directories, ignored tags, cut-off strips) is an error here.
"""

from __future__ import annotations

import logging
import math
import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import tifffile
from numpy.typing import NDArray

from deepfixcx.errors import (
    ContradictoryHeaderError,
    DamagedImageError,
    NonFiniteError,
    OversizedImageError,
    UnsupportedImageError,
)
from deepfixcx.images import frames as common
from deepfixcx.images.frames import ImageFacts, ImageFrames, OpenedImage, full_range, upright
from deepfixcx.images.reading import QUIET
from deepfixcx.images.tiff_samples import COMPRESSIONS, JPEG, planes_of, samples_of

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

__all__ = ["open_tiff"]

logging.getLogger("tifffile").addFilter(QUIET.lets_through)

_PHOTOMETRIC: Final = {
    0: ("grayscale", 1), 1: ("grayscale", 1), 2: ("rgb", 3), 3: ("palette", 1), 5: ("cmyk", 4),
    6: ("ycbcr", 3), 8: ("lab", 3), 9: ("lab", 3), 10: ("lab", 3),
}  # fmt: skip
"""Photometric interpretations with their names and samples, without extra samples."""

_COMPRESSIONS_NAMED: Final = {6: "old-style JPEG", 34926: "Zstandard (first code)"}
_SAMPLE_FORMATS: Final = {2: "signed", 4: "undefined", 5: "complex integer", 6: "complex"}
_REDUCED_OR_MASK: Final = 0b101
_TRANSPARENCY_MASK: Final = 4
_NEEDED: Final = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323}
    | {324, 325, 330, 338, 339, 347}
)
"""Tags that change pixels: one that is there but cannot be read is damage."""

_SUB_DIRECTORIES, _COLOUR_MAP, _INK_SET, _ORIENTATION, _STK_PLANES = 330, 320, 332, 274, 33629
_MOST_DIRECTORIES: Final = 1 << 16


def open_tiff(stream: BinaryIO, max_pixels: int) -> OpenedImage:
    """Read the directories of a TIFF or BigTIFF file."""
    stream.seek(0)
    file = tifffile.TiffFile(stream, is_lsm=False, is_ndpi=False, is_scanimage=False)
    pages, left_out = _frames(file, max_pixels)
    first = pages[0]
    if 262 not in first.tags and first.imagewidth and first.imagelength:
        raise ContradictoryHeaderError(
            "the TIFF header lacks the photometric interpretation, so black and white are "
            "unknown; save the image again with the program that made it"
        )
    planes = _planes(file, first) if len(pages) == 1 else 1
    photometric, _ = _PHOTOMETRIC.get(first.photometric, ("", 0))
    facts = ImageFacts(
        format="TIFF",
        width=first.imagewidth,
        height=first.imagelength,
        channels=1 if photometric == "grayscale" else 3,
        bits=max(np.atleast_1d(first.bitspersample).tolist()),
        photometric=photometric,
        frames=len(pages) * planes,
    )
    return OpenedImage(facts, lambda: _decoded(file, pages, planes, max_pixels, left_out))


def _frames(file: TiffFile, max_pixels: int) -> tuple[list[TiffPage], int]:
    """Return the directories that are frames, all of one size, and how many others there are."""
    frames: list[TiffPage] = []
    first: TiffPage | None = None
    left_out = 0
    for page in _directories(file):
        first = first or page
        if page.subfiletype & _REDUCED_OR_MASK or page.photometric == _TRANSPARENCY_MASK:
            left_out += 1
            continue
        frames.append(page)
        area = frames[0].imagewidth * frames[0].imagelength
        if (page.imagewidth, page.imagelength) != (frames[0].imagewidth, frames[0].imagelength):
            raise UnsupportedImageError(
                "the pages of this TIFF file have different sizes (a pyramid, or several "
                "images); save each page as a separate file"
            )
        if len(frames) * area > max_pixels:
            break
    if first is None:
        raise DamagedImageError("the TIFF file has no directory; copy it again from its source")
    if not frames and _SUB_DIRECTORIES in first.tags:
        raise UnsupportedImageError(
            "the full image lies in a sub-directory (camera raw files such as DNG do this); "
            "export it as an ordinary TIFF or PNG file"
        )
    _refuse_images_in_sub_directories(file, frames)
    return (frames, left_out) if frames else ([first], left_out - 1)


def _directories(file: TiffFile) -> Iterator[TiffPage]:
    """Yield every directory of the chain. A broken chain is damage, not the end of the file."""
    form, handle = file.tiff, file.filehandle
    handle.seek(form.offsetsize if form.version == 43 else 4)
    (offset,) = struct.unpack(form.offsetformat, handle.read(form.offsetsize))
    seen: set[int] = set()
    while offset:
        if offset in seen or len(seen) > _MOST_DIRECTORIES:
            raise DamagedImageError(
                "the directories of the TIFF file form a loop; copy it again from its source"
            )
        seen.add(offset)
        page, codes, offset = _directory(file, offset, len(seen) - 1)
        sizes = (page.imagewidth, page.imagelength, page.samplesperpixel, page.subfiletype)
        sound = all(isinstance(number, int) for number in sizes)
        if not sound or any(code not in page.tags for code in codes & _NEEDED):
            raise DamagedImageError("the TIFF header is damaged; copy the file from its source")
        yield page


def _directory(file: TiffFile, offset: int, index: int) -> tuple[TiffPage, set[int], int]:
    """Return a directory, the codes of its tags, and where the next one begins."""
    form, handle = file.tiff, file.filehandle
    handle.seek(offset)
    (count,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    entries = handle.read(count * form.tagsize)
    (following,) = struct.unpack(form.offsetformat, handle.read(form.offsetsize))
    codes = {
        struct.unpack_from(f"{form.byteorder}H", entries, at)[0]
        for at in range(0, len(entries), form.tagsize)
    }
    handle.seek(offset)
    return tifffile.TiffPage(file, index=index), codes, following


def _refuse_images_in_sub_directories(file: TiffFile, frames: list[TiffPage]) -> None:
    """Refuse a file whose sub-directories hold more than reduced copies of a page."""
    for page in frames:
        for offset in page.subifds or ():
            try:
                within, _, _ = _directory(file, offset, page.index)
            except (struct.error, tifffile.TiffFileError):
                raise DamagedImageError(
                    "a sub-directory of the TIFF file is damaged; copy the file from its source"
                ) from None
            if not within.subfiletype & _REDUCED_OR_MASK and within.imagewidth:
                raise UnsupportedImageError(
                    "the TIFF file holds further images in sub-directories; save each image as "
                    "a separate file"
                )


def _planes(file: TiffFile, page: TiffPage) -> int:
    """Return how many planes lie behind each other under one directory."""
    pixels = math.prod(page.shaped)
    planes = 1
    described = page.description
    if (found := re.search(r"^images=(\d{1,9})\s*$", described, re.M)) and page.is_imagej:
        planes = int(found[1])
    elif (shape := page.shaped_description) and re.search(r'"truncated": *true', shape):
        sizes = re.search(r'"shape": *\[([\d, ]+)\]', shape)
        planes = math.prod(map(int, sizes[1].split(","))) // pixels if sizes and pixels else 1
    elif _STK_PLANES in page.tags:
        planes = page.tags[_STK_PLANES].count
    end = page.dataoffsets[0] + page.nbytes if len(page.dataoffsets) else 0
    rest = file.filehandle.size - end
    if planes > 1 and not page.is_contiguous:
        raise UnsupportedImageError(
            "the file is a compressed stack under one TIFF directory; save it uncompressed, or "
            "with one directory for each image"
        )
    if planes > 1 and end + (planes - 1) * page.nbytes > file.filehandle.size:
        raise ContradictoryHeaderError(
            "the description of the TIFF file declares more images than the file holds; save it "
            "again with the program that wrote it"
        )
    whole_images_follow = rest > 0 and page.nbytes >= 4096 and rest % page.nbytes == 0
    if planes == 1 and page.is_contiguous and whole_images_follow:
        raise ContradictoryHeaderError(
            "the TIFF file contains more images than its header declares; save the file again "
            "with one directory for each image"
        )
    return max(planes, 1)


def _decoded(
    file: TiffFile, pages: list[TiffPage], planes: int, max_pixels: int, left_out: int
) -> ImageFrames:
    for page in pages:
        _refuse_kind(page, max_pixels)
    kinds = {
        (page.dtype, page.photometric, page.samplesperpixel, page.bitspersample, page.extrasamples)
        for page in pages
    }
    if len(kinds) > 1 or len({page.tags.valueof(_ORIENTATION, 1) for page in pages}) > 1:
        raise UnsupportedImageError(
            "the pages of this TIFF file are of different kinds; save each page as a separate file"
        )
    frames = [
        _picture(page, samples)
        for page in pages
        for samples in (planes_of(file, page, planes) if planes > 1 else [samples_of(file, page)])
    ]
    stack = frames[0][np.newaxis] if len(frames) == 1 else _stacked(frames)
    pixels = _displayed(stack, inverted=pages[0].photometric == 0)
    bits = 8 if pixels.dtype == np.uint8 else 16
    notes = ("thumbnails, reduced copies or masks in the TIFF file were left out",) * bool(left_out)
    return ImageFrames(np.require(pixels, None, ["C", "W"]), bits, "TIFF", notes)


def _stacked(frames: list[NDArray[Any]]) -> NDArray[Any]:
    if len({(frame.shape, frame.dtype) for frame in frames}) > 1:  # palettes: gray and colour
        raise UnsupportedImageError(
            "the pages of this TIFF file are of different kinds; save each page as a separate file"
        )
    return np.stack(frames)


def _refuse_kind(page: TiffPage, max_pixels: int) -> None:
    """Refuse by name what cannot be displayed correctly."""
    name, samples = _PHOTOMETRIC.get(page.photometric, ("", 0))
    what = ""
    compression = int(page.compression)
    if not name or name == "lab":
        what = f"photometric interpretation {_named(tifffile.PHOTOMETRIC, page.photometric)}"
    elif compression not in COMPRESSIONS:
        known = _named(tifffile.COMPRESSION, compression)
        what = f"compression {_COMPRESSIONS_NAMED.get(compression, known)}"
    elif name == "ycbcr" and compression != JPEG:
        what = "YCbCr colours without JPEG compression"
    elif page.imagedepth != 1:
        what = "a volume in one page (ImageDepth)"
    elif isinstance(page.bitspersample, tuple):
        what = "different bits per sample in one pixel"
    elif page.dtype is None or page.dtype.kind not in "biuf":
        form = _SAMPLE_FORMATS.get(page.sampleformat, "unsigned or floating-point")
        what = f"{form} samples of {page.bitspersample} bits"
    elif name in ("palette", "cmyk", "ycbcr") and (
        page.dtype.kind not in "bu" or page.bitspersample > 16
    ):
        what = f"{name} colours of {page.dtype.name} samples"
    elif name == "cmyk" and page.tags.valueof(_INK_SET, 1) != 1:
        what = "inks other than cyan, magenta, yellow and black"
    elif not _has_known_samples(page, samples):
        what = f"{page.samplesperpixel} samples per pixel"
        if page.samplesperpixel > samples:
            what += " (some of them without a defined meaning)"
    if what:
        raise UnsupportedImageError(
            f"TIFF with {what} is not read; convert it to gray or RGB of 8 or 16 bits, "
            "one image a file"
        )
    if math.prod(page.chunks) > max(max_pixels, math.prod(page.shaped)):
        raise OversizedImageError(
            "the TIFF header declares tiles far larger than the image; save it again with "
            "ordinary tiles"
        )


def _named(names: Any, code: object) -> str:
    """Return the standard name of a code, or its number."""
    try:
        return str(names(code).name)
    except ValueError:
        return f"{code}"


def _has_known_samples(page: TiffPage, samples: int) -> bool:
    """Return whether the samples are those of the colours, perhaps with one alpha behind them."""
    extra = page.samplesperpixel - samples
    alpha = page.extrasamples in ((1,), (2,)) or (samples == 3 and page.extrasamples in ((), (0,)))
    return extra == 0 or (extra == 1 and alpha)


def _picture(page: TiffPage, samples: NDArray[Any]) -> NDArray[Any]:
    """Turn stored samples into ``(C, H, W)``, upright, in gray or RGB, not yet inverted."""
    name, count = _PHOTOMETRIC[page.photometric]
    if name == "palette":
        colours = _looked_up(page, samples[0])
    else:
        colours = _full_depth(samples, page.bitspersample)
        if len(samples) > count and page.extrasamples == (1,):
            colours = _unmultiplied(colours, count)
        colours = _rgb_of_cmyk(colours[:4]) if name == "cmyk" else colours[:count]
    return upright(colours, page.tags.valueof(_ORIENTATION, 1))


def _full_depth(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Scale unsigned samples of other depths than 8 and 16 bits to the range of their depth."""
    if samples.dtype.kind not in "bu" or bits > 16 or bits in (8, 16):
        return samples
    most = (1 << bits) - 1
    if 255 % most == 0:
        return samples.astype(np.uint8) * np.uint8(255 // most)
    return samples.astype(np.float32) / np.float32(most)


def _looked_up(page: TiffPage, indices: NDArray[Any]) -> NDArray[Any]:
    """Return the colours of a palette, 8 bits where its 16-bit entries say no more; or grays."""
    table = page.tags.valueof(_COLOUR_MAP)
    if table is None or np.size(table) != 3 << page.bitspersample:
        raise ContradictoryHeaderError(
            "the palette of the TIFF file does not fit its samples; save the file again as RGB"
        )
    entries = np.asarray(table, np.uint16).reshape(3, -1)
    high = entries >> 8
    if entries.max() < 256:  # written by programs that took the entries for bytes
        entries = entries.astype(np.uint8)
    elif (entries == high * 257).all() or (entries == high * 256).all():
        entries = high.astype(np.uint8)
    gray = bool((entries == entries[:1]).all())
    return entries[: 1 if gray else 3, indices.astype(np.intp)]


def _rgb_of_cmyk(inks: NDArray[Any]) -> NDArray[Any]:
    """Mix inks as most programs do, without a colour profile."""
    most = 1.0 if inks.dtype.kind == "f" else float(np.iinfo(inks.dtype).max)
    light = most - inks.astype(np.float64)
    mixed = light[:3] * light[3:] / most
    return (mixed if most == 1 else np.rint(mixed)).astype(inks.dtype)


def _unmultiplied(samples: NDArray[Any], count: int) -> NDArray[Any]:
    """Undo the multiplication by an associated alpha."""
    alpha = samples[count : count + 1]
    if samples.dtype.kind not in "uf" or samples.dtype.itemsize > 2 or samples.dtype.kind == "f":
        raise UnsupportedImageError(
            "TIFF with an associated alpha is supported only with 8 or 16 bits; save it "
            "without alpha"
        )
    most = np.iinfo(samples.dtype).max
    colours = samples[:count]
    if (alpha == most).all():
        return colours
    wide = colours.astype(np.float64) * most / np.maximum(alpha, 1)
    return np.where(alpha > 0, np.clip(np.rint(wide), 0, most), colours).astype(samples.dtype)


def _displayed(stack: NDArray[Any], *, inverted: bool) -> NDArray[Any]:
    """Bring frames to uint8, uint16 or float32 in [0, 1], black as 0."""
    if stack.dtype.kind == "f":
        if not np.isfinite(stack).all():
            raise NonFiniteError(common.NOT_FINITE)
        wide = stack.astype(np.float32, copy=False) if stack.dtype.itemsize < 4 else stack
        inside = wide.min() >= 0 and wide.max() <= 1
        stack = wide.astype(np.float32, copy=False) if inside else full_range(wide)
    elif stack.dtype.kind == "i" or stack.dtype.itemsize > 2:
        fitting = np.uint8 if stack.dtype.itemsize == 1 else np.uint16
        fits = int(stack.min()) >= 0 and int(stack.max()) <= np.iinfo(fitting).max
        stack = stack.astype(fitting) if fits else full_range(stack)
    if not inverted:
        return stack
    return 1 - stack if stack.dtype.kind == "f" else ~stack
