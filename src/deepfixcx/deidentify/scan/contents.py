"""What there is to search in a file: its bytes, and those that are packed in them.

Containers are found by their first bytes, wherever they stand: a zip behind a prefix, the second
member of a gzip, an archive behind the end of a picture, all of them inside each other.
"""

from __future__ import annotations

import bz2
import io
import lzma
import mmap
import re
import stat
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image
from pydicom import dcmread

from deepfixcx._optional import require
from deepfixcx.deidentify.silence import silence
from deepfixcx.errors import MissingExtraError

__all__ = ["DEEPEST", "MOST_INFLATED", "Contents", "Part"]

MOST_INFLATED: Final = 1 << 30
"""Bytes that are unpacked of one file, at all depths together."""

DEEPEST: Final = 8
"""Containers inside each other."""

MOST_CONTAINERS: Final = 20_000
PNG: Final = b"\x89PNG\r\n\x1a\n"
GZIP, ZIP, BZIP, XZ = b"\x1f\x8b\x08", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0"
LOCAL: Final = "<4sHHHHHIIIHH"
"""The header of an entry of a zip archive."""

PARQUET: Final = b"PAR1"
DEFLATED: Final = b"1.2.840.10008.1.2.1.99"
PIXELS: Final = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
END_OF_FRAMES: Final = b"\xfe\xff\xdd\xe0"
UNDEFINED: Final = 0xFFFFFFFF
HASH: Final = re.compile(rb"(?<![0-9A-Za-z])[0-9a-f]{64}(?![0-9A-Za-z])")
"""SHA-256 as tables have it: among many of them short numbers stand by chance."""

PICTURES: Final = (b"GIF8", b"II*\0", b"MM\0*", b"BM", b"RIFF", b"\xff\xd8\xff")
UNOPENED: Final = {
    b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!\x1a\x07": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4", b"\x1f\x9d": "compress", b"LZIP": "lzip", b"MSCF": "Cabinet",
    b"]\0\0": "LZMA", b"-----BEGIN PGP MESSAGE": "OpenPGP", b"age-encryption.org": "age",
    b"Salted__": "OpenSSL", b"\x89LZO": "lzop", b"\x89HDF\r\n": "HDF5",
    b"hsqs": "SquashFS", b"sqsh": "SquashFS", b"Obj\x01": "Avro", b"ORC": "ORC",
    b"\xff\x06\0\0sNaPpY": "Snappy", b"xar!": "XAR", b"\0\0\0\x0cJXL ": "JPEG XL",
}  # fmt: skip
"""What is packed or encrypted in ways that are not opened here, by the first bytes."""

NUMERIC_ARRAY: Final = re.compile(rb"'descr': '[<>|=][biufc]")
_STREAM: Final = re.compile(rb"stream\r?\n")
_BZIP: Final = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")
_FILTER: Final = re.compile(rb"/(?:Encrypt|Identity-[HV]|LZWDecode|ASCII85Decode|Crypt)\b")


class Part(NamedTuple):
    """Bytes to search."""

    where: str
    data: Any
    bulk: list[tuple[int, int]]


def _voxels(data: Any) -> int:
    """Return where the voxels of a NIfTI file of this machine's byte order begin; 0 for none."""
    (at,) = struct.unpack_from("<f", data, 108)
    return int(at) if 348 <= at <= len(data) else 0


class TooLargeError(Exception):
    """Packed bytes become more than what is unpacked of one file."""


