"""Every way a file can be bad has its error, and none of them says what was inside."""

from __future__ import annotations

import io
import os
import struct
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)

import deepfixcx.images.reading as reading
from deepfixcx.errors import (
    ContradictoryHeaderError,
    DamagedImageError,
    DeepfixcxError,
    EmptyFileError,
    NoPixelsError,
    NotAnImageError,
    OversizedImageError,
    PixelsShapeError,
    UnreadableFileError,
    UnsupportedImageError,
)
from deepfixcx.images import inspect_image, read_image
from deepfixcx.images.frames import OpenedImage

WriteDicom = Callable[..., Path]
GRAY = np.arange(64, dtype=np.uint8).reshape(8, 8)
CANARY = "CANARY^SECRET"


def png(width: int, height: int) -> bytes:
    """Return a PNG file that declares this size, whatever little it holds."""
    content = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10))), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    return content


def tiff(width: int, height: int) -> bytes:
    """Return a TIFF file of one strip that declares this size."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + header + bytes(4)


def jpeg(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(GRAY).save(stream, "JPEG")
    content = bytearray(stream.getvalue())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(content)


def encoded(extension: str) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    Image.fromarray(noise).save(stream, extension)
    return stream.getvalue()


def refused(path: Path, error: type[DeepfixcxError]) -> str:
    """Check that reading and inspecting agree on the error; return its message."""
    with pytest.raises(error) as caught:
        read_image(path)
    assert type(caught.value) is error
    facts = inspect_image(path)
    assert (facts.problem, facts.reason) == (error.__name__, str(caught.value))
    assert str(path) not in facts.reason
    return facts.reason


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    assert "the file does not exist" in refused(tmp_path / "absent", UnreadableFileError)
    assert "folder" in refused(tmp_path, UnreadableFileError)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop", UnreadableFileError)
    refused(Path("nul\0byte"), UnreadableFileError)
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", UnreadableFileError)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "image").write_bytes(encoded("PNG"))
    (tmp_path / "image").chmod(0)
    if os.access(tmp_path / "image", os.R_OK):  # the administrator may read everything

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, CANARY)

        monkeypatch.setattr(Path, "open", refuse)
    assert "permission" in refused(tmp_path / "image", UnreadableFileError)


def test_a_device_that_fails_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "image").write_bytes(encoded("PNG"))

    def fail(*_: object) -> OpenedImage:
        raise OSError(5, CANARY)

    monkeypatch.setattr(reading, "_opened", fail)
    assert "input/output" in refused(tmp_path / "image", UnreadableFileError)


@pytest.mark.parametrize("error", [RecursionError, ValueError, SystemError, KeyError])
def test_whatever_a_decoder_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    (tmp_path / "image").write_bytes(encoded("PNG"))

    def fail(*_: object) -> OpenedImage:
        raise error(CANARY)

    monkeypatch.setattr(reading, "_opened", fail)
    with pytest.raises(DamagedImageError) as caught:
        read_image(tmp_path / "image")
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_too_little_memory_is_not_called_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "image").write_bytes(encoded("PNG"))

    def fail(*_: object) -> OpenedImage:
        raise MemoryError(CANARY)

    monkeypatch.setattr(reading, "_opened", fail)
    assert "more memory" in refused(tmp_path / "image", OversizedImageError)


def test_empty_and_foreign(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", EmptyFileError)
    for content in (
        b"hello, this is text\n" * 20,
        b"BMW is a car",
        b"P1 is not a picture",
        b"\x00",
        b"\x08\x00",
    ):
        (tmp_path / "text.png").write_bytes(content)
        refused(tmp_path / "text.png", NotAnImageError)


@pytest.mark.parametrize("make", [png, tiff, bmp, jpeg])
def test_pixel_bombs_and_zero_sizes(tmp_path: Path, make: Callable[[int, int], bytes]) -> None:
    (tmp_path / "image").write_bytes(make(50_000, 50_000))
    assert "max_pixels" in refused(tmp_path / "image", OversizedImageError)
    facts = inspect_image(tmp_path / "image", decode=False)
    assert (facts.width, facts.height, facts.problem) == (50_000, 50_000, "OversizedImageError")
    for size in ((0, 5), (5, 0), (0, 0)):
        (tmp_path / "image").write_bytes(make(*size))
        assert "zero" in refused(tmp_path / "image", PixelsShapeError)


def test_max_pixels_counts_frames(tmp_path: Path, write_dicom: WriteDicom) -> None:
    pages = [Image.fromarray(GRAY)] * 3
    pages[0].save(tmp_path / "pages", "TIFF", save_all=True, append_images=pages[1:])
    for path in (tmp_path / "pages", write_dicom(np.stack([GRAY] * 3))):
        assert read_image(path, max_pixels=192).pixels.shape == (3, 1, 8, 8)
        with pytest.raises(OversizedImageError):
            read_image(path, max_pixels=191)


@pytest.mark.parametrize("extension", ["PNG", "JPEG", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_truncated_pictures(tmp_path: Path, extension: str, part: float) -> None:
    content = encoded(extension)
    (tmp_path / "image").write_bytes(content[: max(int(len(content) * part), 20)])
    refused(tmp_path / "image", DamagedImageError)


def test_dicom_bombs(write_dicom: WriteDicom) -> None:
    refused(write_dicom(GRAY[None], Rows=50_000, Columns=50_000), OversizedImageError)
    refused(write_dicom(GRAY[None], NumberOfFrames=2**31 - 1), OversizedImageError)
    refused(write_dicom(GRAY[None], Rows=0), PixelsShapeError)
    refused(write_dicom(GRAY[None], NumberOfFrames=-1), PixelsShapeError)
    frame = b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 41, 0, 50_000, 50_000, 0, 0) + bytes(99)
    content = b"\xfe\xff\x00\xe0" + bytes(4) + b"\xfe\xff\x00\xe0" + struct.pack("<I", len(frame))
    path = write_dicom(GRAY[None], syntax=JPEG2000Lossless, PixelData=content + frame + b"\x00")
    assert "contradict" in refused(path, ContradictoryHeaderError)


def test_a_deflated_bomb_is_not_inflated_in_memory(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        GRAY[None], syntax=DeflatedExplicitVRLittleEndian, ImageComments="x", PixelData=bytes(2**27)
    )
    assert path.stat().st_size < 2**18
    with pytest.raises(OversizedImageError, match="inflates"):
        read_image(path, max_pixels=2**20)


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "structured report"),
        ("1.2.840.10008.5.1.4.1.1.88.59", "key object"),
        ("1.2.840.10008.5.1.4.1.1.481.5", "radiotherapy plan"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "structure set"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "presentation state"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "waveform"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "document"),
        ("1.2.840.10008.1.3.10", "DICOMDIR"),
        ("1.2.840.10008.5.1.4.34.7", "without an image"),
    ],
)
def test_dicom_without_pixels_is_named(tmp_path: Path, sop_class: str, kind: str) -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(sop_class), UID("1.2.3")
    dataset.PatientName = CANARY
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    dataset.save_as(tmp_path / "file", enforce_file_format=True)
    assert kind in refused(tmp_path / "file", NoPixelsError)


def test_an_image_class_without_pixels_is_truncated(write_dicom: WriteDicom) -> None:
    path = write_dicom(GRAY[None])
    path.write_bytes(path.read_bytes()[:-80])
    refused(path, DamagedImageError)


def test_unsupported_colours_are_refused(write_dicom: WriteDicom) -> None:
    rgb = np.zeros((1, 2, 2, 3), np.uint8)
    refused(write_dicom(rgb, PhotometricInterpretation="HSV"), UnsupportedImageError)
    refused(write_dicom(rgb, PhotometricInterpretation="CANARY"), UnsupportedImageError)


def test_truncated_pictures_are_refused_with_any_setting_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / "image"
    Image.effect_noise((64, 64), 50).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:-200])
    refused(path, DamagedImageError)
    assert ImageFile.LOAD_TRUNCATED_IMAGES
