"""Kinds of TIFF files, written by tifffile and pillow, against GDAL, GraphicsMagick and libtiff."""

from __future__ import annotations

import io
import struct
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.formats import Kind
from deepfixcx.errors import (
    ContradictoryHeaderError,
    DeepfixcxError,
    NonFiniteError,
    UnsupportedImageError,
)

__all__ = ["kinds", "ramp", "tiff_kind", "written"]

HEIGHT, WIDTH = 40, 56
UNREAD = UnsupportedImageError


def ramp(dtype: str, planes: int = 1, bits: int | None = None) -> NDArray[Any]:
    """Return an asymmetric picture (planes, H, W) over most of the range of a sample type."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [(3 * x + 2 * y + 19 * plane + 7 * (x // 8 % 2)) % 220 / 219 for plane in range(planes)]
    picture = np.stack(waves)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.asarray((picture * 0.9).astype(kind))
    if bits is not None:
        return np.asarray(np.rint(picture * ((1 << bits) - 1)).astype(kind))
    ends = np.iinfo(kind)
    low, high = float(ends.min) * 0.9, float(ends.max) * 0.9
    return np.rint(low + picture * (high - low)).astype(kind)


def shown(stored: NDArray[Any], bits: int | None = None, inverted: bool = False) -> NDArray[Any]:
    """Display stored samples (F, C, H, W) as docs/formats.md says, with plain arithmetic."""
    values = stored.astype(np.float64)
    low, high = values.min(), values.max()
    if stored.dtype.kind == "f":
        low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    elif stored.dtype.kind == "u" and stored.dtype.itemsize <= 2:
        low, high = 0.0, float((1 << (bits or 8 * stored.dtype.itemsize)) - 1)
    else:
        most = 255.0 if stored.dtype.itemsize == 1 else 65535.0
        low, high = (0.0, most) if low >= 0 and high <= most else (low, high)
    scaled = (values - low) / (high - low)
    return np.asarray(1 - scaled if inverted else scaled)


def gdal(
    path: Path,
    *,
    bits: int | None = None,
    inverted: bool = False,
    channels: int = 1,
    each: bool = False,
) -> NDArray[Any]:
    """Read stored samples with GDAL, every page or the first, and display them."""
    names = [str(path)]
    with rasterio.open(path) as file:
        if each and file.subdatasets:
            names = list(file.subdatasets)
    pages = []
    for name in names:
        with rasterio.open(name) as file:
            pages.append(file.read()[:channels])
    return shown(np.stack(pages), bits, inverted)


def gdal_palette(path: Path) -> NDArray[Any]:
    """Look colours up in GDAL's colour table."""
    with rasterio.open(path) as file:
        indices, table = file.read(1), file.colormap(1)
    colours = np.array([table[index][:3] for index in range(len(table))], np.float64) / 255
    frame = np.moveaxis(colours[indices], -1, 0)[np.newaxis]
    return np.asarray(frame[:, :1] if (colours == colours[:, :1]).all() else frame)


def gdal_cmyk(path: Path) -> NDArray[Any]:
    """Mix GDAL's stored inks."""
    with rasterio.open(path) as file:
        inks = file.read()
    light = 1 - inks[:4].astype(np.float64) / np.iinfo(inks.dtype).max
    return np.asarray((light[:3] * light[3:])[np.newaxis])


def magick(path: Path, *, channels: int = 1, bits: int = 16) -> NDArray[Any]:
    """Display with GraphicsMagick, which turns pictures and inverts WhiteIsZero by itself."""
    form = "gray" if channels == 1 else "rgb"
    command = ["gm", "convert", f"{path}[0]", "-auto-orient", "+matte", "-depth", str(bits)]
    size = subprocess.run(
        ["gm", "convert", f"{path}[0]", "-auto-orient", "pgm:-"], capture_output=True, check=True
    ).stdout.split(maxsplit=3)
    width, height = int(size[1]), int(size[2])
    raw = subprocess.run([*command, f"{form}:-"], capture_output=True, check=True).stdout
    values = np.frombuffer(raw, np.uint8 if bits == 8 else np.dtype(">u2"))
    frame = values.reshape(height, width, channels).astype(np.float64) / ((1 << bits) - 1)
    return np.moveaxis(frame, -1, 0)[np.newaxis]


