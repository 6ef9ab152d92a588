"""Elements of DICOM headers by what becomes of them when an image is derived, by keyword."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ABOUT_STORED_VALUES",
    "EMPTY_IF_UNKNOWN",
    "KEPT_IN_CAPTURE",
    "PLACES_IN_PIXELS",
    "REMOVED_GROUPS",
    "UNPAIRED",
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
"""Groups of elements of which none is carried over."""

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
"""Parts of the body of which there is one: an image of another has to speak of its side."""
