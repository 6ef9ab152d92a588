"""Uncompressed gray DICOM files read without pydicom's decoder are what pydicom reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from deepfixcx.errors import DeepfixcxError
from deepfixcx.images import read_image
from deepfixcx.images.dicom import display, reading
from deepfixcx.images.dicom.native import native_frames, plain_header

WriteDicom = Callable[..., Path]
GRAY16 = np.random.default_rng(0).integers(0, 4096, (1, 9, 7), dtype=np.uint16)


def outcome(content: bytes) -> tuple[str, object]:
    """Return what comes of a file: its pixels, or the name of the error and its message."""
    try:
        frames = read_image(io.BytesIO(content))
    except DeepfixcxError as error:
        return type(error).__name__, str(error)
    assert frames.pixels.flags.writeable
    assert frames.pixels.flags.c_contiguous
    found = frames.bits, frames.pixels.shape, frames.pixels.dtype.str, frames.pixels.tobytes()
    return frames.format, found


def outcome_by_pydicom(content: bytes) -> tuple[str, object]:
    """Read with pydicom alone, and compute every pixel by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "plain_header", lambda _: None)
        patch.setattr(reading, "_read_on", lambda stream, *_: reading._read_whole(stream))
        patch.setattr(display, "_levels", lambda frame, *_: (frame, None))
        return outcome(content)


def item(**elements: Any) -> list[Dataset]:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return [dataset]


TABLE = np.array([255, 9, 90, 30], "<u2").tobytes()
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "window": [
        {},
        {"WindowCenter": 40, "WindowWidth": 80},
        {"WindowCenter": [30.5, 1], "WindowWidth": [1000, 2]},
        {"WindowCenter": 40, "WindowWidth": 80, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 10**6, "WindowWidth": 1},
        {"WindowCenter": "", "WindowWidth": ""},
        {"VOILUTSequence": item(LUTDescriptor=[4, 0, 8], LUTData=TABLE)},
    ],
    "modality": [
        {},
        {"RescaleSlope": "2.5", "RescaleIntercept": "-1024"},
        {"RescaleSlope": "-0.3", "RescaleIntercept": "7"},
        {"RescaleSlope": "0", "RescaleIntercept": "7"},
        {"ModalityLUTSequence": item(LUTDescriptor=[4, 0, 8], LUTData=TABLE)},
    ],
    "padding": [{}, {"PixelPaddingValue": 0}, {"PixelPaddingValue": 5}],
    "other": [
        {},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "A^B"},
        {"ProcedureCodeSequence": item(CodeValue="x")},
        {"SharedFunctionalGroupsSequence": item(FrameVOILUTSequence=item(WindowCenter=9))},
        {"NumberOfFrames": 1},
    ],
}