def libtiff(path: Path, *, channels: int = 3) -> NDArray[Any]:
    """Display at 8 bits with libtiff's own tiff2rgba."""
    target = path.with_suffix(".rgba.tif")
    subprocess.run(["tiff2rgba", "-n", "-c", "none", path, target], capture_output=True, check=True)
    with rasterio.open(target) as file:
        return np.asarray(file.read()[:channels][np.newaxis] / 255)


def written(pixels: NDArray[Any], **options: Any) -> bytes:
    """Return what tifffile makes of an array."""
    stream = io.BytesIO()
    options.setdefault("metadata", None)
    with tifffile.TiffWriter(
        stream, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", None)
    ) as writer:
        writer.write(pixels, **options)
    return stream.getvalue()


def tiff_kind(
    samples: str,
    photometric: str,
    traits: str,
    content: Callable[[], bytes],
    peer: Callable[[Path], NDArray[Any]],
    *,
    reader: str = "GDAL",
    tolerance: float = 1 / 65535,
    refusal: type[DeepfixcxError] | None = None,
) -> Kind:
    """Return a row of the table of TIFF files."""
    return Kind("TIFF", samples, photometric, traits, content, reader, peer, tolerance, refusal)


def kinds() -> Iterator[Kind]:
    """Yield every kind."""
    yield from sample_types()
    yield from compressions()
    yield from packed_bits()
    yield from colours()
    yield from orientations()
    yield from several_pages()
    yield from refused()


TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16",
         "float32", "float64")  # fmt: skip
LAYOUTS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "gray": ("BlackIsZero", 1, {"photometric": "minisblack"}),
    "negative": ("WhiteIsZero", 1, {"photometric": "miniswhite"}),
    "rgb": ("RGB", 3, {"photometric": "rgb", "planarconfig": "contig"}),
    "planes": ("RGB", 3, {"photometric": "rgb", "planarconfig": "separate"}),
}


def sample_types() -> Iterator[Kind]:
    """Sample type x photometric interpretation and planes x byte order."""
    for dtype, layout, order in product(TYPES, LAYOUTS, "<>"):
        name, channels, options = LAYOUTS[layout]
        pixels = ramp(dtype, channels)
        chunky = options.get("planarconfig") == "contig"
        stored = np.moveaxis(pixels, 0, -1) if chunky else pixels if channels > 1 else pixels[0]
        traits = ("planar, " if layout == "planes" else "") + (
            "little-endian" if order == "<" else "big-endian"
        )
        yield tiff_kind(
            dtype, name, traits,
            partial(written, np.ascontiguousarray(stored), byteorder=order, **options),
            partial(gdal, channels=channels, inverted=layout == "negative"),
            tolerance=1e-5,
        )  # fmt: skip
    for dtype in ("int16", "int32", "uint32", "int64", "int8"):
        pixels = ramp("uint8" if dtype == "int8" else "uint16")[0] // 2
        for inverted in (False, True):
            yield tiff_kind(
                dtype, ("BlackIsZero", "WhiteIsZero")[inverted], "small positive values",
                partial(written, pixels.astype(dtype),
                        photometric=("minisblack", "miniswhite")[inverted]),
                partial(gdal, inverted=inverted),
            )  # fmt: skip
    for dtype, inverted in product(("float16", "float32", "float64"), (False, True)):
        wide = (ramp("float64")[0] * 4000 - 1000).astype(dtype)
        yield tiff_kind(
            dtype, ("BlackIsZero", "WhiteIsZero")[inverted], "values beyond 0 to 1",
            partial(written, wide, photometric=("minisblack", "miniswhite")[inverted]),
            partial(gdal, inverted=inverted), tolerance=1e-5,
        )  # fmt: skip
    for dtype in ("uint8", "uint16"):
        yield tiff_kind(
            dtype, "WhiteIsZero", "displayed by GraphicsMagick",
            partial(written, ramp(dtype)[0], photometric="miniswhite"), magick,
            reader="GraphicsMagick",
        )  # fmt: skip


