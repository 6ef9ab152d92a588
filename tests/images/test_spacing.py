"""Spacing of pixels: read where a header says it soundly, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deepfixcx.errors import EmptyFileError, UnreadableFileError
from deepfixcx.images.reading import PixelSpacing, pixel_spacing

WriteDicom = Callable[..., Path]

PIXELS = np.zeros((2, 8, 6), np.uint8)


def measures(rows: float, columns: float) -> Dataset:
    """Functional groups with one measure of pixels."""
    inner, groups = Dataset(), Dataset()
    inner.PixelSpacing = [rows, columns]
    groups.PixelMeasuresSequence = Sequence([inner])
    return groups


def test_pixel_spacing_is_rows_then_columns(write_dicom: WriteDicom) -> None:
    path = write_dicom(PIXELS, PixelSpacing=[0.5, 0.25])
    assert pixel_spacing(path) == PixelSpacing(0.5, 0.25)


def test_a_detector_has_a_spacing_of_its_own(write_dicom: WriteDicom) -> None:
    path = write_dicom(PIXELS, ImagerPixelSpacing=[0.143, 0.143])
    assert pixel_spacing(path) == PixelSpacing(0.143, 0.143, at_detector=True)
    both = write_dicom(PIXELS, ImagerPixelSpacing=[0.143, 0.143], PixelSpacing=[0.1, 0.1])
    assert pixel_spacing(both) == PixelSpacing(0.1, 0.1)


def test_frames_share_a_spacing_or_have_their_own(write_dicom: WriteDicom) -> None:
    shared = write_dicom(
        PIXELS, SharedFunctionalGroupsSequence=Sequence([measures(2, 3)]), name="shared"
    )
    assert pixel_spacing(shared, 1) == PixelSpacing(2, 3)
    each = write_dicom(
        PIXELS,
        PerFrameFunctionalGroupsSequence=Sequence([measures(2, 3), measures(4, 5)]),
        name="each",
    )
    assert [pixel_spacing(each, frame) for frame in (0, 1)] == [
        PixelSpacing(2, 3), PixelSpacing(4, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"PixelSpacing": None},
        {"PixelSpacing": [0, 0.5]},
        {"PixelSpacing": [-0.5, 0.5]},
        {"PixelSpacing": 0.5},
        {"PixelSpacing": [0.5, 0.5, 0.5]},
        {"ImagerPixelSpacing": [0, 0]},
        {"SharedFunctionalGroupsSequence": Sequence([Dataset()])},
    ],
)
def test_what_is_not_two_positive_numbers_is_no_spacing(
    write_dicom: WriteDicom, elements: dict[str, Any]
) -> None:
    assert pixel_spacing(write_dicom(PIXELS, **elements)) is None


def test_a_value_that_is_no_number_is_no_spacing(write_dicom: WriteDicom) -> None:
    path = write_dicom(PIXELS, PixelSpacing=[0.125, 0.125])
    content = path.read_bytes().replace(b"0.125\\0.125", b"Doe^Jane^xx")
    path.write_bytes(content)
    assert pixel_spacing(path) is None


def test_other_formats_have_none(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (4, 4)).save(path, dpi=(300, 300))
    assert pixel_spacing(path) is None


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError):
        pixel_spacing(tmp_path / "none.dcm")
    (tmp_path / "empty.dcm").touch()
    with pytest.raises(EmptyFileError):
        pixel_spacing(tmp_path / "empty.dcm")


def test_damaged_files_never_raise(data_folder: Path) -> None:
    for path in sorted((data_folder / "dicom" / "malformed").iterdir()):
        if path.stat().st_size:
            assert pixel_spacing(path) is None or pixel_spacing(path)
