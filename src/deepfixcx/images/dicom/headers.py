"""What the header of a derived DICOM image may hold: its elements, its class, and valid values.

A privatized image is no measurement any more: its numbers are gray values for display, not
Hounsfield units, doses or counts. CR, DX, CT and MR objects allow just that and keep their place in
the patient, so they are kept where the header says what they require. Everything else becomes
Secondary Capture, the standard's kind for images that other programs made.
"""

from __future__ import annotations

from typing import Any, Final

from pydicom.config import RAISE
from pydicom.dataelem import DataElement
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
from pydicom.valuerep import validate_value

__all__ = [
    "ABOUT_STORED_VALUES",
    "EMPTY_IF_UNKNOWN",
    "KEPT_IN_CAPTURE",
    "MULTI_FRAME",
    "PLACES_IN_PIXELS",
    "REMOVED_GROUPS",
    "SIXTEEN_BITS",
    "UNPAIRED",
    "class_of",
    "make_valid",
]

_STORED: Final = """
PixelData FloatPixelData DoubleFloatPixelData PixelDataProviderURL ExtendedOffsetTable
ExtendedOffsetTableLengths SamplesPerPixel PhotometricInterpretation PlanarConfiguration Rows
Columns BitsAllocated BitsStored HighBit PixelRepresentation NumberOfFrames FrameIncrementPointer
FramePointer SmallestImagePixelValue LargestImagePixelValue SmallestPixelValueInSeries
LargestPixelValueInSeries PixelPaddingValue PixelPaddingRangeLimit RescaleIntercept RescaleSlope
RescaleType ModalityLUTSequence WindowCenter WindowWidth WindowCenterWidthExplanation
VOILUTFunction VOILUTSequence PresentationLUTShape PresentationLUTSequence
RedPaletteColorLookupTableDescriptor GreenPaletteColorLookupTableDescriptor
BluePaletteColorLookupTableDescriptor AlphaPaletteColorLookupTableDescriptor
PaletteColorLookupTableUID RedPaletteColorLookupTableData GreenPaletteColorLookupTableData
BluePaletteColorLookupTableData AlphaPaletteColorLookupTableData
SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData
SegmentedBluePaletteColorLookupTableData ICCProfile ColorSpace PixelPresentation
RealWorldValueMappingSequence PixelValueTransformationSequence SharedFunctionalGroupsSequence
PerFrameFunctionalGroupsSequence DimensionIndexSequence DimensionOrganizationSequence
InstanceCreationDate InstanceCreationTime InstanceCreatorUID
ZeroVelocityPixelValue ConcatenationUID InConcatenationNumber MACParametersSequence
"""
ABOUT_STORED_VALUES: Final = frozenset(_STORED.split())
"""What speaks of the pixels as the source stores them, of their display, or of its making."""

REMOVED_GROUPS: Final = frozenset(
    # file meta information; curves and overlays, which are drawn over the source; its pixels;
    # signatures of it; padding
    {0x0002, *range(0x5000, 0x5100), *range(0x6000, 0x6100), 0x7FE0, 0xFFFA, 0xFFFC}
)
"""Groups whose elements are not carried over."""