CODECS: dict[str, tuple[str, ...]] = {
    "lzw": ("uint8", "uint16", "float32"), "zlib": ("uint8", "uint16", "float32"),
    "packbits": ("uint8", "uint16"), "zstd": ("uint8", "uint16", "float32"),
    "lzma": ("uint8", "uint16"), "lerc": ("uint8", "uint16", "float32"), "jpeg": ("uint8",),
}  # fmt: skip


def compressions() -> Iterator[Kind]:
    """Compression x sample type x strips or tiles x gray or colour x predictor."""
    for codec, dtypes in CODECS.items():
        for dtype, tiled, colour in product(dtypes, (False, True), (False, True)):
            pixels = ramp(dtype, 3 if colour else 1)
            stored = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)) if colour else pixels[0]
            options: dict[str, Any] = {"photometric": "rgb" if colour else "minisblack"}
            options |= {"tile": (16, 16)} if tiled else {"rowsperstrip": 16}
            for predictor in (False, True) if codec in ("lzw", "zlib", "zstd") else (False,):
                traits = f"{codec}, {'tiles' if tiled else 'strips'}" + (
                    ", predictor" if predictor else ""
                )
                yield tiff_kind(
                    dtype, ("YCbCr" if codec == "jpeg" else "RGB") if colour else "BlackIsZero",
                    traits,
                    partial(written, stored, compression=codec, predictor=predictor, **options),
                    partial(libtiff, channels=3 if colour else 1) if codec == "jpeg"
                    else partial(gdal, channels=3 if colour else 1),
                    reader="libtiff" if codec == "jpeg" else "GDAL",
                    tolerance=1 / 255 if codec == "jpeg" else 1e-6,
                )  # fmt: skip
    smooth = np.stack([np.linspace(0, 200, 64 * 64).reshape(64, 64)] * 3, -1).astype(np.uint8)
    smooth[..., 1] = smooth[::-1, :, 0]
    for codec, sampling in product(("jpeg",), ((1, 1), (2, 1), (2, 2))):
        yield tiff_kind(
            "uint8", "YCbCr", f"{codec}, subsampling {sampling[0]}x{sampling[1]}",
            partial(written, smooth, compression=codec, photometric="ycbcr",
                    subsampling=sampling),
            libtiff, reader="libtiff", tolerance=1 / 255,
        )  # fmt: skip
    for codec, photometric in product(("group3", "group4", "tiff_ccitt", "packbits", "tiff_lzw",
                                       "tiff_adobe_deflate"), (0, 1)):  # fmt: skip
        yield tiff_kind(
            "1 bit", ("WhiteIsZero", "BlackIsZero")[photometric], codec,
            partial(bilevel, codec, photometric), partial(gdal, bits=1, inverted=not photometric),
        )  # fmt: skip


def bilevel(codec: str, photometric: int) -> bytes:
    """Return a picture of one bit in a compression of libtiff."""
    stream = io.BytesIO()
    bits = Image.fromarray(ramp("uint8")[0] > 100)
    bits.save(stream, "TIFF", compression=codec, tiffinfo={262: photometric})
    return stream.getvalue()


def directory(
    pixels: NDArray[Any], bits: int, tags: dict[int, tuple[int, list[int]]], order: str = "<"
) -> bytes:
    """Build a TIFF file by hand: samples (H, W) or (H, W, S), packed to any number of bits."""
    samples = pixels.reshape(*pixels.shape[:2], -1)
    height, width, count = samples.shape
    rows = samples.reshape(height, -1).astype(np.uint64)
    spread = (rows[..., np.newaxis] >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & 1
    data = np.packbits(spread.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    if bits in (16, 32) and order == "<":
        data = samples.astype(f"<u{bits // 8}").tobytes()
    entries: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * count), 259: (3, [1]),
        262: (3, [1]), 273: (4, [0]), 277: (3, [count]), 278: (4, [height]), 279: (4, [len(data)]),
    } | tags  # fmt: skip
    entries = {tag: value for tag, value in sorted(entries.items()) if value[1]}
    after = 8 + 2 + 12 * len(entries) + 4
    packed: list[bytes] = []
    extra = b""
    forms = {3: "H", 4: "I"}
    sizes = {tag: struct.calcsize(forms[kind]) * len(v) for tag, (kind, v) in entries.items()}
    start = after + sum(size for size in sizes.values() if size > 4)
    for tag, (kind, values) in entries.items():
        body = struct.pack(f"{order}{len(values)}{forms[kind]}",
                           *([start] if tag == 273 else values))  # fmt: skip
        if len(body) > 4:
            body, extra = struct.pack(f"{order}I", after + len(extra)), extra + body
        packed.append(struct.pack(f"{order}HHI", tag, kind, len(values)) + body.ljust(4, b"\0"))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(packed))
    return head + b"".join(packed) + bytes(4) + extra + data


