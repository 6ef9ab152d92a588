"""Kinds of PNG, JPEG and BMP files, against GDAL and GraphicsMagick; formats that are not read."""

from __future__ import annotations

import io
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.formats import Kind
from benchmarks.formats_tiff import gdal, gdal_palette, magick, ramp
from deepfixcx.errors import DeepfixcxError, UnsupportedImageError
from deepfixcx.images.frames import upright

__all__ = ["kinds", "png"]

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1))  # fmt: skip
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
COLOURS = {0: "gray", 2: "RGB", 3: "palette", 4: "gray + alpha", 6: "RGB + alpha"}


def kinds() -> Iterator[Kind]:
    """Yield every kind."""
    yield from pngs()
    yield from jpegs()
    yield from bmps()
    yield from others()


def row(
    form: str,
    samples: str,
    photometric: str,
    traits: str,
    content: Callable[[], bytes],
    peer: Callable[[Path], NDArray[Any]],
    *,
    reader: str = "GDAL",
    tolerance: float = 1e-6,
    refusal: type[DeepfixcxError] | None = None,
) -> Kind:
    """Return a row."""
    return Kind(form, samples, photometric, traits, content, reader, peer, tolerance, refusal)


def exif(orientation: int) -> bytes:
    """Return Exif data that hold an orientation alone."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(
    pixels: NDArray[Any],
    bits: int,
    colour: int,
    *,
    interlaced: bool = False,
    before: tuple[tuple[bytes, bytes], ...] = (),
    after: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """Build a PNG file from samples (S, H, W)."""
    samples = np.moveaxis(pixels, 0, -1)
    height, width = samples.shape[:2]
    data = b""
    for top, left, down, across in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = samples[top::down, left::across]
        for line in part.reshape(len(part), -1) if part.size else ():
            places = np.arange(bits - 1, -1, -1, dtype=np.uint16)
            spread = (line.astype(np.uint16)[:, np.newaxis] >> places) & 1
            data += b"\0" + np.packbits(spread.astype(np.uint8)).tobytes()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += b"".join(chunk(*each) for each in before) + chunk(b"IDAT", zlib.compress(data, 1))
    return content + b"".join(chunk(*each) for each in after) + chunk(b"IEND", b"")


def palette(bits: int, gray: bool) -> bytes:
    """Return the entries of a palette."""
    steps = np.arange(1 << bits) * 249 // max((1 << bits) - 1, 1)
    entries = [steps, steps if gray else steps[::-1], steps if gray else steps // 3]
    return np.stack(entries, -1).astype(np.uint8).tobytes()


def turned_gdal(path: Path, *, turn: int, bits: int, channels: int) -> NDArray[Any]:
    """Read stored samples with GDAL, and turn them by construction."""
    return upright(gdal(path, bits=bits, channels=channels), turn)


def netpbm(path: Path) -> NDArray[Any]:
    """Read a BMP file with netpbm."""
    done = subprocess.run(["bmptopnm", path], capture_output=True, check=True).stdout
    _, width, height, most, raw = done.split(maxsplit=4)
    values = np.frombuffer(raw[-3 * int(width) * int(height) :], np.uint8)
    frame = values.reshape(int(height), int(width), 3) / int(most)
    return np.asarray(np.moveaxis(frame, -1, 0)[np.newaxis])


def pngs() -> Iterator[Kind]:
    """Bit depth x colour type x interlacing x metadata x orientation."""
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for colour, bits in ((colour, bits) for colour, each in depths.items() for bits in each):
        pixels = ramp("uint16", SAMPLES[colour], bits=bits)
        channels = 3 if colour in (2, 6) else 1
        for interlaced, gray in product((False, True), (False, True) if colour == 3 else (False,)):
            before: tuple[tuple[bytes, bytes], ...] = ()
            if colour == 3:
                before = ((b"PLTE", palette(bits, gray)),)
            peer: Callable[[Path], NDArray[Any]] = gdal_palette
            simple = colour == 3 or bits >= 8
            if colour != 3:
                peer = partial(gdal, channels=channels)
            if interlaced or not simple:  # GDAL complains of interlacing, and keeps low depths
                shown = 1 if gray or colour in (0, 4) else 3
                peer = partial(magick, channels=shown, bits=max(8, bits))
            traits = "interlaced" if interlaced else ""
            if gray:
                traits = f"grays{', ' * interlaced}{traits}"
            yield row(
                "PNG",
                f"{bits} bits",
                COLOURS[colour],
                traits,
                partial(png, pixels, bits, colour, interlaced=interlaced, before=before),
                peer,
                reader="GDAL" if simple and not interlaced else "GraphicsMagick",
            )
    yield from png_chunks()


def png_chunks() -> Iterator[Kind]:
    """Yield PNG files with metadata, orientations and animations."""
    chunks: dict[str, tuple[bytes, bytes]] = {
        "gAMA": (b"gAMA", struct.pack(">I", 100_000)),
        "sBIT": (b"sBIT", b"\5"),
        "tRNS": (b"tRNS", struct.pack(">H", 7)),
        "tEXt": (b"tEXt", b"Comment\0none"),
        "sRGB": (b"sRGB", b"\0"),
    }
    for bits, colour, (name, data) in product((8, 16), (0, 2, 4), chunks.items()):
        if colour == 4 and name == "tRNS":
            continue
        samples = SAMPLES[colour]
        data = (data[0], data[1] * samples) if name in ("sBIT", "tRNS") else data
        yield row(
            "PNG",
            f"{bits} bits",
            COLOURS[colour],
            name,
            partial(png, ramp("uint16", samples, bits=bits), bits, colour, before=(data,)),
            partial(gdal, channels=3 if colour == 2 else 1),
        )
    for bits, colour, turn, behind in product((8, 16), (0, 2, 4, 6), (3, 6, 8), (False, True)):
        place: dict[str, Any] = {"after" if behind else "before": ((b"eXIf", exif(turn)),)}
        yield row(
            "PNG",
            f"{bits} bits",
            COLOURS[colour],
            f"eXIf orientation {turn}{' behind the pixels' * behind}",
            partial(png, ramp("uint16", SAMPLES[colour], bits=bits), bits, colour, **place),
            partial(turned_gdal, turn=turn, bits=bits, channels=3 if colour in (2, 6) else 1),
            reader="GDAL, turned",
        )
    for bits in (8, 16):
        yield row(
            "PNG",
            f"{bits} bits",
            "gray",
            "animated, 4 frames",
            partial(animated, bits),
            gdal,
            refusal=UnsupportedImageError,
        )
    yield row(
        "PNG",
        "16 bits",
        "RGB",
        "animated, 2 frames",
        partial(
            png, ramp("uint16", 3, bits=16), 16, 2, before=((b"acTL", struct.pack(">II", 2, 0)),)
        ),
        partial(gdal, channels=3),
        refusal=UnsupportedImageError,
    )


def animated(bits: int) -> bytes:
    """Return an animation of four frames."""
    pixels = ramp("uint16", bits=bits)
    control = struct.pack(">IIIIIHHBB", 0, 56, 40, 0, 0, 1, 10, 0, 0)
    stored = png(pixels, bits, 0)
    data = stored[stored.index(b"IDAT") + 4 : -16]
    more = tuple(
        part
        for number in range(3)
        for part in (
            (b"fcTL", struct.pack(">I", 2 * number + 1) + control[4:]),
            (b"fdAT", struct.pack(">I", 2 * number + 2) + data),
        )
    )
    before = ((b"acTL", struct.pack(">II", 4, 0)), (b"fcTL", control))
    return png(pixels, bits, 0, before=before, after=more)


def smooth(channels: int) -> NDArray[Any]:
    """Return a picture without steps, of which decoders of JPEG agree on the pixels."""
    y, x = np.mgrid[:48, :64]
    waves = [120 + 80 * np.sin((x + 13 * n) / 19) * np.cos((y + 7 * n) / 23) for n in range(4)]
    return np.stack(waves[:channels], -1).astype(np.uint8)


def jpeg(channels: int, **options: Any) -> bytes:
    """Return what pillow makes of a smooth picture."""
    stream = io.BytesIO()
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    pixels = smooth(channels)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode=None)
    if mode == "CMYK":
        image = Image.frombytes("CMYK", (64, 48), pixels.tobytes())
    image.save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def jpegs() -> Iterator[Kind]:
    """Components x subsampling x progressive x restart x orientation; kinds that are refused."""
    for channels, sampling, progressive, turn in product(
        (1, 3), (0, 1, 2), (False, True), (0, 1, 3, 6, 8)
    ):
        if channels == 1 and sampling:
            continue
        options: dict[str, Any] = {"subsampling": sampling, "progressive": progressive}
        if turn:
            options["exif"] = b"Exif\0\0" + exif(turn)
        named = ["4:4:4", "4:2:2", "4:2:0"][sampling : sampling + 1] if channels == 3 else []
        named += ["progressive"] * progressive + [f"orientation {turn}"] * bool(turn)
        yield row(
            "JPEG",
            "8 bits",
            "gray" if channels == 1 else "YCbCr",
            ", ".join(named),
            partial(jpeg, channels, **options),
            partial(magick, channels=channels, bits=8),
            reader="GraphicsMagick",
            tolerance=1 / 255,
        )
    for progressive in (False, True):
        yield row(
            "JPEG",
            "8 bits",
            "CMYK (Adobe)",
            "progressive" * progressive,
            partial(jpeg, 4, progressive=progressive),
            partial(magick, channels=3, bits=8),
            reader="GraphicsMagick",
            tolerance=3 / 255,
        )
    yield row(
        "JPEG",
        "8 bits",
        "RGB (Adobe)",
        "",
        lambda: bytes(imagecodecs.jpeg8_encode(smooth(3), colorspace="RGB", outcolorspace="RGB")),
        partial(magick, channels=3, bits=8),
        reader="GraphicsMagick",
        tolerance=1 / 255,
    )
    yield row(
        "JPEG",
        "8 bits",
        "gray",
        "lossless",
        lambda: bytes(imagecodecs.ljpeg_encode(smooth(1)[..., 0])),
        lossless,
        reader="liblj92",
    )
    yield from refused_jpegs()


def refused_jpegs() -> Iterator[Kind]:
    """Yield JPEG files of other processes, and files with several pictures."""
    deep = smooth(1)[..., 0].astype(np.uint16) * 16
    unread: dict[tuple[str, str, str], Callable[[], bytes]] = {
        ("12 bits", "gray", ""): (lambda: bytes(imagecodecs.jpeg8_encode(deep, bitspersample=12))),
        ("16 bits", "gray", "lossless"): lambda: bytes(imagecodecs.ljpeg_encode(deep)),
        ("8 bits", "gray", "JPEG-LS"): (
            lambda: bytes(imagecodecs.jpegls_encode(smooth(1)[..., 0]))
        ),
        ("8 bits", "YCbCr", "multi-picture (MPO), 3 images"): several_jpegs,
        ("8 bits", "YCbCr", "two files behind each other"): lambda: jpeg(3) + jpeg(3),
        ("8 bits", "gray", "two files behind each other"): lambda: jpeg(1) + jpeg(1),
        ("8 bits", "YCbCr", "progressive, two files behind each other"): (
            lambda: 2 * jpeg(3, progressive=True)
        ),
    }
    for (samples, photometric, traits), content in unread.items():
        yield row(
            "JPEG",
            samples,
            photometric,
            traits,
            content,
            partial(magick, channels=3),
            reader="GraphicsMagick (first image)",
            refusal=UnsupportedImageError,
        )


def lossless(path: Path) -> NDArray[Any]:
    """Decode a lossless JPEG file with liblj92; we use libjpeg-turbo."""
    return np.asarray(imagecodecs.ljpeg_decode(path.read_bytes())[np.newaxis, np.newaxis] / 255)


def several_jpegs() -> bytes:
    """Return a multi-picture file of three pictures."""
    stream = io.BytesIO()
    first, *others = [Image.fromarray(np.roll(smooth(3), n * 9, 0)) for n in range(3)]
    first.save(stream, "MPO", save_all=True, append_images=others)
    return stream.getvalue()


def bmp(
    bits: int, header: int, *, down: bool = False, packing: int = 0, gray: bool = False
) -> bytes:
    """Build a BMP file; packing 3 has masks of 5, 6 and 5 or of 8 bits, 1 and 2 are run lengths."""
    colours = ramp("uint16", 3, bits=8)
    height, width = colours.shape[1:]
    indices = ramp("uint16", bits=min(bits, 8))[0]
    table, masks = b"", b""
    if bits <= 8:
        entries = np.frombuffer(palette(bits, gray), np.uint8).reshape(-1, 3)[:, ::-1]
        table = b"".join(bytes(entry) + b"\0" * (header != 12) for entry in entries)
        places = np.arange(bits - 1, -1, -1, dtype=np.uint16)
        spread = ((indices[..., np.newaxis] >> places) & 1).reshape(height, -1)
        lines = np.packbits(spread.astype(np.uint8), axis=1)
    elif bits == 16:
        depths, shifts = ((5, 6, 5), (11, 5, 0)) if packing else ((5, 5, 5), (10, 5, 0))
        parts = [
            (plane >> (8 - d)) << s for plane, d, s in zip(colours, depths, shifts, strict=True)
        ]
        lines = (parts[0] | parts[1] | parts[2]).astype("<u2").view(np.uint8).reshape(height, -1)
        masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F) if packing else b""
    else:
        planes = [*colours[::-1], np.full_like(colours[0], 99)][: bits // 8]
        lines = np.stack(planes, -1).astype(np.uint8).reshape(height, -1)
        masks = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF) if packing else b""
    if packing in (1, 2):
        data = run_lengths(indices, bits)
    else:
        padded = np.pad(lines, ((0, 0), (0, -lines.shape[1] % 4)))
        data = (padded if down else padded[::-1]).tobytes()
    if header == 12:
        about = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        about = struct.pack(
            "<IiiHHIIiiII",
            header,
            width,
            -height if down else height,
            1,
            bits,
            packing,
            len(data),
            2835,
            2835,
            0,
            0,
        )
        extended = masks + bytes(4) if packing == 3 else b""
        about = about + masks if header == 40 else (about + extended).ljust(header, b"\0")
    start = 14 + len(about) + len(table)
    head = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    return head + about + table + data


def run_lengths(indices: NDArray[Any], bits: int) -> bytes:
    """Pack palette indices as runs of one pixel, with a literal run in every line."""
    data = b""
    for line in indices[::-1]:
        literal, rest = line[:8], line[8:]
        if bits == 8:
            data += bytes([0, 8, *literal]) + bytes(v for value in rest for v in (1, value))
        else:
            pairs = [int(a) << 4 | int(b) for a, b in literal.reshape(-1, 2)]
            data += bytes([0, 8, *pairs]) + bytes(v for x in rest for v in (1, int(x) << 4))
        data += b"\0\0"
    return data + b"\0\1"


def bmps() -> Iterator[Kind]:
    """Bits x header x order of the lines x packing x palettes of grays."""
    for bits, header, down, gray in product(
        (1, 4, 8, 16, 24, 32), (12, 40, 108, 124), (False, True), (False, True)
    ):
        if (header == 12 and (down or bits in (16, 32))) or (gray and bits > 8):
            continue
        traits = ["top-down"] * down + ["grays"] * gray + [f"header of {header} bytes"]
        channels = 1 if gray else 3
        yield row(
            "BMP",
            f"{bits} bits",
            "palette" if bits <= 8 else "RGB",
            ", ".join(traits),
            partial(bmp, bits, header, down=down, gray=gray),
            netpbm if bits == 16 else partial(magick, channels=channels, bits=8),
            reader="netpbm" if bits == 16 else "GraphicsMagick",
            tolerance=1.01 / 255,
        )
    for bits, packing, header in product((4, 8, 16, 32), (1, 2, 3), (40, 108, 124)):
        if (packing, bits) not in ((1, 8), (2, 4), (3, 16), (3, 32)):
            continue
        peer: Callable[[Path], NDArray[Any]] = partial(magick, channels=3, bits=8)
        reader = "GraphicsMagick"
        if bits == 16:  # GDAL reads the short header alone, netpbm the long ones
            peer, reader = (
                (partial(gdal, channels=3), "GDAL") if header == 40 else (netpbm, "netpbm")
            )
        yield row(
            "BMP",
            f"{bits} bits",
            "RGB" if packing == 3 else "palette",
            {1: "RLE8", 2: "RLE4", 3: "bit fields"}[packing] + f", header of {header} bytes",
            partial(bmp, bits, header, packing=packing),
            peer,
            reader=reader,
            tolerance=1.01 / 255,
        )
    for packing, name in ((4, "JPEG"), (5, "PNG")):
        yield row(
            "BMP",
            "24 bits",
            name,
            f"holds a {name} image",
            partial(bmp, 24, 40, packing=packing),
            partial(magick, channels=3),
            reader="GraphicsMagick",
            refusal=UnsupportedImageError,
        )


def saved(form: str, several: bool = False) -> bytes:
    """Return what pillow makes of a smooth picture, or of two."""
    stream = io.BytesIO()
    image = Image.fromarray(smooth(3))
    options: dict[str, Any] = {"save_all": True, "append_images": [image.rotate(180)]}
    image.save(stream, form, **(options if several else {}))
    return stream.getvalue()


def others() -> Iterator[Kind]:
    """Yield formats of images that are not read, each by its name."""
    gray = smooth(1)[..., 0]
    contents: dict[str, Callable[[], bytes]] = {
        "GIF": partial(saved, "GIF"),
        "GIF, animated": partial(saved, "GIF", True),
        "WebP": partial(saved, "WEBP"),
        "WebP, animated": partial(saved, "WEBP", True),
        "PNM, 8 bits": lambda: b"P5 64 48 255\n" + gray.tobytes(),
        "PNM, 16 bits": lambda: b"P5\n64 48 65535\n" + gray.astype(">u2").tobytes(),
        "JPEG 2000": lambda: bytes(imagecodecs.jpeg2k_encode(gray, level=0)),
        "JPEG 2000 codestream": lambda: bytes(imagecodecs.jpeg2k_encode(gray, codecformat="j2k")),
        "JPEG XL": lambda: bytes(imagecodecs.jpegxl_encode(gray)),
        "JPEG XR": lambda: bytes(imagecodecs.jpegxr_encode(gray)),
        "AVIF": lambda: bytes(imagecodecs.avif_encode(smooth(3))),
        "NRRD": lambda: (
            b"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 64 48\nencoding: raw\n\n" + gray.tobytes()
        ),
        "MetaImage": lambda: (
            b"ObjectType = Image\nNDims = 2\nDimSize = 64 48\n"
            b"ElementType = MET_UCHAR\nElementDataFile = LOCAL\n" + gray.tobytes()
        ),
    }
    for name, content in contents.items():
        yield row(
            "Others",
            "",
            name,
            "",
            content,
            partial(magick, channels=3, bits=8),
            reader="GraphicsMagick",
            refusal=UnsupportedImageError,
        )
