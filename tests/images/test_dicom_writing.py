"""A derived DICOM image: what stays of the header, what is replaced, and where the pixels lie."""

from __future__ import annotations

import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread, examples
from pydicom.dataelem import DataElement
from pydicom.sr.codedict import codes
from pydicom.uid import (
    JPEG2000,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from deepfixcx import Codec, CodecSpec
from deepfixcx.errors import NonFiniteError, PixelsShapeError
from deepfixcx.images import read_image
from deepfixcx.images.dicom.geometry import Lattice, adjust_geometry, lattice_of
from deepfixcx.images.dicom.writing import Derivation, derived_dataset, dicom_bytes, lossy_before
from tests.programs import program

UIDS: dict[str, Any] = {"instance_uid": "2.25.1", "series_uid": "2.25.2"}
GRAY = np.linspace(0, 1, 64).reshape(1, 8, 8)


def derived(header: Dataset, images: list[Any], bits: int = 16, **options: Any) -> Dataset:
    lattice = options.pop("lattice", Lattice())
    made = Derivation("a test", **UIDS, **({"ratio": 4.0} | options))
    return derived_dataset(header, images, bits=bits, derivation=made, lattice=lattice)


def ct() -> Dataset:
    header: Dataset = deepcopy(examples.ct)
    del header.PixelData
    return header


def errors_of(dataset: Dataset, path: Path) -> list[str]:
    """Return what a validator says is wrong."""
    path.write_bytes(dicom_bytes(dataset))
    validator = program("dicom3tools", "dciodvfy")
    done = subprocess.run([validator, str(path)], capture_output=True, check=False, timeout=240)
    said = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    assert said
    return [line for line in said if line.startswith("Error")]


def test_the_header_of_the_source_stays_as_it_is() -> None:
    header = ct()
    before = deepcopy(header)
    derived(header, [GRAY], lattice=Lattice((3, 3), (8, 8)))
    assert header == before


def test_stored_values_are_no_measurements_any_more() -> None:
    header = ct()
    header.WindowCenter, header.WindowWidth, header.PixelPaddingValue = 40, 400, -2000
    header.SmallestImagePixelValue = -1000
    header.add_new(0x60003000, "OW", b"\x01\x00")  # an overlay, which shows the source
    header.add_new(0x60000010, "US", 128)
    icon = Dataset()
    icon.Rows = 64
    header.IconImageSequence = [icon]
    nested = Dataset()
    nested.IconImageSequence = [icon]
    header.ReferencedImageSequence = [nested]
    made = derived(header, [GRAY])
    assert made.SOPClassUID == CTImageStorage
    assert (made.RescaleIntercept, made.RescaleSlope, made.RescaleType) == (0, 1, "US")
    assert (made.WindowCenter, made.WindowWidth) == (32768, 65536)
    assert (made.BitsAllocated, made.BitsStored, made.HighBit) == (16, 16, 15)
    assert (made.PixelRepresentation, made.PhotometricInterpretation) == (0, "MONOCHROME2")
    assert "PixelPaddingValue" not in made
    assert "SmallestImagePixelValue" not in made
    assert not [element for element in made if element.tag.group == 0x6000]
    assert "IconImageSequence" not in made
    assert "IconImageSequence" not in made.ReferencedImageSequence[0]
    assert made.KVP == header.KVP
    assert made.pixel_array.max() == 65535


def test_what_was_lost_before_is_not_forgotten() -> None:
    header = ct()
    header.LossyImageCompression = "01"
    header.LossyImageCompressionRatio = ["12", "3.5"]
    header.LossyImageCompressionMethod = ["ISO_10918_1", "ISO_15444_1"]
    header.DerivationDescription = "smoothed"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113087", "DCM", "Smoothing"
    header.DerivationCodeSequence = [code]
    before = lossy_before(header, ExplicitVRLittleEndian, 1.0)
    made = derived(header, [GRAY], before=before, resampled=True)
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionRatio == [12, 3.5, 4]
    assert made.LossyImageCompressionMethod == ["ISO_10918_1", "ISO_15444_1", "DEEPFIXCX"]
    assert made.DerivationDescription == "smoothed; a test"
    said = [(item.CodeValue, item.CodeMeaning) for item in made.DerivationCodeSequence]
    known = codes.cid7203
    assert said[:3] == [
        ("113087", "Smoothing"),
        (known.LossyCompression.value, known.LossyCompression.meaning),
        (known.SpatialResampling.value, known.SpatialResampling.meaning),
    ]
    assert made.DerivationCodeSequence[3].CodingSchemeDesignator == "99DEEPFIXCX"
    assert len(header.DerivationCodeSequence) == 1


@pytest.mark.parametrize(
    ("header", "syntax", "wanted"),
    [
        ({}, ExplicitVRLittleEndian, ()),
        ({}, JPEGBaseline8Bit, (("8", "ISO_10918_1"),)),
        ({"LossyImageCompression": "00"}, JPEG2000, ()),
        ({"LossyImageCompressionRatio": "10"}, JPEG2000, (("10", "ISO_15444_1"),)),
        ({"LossyImageCompressionRatio": "10"}, ExplicitVRLittleEndian, (("10", ""),)),
    ],
)
def test_lossy_compressions_of_the_source(
    header: dict[str, str], syntax: Any, wanted: tuple[tuple[str, str], ...]
) -> None:
    dataset = Dataset()
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    assert lossy_before(dataset, syntax, 8.0) == wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["ORIGINAL", "PRIMARY", "AXIAL"], ["DERIVED", "PRIMARY", "AXIAL"]),
        (["DERIVED", "SECONDARY"], ["DERIVED", "SECONDARY"]),
        (["ORIGINAL"], ["DERIVED", "SECONDARY"]),
        (None, ["DERIVED", "SECONDARY"]),
    ],
)
def test_image_type(before: list[str] | None, after: list[str]) -> None:
    header = ct()
    header.ImageType = before
    assert derived(header, [GRAY]).ImageType == after