def packed_bits() -> Iterator[Kind]:
    """Bits per sample other than 8 and 16 x photometric x byte order."""
    for bits, photometric, order in product((1, 2, 4, 6, 10, 12, 14), (0, 1), "<>"):
        pixels = ramp("uint16", bits=bits)[0]
        yield tiff_kind(
            f"{bits} bits", ("WhiteIsZero", "BlackIsZero")[photometric],
            "packed, " + ("little-endian" if order == "<" else "big-endian"),
            partial(directory, pixels, bits, {262: (3, [photometric])}, order),
            partial(gdal, bits=bits, inverted=not photometric),
        )  # fmt: skip
    for bits in (10, 12, 14):
        pixels = np.moveaxis(ramp("uint16", 3, bits=bits), 0, -1)
        yield tiff_kind(
            f"{bits} bits", "RGB", "packed",
            partial(directory, pixels, bits, {262: (3, [2])}), partial(gdal, bits=bits, channels=3),
        )  # fmt: skip


def colours() -> Iterator[Kind]:
    """Palettes, inks, alpha."""
    for bits, gray, scale in product((1, 2, 4, 8), (False, True), (256, 257, 1)):
        count = 1 << bits
        steps = (np.arange(count) * 251 // max(count - 1, 1)).astype(int)
        tables = [steps, steps if gray else steps[::-1], steps if gray else steps // 2]
        table = [int(value) * scale for entries in tables for value in entries]
        written_by = {256: "8-bit entries x 256", 257: "8-bit entries x 257", 1: "bytes"}[scale]
        yield tiff_kind(
            f"{bits} bits", "palette", ("grays, " if gray else "") + written_by,
            partial(directory, ramp("uint16", bits=bits)[0], bits,
                    {262: (3, [3]), 320: (3, table)}),
            gdal_palette if scale != 1 else partial(libtiff, channels=1 if gray else 3),
            reader="GDAL" if scale != 1 else "libtiff",
            tolerance=1 / 250,
        )  # fmt: skip
    for dtype, planar in product(("uint8", "uint16"), ("contig", "separate")):
        inks = ramp(dtype, 4)
        stored = np.ascontiguousarray(np.moveaxis(inks, 0, -1)) if planar == "contig" else inks
        yield tiff_kind(
            dtype, "CMYK", "planar" if planar == "separate" else "",
            partial(written, stored, photometric="separated", planarconfig=planar),
            gdal_cmyk if dtype == "uint16" else partial(libtiff), tolerance=1 / 255,
            reader="GDAL" if dtype == "uint16" else "libtiff",
        )  # fmt: skip
    for dtype, colour, alpha, planar in product(
        ("uint8", "uint16"), (False, True), ("unassalpha", "assocalpha"), ("contig", "separate")
    ):
        pixels = ramp(dtype, 4 if colour else 2)
        pixels[-1] = np.iinfo(dtype).max if alpha == "assocalpha" else pixels[-1]
        stored = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)) if planar == "contig" else pixels
        yield tiff_kind(
            dtype, ("gray" if not colour else "RGB") + " + alpha",
            ("opaque, associated" if alpha == "assocalpha" else "unassociated")
            + (", planar" if planar == "separate" else ""),
            partial(written, stored, photometric="rgb" if colour else "minisblack",
                    planarconfig=planar, extrasamples=[alpha]),
            partial(gdal, channels=3 if colour else 1),
        )  # fmt: skip


