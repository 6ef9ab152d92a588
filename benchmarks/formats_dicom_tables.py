"""Kinds of DICOM files for `benchmarks.formats`: lookup tables, palettes, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from benchmarks.formats import Kind
from benchmarks.formats_dicom import (
    ALL,
    LUT,
    NATIVE,
    RANGE,
    ROOT,
    WINDOW,
    Source,
    by_dcmtk,
    by_original,
    jpeg,
    jpeg_2000,
    jpeg_ls,
    kind_of,
    ramp,
    run_length,
    smooth,
)
from deepfixcx.errors import ContradictoryHeaderError, DeepfixcxError, UnsupportedImageError

__all__ = ["kinds"]


def kinds() -> Iterator[Kind]:
    """Yield every kind of this module."""
    yield from _tables()
    yield from _palettes()
    yield from _deep()
    yield from _refused()


@dataclass(frozen=True)
class Table:
    """A lookup table: entries, first input value, bits, and how its elements are written."""

    entries: NDArray[Any]
    first: int = 0
    bits: int = 16
    packed: bool = False
    vr: str = "OW"

    def elements(self, syntax: str, descriptor: int, data: int) -> list[DataElement]:
        count = len(self.entries) % 65536
        stated = "SS" if self.first < 0 else "US"
        order = ">" if syntax == NATIVE["big endian"] else "<"
        if self.packed:
            content = self.entries.astype("u1").tobytes()
            content += bytes(len(content) % 2)
            if order == ">":
                content = np.frombuffer(content, "<u2").astype(">u2").tobytes()
        else:
            content = self.entries.astype(f"{order}u2").tobytes()
        numbers = [count, self.first, self.bits]
        if stated == "SS":
            numbers[0] -= 65536 * (count > 32767)
        values = DataElement(data, "OW", content)
        if self.vr == "US":
            words = np.frombuffer(content, f"{order}u2").tolist()
            values = DataElement(data, "US", words)
        return [DataElement(descriptor, stated, numbers), values]

    def item(self, syntax: str) -> Dataset:
        item = Dataset()
        for element in self.elements(syntax, 0x00283002, 0x00283006):
            item.add(element)
        return item


def curve(count: int, bits: int) -> NDArray[Any]:
    """Make entries that rise, fast at first."""
    roots = np.sqrt(np.arange(count) / (count - 1))
    return np.asarray(np.rint(roots * ((1 << bits) - 1)).astype(np.uint16))


TABLES: Final = {
    "256 entries of 8 bits in words": Table(curve(256, 8), 100, 8),
    "256 entries of 8 bits in bytes": Table(curve(256, 8), 100, 8, packed=True),
    "255 entries of 8 bits in bytes": Table(curve(255, 8), 100, 8, packed=True),
    "300 entries of 8 bits in bytes": Table(curve(300, 8), 100, 8, packed=True),
    "4096 entries of 8 bits in bytes": Table(curve(4096, 8), 0, 8, packed=True),
    "4096 entries of 12 bits": Table(curve(4096, 12), 0, 12),
    "4096 entries of 16 bits": Table(curve(4096, 16), 0, 16),
    "4096 entries of 16 bits, as US": Table(curve(4096, 16), 0, 16, vr="US"),
    "4000 entries from 50 on": Table(curve(4000, 16), 50, 16),
    "65536 entries": Table(curve(65536, 16), 0, 16),
    "4096 entries from -1024 on": Table(curve(4096, 16), -1024, 16),
    "3000 entries from -2000 on": Table(curve(3000, 12), -2000, 12),
}


def _tables() -> Iterator[Kind]:
    syntaxes = [name for name in NATIVE if name != "deflated"]
    for (traits, table), name, photometric in product(
        TABLES.items(), syntaxes, ("MONOCHROME1", "MONOCHROME2")
    ):
        syntax = NATIVE[name]
        if photometric == "MONOCHROME1" and name != "explicit":
            continue
        for signed, rescale in ((False, 0), (False, -1024), (True, 0)):
            if table.first < 0 and not (signed or rescale):
                continue  # no value is below 0
            elements: dict[str, Any] = {"PhotometricInterpretation": photometric}
            if rescale:
                elements |= {"RescaleIntercept": rescale, "RescaleSlope": 1}
            source = Source(ramp(12, signed=signed), syntax, 12, elements=elements)
            source.elements["VOILUTSequence"] = Sequence([table.item(syntax)])
            sign = "signed" if signed else f"intercept {rescale}" if rescale else "unsigned"
            # dcmtk takes the last of 2**bits outputs for less than white, by 1 / 2**bits.
            yield kind_of(source, "12 of 16 bits", f"{name}, {sign}, VOI LUT: {traits}",
                          by_dcmtk(LUT), tolerance=1.01 / (1 << table.bits))  # fmt: skip
            if rescale or (signed and photometric == "MONOCHROME1"):
                continue
            made = replace(source, elements={
                "PhotometricInterpretation": photometric,
                "ModalityLUTSequence": Sequence([table.item(syntax)])})  # fmt: skip
            yield kind_of(
                made, "12 of 16 bits", f"{name}, {sign}, modality LUT: {traits}", by_dcmtk(RANGE)
            )
    for photometric, shape in (("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")):
        says = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
        for name in syntaxes:
            source = Source(ramp(12), NATIVE[name], 12, elements=says)
            yield kind_of(source, "12 of 16 bits", f"{name}, Shape {shape}", by_dcmtk(RANGE))
    for name, keyword in product(syntaxes, ("ModalityLUTSequence", "VOILUTSequence")):
        item = Dataset()
        item.add(DataElement(0x00283002, "US", None))
        item.add(DataElement(0x00283006, "OW", None))
        source = Source(ramp(12), NATIVE[name], 12, elements={keyword: Sequence([item])})
        yield kind_of(source, "12 of 16 bits", f"{name}, empty {keyword}", by_dcmtk(RANGE))


PALETTES: Final = {
    "256 of 16 bits": Table(curve(256, 16)),
    "256 of 16 bits, dark": Table(curve(256, 7)),
    "256 of 8 bits in words": Table(curve(256, 8), 0, 8),
    "256 of 8 bits in bytes": Table(curve(256, 8), 0, 8, packed=True),
    "255 of 8 bits in bytes": Table(curve(255, 8), 0, 8, packed=True),
    "200 from 20 on": Table(curve(200, 16), 20),
    "300 of 8 bits in bytes": Table(curve(300, 8), 0, 8, packed=True),
    "4096 of 8 bits in bytes": Table(curve(4096, 8), 0, 8, packed=True),
    "65536 of 16 bits": Table(curve(65536, 16)),
    "256 from -100 on": Table(curve(256, 16), -100),
}
_TAGS: Final = ((0x00281101, 0x00281201), (0x00281102, 0x00281202), (0x00281103, 0x00281203))


def _palettes() -> Iterator[Kind]:
    for (traits, table), name, depth in product(PALETTES.items(), NATIVE, (8, 12)):
        signed = table.first < 0
        if len(table.entries) > 256 and depth == 8:
            continue
        syntax = NATIVE[name]
        source = Source(ramp(depth, signed=signed), syntax, depth)
        source.elements = {"PhotometricInterpretation": "PALETTE COLOR"}
        source.change = _with_palette(table, syntax)
        tolerance = 1.01 / 65535 if table.bits == 16 else 1.01 / 255
        yield kind_of(source, f"{depth} bits", f"{name}, palette: {traits}", by_dcmtk(ALL),
                      tolerance=tolerance)  # fmt: skip
    for name, (way, segments, expanded), bits in product(NATIVE, SEGMENTS, (8, 16)):
        source = Source(ramp(8), NATIVE[name])
        source.elements = {"PhotometricInterpretation": "PALETTE COLOR"}
        table = Table(np.array(expanded) * (257 if bits == 16 else 1), bits=bits)
        original = replace(source, change=_with_palette(table, source.syntax, 0))
        source.change = _with_segments(segments, len(expanded), bits, source.syntax)
        yield kind_of(source, "8 bits", f"{name}, palette: {way} of {bits} bits",
                      by_original(original, ALL), "dcmtk, expanded", 1.01 / 255)  # fmt: skip


def _with_palette(table: Table, syntax: str, step: int = 17) -> Callable[[Dataset], None]:
    """Add a palette whose three tables are the same one, shifted by a step."""

    def change(made: Dataset) -> None:
        for place, tags in enumerate(_TAGS):
            rolled = np.roll(table.entries, step * place)
            for element in replace(table, entries=rolled).elements(syntax, *tags):
                made.add(element)

    return change


# Kinds of segments with values of 8 bits, and the table they stand for (PS3.3 C.7.9.2).
SEGMENTS: Final = (
    (
        "segments",
        [(0, [10, 20, 30]), (1, 10, 130), (0, [7]), (1, 242, 249)],
        [10, 20, 30, *range(40, 131, 10), 7, *range(8, 250)],
    ),
    (
        "segments and an indirect one",
        [(0, [5, 6]), (1, 50, 106), (2, 2, 0), (0, [255])],
        [5, 6, *range(8, 107, 2), 5, 6, *range(8, 107, 2), 255],
    ),
)


def _with_segments(
    segments: list[Any], count: int, bits: int, syntax: str
) -> Callable[[Dataset], None]:
    scale, order = (257 if bits == 16 else 1), (">" if syntax == NATIVE["big endian"] else "<")
    codes: list[int] = []
    for segment in segments:
        if segment[0] == 0:
            codes += [0, len(segment[1]), *(scale * value for value in segment[1])]
        elif segment[0] == 1:
            codes += [1, segment[1], scale * segment[2]]
        else:
            codes += [2, segment[1], *([0] * (32 // bits))]
    content = np.array(codes).astype(f"{order}u2" if bits == 16 else "u1").tobytes()
    content += bytes(len(content) % 2)
    if bits == 8 and order == ">":
        content = np.frombuffer(content, "<u2").astype(">u2").tobytes()

    def change(made: Dataset) -> None:
        for place, (descriptor, _) in enumerate(_TAGS):
            made.add(DataElement(descriptor, "US", [count, 0, bits]))
            made.add(DataElement(0x00281221 + place, "OW", content))

    return change


def _deep() -> Iterator[Kind]:
    """Yield 1, 32 and 64 bits, and floating-point pixels."""
    for name, photometric, frames in product(NATIVE, ("MONOCHROME1", "MONOCHROME2"), (1, 3)):
        if photometric == "MONOCHROME1" and frames > 1:
            continue
        elements = {"PhotometricInterpretation": photometric}
        bits = ramp(8, frames=frames)[:, :, :39] % 2  # a frame does not end with a byte
        source = Source(np.ascontiguousarray(bits), NATIVE[name], elements=elements)
        source.change = _single_bits(bits)
        shown = bits[:, np.newaxis].astype(float)
        if photometric == "MONOCHROME1":
            shown = 1 - shown
        yield kind_of(source, "1 bit", f"{name}, {frames} frames", _known(shown), "source array")
        for dtype in ("u4", "i4", "u8", "f4", "f8"):
            pixels = (ramp(12, frames=frames) * 1000.0 - 1e5 * (dtype != "u4")).astype(dtype)
            if dtype == "u8":
                pixels = ramp(12, frames=frames).astype("u8") << 40
            for window in (None, (500_000, 700_000)):
                if dtype == "u8" and window:
                    continue
                made = Source(pixels, NATIVE[name], elements=dict(elements))
                made.change = _floating(made) if dtype[0] == "f" else None
                low, high = float(pixels.min()), float(pixels.max())
                if window:
                    made.elements |= {"WindowCenter": window[0], "WindowWidth": window[1]}
                    low = window[0] - 0.5 - (window[1] - 1) / 2
                    high = low + window[1] - 1
                shown = np.clip((pixels[:, np.newaxis] - low) / (high - low), 0, 1)
                shown = 1 - shown if photometric == "MONOCHROME1" else shown
                traits = f"{name}, {frames} frames{', window' if window else ''}"
                yield kind_of(made, {"u": "unsigned", "i": "signed", "f": "float"}[dtype[0]]
                              + f" {8 * int(dtype[1])} bits", traits, _known(shown),
                              "source array", 1e-6)  # fmt: skip


def _known(shown: NDArray[Any]) -> Callable[[Path], NDArray[Any]]:
    return lambda _: shown


def _single_bits(bits: NDArray[Any]) -> Callable[[Dataset], None]:
    def change(made: Dataset) -> None:
        made.BitsAllocated = made.BitsStored = 1
        made.HighBit = 0
        content = np.packbits(bits.ravel(), bitorder="little").tobytes()
        made.PixelData = content + bytes(len(content) % 2)

    return change


def _floating(source: Source) -> Callable[[Dataset], None]:
    def change(made: Dataset) -> None:
        double = source.values.dtype.itemsize == 8
        keyword = "DoubleFloatPixelData" if double else "FloatPixelData"
        setattr(made, keyword, made.PixelData)
        for name in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            delattr(made, name)

    return change


# -- what is refused, or read although a header is odd ----------------------------------------


def _set(**elements: Any) -> Callable[[Dataset], None]:
    """Return a change that sets elements after the pixels, or removes those that are None."""

    def change(made: Dataset) -> None:
        for keyword, value in elements.items():
            if value is None:
                made.pop(keyword, None)
            else:
                setattr(made, keyword, value)

    return change


def _odd() -> Iterator[tuple[str, Source, list[str]]]:
    """Yield what is odd and is read all the same, with the options for dcmtk."""
    gray, rgb = ramp(12), smooth()
    yield "Rescale Slope 0 and window", Source(gray, stored=12, elements={
        "RescaleSlope": 0, "RescaleIntercept": 0, "WindowCenter": 900, "WindowWidth": 1000,
    }), WINDOW  # fmt: skip
    yield "Pixel Aspect Ratio 2 to 1", Source(gray, stored=12, elements={
        "PixelAspectRatio": [2, 1]}), RANGE  # fmt: skip
    yield "one byte of padding", Source(np.ascontiguousarray(ramp(8)[:, :47, :39])), ALL
    yield "3 frames of odd size", Source(
        np.ascontiguousarray(ramp(8, frames=3)[:, :47, :39]), elements={
            "WindowCenter": 128, "WindowWidth": 256}), WINDOW  # fmt: skip
    yield "no High Bit", Source(ramp(16), change=_set(HighBit=None)), RANGE
    yield "Number of Frames 0", Source(gray, stored=12, change=_set(NumberOfFrames=0)), RANGE
    yield "no Planar Configuration, compressed", Source(
        rgb, f"{ROOT}.4.50", frames=[jpeg(rgb[0], "YCBCR")],
        elements={"PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": None},
    ), ALL  # fmt: skip
    overlay = gray | (np.arange(gray.size).reshape(gray.shape) % 3 == 0).astype("u2") << 13
    yield "overlay in bit 13", Source(
        overlay, change=_set(BitsStored=12, HighBit=11)), RANGE  # fmt: skip


def _presentation_luts() -> Iterator[tuple[str, Source]]:
    """Yield headers whose two statements of what is white contradict each other."""
    for photometric, shape in (("MONOCHROME2", "INVERSE"), ("MONOCHROME1", "IDENTITY")):
        for window in (None, 2048):
            yield (
                f"{photometric}, Presentation LUT Shape {shape}, window {window}",
                Source(ramp(12), stored=12, change=_set(
                    PhotometricInterpretation=photometric, PresentationLUTShape=shape,
                    WindowCenter=window, WindowWidth=window,
                )),
            )  # fmt: skip


def _contradictions() -> Iterator[tuple[str, Source]]:
    """Yield headers that contradict themselves or the pixels."""
    gray, seven, rgb = ramp(12), ramp(12, frames=7), smooth()
    for frames in (None, 3, 8):
        yield (
            f"7 frames, Number of Frames {frames}",
            Source(seven, stored=12, change=_set(NumberOfFrames=frames)),
        )
        for name, syntax, encode in (
            ("JPEG 2000", f"{ROOT}.4.90", lambda frame: jpeg_2000(frame, depth=12)),
            ("JPEG-LS", f"{ROOT}.4.80", jpeg_ls),
            ("RLE", f"{ROOT}.5", run_length),
        ):
            for offsets in ("basic", "none"):
                source = Source(
                    seven, syntax, 12, frames=[encode(frame) for frame in seven], offsets=offsets,
                    change=_set(NumberOfFrames=frames),
                )  # fmt: skip
                yield f"7 frames of {name}, Number of Frames {frames}, {offsets} offsets", source
    for keyword in ("PhotometricInterpretation", "PixelRepresentation", "BitsStored",
                    "BitsAllocated", "Rows", "Columns"):  # fmt: skip
        yield f"no {keyword}", Source(gray, stored=12, change=_set(**{keyword: None}))
    yield from _presentation_luts()
    yield "colour, no Planar Configuration", Source(rgb, change=_set(PlanarConfiguration=None))
    yield "colour, no Samples per Pixel", Source(rgb, change=_set(SamplesPerPixel=None))
    yield "colour in MONOCHROME2", Source(rgb, change=_set(PhotometricInterpretation="MONOCHROME2"))
    yield "gray in RGB", Source(gray, change=_set(PhotometricInterpretation="RGB"))
    yield "Bits Stored 0", Source(gray, change=_set(BitsStored=0))
    yield "Bits Stored 17", Source(gray, change=_set(BitsStored=17))
    yield "High Bit 3", Source(gray, stored=12, change=_set(HighBit=3))
    yield "one row too few", Source(gray, stored=12, change=_set(Rows=47))
    yield "one row too many", Source(gray, stored=12, change=_set(Rows=49))
    yield "Pixel Representation 2", Source(gray, change=_set(PixelRepresentation=2))
    yield "YBR_RCT, uncompressed", Source(rgb, change=_set(PhotometricInterpretation="YBR_RCT"))
    frame = jpeg_2000(rgb[0])
    yield "YBR_RCT without transformation", Source(rgb, f"{ROOT}.4.90", frames=[frame], elements={
        "PhotometricInterpretation": "YBR_RCT"})  # fmt: skip
    yield "JPEG of other size", Source(rgb, f"{ROOT}.4.50", frames=[
        jpeg(np.ascontiguousarray(rgb[0, :40]), "RGB")])  # fmt: skip
    yield "gray JPEG in RGB", Source(rgb, f"{ROOT}.4.50", frames=[
        bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(rgb[0, ..., 0])))])  # fmt: skip
    yield "JPEG as JPEG 2000", Source(rgb, f"{ROOT}.4.90", frames=[jpeg(rgb[0], "RGB")])
    yield (
        "16 bits in 12 stored, JPEG-LS",
        Source(
            ramp(16),
            f"{ROOT}.4.80",
            frames=[jpeg_ls(ramp(16)[0])],
            change=_set(BitsStored=12, HighBit=11),
        ),
    )
    yield "two JPEG in one frame", Source(rgb, f"{ROOT}.4.50", frames=[jpeg(rgb[0], "RGB") * 2])
    yield "pixels not compressed, JPEG", Source(gray, stored=12, frames=None, syntax=f"{ROOT}.4.50")
    yield "no palette", Source(ramp(8), change=_set(PhotometricInterpretation="PALETTE COLOR"))
    short = Table(curve(4096, 12), 0, 12).item(NATIVE["explicit"])
    short.LUTData = short.LUTData[:3000]
    yield "VOI LUT cut off", Source(gray, stored=12, elements={"VOILUTSequence": Sequence([short])})
    long = Table(curve(4096, 16), 0, 12).item(NATIVE["explicit"])
    yield "VOI LUT deeper than stated", Source(gray, stored=12, elements={
        "VOILUTSequence": Sequence([long])})  # fmt: skip


def _unsupported() -> Iterator[tuple[str, Source]]:
    """Yield sound kinds that are not read."""
    gray, rgb = ramp(8), smooth()
    for last in (52, 54, 56, 58, 59, 66, 92, 93, 94, 95, 100, 102, 103, 106, 107, 108):
        source = Source(gray, f"{ROOT}.4.{last}", frames=[jpeg(rgb[0], "YCBCR")])
        yield f"transfer syntax {ROOT}.4.{last}", source
    for syntax in ("1.2.840.113619.5.2", "1.3.6.1.4.1.5962.300.1", "1.2.840.10008.1.20"):
        yield f"transfer syntax {syntax}", Source(gray, syntax)
    for photometric in ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "YUV"):
        yield photometric, Source(rgb, change=_set(PhotometricInterpretation=photometric))
    for stored in (12, 16):
        deep = Source(rgb.astype("u2"), stored=stored)
        deep.change = _set(PhotometricInterpretation="YBR_FULL")
        yield f"YBR_FULL, {stored} bits", deep
    yield "signed colour", Source(rgb.astype("i1"))
    yield "12 bits allocated", Source(gray, change=_set(BitsAllocated=12))
    yield "supplemental palette", Source(gray, change=_set(PixelPresentation="COLOR"))


def _refused() -> Iterator[Kind]:
    for traits, source, options in _odd():
        samples = f"{8 * source.values.dtype.itemsize} bits"
        coarse = source.frames is not None or options == ALL  # dcmtk: 255 becomes 65280
        yield kind_of(source, samples, traits, by_dcmtk(options),
                      tolerance=3.01 / 255 if coarse else 1.01 / 65535)  # fmt: skip
    every: tuple[tuple[type[DeepfixcxError], Iterator[tuple[str, Source]]], ...] = (
        (ContradictoryHeaderError, _contradictions()),
        (UnsupportedImageError, _unsupported()),
    )
    for refusal, sources in every:
        for traits, source in sources:
            kind = kind_of(source, "", traits, by_dcmtk(RANGE))
            yield replace(kind, refusal=refusal)
