"""Headers that are odd, empty or contradictory: right pixels, a note, or a refusal by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from deepfixcx.errors import (
    ContradictoryHeaderError,
    DamagedImageError,
    DeepfixcxError,
    UnsupportedImageError,
)
from deepfixcx.images import inspect_image, read_image
from deepfixcx.images.codestream import read_codestream
from deepfixcx.images.dicom.display import SINGLE_GRAY

WriteDicom = Callable[..., Path]
STORED = np.arange(4096, dtype=np.uint16).reshape(1, 64, 64)
Y, X = np.mgrid[:64, :64]
RGB = np.stack([4 * X, 4 * Y, 2 * (X + Y)], -1).astype(np.uint8)[np.newaxis]


def refusal(path: Path) -> tuple[type[DeepfixcxError], str]:
    with pytest.raises(DeepfixcxError) as caught:
        read_image(path)
    facts = inspect_image(path)
    assert (facts.problem, facts.reason) == (type(caught.value).__name__, str(caught.value))
    return type(caught.value), facts.reason


def shown(path: Path) -> Any:
    return read_image(path).pixels[:, 0]


def table(first: int, entries: Any, *, bits: int = 16, packed: bool = False) -> list[Dataset]:
    item = Dataset()
    item.add(DataElement(0x00283002, "SS" if first < 0 else "US", [len(entries), first, bits]))
    item.add(DataElement(0x00283006, "OW", entries.astype("u1" if packed else "<u2").tobytes()))
    return [item]


def compressed(write_dicom: WriteDicom, frames: list[bytes], syntax: Any, **elements: Any) -> Path:
    pixels = elements.pop("pixels", RGB)
    content = encapsulate([frame + bytes(len(frame) % 2) for frame in frames])
    return write_dicom(pixels, syntax=syntax, PixelData=content, **elements)


def windowed(centre: float, width: float) -> Any:
    return np.clip((STORED - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)


@pytest.mark.parametrize("planar", [0, 1])
def test_planar_configuration_of_compressed_colour_has_no_meaning(
    write_dicom: WriteDicom, planar: int
) -> None:
    lossless = bytes(
        imagecodecs.jpeg8_encode(RGB[0], lossless=True, colorspace="RGB", outcolorspace="RGB")
    )
    for syntax, frame in (
        (JPEG2000Lossless, bytes(imagecodecs.jpeg2k_encode(RGB[0], level=0))),
        (JPEGLosslessSV1, lossless),
    ):
        path = compressed(write_dicom, [frame], syntax, PlanarConfiguration=planar)
        np.testing.assert_array_equal(read_image(path).pixels, np.moveaxis(RGB, -1, 1))


def test_the_markers_of_a_jpeg_count_before_the_header(write_dicom: WriteDicom) -> None:
    def packed(space: str) -> bytes:
        made = imagecodecs.jpeg8_encode(
            RGB[0], level=98, colorspace="RGB", outcolorspace=space, subsampling="444"
        )
        return bytes(made)

    wanted = np.moveaxis(RGB, -1, 1).astype(int)
    for space, header, noted in (
        ("RGB", "RGB", False), ("RGB", "YBR_FULL_422", True),
        ("YCBCR", "RGB", True), ("YCBCR", "YBR_FULL_422", False),
    ):  # fmt: skip
        path = compressed(write_dicom, [packed(space)], JPEGBaseline8Bit,
                          PhotometricInterpretation=header)  # fmt: skip
        frames = read_image(path)
        assert np.abs(frames.pixels - wanted).max() <= 6
        assert bool(frames.notes) is noted
    bare = packed("RGB")
    bare = bare[:2] + bare[4 + int.from_bytes(bare[4:6], "big") :]  # without the Adobe marker
    codestream = read_codestream(bare)
    assert codestream is not None
    assert codestream.colour == ""
    frames = read_image(compressed(write_dicom, [bare], JPEGBaseline8Bit))
    assert np.abs(frames.pixels - wanted).max() <= 6
    assert frames.notes == ()
    renamed = bytearray(bare)  # libjpeg takes components 1, 2, 3 for YBR
    frame, scan = bare.index(b"\xff\xc0"), bare.index(b"\xff\xda")
    for place in range(3):
        renamed[frame + 10 + 3 * place] = renamed[scan + 5 + 2 * place] = place + 1
    frames = read_image(compressed(write_dicom, [bytes(renamed)], JPEGBaseline8Bit))
    assert np.abs(frames.pixels - wanted).max() <= 6


@pytest.mark.parametrize(("stored", "high"), [(12, 15), (12, 13), (10, 15)])
def test_stored_bits_below_the_top_of_a_word(
    write_dicom: WriteDicom, stored: int, high: int
) -> None:
    values = STORED & (1 << stored) - 1
    noise = np.random.default_rng(0).integers(0, 1 << high + 1 - stored, STORED.shape)
    words = (values << high + 1 - stored | noise).astype(np.uint16)
    path = write_dicom(words, stored=stored, HighBit=high, WindowCenter=500, WindowWidth=700)
    np.testing.assert_allclose(shown(path), np.clip((values - 499.5) / 699 + 0.5, 0, 1), atol=1e-6)


def test_overlays_in_unused_bits_are_not_pixels(write_dicom: WriteDicom) -> None:
    path = write_dicom(STORED | np.uint16(1 << 14), stored=12)
    np.testing.assert_allclose(shown(path), STORED / 4095, atol=1e-6)


def test_rescale_slope_0_is_ignored_and_said(write_dicom: WriteDicom) -> None:
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    plain = read_image(write_dicom(STORED, stored=12, RescaleSlope=0, RescaleIntercept=7))
    np.testing.assert_allclose(plain.pixels[:, 0], STORED / 4095, atol=1e-6)
    assert "Rescale Slope is 0" in plain.notes[0]
    path = write_dicom(STORED, stored=12, RescaleSlope=0, RescaleIntercept=0, **window)
    np.testing.assert_allclose(shown(path), windowed(2000, 1000), atol=1e-6)
    assert inspect_image(path).notes == plain.notes


@pytest.mark.parametrize("explicit", [True, False])
def test_a_first_input_below_0(write_dicom: WriteDicom, explicit: bool) -> None:
    roots = np.rint(np.sqrt(STORED.ravel() / 4095) * 65535).astype("<u2")
    syntax = {} if explicit else {"syntax": ImplicitVRLittleEndian}
    path = write_dicom(STORED, stored=12, RescaleIntercept=-1024, RescaleSlope=1,
                       VOILUTSequence=table(-1024, roots), **syntax)  # fmt: skip
    np.testing.assert_allclose(shown(path), np.sqrt(STORED / 4095), atol=2e-5)


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("count", [256, 4096])
def test_tables_of_8_bits_in_bytes_or_words(
    write_dicom: WriteDicom, packed: bool, count: int
) -> None:
    entries = (np.arange(count) * 255 // (count - 1)).astype(np.uint16)
    item = table(0, entries, bits=8, packed=packed)
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        path = write_dicom(STORED, stored=12, **{keyword: item})
        expected = entries[np.minimum(STORED, count - 1)] / 255
        np.testing.assert_allclose(shown(path), expected, atol=1e-6)


def test_empty_tables_are_ignored_and_said(write_dicom: WriteDicom) -> None:
    for keyword, name in (("VOILUTSequence", "VOI LUT"), ("ModalityLUTSequence", "modality LUT")):
        item = Dataset()
        item.add(DataElement(0x00283002, "US", None))
        item.add(DataElement(0x00283006, "OW", None))
        for syntax in ({}, {"syntax": ImplicitVRLittleEndian}):
            frames = read_image(write_dicom(STORED, stored=12, **{keyword: [item]}, **syntax))
            np.testing.assert_allclose(frames.pixels[:, 0], STORED / 4095, atol=1e-6)
            assert frames.notes == (f"the {name} is empty and was ignored",)


def test_tables_that_contradict_themselves_are_refused(write_dicom: WriteDicom) -> None:
    entries = np.arange(4096, dtype=np.uint16)
    for items in (table(0, entries, bits=8), table(0, entries, bits=0)):
        kind, reason = refusal(write_dicom(STORED, stored=12, VOILUTSequence=items))
        assert kind is ContradictoryHeaderError
        assert "VOI LUT" in reason
    short = table(0, entries)
    short[0].LUTData = short[0].LUTData[:100]
    assert "fewer entries" in refusal(write_dicom(STORED, stored=12, VOILUTSequence=short))[1]


def test_a_dark_palette_of_16_bits_stays_dark(write_dicom: WriteDicom) -> None:
    entries = np.arange(256, dtype="<u2")
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        elements[f"{colour}PaletteColorLookupTableData"] = entries.tobytes()
    frames = read_image(write_dicom(STORED.astype(np.uint8), **elements))
    assert (frames.pixels.dtype, frames.pixels.max()) == (np.dtype(np.uint16), 255)


def test_a_window_that_leaves_one_gray_is_said(write_dicom: WriteDicom) -> None:
    frames = read_image(write_dicom(STORED, stored=12, WindowCenter=9000, WindowWidth=100))
    np.testing.assert_allclose(frames.pixels[:, 0], STORED / 4095, atol=1e-6)
    assert frames.notes == (SINGLE_GRAY,)
    small = read_image(write_dicom(STORED, stored=12, WindowCenter=900, WindowWidth=0))
    assert "Window Width" in small.notes[0]


def with_text(path: Path, before: bytes, after: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(before) == 1
    path.write_bytes(content.replace(before, after))
    return path


def test_a_decimal_comma_is_a_point_unless_it_separates_thousands(write_dicom: WriteDicom) -> None:
    window = {"WindowCenter": "2000.5", "WindowWidth": "1000.5"}
    path = with_text(write_dicom(STORED, stored=12, **window), b"2000.5", b"2000,5")
    frames = read_image(with_text(path, b"1000.5", b"1000,5"))
    np.testing.assert_allclose(frames.pixels[:, 0], windowed(2000.5, 1000.5), atol=1e-6)
    assert len(frames.notes) == 2
    path = with_text(write_dicom(STORED, stored=12, **window), b"2000.5", b" 2,000")
    kind, reason = refusal(path)
    assert kind is ContradictoryHeaderError
    assert "Window Center is not a decimal number" in reason
    assert "2,000" not in reason
    path = with_text(write_dicom(STORED, stored=12, **window), b"1000.5", b"ANNA X")
    assert "ANNA" not in refusal(path)[1]


@pytest.mark.parametrize("declared", [None, 3, 9])
def test_another_number_of_frames_is_refused(write_dicom: WriteDicom, declared: int | None) -> None:
    seven = np.arange(7 * 64, dtype=np.uint16).reshape(7, 8, 8)
    rle = [bytes([1, 0, 0, 0, 64]) + bytes(59) + bytes([193, 5]) for _ in seven]
    j2k = [bytes(imagecodecs.jpeg2k_encode(np.tile(frame, (8, 8)), level=0)) for frame in seven]
    paths = [
        write_dicom(seven),
        compressed(write_dicom, rle, RLELossless, pixels=seven.astype(np.uint8), name="rle"),
        compressed(write_dicom, j2k, JPEG2000Lossless, pixels=np.tile(seven, (8, 8)), name="j2k"),
    ]
    for path in paths:
        assert len(read_image(path).pixels) == 7
        dataset = dcmread(path)
        if declared is None:
            del dataset.NumberOfFrames
        else:
            dataset.NumberOfFrames = declared
        dataset.save_as(path)
        kind, reason = refusal(path)
        assert kind is ContradictoryHeaderError
        assert ("7 frames" in reason) or (declared == 9 and "fewer" in reason)


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"PhotometricInterpretation": None}, ContradictoryHeaderError, "Photometric Interp"),
        ({"PixelRepresentation": None}, ContradictoryHeaderError, "lacks Pixel Representation"),
        ({"BitsStored": None}, ContradictoryHeaderError, "lacks Bits Stored"),
        ({"BitsStored": 17}, ContradictoryHeaderError, "Bits Stored"),
        ({"HighBit": 3}, ContradictoryHeaderError, "High Bit"),
        ({"Rows": 63}, ContradictoryHeaderError, "more than Rows"),
        ({"Rows": 65}, ContradictoryHeaderError, "fewer than Rows"),
        ({"SamplesPerPixel": 3}, ContradictoryHeaderError, "Samples per Pixel"),
        ({"BitsAllocated": 12, "BitsStored": 12}, UnsupportedImageError, "allocated"),
        ({"PhotometricInterpretation": "HSV"}, UnsupportedImageError, "HSV"),
    ],
)
def test_each_contradiction_is_named(
    write_dicom: WriteDicom, change: dict[str, Any], kind: type[DeepfixcxError], says: str
) -> None:
    path = write_dicom(STORED)
    dataset = dcmread(path)
    for keyword, value in change.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)
    found, reason = refusal(path)
    assert found is kind
    assert says in reason


def test_a_transfer_syntax_that_is_not_read_is_named(write_dicom: WriteDicom) -> None:
    jpeg = bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(RGB[0, ..., 0])))
    path = compressed(write_dicom, [jpeg], JPEGBaseline8Bit, pixels=RGB[..., 0])
    for last, name in ((b"52", "JPEG Extended"), (b"93", "JPEG 2000 Part 2"), (b"95", "JPIP")):
        changed = with_text(path, b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4." + last)
        kind, reason = refusal(changed)
        assert kind is UnsupportedImageError
        assert name in reason
        with_text(path, b"1.2.840.10008.1.2.4." + last, b"1.2.840.10008.1.2.4.50")
    assert read_image(path).pixels.shape == (1, 1, 64, 64)


def test_a_truncated_file_is_damaged_and_not_contradictory(write_dicom: WriteDicom) -> None:
    path = write_dicom(STORED)
    path.write_bytes(path.read_bytes()[:-100])
    assert refusal(path)[0] is DamagedImageError


@pytest.mark.parametrize("bits", [8, 16])
def test_an_indirect_segment_is_at_an_offset_in_bytes(write_dicom: WriteDicom, bits: int) -> None:
    # PS3.3 C.7.9.2.3: two discrete segments of 2 and 3 entries, and again the second one.
    codes = [0, 2, 7, 9, 0, 3, 20, 40, 60, 2, 1, 4 * bits // 8, *[0] * (32 // bits - 1)]
    wanted = np.array([7, 9, 20, 40, 60, 20, 40, 60])
    content = np.array(codes).astype("<u2" if bits == 16 else "u1").tobytes()
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [8, 0, bits]
        elements[f"Segmented{colour}PaletteColorLookupTableData"] = content
    pixels = read_image(write_dicom(np.arange(8, dtype=np.uint8).reshape(1, 2, 4), **elements))
    np.testing.assert_array_equal(pixels.pixels[0, 0].ravel(), wanted)