def orientations() -> Iterator[Kind]:
    """All eight orientations, in gray and colour of 8 and 16 bits."""
    for dtype, colour, turn in product(("uint8", "uint16"), (False, True), range(1, 9)):
        pixels = ramp(dtype, 3 if colour else 1)
        stored = np.ascontiguousarray(np.moveaxis(pixels, 0, -1)) if colour else pixels[0]
        yield tiff_kind(
            dtype, "RGB" if colour else "BlackIsZero", f"orientation {turn}",
            partial(written, stored, photometric="rgb" if colour else "minisblack",
                    extratags=[(274, "H", 1, turn, False)]),
            partial(magick, channels=3 if colour else 1), reader="GraphicsMagick",
        )  # fmt: skip


def pages(*each: tuple[NDArray[Any], dict[str, Any]], **options: Any) -> bytes:
    """Write several directories."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, **options) as writer:
        for pixels, tags in each:
            writer.write(pixels, **({"photometric": "minisblack", "metadata": None} | tags))
    # tifffile writes no masks (4), so pages of a document (2) become masks here
    return (
        stream.getvalue()
        .replace(struct.pack("<HHII", 254, 4, 1, 2), struct.pack("<HHII", 254, 4, 1, 4))
        .replace(struct.pack("<HHII", 254, 4, 1, 3), struct.pack("<HHII", 254, 4, 1, 5))
    )


def several_pages() -> Iterator[Kind]:
    """Pages, stacks, thumbnails, masks, pyramids."""
    for dtype, count, big in product(("uint8", "uint16", "float32"), (2, 5), (False, True)):
        frames = ramp(dtype, count)
        yield tiff_kind(
            dtype, "BlackIsZero", f"{count} pages" + (", BigTIFF" if big else ""),
            partial(pages, *((frame, {}) for frame in frames), bigtiff=big),
            partial(gdal, each=True), tolerance=1e-6,
        )  # fmt: skip
    for dtype, order in product(("uint8", "uint16", "float32"), "<>"):
        frames = ramp(dtype, 3)
        first = partial(gdal_first_of, frames)
        yield tiff_kind(
            dtype, "BlackIsZero", f"ImageJ stack, one directory, {order}",
            partial(imagej, frames, order), first, reader="GDAL (first image), construction",
            tolerance=1e-6,
        )  # fmt: skip
        yield tiff_kind(
            dtype, "BlackIsZero", f"tifffile stack, one directory, {order}",
            partial(truncated, frames, order), first, reader="GDAL (first image), construction",
            tolerance=1e-6,
        )  # fmt: skip
    page, small = ramp("uint16")[0], ramp("uint16")[0, ::2, ::2].copy()
    extras: dict[str, tuple[tuple[NDArray[Any], dict[str, Any]], ...]] = {
        "thumbnail behind it": ((page, {}), (small, {"subfiletype": 1})),
        "thumbnail before it": ((small, {"subfiletype": 1}), (page, {})),
        "pyramid in sub-directories": ((page, {"subifds": 1}), (small, {"subfiletype": 1})),
        "mask page": ((page, {}), (page[::-1].copy(), {"subfiletype": 2})),
        "mask of a reduced page": ((page, {}), (small, {"subfiletype": 3})),
    }
    for traits, parts in extras.items():
        for compression in (None, "zlib"):
            each = tuple((p, tags | {"compression": compression}) for p, tags in parts)
            yield tiff_kind(
                "uint16", "BlackIsZero", traits + (", zlib" if compression else ""),
                partial(pages, *each),
                partial(gdal_page, 2 if "before" in traits else 1),
            )  # fmt: skip


def gdal_first_of(frames: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return the frames as built, after a check that GDAL finds the first of them in the file."""
    with rasterio.open(path) as file:
        if not np.array_equal(file.read(1), frames[0]):
            raise ValueError("GDAL reads another first image")
    return shown(frames[:, np.newaxis])


def gdal_page(number: int, path: Path) -> NDArray[Any]:
    """Read one directory with GDAL."""
    with rasterio.open(f"GTIFF_DIR:{number}:{path}") as file:
        return shown(file.read()[np.newaxis])


def imagej(frames: NDArray[Any], order: Any) -> bytes:
    """Return a stack as ImageJ writes large ones: one directory, images behind each other."""
    text = f"ImageJ=1.54f\nimages={len(frames)}\nslices={len(frames)}\nloop=false\n"
    one = written(frames[0], byteorder=order, description=text, photometric="minisblack")
    return one[: -frames[0].nbytes] + frames.astype(frames.dtype.newbyteorder(order)).tobytes()


