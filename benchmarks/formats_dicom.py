"""Kinds of DICOM files for `benchmarks.formats`, drawn by dcmtk.

Where dcmtk does not decode a transfer syntax, it draws the uncompressed original of a lossless
file, or what GDCM makes of the file.
"""

from __future__ import annotations

import io
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import UID

from benchmarks.formats import Kind

__all__ = [
    "ALL",
    "LUT",
    "NATIVE",
    "RANGE",
    "ROOT",
    "WINDOW",
    "Source",
    "by_dcmtk",
    "by_original",
    "jpeg",
    "jpeg_2000",
    "jpeg_ls",
    "kind_of",
    "kinds",
    "ramp",
    "run_length",
    "smooth",
]

ROOT: Final = "1.2.840.10008.1.2"
NATIVE: Final = {
    "implicit": ROOT,
    "explicit": f"{ROOT}.1",
    "big endian": f"{ROOT}.2",
    "deflated": f"{ROOT}.1.99",
}
HEIGHT, WIDTH = 48, 40
COMMON: Final = ["--write-16-bit-pnm", "--all-frames", "-O"]
RANGE, ALL, WINDOW, LUT = ["+Wm"], ["-W"], ["+Wi", "1"], ["+Wl", "1"]
"""Options of dcmtk: smallest to largest value, all values, first window, first VOI LUT."""


@dataclass
class Source:
    """A file to build: stored values ``(F, H, W[, 3])`` and the elements that describe them."""

    values: NDArray[Any]
    syntax: str = NATIVE["explicit"]
    stored: int = 0
    high: int = -1
    elements: dict[str, Any] = field(default_factory=dict)
    frames: list[bytes] | None = None
    offsets: str = "basic"
    change: Callable[[Dataset], None] | None = None

    def words(self) -> NDArray[Any]:
        """Return the values at their place in words, in the byte order of the file."""
        stored = self.stored or 8 * self.values.dtype.itemsize
        left = self.high + 1 - stored if self.high >= 0 else 0
        words = self.values << left if left else self.values
        big = self.syntax == NATIVE["big endian"]
        return words.astype(words.dtype.newbyteorder(">" if big else "<"))

    def dataset(self) -> Dataset:
        """Return the data set, with its meta information."""
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.7"), UID("1.2.999.1")
        made.PatientName, made.PatientID, made.Modality = "Invented^Anna", "INV-1", "OT"
        colour, bits = self.values.ndim == 4, 8 * self.values.dtype.itemsize
        made.SamplesPerPixel = 3 if colour else 1
        made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
        if colour:
            made.PlanarConfiguration = 0
        if len(self.values) > 1:
            made.NumberOfFrames = len(self.values)
        made.Rows, made.Columns = self.values.shape[1:3]
        made.BitsAllocated, made.BitsStored = bits, self.stored or bits
        made.HighBit = self.high if self.high >= 0 else made.BitsStored - 1
        made.PixelRepresentation = int(self.values.dtype.kind == "i")
        for keyword, value in self.elements.items():
            if value is None:
                made.pop(keyword, None)
            else:
                setattr(made, keyword, value)
        self._set_pixels(made)
        if self.change is not None:
            self.change(made)
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = UID(self.syntax)
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        return made

    def _set_pixels(self, made: Dataset) -> None:
        if self.frames is None:
            words = self.words()
            if made.get("PlanarConfiguration") == 1:
                words = np.moveaxis(words, -1, 1)
            content = words.tobytes()
            if words.dtype.itemsize == 1 and self.syntax == NATIVE["big endian"]:
                content = content + bytes(len(content) % 2)  # OB: bytes stay in order
            made.PixelData = content + bytes(len(content) % 2)
            made["PixelData"].VR = "OW" if words.dtype.itemsize > 1 else "OB"
            return
        even = [frame + bytes(len(frame) % 2) for frame in self.frames]
        if self.offsets == "extended":
            content, table, lengths = encapsulate_extended(even)
            made.ExtendedOffsetTable, made.ExtendedOffsetTableLengths = table, lengths
        else:
            pieces = 2 if self.offsets == "fragments" else 1
            has_table = self.offsets != "none"
            content = encapsulate(even, fragments_per_frame=pieces, has_bot=has_table)
        made.PixelData = content
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True

    def content(self) -> bytes:
        """Return the bytes of the file."""
        stream = io.BytesIO()
        dataset = self.dataset()
        standard = dataset.file_meta.TransferSyntaxUID
        stand_in = standard
        if standard not in NATIVE.values():
            stand_in = UID(f"{ROOT}.4.50" if self.frames else f"{ROOT}.1")
        dataset.file_meta.TransferSyntaxUID = stand_in
        dataset.save_as(stream, enforce_file_format=True)
        return _renamed(stream.getvalue(), stand_in, standard)


