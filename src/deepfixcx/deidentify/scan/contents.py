"""What there is to search in a file: its bytes, and those that are packed in them."""

from __future__ import annotations

import gzip
import io
import mmap
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image
from pydicom import dcmread

from deepfixcx.deidentify.silence import silence

__all__ = ["Part", "TooLargeError", "parts_of"]

MOST_INFLATED: Final = 1 << 30
PNG: Final = b"\x89PNG\r\n\x1a\n"
DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
PIXELS: Final = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
END_OF_FRAMES: Final = b"\xfe\xff\xdd\xe0"
UNDEFINED: Final = 0xFFFFFFFF
HASH: Final = re.compile(rb"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])")
"""SHA-256 as tables have it: among many of them short numbers stand by chance."""

UNSOUND: Final = (OSError, EOFError, ValueError)
"""What zipfile also raises where a directory names places that are not in the file."""


class TooLargeError(Exception):
    """Packed bytes become more than what is worth unpacking."""


class Part(NamedTuple):
    """Bytes to search.

    Attributes
    ----------
    where : str
        What they are of a file, in plain words.
    data : bytes or mmap
        The bytes.
    bulk : list of (start, stop)
        Where pixels and numbers stand in them, and no texts; in order.
    """

    where: str
    data: Any
    bulk: list[tuple[int, int]]


def parts_of(path: Path) -> Iterator[Part]:
    """Yield the bytes of a file, and what is packed in it.

    Unpacked are the image data and texts of PNG, gzip, zip (which .npz is), and deflated DICOM.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OSError
        It cannot be read.
    TooLargeError
        What is packed in it is more than 1 GiB.
    """
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        head = data[:132]
        if head.startswith(PNG):
            yield from _png(path, data)
        elif head.startswith(b"\x1f\x8b"):
            yield Part("file", data, [(0, len(data))])
            yield Part("unpacked", _gunzipped(path), [])
        elif head.startswith(b"PK\x03\x04"):
            yield from _zip(path, data)
        elif path.suffix == ".safetensors":
            header = 8 + int.from_bytes(head[:8], "little")
            yield Part("file", data, [(header, len(data))])
        elif head[128:] == b"DICM":
            yield from _dicom(path, data)
        else:
            yield Part("file", data, [found.span() for found in HASH.finditer(data)])


def _png(path: Path, data: mmap.mmap) -> Iterator[Part]:
    bulk, packed, texts = [], [], []
    at = len(PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], (at + 8, at + 8 + length)
        if kind == b"IDAT":
            bulk.append(content)
            packed.append(data[slice(*content)])
        elif kind in (b"zTXt", b"iTXt", b"iCCP"):
            texts.append(data[slice(*content)])
        at += 12 + length
    yield Part("file", data, bulk)
    pixels = _inflated(b"".join(packed), zlib.MAX_WBITS)
    yield Part("image data", pixels, [(0, len(pixels))])
    yield from _png_pixels(path)
    for text in texts:
        # After the keyword come a few bytes of flags and languages, then what is packed.
        for start in range(len(text)):
            if text[start] & 0x0F == 8 and (unpacked := _inflated(text[start:], zlib.MAX_WBITS)):
                yield Part("packed text", unpacked, [])
                break


def _png_pixels(path: Path) -> Iterator[Part]:
    """Yield the values of the pixels; in the file only their differences are stored."""
    try:
        with silence(), Image.open(path) as picture:
            if picture.width * picture.height * 8 > MOST_INFLATED:
                raise TooLargeError
            pixels = picture.tobytes()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return  # damaged: what could be inflated of it is searched
    yield Part("pixels", pixels, [(0, len(pixels))])


def _zip(path: Path, data: mmap.mmap) -> Iterator[Part]:
    yield Part("file", data, [(0, len(data))])
    try:
        with zipfile.ZipFile(path) as archive:
            yield Part("names in the archive", "\n".join(archive.namelist()).encode(), [])
            if sum(each.file_size for each in archive.infolist()) > MOST_INFLATED:
                raise TooLargeError
            for name in archive.namelist():
                content = archive.read(name)
                numbers = content.startswith(b"\x93NUMPY")
                yield Part("packed file", content, [(128, len(content))] if numbers else [])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, *UNSOUND):
        yield Part("file", data, [])  # no sound archive: then as any other bytes


def _dicom(path: Path, data: mmap.mmap) -> Iterator[Part]:
    if DEFLATED in data[:1024]:
        start = 144 + int.from_bytes(data[140:144], "little")
        yield Part("file", data, [(start, len(data))])
        yield Part("unpacked", _inflated(data[start:], -zlib.MAX_WBITS), [])
        return
    yield Part("file", data, _pixel_data(path, data))


def _pixel_data(path: Path, data: mmap.mmap) -> list[tuple[int, int]]:
    """Return where the pixels of a DICOM file are; everything else is header."""
    try:
        with silence(), path.open("rb") as file:
            dcmread(file, stop_before_pixels=True)
            ended = file.tell()
    except Exception:  # not readable as DICOM: then all of it is searched as text
        return []
    places = [data.find(tag, max(0, ended - 16), ended + 16) for tag in PIXELS]
    if max(places) < 0:
        return []
    at = max(places)
    order: Any = "little" if data[at : at + 4] == PIXELS[0] else "big"
    start = at + (12 if data[at + 4 : at + 6] in (b"OB", b"OW", b"UN") else 8)
    length = int.from_bytes(data[start - 4 : start], order)
    stop = data.rfind(END_OF_FRAMES) if length == UNDEFINED else start + length
    return [(start, stop)] if start <= stop <= len(data) else [(start, len(data))]


def _inflated(packed: bytes, window: int) -> bytes:
    """Inflate what can be; damaged bytes give what stands before the damage."""
    inflater, done, size = zlib.decompressobj(window), [], 0
    try:
        while packed:
            block = inflater.decompress(packed, 1 << 20)
            done.append(block)
            size += len(block)
            if size > MOST_INFLATED:
                raise TooLargeError
            packed = inflater.unconsumed_tail
    except zlib.error:
        pass
    return b"".join(done)


def _gunzipped(path: Path) -> bytes:
    done = io.BytesIO()
    try:
        with gzip.open(path) as file:
            while block := file.read(1 << 20):
                done.write(block)
                if done.tell() > MOST_INFLATED:
                    raise TooLargeError
    except (OSError, EOFError, zlib.error):
        pass
    return done.getvalue()