def truncated(frames: NDArray[Any], order: Any) -> bytes:
    """Return a stack of tifffile under one directory."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, frames, byteorder=order, metadata={"truncate": True},
                     photometric="minisblack")  # fmt: skip
    return stream.getvalue()


def refused() -> Iterator[Kind]:
    """Sound files without a display here, and headers that contradict themselves."""
    gray, rgb = ramp("uint8")[0], np.ascontiguousarray(np.moveaxis(ramp("uint8", 3), 0, -1))
    contents: dict[tuple[str, str, str], tuple[Callable[[], bytes], type[DeepfixcxError]]] = {
        ("complex64", "BlackIsZero", ""): (
            partial(written, gray.astype(np.complex64), photometric="minisblack"), UNREAD),
        ("uint8", "CIELab", ""): (partial(written, rgb, photometric="cielab"), UNREAD),
        ("uint8", "YCbCr", "uncompressed"): (
            partial(directory, rgb, 8, {262: (3, [6]), 530: (3, [1, 1])}), UNREAD),
        ("uint8", "colour filter array", ""): (
            partial(directory, gray, 8, {262: (3, [32803])}), UNREAD),
        ("uint8", "BlackIsZero", "2 samples of unknown meaning"): (
            partial(written, rgb[..., :2].copy(), photometric="minisblack",
                    planarconfig="contig"), UNREAD),
        ("uint8", "BlackIsZero", "5 samples"): (
            partial(written, np.dstack([rgb, rgb[..., :2]]), photometric="minisblack",
                    planarconfig="contig"), UNREAD),
        ("uint8", "inks", "InkSet 2"): (
            partial(directory, np.dstack([rgb, gray]), 8, {262: (3, [5]), 332: (3, [2])}), UNREAD),
        ("uint8", "RGB", "different bits per sample"): (
            partial(directory, rgb, 8, {262: (3, [2]), 258: (3, [5, 6, 5])}), UNREAD),
        ("uint8", "none", "no photometric interpretation"): (
            partial(directory, gray, 8, {262: (3, [])}), ContradictoryHeaderError),
        ("uint8", "palette", "palette too short"): (
            partial(directory, gray, 8, {262: (3, [3]), 320: (3, [0] * 30)}),
            ContradictoryHeaderError),
        ("uint16", "BlackIsZero", "pages of two sizes"): (
            partial(pages, (ramp("uint16")[0], {}), (ramp("uint16")[0, :20].copy(), {})), UNREAD),
        ("uint16", "BlackIsZero", "pages of two kinds"): (
            partial(pages, (ramp("uint16")[0], {}), (gray, {})), UNREAD),
        ("uint16", "BlackIsZero", "image in a sub-directory"): (
            partial(pages, (ramp("uint16")[0], {"subifds": 1}), (ramp("uint16")[0], {})), UNREAD),
        ("uint16", "BlackIsZero", "ImageJ: 3 images declared, 1 held"): (
            lambda: imagej(ramp("uint16", 3), "<")[: -2 * ramp("uint16").nbytes],
            ContradictoryHeaderError),
        ("uint16", "BlackIsZero", "undeclared images behind the first"): (
            lambda: directory(ramp("uint16")[0], 16, {}) + 2 * ramp("uint16")[0].tobytes(),
            ContradictoryHeaderError),
        ("float32", "BlackIsZero", "NaN among the pixels"): (
            partial(written, np.where(gray > 9, np.nan, 1).astype(np.float32)), NonFiniteError),
        ("uint8", "RGB", "PNG tiles"): (
            partial(written, rgb, compression="png", tile=(32, 32)), UNREAD),
        ("uint8", "RGB", "WebP tiles"): (
            partial(written, rgb, compression="webp", tile=(32, 32)), UNREAD),
        ("uint8", "RGB", "JPEG XL tiles"): (
            partial(written, rgb, compression="jpegxl", tile=(32, 32)), UNREAD),
    }  # fmt: skip
    for (samples, photometric, traits), (content, error) in contents.items():
        yield tiff_kind(samples, photometric, traits, content, partial(gdal, channels=3),
                        refusal=error)  # fmt: skip
