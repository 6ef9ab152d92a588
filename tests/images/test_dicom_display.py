"""The DICOM pipeline against its formulas, written out again here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGExtended12Bit, JPEGLosslessSV1

from deepfixcx.errors import ContradictoryHeaderError, DecodeError, NonFiniteError
from deepfixcx.images import inspect_image, read_image

WriteDicom = Callable[..., Path]
RAMP = np.arange(-1000, 3096, dtype=np.int16).reshape(1, 64, 64)
RAMP8 = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)


def table(first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries
    item["LUTDescriptor"].VR = "SS"
    item["LUTData"].VR = "US"
    return item


@pytest.mark.parametrize("pixels", [RAMP, RAMP8])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 128, "WindowWidth": 256}])
@pytest.mark.parametrize("parsed", [False, True])
def test_a_shape_that_contradicts_the_photometric_interpretation_is_refused(
    pixels: Any, window: dict[str, int], parsed: bool, write_dicom: WriteDicom
) -> None:
    """As of DICOM PS3.3, C.8.11.3; dcmtk inverts by the shape, others by the interpretation."""
    for photometric, shape in (("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")):
        says: dict[str, Any] = {"PhotometricInterpretation": photometric, **window}
        plain = read_image(write_dicom(pixels, **says)).pixels
        if parsed:
            says["SpecificCharacterSet"] = "GB18030"  # read by pydicom, not by its bytes
        shaped = write_dicom(pixels, PresentationLUTShape=shape, **says)
        np.testing.assert_array_equal(read_image(shaped).pixels, plain)
        other = "IDENTITY" if shape == "INVERSE" else "INVERSE"
        path = write_dicom(pixels, PresentationLUTShape=other, **says)
        with pytest.raises(ContradictoryHeaderError, match=f"Presentation LUT Shape is {other}"):
            read_image(path)


def test_plain_8_bit_stays_and_monochrome1_is_inverted(write_dicom: WriteDicom) -> None:
    frames = read_image(write_dicom(RAMP8))
    assert (frames.format, frames.bits, frames.pixels.dtype) == ("DICOM", 8, np.dtype(np.uint8))
    np.testing.assert_array_equal(frames.pixels, RAMP8[:, None])
    inverted = write_dicom(RAMP8, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(inverted).pixels, 255 - RAMP8[:, None])


def test_without_a_window_the_file_spans_0_to_1(write_dicom: WriteDicom) -> None:
    two = np.concatenate([RAMP, RAMP // 2])
    frames = read_image(write_dicom(two))
    assert (frames.bits, frames.pixels.shape) == (16, (2, 1, 64, 64))
    np.testing.assert_allclose(frames.pixels[:, 0], (two + 1000.0) / 4095, atol=1e-6)
    inverted = read_image(write_dicom(two, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(inverted.pixels[:, 0], 1 - (two + 1000.0) / 4095, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_constant_image_is_0(write_dicom: WriteDicom, photometric: str) -> None:
    constant = np.full((1, 4, 4), 700, np.uint16)
    path = write_dicom(constant, PhotometricInterpretation=photometric)
    assert not read_image(path).pixels.any()


def test_padding_does_not_stretch_the_range(write_dicom: WriteDicom) -> None:
    pixels = np.array([[[-2000, 0, 50, 100]]], np.int16)
    path = write_dicom(pixels, PixelPaddingValue=-2000)
    np.testing.assert_allclose(read_image(path).pixels.ravel(), [0, 0, 0.5, 1])
    pixels[0, 0, 1] = -1990
    path = write_dicom(pixels, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990)
    np.testing.assert_allclose(read_image(path).pixels.ravel(), [0, 0, 0, 1])


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID", None])
def test_windows(write_dicom: WriteDicom, function: str | None) -> None:
    elements: dict[str, Any] = {"VOILUTFunction": function} if function else {}
    path = write_dicom(
        RAMP, WindowCenter=[40, 500], WindowWidth=[400, 9], RescaleSlope=2, RescaleIntercept=-24,
        **elements,
    )  # fmt: skip
    values = RAMP[:, None] * 2.0 - 24
    expected = {
        "LINEAR": np.clip((values - 39.5) / 399 + 0.5, 0, 1),
        "LINEAR_EXACT": np.clip((values - 40) / 400 + 0.5, 0, 1),
        "SIGMOID": 1 / (1 + np.exp(np.clip(-4 * (values - 40) / 400, -80, 80))),
    }[function or "LINEAR"]
    np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-6)


def test_a_window_of_width_1_is_a_threshold(write_dicom: WriteDicom) -> None:
    path = write_dicom(RAMP, WindowCenter=100, WindowWidth=1)
    np.testing.assert_array_equal(read_image(path).pixels[:, 0], RAMP > 99.5)


@pytest.mark.parametrize(("centre", "width"), [(40, 0), (40, -5), (30000, 100)])
def test_a_window_that_shows_nothing_is_ignored(
    write_dicom: WriteDicom, centre: int, width: int
) -> None:
    path = write_dicom(RAMP, WindowCenter=centre, WindowWidth=width)
    np.testing.assert_allclose(read_image(path).pixels[:, 0], (RAMP + 1000.0) / 4095, atol=1e-6)


def test_voi_lut_wins_over_the_window_and_spans_its_bits(write_dicom: WriteDicom) -> None:
    entries = [0, 100, 1000, 4095]
    path = write_dicom(
        np.array([[[0, 10, 11, 12, 13, 99]]], np.uint16),
        VOILUTSequence=[table(10, 12, entries)], WindowCenter=1, WindowWidth=2,
    )  # fmt: skip
    expected = np.array([0, 0, 100, 1000, 4095, 4095]) / 4095
    np.testing.assert_allclose(read_image(path).pixels.ravel(), expected, atol=1e-6)


def test_modality_lut_comes_first(write_dicom: WriteDicom) -> None:
    path = write_dicom(
        np.array([[[-2, -1, 0, 5]]], np.int16),
        ModalityLUTSequence=[table(-2, 16, [30, 20, 10])], WindowCenter=20, WindowWidth=20,
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    np.testing.assert_allclose(read_image(path).pixels.ravel(), [1, 0.5, 0, 0], atol=1e-6)


def test_enhanced_files_keep_tables_per_frame(write_dicom: WriteDicom) -> None:
    def group(**elements: Any) -> Dataset:
        macro, outer = Dataset(), Dataset()
        for keyword, value in elements.items():
            setattr(macro, keyword, value)
        name = "PixelValueTransformationSequence" if "RescaleSlope" in elements else ""
        setattr(outer, name or "FrameVOILUTSequence", [macro])
        return outer

    path = write_dicom(
        np.array([[[0, 50, 100]], [[0, 50, 100]]], np.uint16),
        SharedFunctionalGroupsSequence=[group(WindowCenter=50, WindowWidth=100,
                                              VOILUTFunction="LINEAR_EXACT")],
        PerFrameFunctionalGroupsSequence=[group(RescaleSlope=1, RescaleIntercept=0),
                                          group(RescaleSlope=0.5, RescaleIntercept=25)],
    )  # fmt: skip
    expected = [[0, 0.5, 1], [0.25, 0.5, 0.75]]
    np.testing.assert_allclose(read_image(path).pixels[:, 0, 0], expected, atol=1e-6)


def test_colour(write_dicom: WriteDicom) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(read_image(write_dicom(rgb)).pixels, np.moveaxis(rgb, -1, 1))
    planar = write_dicom(
        rgb,
        PlanarConfiguration=1,
        PixelData=np.ascontiguousarray(np.moveaxis(rgb, -1, 1)).tobytes(),
    )
    np.testing.assert_array_equal(read_image(planar).pixels, np.moveaxis(rgb, -1, 1))
    gray_ybr = np.full((1, 2, 2, 3), [90, 128, 128], np.uint8)
    path = write_dicom(gray_ybr, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(read_image(path).pixels, np.full((1, 3, 2, 2), 90))
    deep = rgb.astype(np.uint16) * 16
    pixels = read_image(write_dicom(deep, stored=12)).pixels
    np.testing.assert_allclose(pixels, np.moveaxis(deep, -1, 1) / 4095, atol=1e-6)


def test_palette_becomes_rgb(write_dicom: WriteDicom) -> None:
    ramps = {"Red": np.arange(256), "Green": 255 - np.arange(256), "Blue": np.full(256, 7)}
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour, ramp in ramps.items():
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        elements[f"{colour}PaletteColorLookupTableData"] = ramp.astype(np.uint8).tobytes()
    path = write_dicom(RAMP8, **elements)
    frames = read_image(path)
    expected = np.stack([ramp[RAMP8] for ramp in ramps.values()], axis=1)
    assert frames.bits == 8
    np.testing.assert_array_equal(frames.pixels, expected)
    assert inspect_image(path).channels == 3


@pytest.mark.parametrize("stored", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_lossless_is_exact(write_dicom: WriteDicom, stored: int, signed: bool) -> None:
    low = -(2 ** (stored - 1)) if signed else 0
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if stored == 8 else 2}")
    pixels = np.linspace(low, low + 2**stored - 1, 256).astype(kind).reshape(1, 16, 16)
    coded = pixels[0].view(f"u{kind.itemsize}") & (2**stored - 1)
    frame = bytes(imagecodecs.jpeg8_encode(coded, lossless=True, bitspersample=stored))
    path = write_dicom(
        pixels, syntax=JPEGLosslessSV1, stored=stored, PixelData=encapsulate([frame]),
        WindowCenter=low + 2 ** (stored - 1), WindowWidth=2**stored - 1,
        VOILUTFunction="LINEAR_EXACT",
    )  # fmt: skip
    expected = np.clip((pixels.astype(float) - low - 0.5) / (2**stored - 1), 0, 1)
    np.testing.assert_allclose(read_image(path).pixels[:, 0], expected, atol=1e-6)
    cut = write_dicom(pixels, syntax=JPEGLosslessSV1, PixelData=encapsulate([frame[:-20]]))
    with pytest.raises(DecodeError, match="truncated"):
        read_image(cut)


def test_jpeg_lossless_colour_is_not_converted(write_dicom: WriteDicom) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    frame = bytes(imagecodecs.jpeg8_encode(rgb[0], lossless=True, colorspace="RGB"))
    path = write_dicom(rgb, syntax=JPEGLosslessSV1, PixelData=encapsulate([frame]))
    np.testing.assert_array_equal(read_image(path).pixels, np.moveaxis(rgb, -1, 1))


def test_jpeg_extended_of_12_bits(write_dicom: WriteDicom) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint16)[None] * 32
    frame = bytes(imagecodecs.jpeg8_encode(smooth[0], level=98, bitspersample=12))
    path = write_dicom(smooth, syntax=JPEGExtended12Bit, stored=12, PixelData=encapsulate([frame]))
    np.testing.assert_allclose(read_image(path).pixels[0, 0], smooth[0] / smooth.max(), atol=0.01)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_nan_in_float_pixel_data(write_dicom: WriteDicom, wrong: float) -> None:
    pixels = np.array([[[0.25, 1.5]]], np.float32)
    np.testing.assert_array_equal(read_image(write_dicom(pixels)).pixels.ravel(), [0, 1])
    pixels[0, 0, 0] = wrong
    with pytest.raises(NonFiniteError):
        read_image(write_dicom(pixels))
    with pytest.raises(NonFiniteError):
        read_image(write_dicom(pixels, WindowCenter=1, WindowWidth=2))


def test_facts(write_dicom: WriteDicom) -> None:
    facts = inspect_image(write_dicom(RAMP, stored=12), decode=False)
    assert (facts.width, facts.height, facts.channels, facts.bits) == (64, 64, 1, 12)
    assert (facts.photometric, facts.frames) == ("MONOCHROME2", 1)
    assert facts.transfer_syntax == "Explicit VR Little Endian"
    assert (facts.problem, facts.reason) == ("", "")
