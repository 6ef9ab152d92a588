"""Synthetic images to measure with: in memory, and as files of every kind."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from deepfixcx.errors import SpecError
from deepfixcx.images import phantom
from deepfixcx.io.files import make_folder, write_file

__all__ = ["FILE_KINDS", "sample_pixels", "write_samples"]

DISTINCT = 8
"""Images drawn a folder; the files made of one differ in a comment or an identifier."""

NOISE = 0.01
DRAWN_SIDE = 512
UID_ROOT: Final = "1.2.826.0.1.3680043.10.543."


def sample_pixels(
    count: int, height: int, width: int, dtype: str = "float32", seed: int = 0
) -> NDArray[Any]:
    """Draw a radiograph and put noise of its own on every copy.

    Parameters
    ----------
    count : int
        Images, B.
    height, width : int
        H and W in pixels.
    dtype : {"float32", "uint8", "uint16"}
        Floats lie in [0, 1], integers use their full range.
    seed : int
        Of the noise and the drawing.

    Returns
    -------
    ndarray, shape (B, H, W)

    Examples
    --------
    >>> sample_pixels(2, 5, 7, "uint8").shape
    (2, 5, 7)
    """
    rng = np.random.default_rng(seed)
    drawn = phantom(rng, min(max(height, width), DRAWN_SIDE))
    rows, columns = (np.arange(size) * len(drawn) // size for size in (height, width))
    large = drawn[rows[:, None], columns]
    pixels = np.empty((count, height, width), dtype)
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    for image in pixels:
        noisy = 0.9 * large + np.float32(0.1) * rng.random(large.shape, np.float32)
        image[:] = noisy * scale
    return pixels


def write_samples(folder: Path, kind: str, side: int, count: int, seed: int = 0) -> list[Path]:
    """Write files of one kind, no two with the same bytes.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    kind : str
        One of `FILE_KINDS`.
    side : int
        H = W, in pixels.
    count : int
        Files.
    seed : int
        Of the images.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    SpecError
        The kind is unknown.

    Examples
    --------
    >>> import tempfile
    >>> len(write_samples(Path(tempfile.mkdtemp()), "JPEG", side=16, count=3))
    3
    """
    if kind not in FILE_KINDS:
        raise SpecError(f"unknown kind of file {kind!r}; choose one of: {', '.join(FILE_KINDS)}")
    suffix, write, number_it = FILE_KINDS[kind]
    contents = []
    for rng in np.random.default_rng(seed).spawn(min(DISTINCT, count)):
        noisy = phantom(rng, side) + rng.normal(0, NOISE, (side, side))
        contents.append(write(np.clip(noisy, 0, 1)))
    make_folder(folder)
    paths = [folder / f"{number:06d}{suffix}" for number in range(count)]
    for number, path in enumerate(paths):
        content = number_it(contents[number % len(contents)], number)
        write_file(path, content, replace=True, durable=False)
    return paths


def _picture(pixels: NDArray[Any], name: str, **options: Any) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.rint(255 * pixels).astype(np.uint8)).save(stream, name, **options)
    return stream.getvalue()


def _png(pixels: NDArray[Any]) -> bytes:
    return _picture(pixels, "PNG")


def _jpeg(pixels: NDArray[Any]) -> bytes:
    return _picture(pixels, "JPEG", quality=90)


def _dicom(pixels: NDArray[Any], *, compressed: bool = False) -> bytes:
    """Write twelve bits a pixel, as detectors of radiographs do."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, SecondaryCaptureImageStorage

    data = Dataset()
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = _uid(0)
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = np.rint(4095 * pixels).astype("<u2").tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if compressed:
        data.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _dicom_jpeg2000(pixels: NDArray[Any]) -> bytes:
    return _dicom(pixels, compressed=True)


def _uid(number: int) -> str:
    return f"{UID_ROOT}1{number:09d}"


def _numbered_png(content: bytes, number: int) -> bytes:
    """Put a comment behind the header, which ends at byte 33."""
    text = b"tEXtComment\0%d" % number
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return content[:33] + chunk + content[33:]


def _numbered_jpeg(content: bytes, number: int) -> bytes:
    """Put a comment behind the first marker."""
    text = b"%d" % number
    return content[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + content[2:]


def _numbered_dicom(content: bytes, number: int) -> bytes:
    return content.replace(_uid(0).encode(), _uid(number).encode())


Writer = Callable[[NDArray[Any]], bytes]
FILE_KINDS: Final[dict[str, tuple[str, Writer, Callable[[bytes, int], bytes]]]] = {
    "PNG": (".png", _png, _numbered_png),
    "JPEG": (".jpg", _jpeg, _numbered_jpeg),
    "DICOM": (".dcm", _dicom, _numbered_dicom),
    "DICOM JPEG 2000": (".dcm", _dicom_jpeg2000, _numbered_dicom),
}
"""Kinds of files, each with its suffix, its writer, and what makes copies differ."""