_CAPTURE: Final = """
SpecificCharacterSet TimezoneOffsetFromUTC ImageType
PatientName PatientID IssuerOfPatientID PatientBirthDate PatientSex PatientAge PatientSize
PatientWeight EthnicGroup PatientSpeciesDescription PatientIdentityRemoved DeidentificationMethod
DeidentificationMethodCodeSequence LongitudinalTemporalInformationModified
StudyInstanceUID StudyDate StudyTime StudyID StudyDescription AccessionNumber ReferringPhysicianName
SeriesInstanceUID Modality SeriesNumber SeriesDate SeriesTime SeriesDescription ProtocolName
Laterality BodyPartExamined PatientPosition FrameOfReferenceUID PositionReferenceIndicator
Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions InstitutionName StationName
InstanceNumber AcquisitionNumber ContentDate ContentTime AcquisitionDate AcquisitionTime
AcquisitionDateTime ImageComments QualityControlImage BurnedInAnnotation RecognizableVisualFeatures
PatientOrientation ImageLaterality ViewPosition ImagePositionPatient ImageOrientationPatient
SliceThickness SpacingBetweenSlices PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing
PixelSpacingCalibrationType PixelSpacingCalibrationDescription PixelAspectRatio FrameTime CineRate
LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod DerivationDescription
DerivationCodeSequence ConversionType
"""
KEPT_IN_CAPTURE: Final = frozenset(_CAPTURE.split())
"""What a Secondary Capture image keeps of the header of its source."""

_EMPTY: Final = """
PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID
AccessionNumber SeriesNumber InstanceNumber Manufacturer
"""
EMPTY_IF_UNKNOWN: Final = tuple(_EMPTY.split())
"""What has to be there, even without a value."""

_PLACES: Final = """
CollimatorShape CollimatorLeftVerticalEdge CollimatorRightVerticalEdge CollimatorUpperHorizontalEdge
CollimatorLowerHorizontalEdge CenterOfCircularCollimator RadiusOfCircularCollimator
VerticesOfThePolygonalCollimator ShutterShape ShutterLeftVerticalEdge ShutterRightVerticalEdge
ShutterUpperHorizontalEdge ShutterLowerHorizontalEdge CenterOfCircularShutter
RadiusOfCircularShutter VerticesOfThePolygonalShutter ShutterOverlayGroup ShutterPresentationValue
"""
PLACES_IN_PIXELS: Final = tuple(_PLACES.split())
"""Places counted in pixels of the source; a shutter would hide other parts of a smaller image."""

_SINGLE: Final = """
ABDOMEN BLADDER BRAIN CHEST COLON CSPINE ESOPHAGUS HEAD HEART LIVER LSPINE NECK PANCREAS PELVIS
PROSTATE SKULL SPINE SPLEEN SSPINE STERNUM STOMACH THORAX TSPINE UTERUS WHOLEBODY
"""
UNPAIRED: Final = frozenset(_SINGLE.split())
"""Unpaired parts of the body: an image of any other part has to state its side."""


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
    """Choose the SOP class of an image derived from another."""
    wanted, required = _KEPT.get(UID(str(header.get("SOPClassUID", ""))), (None, ()))
    if "NumberOfFrames" in header and frames == 1 and wanted is not None:
        wanted = None  # none of these classes knows frames: the header is not what it says
    if wanted and channels == 1 and frames == 1 and all(header.get(name) for name in required):
        return wanted
    if frames > 1:
        return _MULTI_FRAME[channels, bits]
    return SecondaryCaptureImageStorage


_CHECKED: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})
_UTF8: Final = "ISO_IR 192"


def make_valid(dataset: Dataset) -> None:
    """Empty what is no value of its kind, and let all texts be UTF-8; in place, at any depth."""
    _empty_invalid(dataset)
    dataset.SpecificCharacterSet = _UTF8


def _empty_invalid(dataset: Dataset) -> None:
    for element in list(dataset):
        if element.keyword == "SpecificCharacterSet":
            del dataset[element.tag]
        elif element.VR == "SQ":
            for item in element.value:
                _empty_invalid(item)
        elif element.VR in _CHECKED and not all(map(_is_valid(element), _values(element))):
            dataset[element.tag] = DataElement(element.tag, element.VR, "")


def _values(element: DataElement) -> list[Any]:
    if element.value is None:
        return []
    return list(element.value) if element.VM > 1 else [element.value]


def _is_valid(element: DataElement) -> Any:
    def is_valid(value: Any) -> bool:
        try:
            validate_value(element.VR, str(value), RAISE)
        except ValueError:
            return False
        return True

    return is_valid