class Contents:
    """The bytes of one file, and everything that is packed in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self._left = MOST_INFLATED
        self._containers = 0

    def parts(self) -> Iterator[Part]:
        """Yield the bytes of the file, then what is packed in it, at every depth."""
        status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):
            self._note("it is not a regular file, so it was not opened")
            return
        if status.st_size == 0:
            return
        try:
            with (
                self.path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                yield from self._opened("file", data, 0)
        except TooLargeError:
            self._note("it contains more than 1 GiB of compressed data, which was not searched")

    def inside(self, where: str, data: bytes, depth: int) -> Iterator[Part]:
        """Yield bytes that were decoded of a text of the file, and what is packed in them."""
        try:
            self._spend(len(data))
            yield from self._opened(where, data, depth)
        except TooLargeError:
            self._note("it contains more than 1 GiB of compressed data, which was not searched")

    def _opened(self, where: str, data: Any, depth: int) -> Iterator[Part]:
        self._containers += 1
        if depth > DEEPEST or self._containers > MOST_CONTAINERS:
            self._note(f"containers are nested more than {DEEPEST} deep, or too numerous")
            return
        head = data[:132]
        for first, name in UNOPENED.items():
            if head.startswith(first):
                self._note(f"{name} is not opened here")
        if head.startswith(PNG):
            end = yield from self._png(where, data, depth)
            if data[end:].strip(b"\0"):
                yield from self._opened("behind the end", data[end:], depth + 1)
            return
        if head[128:] == b"DICM":
            yield from self._dicom(where, data, depth)
        elif where == "file" and self.path.suffix == ".safetensors":
            yield Part(
                where, data, [(min(len(data), 8 + int.from_bytes(head[:8], "little")), len(data))]
            )
        elif data[344:348] == b"n+1\0" and (at := _voxels(data)):
            yield Part(where, data, [(at, len(data))])
        elif head.startswith(b"\x93NUMPY"):
            texts = not NUMERIC_ARRAY.search(head)
            yield Part(where, data, [] if texts else [(min(128, len(data)), len(data))])
        elif head.startswith(PARQUET):
            footer = 8 + int.from_bytes(data[-8:-4], "little")
            yield Part(where, data, [(len(PARQUET), max(len(data) - footer, 0))])
            yield from self._parquet(bytes(data), depth)
        elif head.startswith((GZIP, ZIP, BZIP, XZ)):
            yield Part(where, data, [(0, len(data))])
            yield Part(where, data[-(1 << 16) :], [])  # comments, and what stands behind the end
        else:
            if head.startswith(PICTURES):
                yield from self._pixels(data if depth else self.path)
            if b"%PDF-" in data[:1024]:
                yield from self._pdf(data, depth)
            yield Part(where, data, [found.span() for found in HASH.finditer(data)])
        yield from self._packed(data, depth)

    def _packed(self, data: Any, depth: int) -> Iterator[Part]:
        """Yield what is in the archives that begin anywhere in the bytes."""
        yield from self._zips(data, depth)
        at = data.find(GZIP, 0)
        while at >= 0:
            unpacked, used = self._gzip_member(data, at)
            # Three bytes stand by chance among pixels; what is no member gives next to nothing.
            if used:
                yield from self._opened("unpacked", unpacked, depth + 1)
            at = data.find(GZIP, at + max(used, 1))
        for found in _BZIP.finditer(data):
            yield from self._whole(bz2.BZ2Decompressor, data, found.start(), depth)
        at = data.find(XZ)
        while at >= 0:
            yield from self._whole(lzma.LZMADecompressor, data, at, depth)
            at = data.find(XZ, at + 1)

    def _zips(self, data: Any, depth: int) -> Iterator[Part]:
        """Yield the members of zip archives by their own headers, whatever a directory says."""
        at = data.find(ZIP)
        while at >= 0:
            following = data.find(ZIP, at + 4)
            header = data[at : at + 30]
            if len(header) < 30:
                return
            _, version, flags, method, *_, packed, _, name, extra = struct.unpack(LOCAL, header)
            start = at + 30 + name + extra
            if start > len(data) or method > 99 or version & 0xFF > 99:
                at = following
                continue
            yield Part("name in an archive", data[at + 30 : start], [])
            known = 0 < packed < UNDEFINED and not flags & 8
            stop = start + packed if known else following if following > 0 else len(data)
            if flags & 1:
                self._note("an entry of a zip archive is encrypted")
            elif method == 0:
                yield from self._opened("packed file", data[start:stop], depth + 1)
                following = data.find(ZIP, stop) if known else following
            elif method == 8:
                unpacked = self._inflated(data, start, -zlib.MAX_WBITS)[0]
                yield from self._opened("packed file", unpacked, depth + 1)
            elif method in (12, 14):
                make: Any = bz2.BZ2Decompressor if method == 12 else _zip_lzma(data[start:][:9])
                skipped = 0 if method == 12 else 9
                yield from self._whole(make, data, start + skipped, depth, "packed file")
            else:
                self._note("an entry of a zip archive has an unsupported compression")
            at = following

    def _whole(
        self, make: Callable[[], Any], data: Any, at: int, depth: int, where: str = "unpacked"
    ) -> Iterator[Part]:
        """Yield what a stream of bzip2 or xz holds, as far as it is sound."""
        unpacker, done, place = make(), [], at
        damaged = False
        try:
            while not unpacker.eof:
                fed = b"" if not unpacker.needs_input else data[place : place + (1 << 16)]
                if unpacker.needs_input and not fed:
                    break
                place += len(fed)
                done.append(unpacker.decompress(fed, 1 << 20))
                self._spend(len(done[-1]))
        except (OSError, EOFError, ValueError, lzma.LZMAError):
            damaged = True
        if damaged or not unpacker.eof:
            self._note("a compressed stream in it is damaged")
        yield from self._opened(where, b"".join(done), depth + 1)

    def _gzip_member(self, data: Any, at: int) -> tuple[bytes, int]:
        """Unpack one member of a gzip; return it, and how many bytes it takes."""
        flags, start = data[at + 3] if at + 3 < len(data) else 0xFF, at + 10
        if flags & 0xE0:
            return b"", 0
        if flags & 4:
            start += 2 + int.from_bytes(data[start : start + 2], "little")
        for flag in (8, 16):
            if flags & flag:
                start = data.find(b"\0", start) + 1
        start += 2 * bool(flags & 2)
        unpacked, used, whole = self._inflated(data, start, -zlib.MAX_WBITS)
        # Elsewhere than at the beginning, three bytes that look like a member stand by chance.
        sound = whole or at == 0 or (len(unpacked) > 64 and unpacked[:64].isascii())
        if sound and not whole:
            self._note("a compressed stream in it is damaged")
        return (unpacked, start - at + used) if sound else (b"", 0)

    def _inflated(self, data: Any, start: int, window: int) -> tuple[bytes, int, bool]:
        """Inflate what can be: the bytes, how many they took, and whether the end was reached."""
        inflater, done, at = zlib.decompressobj(window), [], start
        try:
            while not inflater.eof:
                fed = inflater.unconsumed_tail or data[at : at + (1 << 16)]
                if not fed:
                    break
                at += 0 if inflater.unconsumed_tail else len(fed)
                done.append(inflater.decompress(fed, 1 << 20))
                self._spend(len(done[-1]))
        except zlib.error:
            return b"".join(done), at - start, False
        return b"".join(done), at - start - len(inflater.unused_data), inflater.eof

    def _png(self, where: str, data: Any, depth: int) -> Generator[Part, None, int]:
        """Yield the parts of a PNG; return where it ends."""
        bulk, frames, at = [], [b""], len(PNG)
        texts: list[bytes] = []
        while at + 12 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            kind, content = data[at + 4 : at + 8], (at + 8, min(len(data), at + 8 + length))
            at += 12 + length
            if kind in (b"IDAT", b"fdAT"):
                bulk.append(content)
                frames[-1] += data[content[0] + 4 * (kind == b"fdAT") : content[1]]
            elif kind == b"fcTL":
                frames.append(b"")
            elif kind == b"IEND":
                break
            else:
                texts.append(data[slice(*content)])
        yield Part(where, data, bulk)
        for frame in filter(None, frames):
            pixels, _, whole = self._inflated(frame, 0, zlib.MAX_WBITS)
            if not whole:
                self._note("its image data are damaged")
            yield Part("image data", pixels, [(0, len(pixels))])
        yield from self._pixels(self.path if where == "file" else data)
        for text in texts:
            yield from self._packed(text, depth)
            # After the keyword come a few bytes of flags and languages, then what is packed.
            for start in range(len(text)):
                if text[start] & 0x0F == 8:
                    unpacked = self._inflated(text, start, zlib.MAX_WBITS)[0]
                    if len(unpacked) > 3:
                        yield from self._opened("packed text", unpacked, depth + 1)
                        break
        return min(at, len(data))

    def _pixels(self, source: Any) -> Iterator[Part]:
        """Yield the values of the pixels of each frame; in the file they are stored otherwise."""
        opened = source if isinstance(source, Path) else io.BytesIO(source)
        try:
            with silence(), Image.open(opened) as picture:
                for number in range(getattr(picture, "n_frames", 1)):
                    picture.seek(number)
                    self._spend(picture.width * picture.height * len(picture.getbands()))
                    pixels = picture.tobytes()
                    yield Part("pixels", pixels, [(0, len(pixels))])
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
            return  # damaged, or no picture: what could be inflated of it is searched

    def _pdf(self, data: Any, depth: int) -> Iterator[Part]:
        if _FILTER.search(data):
            self._note("its PDF is encrypted, or contains text in an unsupported encoding")
        for found in _STREAM.finditer(data):
            unpacked = self._inflated(data, found.end(), zlib.MAX_WBITS)[0]
            if unpacked:
                if _FILTER.search(unpacked):
                    self._note("its PDF contains text in an unsupported encoding")
                yield from self._opened("packed text", unpacked, depth + 1)

    def _dicom(self, where: str, data: Any, depth: int) -> Iterator[Part]:
        if DEFLATED not in data[:1024]:
            yield Part(where, data, _pixel_data(data))
            return
        start = 144 + int.from_bytes(data[140:144], "little")
        yield Part(where, data, [(start, len(data))])
        unpacked, _, whole = self._inflated(data, start, -zlib.MAX_WBITS)
        if not whole:
            self._note("a compressed stream in it is damaged")
        yield from self._opened("unpacked", unpacked, depth + 1)

    def _parquet(self, data: bytes, depth: int) -> Iterator[Part]:
        """Yield the texts of a table and the files in its cells; vectors hold no text."""
        try:
            arrow = require("pyarrow", extra="tables")
            parquet = require("pyarrow.parquet", extra="tables")
        except MissingExtraError:
            self._note("Parquet is opened only where the package pyarrow is installed")
            return
        try:
            for batch in parquet.ParquetFile(arrow.BufferReader(data)).iter_batches(256):
                self._spend(batch.nbytes)
                columns = list(batch.columns)
                for column in columns:  # it grows: fields and lists are columns of their own
                    if arrow.types.is_struct(column.type):
                        columns += column.flatten()
                    elif not arrow.types.is_nested(column.type):
                        yield from self._cells(column.to_pylist(), depth)
                    elif not arrow.types.is_primitive(column.type.value_type):
                        columns.append(column.flatten())
        except (arrow.ArrowException, OSError, ValueError, AttributeError):
            self._note("a table of Parquet in it is damaged, or of an unknown kind")

    def _cells(self, cells: list[Any], depth: int) -> Iterator[Part]:
        texts = [str(each) for each in cells if not isinstance(each, bytes | None)]
        yield Part("cells", "\n".join(texts).encode("utf-8", "surrogateescape"), [])
        for cell in cells:
            if isinstance(cell, bytes):
                yield from self._opened("a cell", cell, depth + 1)

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLargeError

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _zip_lzma(header: bytes) -> Callable[[], Any]:
    """Return what unpacks an entry that a zip archive packs with LZMA, from its 9 first bytes."""
    try:
        known = lzma._decode_filter_properties(lzma.FILTER_LZMA1, header[4:9])  # type: ignore[attr-defined]
    except (lzma.LZMAError, ValueError):
        known = {"id": lzma.FILTER_LZMA1}
    return lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[known])


def _pixel_data(data: Any) -> list[tuple[int, int]]:
    """Return where the pixels of a DICOM file are; everything else is header."""
    try:
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        stream.seek(0)
        with silence():
            dcmread(stream, stop_before_pixels=True)
        ended = stream.tell()
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