def _renamed(content: bytes, before: str, after: str) -> bytes:
    """Write another transfer syntax, which pydicom may not know, into the meta information."""
    if before == after:
        return content
    elements = []
    for uid in (before, after):
        value = uid.encode() + bytes(len(uid) % 2)
        elements.append(b"\x02\x00\x10\x00UI" + len(value).to_bytes(2, "little") + value)
    length = int.from_bytes(content[140:144], "little") + len(elements[1]) - len(elements[0])
    start = content[:140] + length.to_bytes(4, "little") + content[144:]
    return start.replace(elements[0], elements[1], 1)


def draw(path: Path, options: list[str]) -> NDArray[Any]:
    """Let dcmtk draw every frame of a file, in [0, 1], ``(F, C, H, W)``."""
    with TemporaryDirectory() as folder:
        program = "dcml2pnm" if b"1.2.840.10008.1.2.4.8" in path.read_bytes()[:400] else "dcmj2pnm"
        command = [program, *COMMON, *options, str(path), f"{folder}/frame"]
        subprocess.run(command, check=True, capture_output=True)
        names = sorted(Path(folder).iterdir(), key=lambda name: int(name.suffixes[-2][1:] if
                       len(name.suffixes) > 1 else 0))  # fmt: skip
        return np.stack([_portable(name.read_bytes()) for name in names])


def _portable(content: bytes) -> NDArray[Any]:
    words = [line for line in content.split(b"\n") if not line.startswith(b"#")]
    kind, width, height, most, *rest = b" ".join(words).split()
    values = np.array(rest, np.float64).reshape(int(height), int(width), -1)
    assert values.shape[2] == (3 if kind == b"P3" else 1)
    return np.moveaxis(values, -1, 0) / int(most)


def by_dcmtk(options: list[str]) -> Callable[[Path], NDArray[Any]]:
    """Let dcmtk draw the file itself."""
    return lambda path: draw(path, options)


def by_gdcm(options: list[str]) -> Callable[[Path], NDArray[Any]]:
    """Let GDCM decode the file and dcmtk draw it."""

    def peer(path: Path) -> NDArray[Any]:
        raw = path.with_suffix(".raw")
        subprocess.run(["gdcmconv", "--raw", path, raw], check=True, capture_output=True)
        return draw(raw, options)

    return peer


def by_original(source: Source, options: list[str]) -> Callable[[Path], NDArray[Any]]:
    """Let dcmtk draw the uncompressed original."""

    def peer(path: Path) -> NDArray[Any]:
        original = path.with_suffix(".original")
        original.write_bytes(source.content())
        return draw(original, options)

    return peer


Curve = Callable[[NDArray[Any], float, float], NDArray[Any]]
CENTRE, BREADTH = 20.5, 33.5


def by_itk(curve: Curve) -> Callable[[Path], NDArray[Any]]:
    """Let ITK read and rescale the values, and apply a formula of the standard to them."""

    def peer(path: Path) -> NDArray[Any]:
        itk = import_module("SimpleITK")
        reader = itk.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        values = itk.GetArrayFromImage(reader.Execute()).astype(np.float64)
        return curve(values.reshape(-1, 1, *values.shape[-2:]), CENTRE, BREADTH)

    return peer


CURVES: Final[dict[str, Curve]] = {
    "LINEAR": lambda x, c, w: np.clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1),
    "LINEAR_EXACT": lambda x, c, w: np.clip((x - c) / w + 0.5, 0, 1),
    "SIGMOID": lambda x, c, w: 1 / (1 + np.exp(-4 * (x - c) / w)),
}


def ramp(depth: int, *, signed: bool = False, frames: int = 1, colour: bool = False) -> Any:
    """Make values that are different in every place, over all bits that are stored."""
    shape = (frames, HEIGHT, WIDTH, *([3] if colour else []))
    count = int(np.prod(shape))
    values = (np.arange(count) * 7919 % count) * ((1 << depth) - 1) // (count - 1)
    dtype = f"{'i' if signed else 'u'}{1 if depth <= 8 else 2 if depth <= 16 else 4}"
    return (values - signed * (1 << depth - 1)).astype(dtype).reshape(shape)


