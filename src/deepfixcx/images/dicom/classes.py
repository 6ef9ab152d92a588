"""What kind of DICOM object a derived image becomes.

A privatized image is no measurement any more: its numbers are gray values for display, not
Hounsfield units, doses or counts. Four kinds of object allow just that and keep their place in the
patient, so they are kept: CR, DX, CT and MR, where the header says what they require. Everything
else becomes Secondary Capture, the standard's kind for images that other programs made.
"""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MRImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

__all__ = ["MULTI_FRAME", "SIXTEEN_BITS", "class_of"]

_PLANE: Final = (
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "FrameOfReferenceUID",
)
_RADIOGRAPH: Final = (
    "PixelIntensityRelationship",
    "ImageLaterality",
    "PatientOrientation",
    "ImagerPixelSpacing",
)
_KEPT: Final = {
    # class: what it becomes, and which elements it must have a value of
    ComputedRadiographyImageStorage: (ComputedRadiographyImageStorage, ()),
    DigitalXRayImageStorageForPresentation: (DigitalXRayImageStorageForPresentation, _RADIOGRAPH),
    DigitalXRayImageStorageForProcessing: (DigitalXRayImageStorageForPresentation, _RADIOGRAPH),
    CTImageStorage: (CTImageStorage, _PLANE),
    MRImageStorage: (MRImageStorage, (*_PLANE, "ScanningSequence", "SequenceVariant")),
}
SIXTEEN_BITS: Final = frozenset({CTImageStorage, MRImageStorage})
"""Classes that allow no other depth."""

_MULTI_FRAME: Final = {
    (1, 8): MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    (1, 16): MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    (3, 8): MultiFrameTrueColorSecondaryCaptureImageStorage,
    (3, 16): MultiFrameTrueColorSecondaryCaptureImageStorage,
}
MULTI_FRAME: Final = frozenset(_MULTI_FRAME.values())
"""Secondary Capture of several frames."""


def class_of(header: Dataset, *, channels: int, frames: int, bits: int) -> UID:
    """Choose the SOP class of an image derived from another.

    Parameters
    ----------
    header : Dataset
        The header of the source.
    channels : int
        1 or 3.
    frames : int
        Frames of the derived image.
    bits : int
        8 or 16 bits per sample.

    Returns
    -------
    UID
        The source's own class, or the one of DX for presentation, or Secondary Capture.

    References
    ----------
    DICOM PS3.3 A.2, A.3, A.4, A.26 (classes that are kept), A.8 (Secondary Capture).

    Examples
    --------
    >>> class_of(Dataset(), channels=3, frames=1, bits=8).name
    'Secondary Capture Image Storage'
    """
    wanted, required = _KEPT.get(UID(str(header.get("SOPClassUID", ""))), (None, ()))
    if "NumberOfFrames" in header and frames == 1 and wanted is not None:
        wanted = None  # none of these classes knows frames: the header is not what it says
    if wanted and channels == 1 and frames == 1 and all(header.get(name) for name in required):
        return wanted
    if frames > 1:
        return _MULTI_FRAME[channels, bits]
    return SecondaryCaptureImageStorage
