"""Headers and files for these tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from deepfixcx.deidentify import Key, Profile

KEY = Key(b"a key of thirty-two bytes, or so." * 2)
EVERYTHING = Profile(
    retain_dates=True,
    retain_patient=True,
    retain_device=True,
    clean_descriptors=True,
    clean_graphics=True,
)


def canary(number: int) -> str:
    """Return a word that stands nowhere else: ``Kanzq`` and nine letters."""
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    return "Kanzq" + "".join(chr(ord("a") + int(digit, 16)) for digit in digest[:9])


def make_header(**elements: object) -> Dataset:
    """Return a small chest image without pixels; keywords set or replace elements."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID = SecondaryCaptureImageStorage
    header.SOPInstanceUID = "1.2.826.0.1.77.1"
    header.StudyInstanceUID = "1.2.826.0.1.77.2"
    header.SeriesInstanceUID = "1.2.826.0.1.77.3"
    header.Modality = "CR"
    header.PatientName = "Winterbottom^Ottilie"
    header.PatientID = "HOSP-774411"
    header.PatientBirthDate = "19510607"
    header.PatientSex = "F"
    header.StudyDate = "20210304"
    header.StudyTime = "101112"
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


def save(header: Dataset, path: Path) -> Path:
    """Write a header as a file."""
    if not hasattr(header, "file_meta"):
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.save_as(path, enforce_file_format=True)
    return path
