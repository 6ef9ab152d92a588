"""A privatized image becomes a valid DICOM file, derived from that of its source.

The header comes from the source, de-identified by the caller. What it says about the stored
values is replaced, because the pixels are gray values for display now: black is 0, white the
largest number, and no lookup table stands between them and the screen. The header says how the
image was made, and what was lost.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    SecondaryCaptureImageStorage,
)

from deepfixcx.errors import NonFiniteError, PixelsShapeError
from deepfixcx.images.dicom.geometry import Lattice, adjust_geometry, plane_groups
from deepfixcx.images.dicom.headers import (
    ABOUT_STORED_VALUES,
    EMPTY_IF_UNKNOWN,
    KEPT_IN_CAPTURE,
    MULTI_FRAME,
    REMOVED_GROUPS,
    SIXTEEN_BITS,
    UNPAIRED,
    class_of,
    make_valid,
)

__all__ = [
    "METHOD",
    "Derivation",
    "add_derivation",
    "derived_dataset",
    "dicom_bytes",
    "lossy_before",
]

METHOD: Final = "DEEPFIXCX"
"""How Lossy Image Compression Method calls the codec."""

_LOSSY: Final = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
}
_CODES: Final = {
    "lossy": ("113040", "DCM", "Lossy Compression"),
    "resampled": ("113085", "DCM", "Spatial resampling"),
    "codec": ("DFCX", "99DEEPFIXCX", "Wavelet packets pooled in cells"),
}
_LONGEST: Final = 1024
"""Characters of a Derivation Description."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How an image was made from another one."""

    description: str
    instance_uid: str
    series_uid: str
    ratio: float
    resampled: bool = False
    before: tuple[tuple[str, str], ...] = ()


def lossy_before(header: Dataset, syntax: UID, ratio: float) -> tuple[tuple[str, str], ...]:
    """List the lossy compressions that an image has gone through."""
    steps = tuple(
        (str(ratio or ""), str(method or ""))
        for ratio, method in zip_longest(
            _values(header, "LossyImageCompressionRatio"),
            _values(header, "LossyImageCompressionMethod"),
        )
    )
    denied = str(header.get("LossyImageCompression", "")) == "00"  # JPEG 2000 may be lossless
    if syntax in _LOSSY and not steps and not denied:
        return ((_short(ratio), _LOSSY[syntax]),)
    if syntax in _LOSSY and len(steps) == 1 and not steps[0][1]:
        return ((steps[0][0], _LOSSY[syntax]),)
    return steps


def _values(header: Dataset, keyword: str) -> list[object]:
    value = header.get(keyword)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str | float | int) else list(value)


def add_derivation(made: Dataset, derivation: Derivation) -> None:
    """Write down how an image was made, in place, behind what the header says already."""
    before = [str(word) for word in _values(made, "ImageType")][1:]
    if before[:1] not in (["PRIMARY"], ["SECONDARY"]):
        before = ["SECONDARY", *before[1:]]
    made.ImageType = ["DERIVED", *before]
    said = str(made.get("DerivationDescription") or "")
    # Of a text that would be too long the end counts, which says what was done last.
    made.DerivationDescription = "; ".join(filter(None, (said, derivation.description)))[-_LONGEST:]
    names = ["lossy", "resampled", "codec"] if derivation.resampled else ["lossy", "codec"]
    codes = [_code(*_CODES[name]) for name in names]
    made.DerivationCodeSequence = [*(made.get("DerivationCodeSequence") or ()), *codes]
    steps = (*derivation.before, (_short(derivation.ratio), METHOD))
    made.LossyImageCompression = "01"
    made.LossyImageCompressionRatio = [ratio for ratio, _ in steps]
    made.LossyImageCompressionMethod = [method for _, method in steps]


def _short(ratio: float) -> str:
    return f"{ratio:.4g}" if ratio < 10_000 else f"{ratio:.0f}"


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


IMPLEMENTATION_UID: Final = UID("2.25.84636468981563785507127730568070158264")
"""Names this writer in every file, as the standard asks for."""

_DEIDENTIFICATION: Final = 0x0012

_OF_OTHER_OBJECTS: Final = frozenset({"SEG", "RTDOSE", ""})


@dataclass(frozen=True, slots=True)
class _Samples:
    """Pixels as they are stored."""

    frames: NDArray[Any]
    bits: int

    @property
    def channels(self) -> int:
        return 1 if self.frames.ndim == 3 else 3


def derived_dataset(
    header: Dataset,
    images: Sequence[NDArray[Any]],
    *,
    bits: int,
    derivation: Derivation,
    lattice: Lattice,
) -> Dataset:
    """Build the data set of an image that was made from another one."""
    channels = _channels_of(images)
    uid = class_of(header, channels=channels, frames=len(images), bits=bits)
    only_bytes = uid in MULTI_FRAME and channels == 3
    samples = _samples(images, 16 if uid in SIXTEEN_BITS else 8 if only_bytes else bits)
    captured = uid == SecondaryCaptureImageStorage or uid in MULTI_FRAME
    made = _copied(header, KEPT_IN_CAPTURE if captured else None)
    made.SOPClassUID, made.SOPInstanceUID = uid, derivation.instance_uid
    made.SeriesInstanceUID = derivation.series_uid
    if captured:
        _as_capture(made, header)
    if uid in MULTI_FRAME:
        _as_frames(made, header, len(images), lattice)
    adjust_geometry(made, lattice)
    if "PerFrameFunctionalGroupsSequence" in made:
        made.pop("PixelAspectRatio", None)  # each frame has its spacing
        made.InstanceNumber = made.get("InstanceNumber") or 1
    _set_pixels(made, samples)
    _set_display(made, header, samples)
    add_derivation(made, derivation)
    for keyword in EMPTY_IF_UNKNOWN:
        if keyword not in made:
            setattr(made, keyword, None if keyword.endswith("Number") else "")
    if made.get("BodyPartExamined") not in UNPAIRED and not made.get("ImageLaterality"):
        made.Laterality = made.get("Laterality") or ""
    if (captured or "ImageOrientationPatient" not in made) and "PatientOrientation" not in made:
        made.PatientOrientation = ""
    make_valid(made)
    _set_meta(made)
    return made