@given(
    side=st.tuples(st.integers(40, 90), st.integers(40, 90)),
    level=st.integers(1, 3),
    patches=st.integers(1, 5),
    grid=st.sampled_from(["balanced", "padded"]),
)
def test_the_lattice_is_where_a_bright_point_turns_up(
    side: tuple[int, int], level: int, patches: int, grid: Any
) -> None:
    """The centre of gravity of a pooled ramp of cells agrees with the lattice."""
    spec = CodecSpec(level, patches, pooling="sum", grid=grid)
    height, width = side
    lattice = lattice_of(spec, "compact", height, width)
    rows = spec.cells(height, width)[0]
    # each cell of rows lies, on average, where the compact image's rows of it lie
    first = np.arange(patches) * spec.block
    centres = lattice.offset[0] + lattice.step[0] * (first + (spec.block - 1) / 2)
    padded = int(rows.lengths.sum())
    before = (padded - spec.band_shape(height, width)[0]) // 2
    edges = np.linspace(0, padded, patches + 1) - before
    wanted = (edges[:-1] + edges[1:]) / 2 * spec.block - 0.5
    np.testing.assert_allclose(centres, wanted)


def test_a_point_stays_where_it_is_in_the_patient() -> None:
    image = np.zeros((64, 96), np.float32)
    image[40:48, 64:72] = 1  # one cell, at level 1 with 8 x 12 cells
    spec = CodecSpec(1, (8, 12))
    small = Codec(spec).privatize(image)
    lattice = lattice_of(spec, "compact", 64, 96)
    row, column = (np.average(np.arange(n), weights=small.sum(a)) for n, a in ((16, 1), (24, 0)))
    header = Dataset()
    header.PixelSpacing = [0.5, 0.25]
    header.ImagePositionPatient = [10, -20, 30]
    header.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    before = _in_patient(header, 43.5, 67.5)
    adjust_geometry(header, lattice)
    np.testing.assert_allclose(_in_patient(header, row, column), before, atol=1e-6)
    assert header.PixelSpacing == [2, 1]