def smooth() -> NDArray[Any]:
    """Make colours that survive lossy compression and subsampling."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rgb = np.stack([40 + 5 * x, 230 - 4 * y, 120 + 2 * (x - y)], -1)
    return rgb.astype(np.uint8)[np.newaxis]


def kinds() -> Iterator[Kind]:
    """Yield every kind of DICOM file of the matrix."""
    yield from _native_gray()
    yield from _native_colour()
    yield from _compressed_gray()
    yield from _compressed_colour()


def kind_of(
    source: Source,
    samples: str,
    traits: str,
    peer: Callable[[Path], NDArray[Any]],
    reader: str = "dcmtk",
    tolerance: float = 1.01 / 65535,
) -> Kind:
    """Describe a source for the matrix; its photometric interpretation names itself."""
    photometric = str(source.elements.get("PhotometricInterpretation", ""))
    photometric = photometric or ("RGB" if source.values.ndim == 4 else "MONOCHROME2")
    return Kind("DICOM", samples, photometric, traits, source.content, reader, peer, tolerance)


DEPTHS: Final = {
    # name: bits stored, high bit, signed
    "8 bits": (8, -1, False),
    "8 bits signed": (8, -1, True),
    "12 of 16 bits": (12, -1, False),
    "12 of 16 bits signed": (12, -1, True),
    "12 of 16 bits, High Bit 15": (12, 15, False),
    "10 of 16 bits signed, High Bit 13": (10, 13, True),
    "16 bits": (16, -1, False),
    "16 bits signed": (16, -1, True),
}


def _native_gray() -> Iterator[Kind]:
    traits: dict[str, dict[str, Any]] = {
        "": {},
        "window": {"WindowCenter": 37, "WindowWidth": 90},
        "rescale, window": {
            "WindowCenter": [-900, 1], "WindowWidth": [250, 9], "RescaleIntercept": -1024,
            "RescaleSlope": 2,
        },
        "Rescale Slope 0": {"RescaleSlope": 0, "RescaleIntercept": -5},
        "sigmoid": {"WindowCenter": 50, "WindowWidth": 60, "VOILUTFunction": "SIGMOID"},
    }  # fmt: skip
    for (name, syntax), photometric, (depth, bits), (trait, elements) in product(
        NATIVE.items(), ("MONOCHROME1", "MONOCHROME2"), DEPTHS.items(), traits.items()
    ):
        if name != "explicit" and trait not in ("", "window"):
            continue
        stored, high, signed = bits
        source = Source(ramp(stored, signed=signed), syntax, stored, high)
        source.elements = {"PhotometricInterpretation": photometric, **elements}
        options = WINDOW if "WindowCenter" in elements else RANGE
        yield kind_of(source, depth, f"{name}, {trait}".rstrip(", "), by_dcmtk(options))
    for depth, (stored, high, signed) in DEPTHS.items():
        if high >= 0:  # ITK does not shift
            continue
        source = Source(ramp(stored, signed=signed), stored=stored)
        # dcmtk rounds rescaled values to whole numbers, which the standard does not.
        source.elements = {
            "RescaleIntercept": -3.25, "RescaleSlope": 0.37, "WindowCenter": CENTRE,
            "WindowWidth": BREADTH,
        }  # fmt: skip
        for function, curve in CURVES.items():
            made = replace(source, elements={**source.elements, "VOILUTFunction": function})
            peer = by_itk(curve)
            traits_of = f"explicit, fractional rescale, {function}"
            yield kind_of(made, depth, traits_of, peer, "SimpleITK, PS3.3 C.11.2.1", 1e-6)
    for photometric, value in product(("MONOCHROME1", "MONOCHROME2"), (0, 4095, 700)):
        pixels = ramp(12)
        pixels[0, :3] = value
        for limit in (None, value + 60):
            source = Source(pixels, stored=12, elements={
                "PhotometricInterpretation": photometric, "PixelPaddingValue": value,
                "PixelPaddingRangeLimit": limit})  # fmt: skip
            yield kind_of(source, "12 of 16 bits", f"padding {value} to {limit}",
                        _without_padding(pixels, value, limit or value, photometric),
                        "PS3.3 C.7.5.1.1.2", 1e-6)  # fmt: skip


def _without_padding(
    pixels: NDArray[Any], first: int, last: int, photometric: str
) -> Callable[[Path], NDArray[Any]]:
    kept = pixels[(pixels < first) | (pixels > last)].astype(np.float64)
    shown = np.clip((pixels[:, np.newaxis] - kept.min()) / (kept.max() - kept.min()), 0, 1)
    return lambda _: 1 - shown if photometric == "MONOCHROME1" else shown


# -- colour and compression -----------------------------------------------------------------------

LOSSLESS: Final = 1.01 / 65535
LOSSY: Final = 3.01 / 255
"""Two decoders of lossy JPEG may round, and interpolate subsampled colour, in their own ways."""


def _native_colour() -> Iterator[Kind]:
    for (name, syntax), planar, depth in product(NATIVE.items(), (0, 1), (8, 12, 16)):
        elements = {"PlanarConfiguration": planar}
        source = Source(ramp(depth, colour=True, frames=2), syntax, depth, elements=elements)
        samples = f"{depth} of {8 if depth == 8 else 16} bits"
        yield kind_of(source, samples, f"{name}, planar {planar}", by_dcmtk(ALL))
        if depth == 8:
            source = Source(ramp(8, colour=True), syntax)
            source.elements = elements | {"PhotometricInterpretation": "YBR_FULL"}
            traits = f"{name}, planar {planar}"
            yield kind_of(source, samples, traits, by_dcmtk(ALL), tolerance=LOSSY)
    for name, syntax in NATIVE.items():
        source = Source(ramp(8, colour=True), syntax, change=_halve_colour)
        source.elements = {"PhotometricInterpretation": "YBR_FULL_422"}
        yield kind_of(source, "8 bits", name, by_dcmtk(ALL), tolerance=LOSSY)


def _halve_colour(made: Dataset) -> None:
    values = ramp(8, colour=True).reshape(-1, 2, 3)
    pairs = np.stack([values[:, 0, 0], values[:, 1, 0], values[:, 0, 1], values[:, 0, 2]], -1)
    made.PixelData = pairs.tobytes()


def jpeg(rgb: NDArray[Any], space: str, sampling: str = "444", *, markers: bool = True) -> bytes:
    """Encode colour as RGB or YCBCR, perhaps without the markers that state it."""
    packed = bytes(
        imagecodecs.jpeg8_encode(
            rgb, level=97, colorspace="RGB", outcolorspace=space, subsampling=sampling
        )
    )
    while not markers and packed[3] in (0xE0, 0xEE):
        packed = packed[:2] + packed[4 + int.from_bytes(packed[4:6], "big") :]
    return packed


def _compressed_colour() -> Iterator[Kind]:
    rgb, every = smooth(), ramp(8, colour=True)
    for planar in (0, 1, None):
        for space, sampling, markers in product(("RGB", "YCBCR"), ("444", "422", "420"), (0, 1)):
            if space == "RGB" and sampling != "444":
                continue
            stated = "RGB" if space == "RGB" else "YBR_FULL_422"
            frame = jpeg(rgb[0], space, sampling, markers=bool(markers))
            source = Source(rgb, f"{ROOT}.4.50", frames=[frame])
            for header in ("RGB", "YBR_FULL_422"):
                if header != stated and not (markers and planar == 0):
                    continue  # without markers the header counts
                source.elements = {"PhotometricInterpretation": header,
                                   "PlanarConfiguration": planar}  # fmt: skip
                options = ["-W"] if header == stated else ["-W", "+cg"]
                said = "with markers" if markers else "no markers"
                yield kind_of(
                    replace(source), "8 bits", f"JPEG {space} {sampling}, {said}, planar {planar}",
                    by_dcmtk(options), tolerance=LOSSY,
                )  # fmt: skip
        for name, syntax, photometric, frame in _lossless_colour(every[0]):
            elements = {"PhotometricInterpretation": photometric, "PlanarConfiguration": planar}
            source = Source(every, syntax, frames=[frame], elements=elements)
            plain = "YBR_FULL" if photometric == "YBR_FULL" else "RGB"
            original = Source(every, elements={"PhotometricInterpretation": plain})
            yield kind_of(
                source, "8 bits", f"{name}, planar {planar}", by_original(original, ALL),
                "dcmtk, of the original", LOSSY if plain != "RGB" else LOSSLESS,
            )  # fmt: skip
            if syntax in GDCM:
                yield kind_of(
                    source, "8 bits", f"{name}, planar {planar}, GDCM", by_gdcm(ALL),
                    "GDCM, dcmtk", LOSSY if plain != "RGB" else LOSSLESS,
                )  # fmt: skip
    for planar in (0, 1):
        for family, syntax in UNCOMPRESSED.items():
            frames = [_uncompressed(frame, family, planar) for frame in ramp(16, colour=True)]
            elements = {"PlanarConfiguration": planar}
            source = Source(ramp(16, colour=True), syntax, frames=frames, elements=elements)
            peer = by_original(Source(source.values), ALL)
            traits = f"{family}, planar {planar}"
            yield kind_of(source, "16 bits", traits, peer, "dcmtk, of the original")


GDCM: Final = frozenset({f"{ROOT}.4.70", f"{ROOT}.5", f"{ROOT}.4.90"})
UNCOMPRESSED: Final = {
    "encapsulated uncompressed": f"{ROOT}.1.98",
    "deflated frames": f"{ROOT}.8.1",
}


def _uncompressed(frame: NDArray[Any], family: str, planar: int = 0) -> bytes:
    """Return the bytes of a frame, perhaps deflated."""
    content = (np.moveaxis(frame, -1, 0) if planar else frame).tobytes()
    if family.startswith("encapsulated"):
        return content
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(content) + deflater.flush()


def run_length(frame: NDArray[Any]) -> bytes:
    """Encode a frame with pydicom."""
    from pydicom.pixels.encoders.base import get_encoder
    from pydicom.uid import RLELossless

    colour, bits = frame.ndim == 3, 8 * frame.dtype.itemsize
    return get_encoder(RLELossless).encode(
        frame.tobytes(), rows=frame.shape[0], columns=frame.shape[1], number_of_frames=1,
        samples_per_pixel=3 if colour else 1, bits_allocated=bits, bits_stored=bits,
        pixel_representation=0, photometric_interpretation="RGB" if colour else "MONOCHROME2",
        planar_configuration=0, encoding_plugin="pydicom",
    )  # fmt: skip


def jpeg_ls(frame: NDArray[Any], interleave: int = 0, error: int = 0) -> bytes:
    """Encode a frame; colour by plane, by line or by pixel."""
    if frame.ndim == 3 and interleave == 0:
        frame = np.ascontiguousarray(np.moveaxis(frame, -1, 0))
    return bytes(
        import_module("jpeg_ls").encode_array(frame, lossy_error=error, interleave_mode=interleave)
    )


def jpeg_2000(frame: NDArray[Any], *, transform: bool = False, depth: int = 8) -> bytes:
    """Encode a frame without loss."""
    from openjpeg.utils import encode_array

    colour = 1 if frame.ndim == 3 else 2
    return bytes(
        encode_array(frame, photometric_interpretation=colour, use_mct=transform, bits_stored=depth)
    )


def _lossless_colour(frame: NDArray[Any]) -> Iterator[tuple[str, str, str, bytes]]:
    """Yield name, transfer syntax, photometric interpretation and frame."""
    plain = bytes(
        imagecodecs.jpeg8_encode(frame, lossless=True, colorspace="RGB", outcolorspace="RGB")
    )
    for photometric in ("RGB", "YBR_FULL"):
        yield "JPEG lossless", f"{ROOT}.4.70", photometric, plain
        yield "RLE", f"{ROOT}.5", photometric, run_length(frame)
        for interleave, way in enumerate(("plane", "line", "pixel")):
            packed = jpeg_ls(frame, interleave)
            yield f"JPEG-LS by {way}", f"{ROOT}.4.80", photometric, packed
        yield "JPEG 2000", f"{ROOT}.4.90", photometric, jpeg_2000(frame)
    for photometric in ("RGB", "YBR_RCT"):
        transformed = jpeg_2000(frame, transform=True)
        yield "JPEG 2000, transformed", f"{ROOT}.4.90", photometric, transformed
        yield (
            "HTJ2K, transformed",
            f"{ROOT}.4.201",
            photometric,
            bytes(imagecodecs.htj2k_encode(frame)),
        )
    yield "JPEG XL", f"{ROOT}.4.110", "RGB", bytes(imagecodecs.jpegxl_encode(frame, lossless=True))


def _compressed_gray() -> Iterator[Kind]:
    for (depth, signed), photometric, offsets in product(
        ((8, False), (8, True), (12, False), (12, True), (16, False), (16, True)),
        ("MONOCHROME1", "MONOCHROME2"),
        ("basic", "none", "extended", "fragments"),
    ):
        values = ramp(depth, signed=signed, frames=3)
        elements = {"PhotometricInterpretation": photometric, "WindowCenter": 30,
                    "WindowWidth": 200}  # fmt: skip
        original = Source(values, stored=depth, elements=elements)
        samples = f"{depth} bits{' signed' if signed else ''}"
        for name, syntax, encode in _lossless_gray(depth):
            whole = name == "RLE" or name in UNCOMPRESSED
            if whole and offsets == "fragments":
                continue
            if offsets != "basic" and (photometric == "MONOCHROME1" or (depth, signed) not in FEW):
                continue
            frames = [encode(frame) for frame in values]
            source = replace(original, syntax=syntax, frames=frames, offsets=offsets)
            yield kind_of(source, samples, f"{name}, {offsets} offsets",
                        by_original(original, WINDOW), "dcmtk, of the original")  # fmt: skip
    yield from _lossy_gray()


FEW: Final = ((12, False), (16, True))
"""Depths that are tried with every table of offsets."""


def bits_of(frame: NDArray[Any], depth: int) -> NDArray[Any]:
    """Return the stored bits as an unsigned number, for formats without a sign."""
    mask = (1 << depth) - 1
    return (frame.astype(np.int64) & mask).astype(f"u{frame.dtype.itemsize}")


def _lossless_gray(depth: int) -> Iterator[tuple[str, str, Callable[[NDArray[Any]], bytes]]]:
    deep: dict[str, Any] = {"bitspersample": depth} if depth > 8 else {}

    def unsigned(encode: Callable[[NDArray[Any]], Any]) -> Callable[[NDArray[Any]], bytes]:
        return lambda frame: bytes(encode(bits_of(frame, depth)))

    yield (
        "JPEG lossless",
        f"{ROOT}.4.70",
        unsigned(lambda frame: imagecodecs.jpeg8_encode(frame, lossless=True, **deep)),
    )
    yield "JPEG-LS", f"{ROOT}.4.80", unsigned(jpeg_ls)
    yield "JPEG 2000", f"{ROOT}.4.90", lambda frame: jpeg_2000(frame, depth=depth)
    yield (
        "JPEG 2000 without sign",
        f"{ROOT}.4.90",
        unsigned(lambda frame: jpeg_2000(frame, depth=depth)),
    )
    if depth != 12:  # this encoder takes all bits
        yield "HTJ2K", f"{ROOT}.4.201", lambda frame: bytes(imagecodecs.htj2k_encode(frame))
    yield (
        "JPEG XL",
        f"{ROOT}.4.110",
        unsigned(lambda frame: imagecodecs.jpegxl_encode(frame, lossless=True, **deep)),
    )
    yield "RLE", f"{ROOT}.5", lambda frame: run_length(frame.view(f"u{frame.dtype.itemsize}"))
    for family, syntax in UNCOMPRESSED.items():
        yield family, syntax, partial(_uncompressed, family=family)


def _lossy_gray() -> Iterator[Kind]:
    for depth, photometric in product((8, 12), ("MONOCHROME1", "MONOCHROME2")):
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        values = ((x * 4 + y * 2) << depth - 8).astype(f"u{(depth + 7) // 8}")[np.newaxis]
        elements = {"PhotometricInterpretation": photometric, "WindowCenter": 1 << depth - 1,
                    "WindowWidth": 1 << depth}  # fmt: skip
        deep: dict[str, Any] = {"bitspersample": 12} if depth == 12 else {}
        baseline = bytes(imagecodecs.jpeg8_encode(values[0], level=97, **deep))
        progressive = io.BytesIO()
        near = {
            "JPEG": (f"{ROOT}.4.{50 if depth == 8 else 51}", baseline),
            "JPEG-LS near-lossless": (
                f"{ROOT}.4.81", jpeg_ls(values[0], error=3),
            ),
        }  # fmt: skip
        if depth == 8:
            from PIL import Image

            Image.fromarray(values[0]).save(progressive, "JPEG", progressive=True, quality=97)
            near["JPEG progressive"] = (f"{ROOT}.4.50", progressive.getvalue())
        for name, (syntax, frame) in near.items():
            source = Source(values, syntax, depth, frames=[frame], elements=elements)
            yield kind_of(source, f"{depth} bits", name, by_dcmtk(WINDOW), tolerance=LOSSY)