def dicom_bytes(dataset: Dataset) -> bytes:
    """Return the file of a complete data set from `derived_dataset`, the same for the same one."""
    content = io.BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def _channels_of(images: Sequence[NDArray[Any]]) -> int:
    """Check the frames; return how many channels they have."""
    shapes = {np.shape(image) for image in images}
    shape = next(iter(shapes), ())
    if len(shapes) != 1 or len(shape) != 3 or shape[0] not in (1, 3) or 0 in shape:
        raise PixelsShapeError(
            f"a DICOM image needs frames (C, H, W) of one shape with C = 1 or 3, "
            f"not {sorted(shapes)}"
        )
    return int(shape[0])


def _samples(images: Sequence[NDArray[Any]], bits: int) -> _Samples:
    dtype = np.dtype(f"<u{bits // 8}")
    stack = np.stack([np.asarray(image, np.float64) for image in images])
    if not np.isfinite(stack).all():
        raise NonFiniteError("the pixels contain NaN or infinity, which DICOM cannot store")
    whole = np.rint(np.clip(stack, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    return _Samples(whole[:, 0] if whole.shape[1] == 1 else np.moveaxis(whole, 1, -1), bits)


def _copied(header: Dataset, kept: frozenset[str] | None) -> Dataset:
    """Copy a header without what belongs to the pixels of the source, its previews and drawings."""
    made = Dataset()
    for element in header:
        tag, keyword = element.tag, element.keyword
        if keyword in ABOUT_STORED_VALUES or tag.group in REMOVED_GROUPS:
            continue
        if kept is None or keyword in kept or tag.group == _DEIDENTIFICATION:
            made[tag] = deepcopy(element)
    _remove_previews(made)
    return made


def _remove_previews(item: Dataset) -> None:
    """Remove small pictures of the source, at any depth."""
    item.pop("IconImageSequence", None)
    for element in item:
        if element.VR == "SQ":
            for each in element.value:
                _remove_previews(each)


def _as_capture(made: Dataset, header: Dataset) -> None:
    """Fill in what Secondary Capture requires."""
    if header.get("SOPClassUID") != SecondaryCaptureImageStorage or not made.get("ConversionType"):
        made.ConversionType = "WSD"  # made by a workstation
    if str(made.get("Modality") or "") in _OF_OTHER_OBJECTS:
        made.Modality = "OT"


def _as_frames(made: Dataset, header: Dataset, frames: int, lattice: Lattice) -> None:
    """Fill in what Secondary Capture of several frames requires."""
    made.NumberOfFrames = frames
    if made.get("FrameTime"):
        made.FrameIncrementPointer = Tag("FrameTime")
    else:
        made.FrameIncrementPointer = Tag("PageNumberVector")
        made.PageNumberVector = list(range(1, frames + 1))
    made.BurnedInAnnotation = (
        made.get("BurnedInAnnotation") or "YES"
    )  # unless the source states otherwise
    if header.get("ContentDate") and header.get("ContentTime"):
        made.update(plane_groups(header, frames, lattice))


def _set_pixels(made: Dataset, samples: _Samples) -> None:
    made.SamplesPerPixel = samples.channels
    made.PhotometricInterpretation = "MONOCHROME2" if samples.channels == 1 else "RGB"
    if samples.channels == 3:
        made.PlanarConfiguration = 0
    made.Rows, made.Columns = samples.frames.shape[1:3]
    made.BitsAllocated = made.BitsStored = samples.bits
    made.HighBit, made.PixelRepresentation = samples.bits - 1, 0
    content = samples.frames.tobytes()
    made.PixelData = content + bytes(len(content) % 2)
    made["PixelData"].VR = "OB" if samples.bits == 8 else "OW"


def _set_display(made: Dataset, header: Dataset, samples: _Samples) -> None:
    """Say that the values are gray values already, in the words of each class."""
    if samples.channels == 3:
        return
    uid = made.SOPClassUID
    # A window over all values: without one a viewer would look for the darkest and brightest.
    made.WindowCenter, made.WindowWidth = 1 << samples.bits - 1, 1 << samples.bits
    if uid in MULTI_FRAME or uid in (CTImageStorage, DigitalXRayImageStorageForPresentation):
        made.RescaleIntercept, made.RescaleSlope, made.RescaleType = 0, 1, "US"
    if uid in MULTI_FRAME or uid == DigitalXRayImageStorageForPresentation:
        made.PresentationLUTShape = "IDENTITY"
    if uid == DigitalXRayImageStorageForPresentation:
        made.PresentationIntentType = "FOR PRESENTATION"
        made.PixelIntensityRelationshipSign = _sign(header)
        made.BurnedInAnnotation = made.get("BurnedInAnnotation") or "YES"


def _sign(header: Dataset) -> int:
    """Say whether bright is much radiation (1) or little (-1), after MONOCHROME1 was inverted."""
    before = -1 if str(header.get("PixelIntensityRelationshipSign", "")) == "-1" else 1
    return -before if header.get("PhotometricInterpretation") == "MONOCHROME1" else before


def _set_meta(made: Dataset) -> None:
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    made.file_meta.ImplementationVersionName = "DEEPFIXCX"
