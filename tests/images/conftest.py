"""A factory of DICOM files, so that every test shows only what it is about."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

WriteDicom = Callable[..., Path]


def _dataset(pixels: NDArray[Any], stored: int | None) -> Dataset:
    """Describe pixels (F, H, W) or (F, H, W, 3)."""
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "OT"
    dataset.Rows, dataset.Columns = pixels.shape[1:3]
    dataset.NumberOfFrames = len(pixels)
    dataset.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    if pixels.dtype.kind == "f":
        dataset.FloatPixelData = pixels.tobytes()
        return dataset
    dataset.BitsStored = stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    content = pixels.tobytes()
    dataset.PixelData = content + b"\x00" * (len(content) % 2)
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    return dataset


@pytest.fixture
def write_dicom(tmp_path: Path) -> WriteDicom:
    """Write pixels (F, H, W[, 3]) as DICOM; keywords set or replace elements of the header."""

    def write(
        pixels: NDArray[Any],
        *,
        syntax: UID = ExplicitVRLittleEndian,
        stored: int | None = None,
        name: str = "image",
        **elements: Any,
    ) -> Path:
        dataset = _dataset(np.asarray(pixels), stored)
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        if syntax.is_encapsulated:
            dataset["PixelData"].VR = "OB"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = tmp_path / name
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write