def _in_patient(header: Dataset, row: float, column: float) -> Any:
    """Return where a pixel lies, as PS3.3 C.7.6.2.1.1 says."""
    along_row, along_column = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
    down, right = map(float, header.PixelSpacing)
    position = np.array(header.ImagePositionPatient, float)
    return position + along_row * right * column + along_column * down * row


def test_geometry_of_other_kinds() -> None:
    header = Dataset()
    header.ImagerPixelSpacing = ["0.1", "0.2"]
    header.PixelSpacing = [0, 0]  # says nothing
    header.ShutterShape, header.ShutterLeftVerticalEdge = "RECTANGULAR", 100
    adjust_geometry(header, Lattice((1.5, 1.5), (4, 4)))
    assert header.ImagerPixelSpacing == [0.4, 0.8]
    assert "PixelSpacing" not in header
    assert "ShutterShape" not in header
    assert "PixelAspectRatio" not in header
    unspaced = Dataset()
    adjust_geometry(unspaced, Lattice((0, 0), (10, 7.5)))
    assert unspaced.PixelAspectRatio == [4, 3]
    kept = Dataset()
    kept.ShutterShape = "RECTANGULAR"
    adjust_geometry(kept, Lattice())
    assert kept.ShutterShape == "RECTANGULAR"


def test_processing_becomes_presentation_with_the_right_sign() -> None:
    header = Dataset()
    header.SOPClassUID = DigitalXRayImageStorageForProcessing
    header.StudyInstanceUID = "1.2"
    header.PresentationIntentType = "FOR PROCESSING"
    header.PixelIntensityRelationship, header.PixelIntensityRelationshipSign = "LIN", 1
    header.PhotometricInterpretation = "MONOCHROME1"
    header.ImageLaterality, header.PatientOrientation = "U", ["L", "F"]
    header.ImagerPixelSpacing = [0.1, 0.1]
    made = derived(header, [GRAY])
    assert made.SOPClassUID == DigitalXRayImageStorageForPresentation
    assert made.PresentationIntentType == "FOR PRESENTATION"
    assert made.PixelIntensityRelationshipSign == -1  # bright is where little came through
    assert made.PresentationLUTShape == "IDENTITY"
    del header.ImagerPixelSpacing  # without what DX requires it is an image like any other
    assert derived(header, [GRAY]).SOPClassUID == SecondaryCaptureImageStorage


def test_another_object_leaves_its_meaning_behind() -> None:
    header = Dataset()
    header.SOPClassUID, header.StudyInstanceUID = SegmentationStorage, "1.2"
    header.Modality, header.SegmentationType = "SEG", "BINARY"
    header.SegmentSequence = [Dataset()]
    made = derived(header, [GRAY, GRAY], bits=8)
    assert made.SOPClassUID == MultiFrameGrayscaleByteSecondaryCaptureImageStorage
    assert made.Modality == "OT"
    assert "SegmentSequence" not in made
    assert (made.NumberOfFrames, made.PageNumberVector) == (2, [1, 2])
    assert made.BurnedInAnnotation == "YES"  # nobody said that there is none
    assert made.pixel_array.shape == (2, 8, 8)


def test_colour_of_several_frames_has_eight_bits() -> None:
    header = Dataset()
    header.StudyInstanceUID, header.FrameTime = "1.2", "40"
    colour = np.stack([GRAY[0], GRAY[0] / 2, GRAY[0] * 0])
    made = derived(header, [colour, colour], bits=16)
    assert made.SOPClassUID == MultiFrameTrueColorSecondaryCaptureImageStorage
    assert (made.BitsAllocated, made.PhotometricInterpretation) == (8, "RGB")
    assert made["FrameIncrementPointer"].value == 0x00181063
    assert made.pixel_array[1, -1, -1].tolist() == [255, 128, 0]
    assert derived(header, [colour], bits=16).BitsAllocated == 16