@st.composite
def files(draw: st.DrawFn) -> bytes:
    allocated, signed = draw(st.sampled_from([8, 16, 32])), draw(st.booleans())
    stored = draw(st.sampled_from([allocated, allocated - 4, 1]))
    dtype = np.dtype(f"{'ui'[signed]}{allocated // 8}")
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 9))
    reach = draw(st.sampled_from([30, 3000, 2**31]))
    low, high = max(np.iinfo(dtype).min, -reach), min(np.iinfo(dtype).max, reach)
    frames = draw(st.integers(1, 2))
    pixels = rng.integers(low, high, (frames, height, width), dtype=dtype, endpoint=True)
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = height, width, 1
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PhotometricInterpretation = draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
    dataset.BitsAllocated, dataset.BitsStored = allocated, stored
    dataset.HighBit, dataset.PixelRepresentation = stored - 1, int(signed)
    for choices in OPTIONS.values():
        for keyword, value in draw(st.sampled_from(choices)).items():
            if keyword != "NumberOfFrames" or frames == 1:
                setattr(dataset, keyword, value)
    syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax = draw(st.sampled_from(syntaxes))
    order: Any = ">" if syntax == ExplicitVRBigEndian else "<"
    content = pixels.astype(dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if allocated == 8 else "OW"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@settings(max_examples=150, deadline=None)
@given(content=files())
def test_any_header_gives_the_pixels_and_the_instance_of_pydicom(content: bytes) -> None:
    assert outcome(content) == outcome_by_pydicom(content)
    assert reading.read_instance(io.BytesIO(content)) == "1.2.3"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("uid", ["1.2.34", "1.2.345", "not a UID", "1.2\\1.3"])
def test_the_instance_is_that_of_pydicom(write_dicom: WriteDicom, syntax: Any, uid: str) -> None:
    path = write_dicom(GRAY16, syntax=syntax, SOPInstanceUID=uid)
    expected = str(dcmread(path).get("SOPInstanceUID") or "")
    assert reading.read_instance(io.BytesIO(path.read_bytes())) == expected


@settings(max_examples=150, deadline=None)
@given(
    content=files(),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
    length=st.floats(0.3, 1),
)
def test_damage_has_the_same_outcome_as_with_pydicom(
    content: bytes, places: list[tuple[float, int]], length: float
) -> None:
    damaged = bytearray(content)
    for at, value in places:
        damaged[128 + int(at * min(len(content) - 129, 600))] = value
    del damaged[int(length * len(damaged)) :]
    assert outcome(bytes(damaged)) == outcome_by_pydicom(bytes(damaged))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
def test_ordinary_files_need_no_pydicom(
    write_dicom: WriteDicom, monkeypatch: pytest.MonkeyPatch, syntax: Any, dtype: str
) -> None:
    pixels = np.arange(63).reshape(1, 9, 7).astype(dtype) - np.dtype(dtype).type(dtype[0] == "i")
    content = write_dicom(pixels, syntax=syntax, RescaleSlope="2", WindowCenter=9).read_bytes()
    expected, instance = outcome_by_pydicom(content), reading.read_instance(io.BytesIO(content))
    assert instance
    monkeypatch.setattr(reading, "read_partial", None)
    monkeypatch.setattr(reading, "dcmread", None)
    assert outcome(content) == expected
    assert reading.read_instance(io.BytesIO(content)) == instance


def test_unused_bits_are_ignored(write_dicom: WriteDicom) -> None:
    for dtype, value, meant in (("u2", 0xF123, 0x123), ("i2", 0x0FFF, -1), ("i2", 0x7001, 1)):
        content = write_dicom(np.full((1, 2, 2), value, dtype), stored=12).read_bytes()
        header = plain_header(content)
        assert header is not None
        frames = native_frames(header, content[header.at :])
        assert frames is not None
        assert set(frames.ravel().tolist()) == {meant}
        assert outcome(content) == outcome_by_pydicom(content)


def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
    tag = group.to_bytes(2, "little") + number.to_bytes(2, "little")
    return tag + vr + len(value).to_bytes(2, "little") + value


def test_elements_behind_the_pixels_still_count(write_dicom: WriteDicom) -> None:
    content = write_dicom(GRAY16).read_bytes()
    windowed = (
        content + element(0x28, 0x1050, b"DS", b"900 ") + element(0x28, 0x1051, b"DS", b"1000")
    )
    assert outcome(windowed) == outcome_by_pydicom(windowed)
    assert outcome(windowed) != outcome(content)


def test_elements_out_of_order_or_twice_are_left_to_pydicom(write_dicom: WriteDicom) -> None:
    content = write_dicom(GRAY16).read_bytes()
    at = content.index(b"\x28\x00\x02\x00US")
    for late in (element(0x10, 0x10, b"PN", b"A^"), element(0x28, 0x10, b"US", b"\x03\0") * 2):
        damaged = content[:at] + late + content[at:]
        if late.startswith(b"\x10"):
            damaged = content[: at + 10] + late + content[at + 10 :]
        assert plain_header(damaged) is None
        assert outcome(damaged) == outcome_by_pydicom(damaged)


def test_a_header_that_is_cut_off_anywhere_fails_as_with_pydicom(write_dicom: WriteDicom) -> None:
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        content = write_dicom(GRAY16, syntax=syntax, WindowCenter=9, WindowWidth=7).read_bytes()
        for length in range(130, len(content)):
            damaged = content[:length]
            assert outcome(damaged) == outcome_by_pydicom(damaged), length


def test_a_wide_range_in_a_small_image_costs_no_table() -> None:
    levels, places = display._levels(np.array([[0, 60_000]], np.uint16), 0, 60_000)
    assert places is None
    assert levels.tolist() == [[0, 60_000]]
    levels, places = display._levels(np.array([[-2, 1, 0, 1]], np.int16), -2, 1)
    assert places is not None
    assert levels[places].tolist() == [[-2, 1, 0, 1]]


def test_a_window_below_all_pixels_is_left_out(write_dicom: WriteDicom) -> None:
    """Also where a value that no pixel has would be seen in it."""
    pixels = np.arange(100, 100 + 256, dtype=np.uint16).repeat(4).reshape(1, 32, 32)
    content = write_dicom(pixels, WindowCenter=50, WindowWidth=10).read_bytes()
    shown = read_image(io.BytesIO(content)).pixels
    assert outcome(content) == outcome_by_pydicom(content)
    np.testing.assert_allclose(shown.ravel(), np.linspace(0, 1, 256).repeat(4), atol=1e-6)


def test_the_range_after_a_modality_table_is_that_of_the_pixels(write_dicom: WriteDicom) -> None:
    """Not that of its smallest and largest stored value, as with a slope."""
    table = item(LUTDescriptor=[4, 0, 8], LUTData=TABLE, ModalityLUTType="US")
    pixels = np.array([[[0, 1, 2, 3]]], np.uint16)
    content = write_dicom(pixels, ModalityLUTSequence=table).read_bytes()
    shown = read_image(io.BytesIO(content)).pixels
    np.testing.assert_allclose(shown.ravel(), (np.array([255, 9, 90, 30]) - 9) / 246, atol=1e-6)


NAMES = ["MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_small_odd_jpeg.dcm", "image_dfl.dcm"]
NAMES += ["MR_small_bigendian.dcm", "emri_small_jpeg_2k_lossless.dcm", "SC_rgb_rle_2frame.dcm"]
REAL = [
    Path(str(path)).read_bytes()
    for name in NAMES
    if (path := get_testdata_file(name, download=False)) is not None
]


@pytest.mark.parametrize("number", range(len(REAL)))
def test_reading_on_from_the_pixels_is_reading_from_the_start(number: int) -> None:
    content = REAL[number]
    assert outcome(content) == outcome_by_pydicom(content)
    rng = np.random.default_rng(number)
    for _ in range(25):
        spoiled = bytearray(content)
        for at in rng.integers(130, rng.choice([1500, len(content)]), 3):
            spoiled[at] = rng.integers(0, 256)
        damaged = bytes(spoiled[: rng.choice([len(content), len(content) - 200])])
        assert outcome(damaged) == outcome_by_pydicom(damaged)