def enhanced(frames: int) -> Dataset:
    header = Dataset()
    header.SOPClassUID, header.StudyInstanceUID = EnhancedMRImageStorage, "1.2.3"
    header.ContentDate, header.ContentTime = "20200101", "120000"
    header.FrameOfReferenceUID, header.Modality = "1.2.9", "MR"
    header.PositionReferenceIndicator = ""
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1, 1], 5
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [orientation]
    header.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number in range(frames):
        position, group, tale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, 5 * number]
        group.PlanePositionSequence = [position]
        tale.FrameComments = "CANARY"
        group.FrameContentSequence = [tale]
        groups.append(group)
    header.PerFrameFunctionalGroupsSequence = groups
    return header


def test_frames_keep_their_places(tmp_path: Path) -> None:
    header = enhanced(3)
    made = derived(header, [GRAY] * 3, lattice=Lattice((0.5, 1.5), (2, 4)))
    for number, group in enumerate(made.PerFrameFunctionalGroupsSequence):
        position = group.PlanePositionSequence[0].ImagePositionPatient
        assert position == [1.5, 0.5, 5 * number]
        assert group.PixelMeasuresSequence[0].PixelSpacing == [2, 4]
        assert group.PixelMeasuresSequence[0].SliceThickness == 5
        assert "FrameContentSequence" not in group
    assert header == enhanced(3)
    assert errors_of(made, tmp_path / "made.dcm") == []
    del header.PerFrameFunctionalGroupsSequence[2]  # contradicts the frames: no places at all
    assert "PerFrameFunctionalGroupsSequence" not in derived(header, [GRAY] * 3)


def test_valid_without_anything_known(tmp_path: Path) -> None:
    bare = Dataset()
    bare.StudyInstanceUID = "1.2.3"
    cr = deepcopy(bare)
    cr.SOPClassUID, cr.Modality = ComputedRadiographyImageStorage, "CR"
    cr.BodyPartExamined, cr.ViewPosition = "HAND", "AP"
    colour = np.repeat(GRAY, 3, axis=0)
    for header, images in ((bare, [GRAY]), (bare, [colour]), (bare, [colour] * 2), (cr, [GRAY])):
        for bits in (8, 16):
            assert errors_of(derived(header, images, bits), tmp_path / "made.dcm") == []


def test_values_that_the_standard_forbids_are_emptied(tmp_path: Path) -> None:
    header = ct()
    header.add(DataElement(0x00101010, "AS", "62", validation_mode=0))
    header.add(DataElement(0x00080030, "TM", "11:20:00", validation_mode=0))
    header.PatientComments = "Größe"
    made = derived(header, [GRAY])
    assert (made.PatientAge, made.StudyTime) == ("", "")
    assert made.SpecificCharacterSet == "ISO_IR 192"
    (tmp_path / "made.dcm").write_bytes(dicom_bytes(made))
    assert "Größe".encode() in (tmp_path / "made.dcm").read_bytes()


@pytest.mark.parametrize("bits", [8, 16])
def test_written_and_read_back(tmp_path: Path, bits: int) -> None:
    image = np.random.default_rng(bits).random((1, 5, 7))  # an odd number of bytes
    header = Dataset()
    header.StudyInstanceUID = "1.2.3"
    (tmp_path / "one.dcm").write_bytes(dicom_bytes(derived(header, [image], bits)))
    (tmp_path / "two.dcm").write_bytes(dicom_bytes(derived(header, [image], bits)))
    assert (tmp_path / "one.dcm").read_bytes() == (tmp_path / "two.dcm").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.dcm", "two.dcm"]
    stored = dcmread(tmp_path / "one.dcm").pixel_array
    np.testing.assert_array_equal(stored, np.rint(image[0] * (2**bits - 1)))
    shown = read_image(tmp_path / "one.dcm").pixels[0]
    np.testing.assert_allclose(shown, image, atol=0.6 / (2**bits - 1))


def test_pixels_that_no_image_can_hold() -> None:
    header = Dataset()
    header.StudyInstanceUID = "1.2.3"
    for images in ([], [GRAY[0]], [GRAY, GRAY[:, :4]], [np.zeros((2, 4, 4))], [GRAY[:, :0]]):
        with pytest.raises(PixelsShapeError):
            derived(header, images)
    with pytest.raises(NonFiniteError):
        derived(header, [np.full((1, 4, 4), np.nan)])
