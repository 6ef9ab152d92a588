"""Files as makers of devices write them: their private elements, terms and habits. All invented.

``python -m tests.deidentify.vendors FOLDER`` writes them, for a scan by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    UltrasoundImageStorage,
)

from deepfixcx.deidentify.silence import silence
from tests.deidentify.making import save

__all__ = ["PATIENTS", "VENDORS", "vendor_header", "write_all"]

CT, MR, CR, DX, MG, US = (
    CTImageStorage,
    MRImageStorage,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForPresentation,
    UltrasoundImageStorage,
)

PATIENTS = (
    "Abendroth^Gesine", "Nguyễn^Thị Hoa", "García Lorca^José", "O'Neill^Sean", "van der Berg^Jan",
    "Müller-Lüdenscheid^Jörg", "McDonald^Fay", "Al-Rashid^Yusuf", "Иванова^Ольга", "Zhang^XiaoHong",
    "Sørensen^Bjørn", "Öztürk^Ayşe", "Kowalczyk^Świętosława", "D'Angelo^Lucia",
    "Fernández de Córdoba^Inés",
)  # fmt: skip

VENDORS: dict[str, tuple[str, dict[str, Any], dict[str, list[str]]]] = {
    "Philips CT": (CT, {
        "Manufacturer": "Philips", "ManufacturerModelName": "Brilliance 64",
        "StationName": "000001",
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER", "SURVIEW"], "ConvolutionKernel": "B",
        "SoftwareVersions": "3.6.4", "FilterType": "B", "BodyPartExamined": "BRAIN",
        "ScanOptions": "SURVIEW", "SeriesDescription": "SURVIEW", "ProtocolName": "BRAIN/HEAD",
    }, {"ELSCINT1": ["SURVIEW", "BRAIN", "Philips", "000001"], "PHILIPS IMAGING DD 001": ["B"]}),
    "Philips MR": (MR, {
        "Manufacturer": "Philips Medical Systems", "ManufacturerModelName": "Ingenia",
        "ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], "SequenceVariant": ["SP", "OSP"],
        "ScanningSequence": "GR", "ScanOptions": "OTHER", "SequenceName": "SENSE",
        "SoftwareVersions": ["5.3.0", "5.3.0.3"], "ReceiveCoilName": "MULTI COIL",
        "BodyPartExamined": "KNEE", "SeriesDescription": "SENSE", "StationName": "PHILIPS-1",
    }, {"Philips Imaging DD 001": ["SENSE", "FFE", "NORMALIZED"], "Philips MR Imaging DD 005":
        ["MULTI COIL", "1.2.840.10008.5.1.4.1.1.4"]}),
    "TOSHIBA CT": (CT, {
        "Manufacturer": "TOSHIBA", "ManufacturerModelName": "Aquilion", "StationName": "ID_STATION",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ConvolutionKernel": "FC30",
        "ScanOptions": "HELICAL_CT", "FilterType": "LARGE", "SoftwareVersions": "V4.51ER010",
        "SeriesDescription": "FC30 1.0", "BodyPartExamined": "CHEST", "ProtocolName": "TOSHIBA",
    }, {"TOSHIBA_MEC_CT3": ["FC30", "TOSHIBA", "HELICAL_CT", "512", "NORMAL"]}),
    "Canon MR": (MR, {
        "Manufacturer": "CANON_MEC", "ManufacturerModelName": "MRT200SP5", "ScanOptions": "SFC",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"], "SequenceName": "FE3D", "StationName": "MR2",
        "SoftwareVersions": "V6.0*R001", "ScanningSequence": "GR", "SequenceVariant": "SK",
        "SeriesDescription": "FE3D", "ReceiveCoilName": "Octave SPEEDER",
    }, {"TOSHIBA_MEC_MR3": ["FE3D", "Octave SPEEDER", "NORMALIZED", "MRT200SP5"]}),
    "GE CT": (CT, {
        "Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "LightSpeed VCT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ConvolutionKernel": "STANDARD",
        "ScanOptions": "HELICAL MODE", "FilterType": "BODY FILTER", "StationName": "ct99",
        "SoftwareVersions": "07MW18.4", "ProtocolName": "6.1 CHEST",
        "SeriesDescription": "STANDARD",
    }, {"GEMS_IDEN_01": ["CT_LIGHTSPEED", "ct99", "GE MEDICAL SYSTEMS"], "GEMS_PARM_01":
        ["STANDARD", "HELICAL MODE"],
        "GEMS_SERS_01": ["LightSpeed VCT", "1.2.840.10008.5.1.4.1.1.2"]}),
    "GE MR": (MR, {
        "Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "SIGNA HDxt",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"], "SequenceName": "EDR_GEMS", "StationName":
        "SIGNA", "ScanOptions": ["FAST_GEMS", "FC_FREQ_AX_GEMS", "EDR_GEMS"], "ScanningSequence":
        "SE", "SequenceVariant": "SK", "SoftwareVersions": ["24", "LX", "MR Software release"],
        "ReceiveCoilName": "8HRBRAIN", "SeriesDescription": "Ax FLAIR", "BodyPartExamined": "BRAIN",
    }, {"GEMS_IDEN_01": ["SIGNA", "GEMS"], "GEMS_PARM_01": ["8HRBRAIN", "BRAIN"]}),
    "Siemens MR": (MR, {
        "Manufacturer": "SIEMENS", "ManufacturerModelName": "Avanto", "SequenceName": "*tfl3d1_ns",
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"], "ScanOptions": ["IR", "WE"],
        "ScanningSequence": ["GR", "IR"], "SequenceVariant": ["SK", "SP", "MP"],
        "SoftwareVersions": "syngo MR B17", "StationName": "MRC25000", "TransmitCoilName": "Body",
        "SeriesDescription": "t1_mpr_ns_sag", "ProtocolName": "t1_mpr_ns_sag",
    }, {"SIEMENS CSA HEADER": ["IMAGE NUM 4", "SIEMENS CSA HEADER", "NORM", "*tfl3d1_ns"],
        "SIEMENS MR HEADER": ["MOSAIC", "Body", "1.3.12.2.1107.5.9.1"]}),
    "Siemens CT": (CT, {
        "Manufacturer": "SIEMENS", "ManufacturerModelName": "SOMATOM Definition AS+",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"], "ConvolutionKernel": "B30f",
        "FilterType": "FLAT", "SoftwareVersions": "syngo CT 2012B", "StationName": "CTAWP73",
        "ProtocolName": "ThorRoutine", "SeriesDescription": "B30f", "BodyPartExamined": "CHEST",
    }, {"SIEMENS CT VA0  COAD": ["CT_SOM5 SPI", "B30f"],
        "SIEMENS MEDCOM HEADER": ["SOM 5", "FLAT"]}),
    "Hologic MG": (MG, {
        "Manufacturer": "HOLOGIC, Inc.", "ManufacturerModelName": "Selenia Dimensions",
        "ImageType": ["DERIVED", "PRIMARY", "", "GENERATED_2D"], "ViewPosition": "MLO",
        "SoftwareVersions": ["1.8.3.63", "PXCM 1.7.0.7"], "BodyPartExamined": "BREAST",
        "FilterMaterial": "SILVER", "AnodeTargetMaterial": "TUNGSTEN", "ImageLaterality": "L",
        "StationName": "HOLOGIC", "SeriesDescription": "L MLO", "ExposureControlMode": "AUTOMATIC",
    }, {"HOLOGIC, Inc.": ["SILVER", "TUNGSTEN", "GENERATED_2D", "Selenia Dimensions"]}),
    "Fuji CR": (CR, {
        "Manufacturer": "FUJIFILM Corporation", "ManufacturerModelName": "5000R", "StationName":
        "IR361", "ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED"], "PlateType": "ST",
        "SoftwareVersions": "A09", "BodyPartExamined": "CHEST", "ViewPosition": "PA",
        "AcquisitionDeviceProcessingDescription": "CHEST,GENERAL", "SeriesDescription": "CHEST",
    }, {"FDMS 1.0": ["CHEST,GENERAL", "IR361", "NORMAL", "5000R"]}),
    "Agfa DX": (DX, {
        "Manufacturer": "Agfa", "ManufacturerModelName": "DX-G",
        "ImageType": ["DERIVED", "PRIMARY"],
        "SoftwareVersions": "NIM_4.1.1200", "BodyPartExamined": "PELVIS", "ViewPosition": "AP",
        "PresentationLUTShape": "IDENTITY", "StationName": "NX4", "SeriesDescription": "Pelvis AP",
        "DetectorType": "STORAGE", "PhotometricInterpretation": "MONOCHROME2",
    }, {"Agfa ADC NX": ["GenRad", "DX-G", "NX4", "STORAGE"], "AGFA": ["MUSICA2", "Agfa"]}),
    "Carestream DX": (DX, {
        "Manufacturer": "CARESTREAM HEALTH", "ManufacturerModelName": "DRX-Evolution",
        "ImageType": ["DERIVED", "PRIMARY"], "SoftwareVersions": "5.7.412.7", "DetectorType":
        "SCINTILLATOR", "BodyPartExamined": "HAND", "ViewPosition": "PA", "StationName": "DRX1",
        "SeriesDescription": "HAND", "GridFocalDistance": "1024",
    }, {"CARESTREAM IMAGE INFORMATION": ["SCINTILLATOR", "DRX1", "1024", "EVP Plus"]}),
    "Hitachi MR": (MR, {
        "Manufacturer": "Hitachi Medical Corporation", "ManufacturerModelName": "Oasis",
        "ImageType": ["ORIGINAL", "PRIMARY", "M_FE"], "SequenceName": "2D FSE",
        "ScanOptions": "PER",
        "SoftwareVersions": "V3.2C", "ScanningSequence": "SE", "SequenceVariant": "SK",
        "ReceiveCoilName": "HEAD", "BodyPartExamined": "HEAD", "SeriesDescription": "2D FSE",
    }, {"HMC": ["2D FSE", "HEAD", "NORMALIZED", "Oasis"]}),
    "Samsung US": (US, {
        "Manufacturer": "SAMSUNG MEDISON CO., LTD.", "ManufacturerModelName": "RS80A",
        "ImageType": ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"],
        "SoftwareVersions": "1.02.01.0453",
        "StationName": "RS80A", "TransducerData": ["CA1-7A"], "SeriesDescription": "Abdomen",
        "BodyPartExamined": "ABDOMEN",
    }, {"MEDISON": ["RS80A", "CA1-7A", "ABDOMINAL", "General"]}),
    "Esaote MR": (MR, {
        "Manufacturer": "ESAOTE", "ManufacturerModelName": "S-scan", "SequenceName": "SE T1",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"], "ScanOptions": "PFF", "SoftwareVersions":
        "Rel. 4.5", "ScanningSequence": "SE", "SequenceVariant": "NONE", "BodyPartExamined": "KNEE",
        "SeriesDescription": "SE T1", "ReceiveCoilName": "COIL 2 - KNEE", "StationName": "ESAOTE",
    }, {"ESAOTE": ["SE T1", "COIL 2 - KNEE", "KNEE"], "Esaote Private": ["PFF", "S-scan"]}),
    "United Imaging CT": (CT, {
        "Manufacturer": "UIH", "ManufacturerModelName": "uCT 760", "ConvolutionKernel": "B_SOFT_B",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SoftwareVersions": "R001", "StationName":
        "UIH-CT", "ScanOptions": "HELICAL", "SeriesDescription": "B_SOFT_B", "BodyPartExamined":
        "ABDOMEN", "FilterType": "Large",
    }, {"UNITED IMAGING HEALTHCARE": ["B_SOFT_B", "HELICAL", "UIH", "DERIVED"]}),
    "Varian CT": (CT, {
        "Manufacturer": "Varian Medical Systems", "ManufacturerModelName": "On-Board Imager",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CBCT"], "ConvolutionKernel": "Standard",
        "SoftwareVersions": "2.5.14.0", "StationName": "TB1", "ScanOptions": "CBCT",
        "SeriesDescription": "CBCT", "PositionReferenceIndicator": "SN", "BodyPartExamined": "NECK",
    }, {"Varian Medical Systems VISION 3253": ["CBCT", "TB1", "On-Board Imager"]}),
}  # fmt: skip


def vendor_header(vendor: str, number: int) -> Dataset:
    """Return an image in the style of a maker, of an invented patient."""
    sop, elements, private = VENDORS[vendor]
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID = sop
    for place, keyword in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")):
        setattr(header, keyword, f"1.2.826.0.1.88.{number}.{place}.{number * 7919}")
    header.Modality = vendor.rsplit(" ", 1)[1]
    header.PatientName = PATIENTS[number % len(PATIENTS)]
    header.PatientID, header.AccessionNumber = f"KH{7300451 + 1379 * number}", f"A{88120 + number}"
    header.PatientBirthDate = f"19{40 + number}0{1 + number % 9}1{number % 10}"
    header.StudyDate = header.SeriesDate = f"2021{1 + number % 12:02}{11 + number % 17}"
    header.StudyTime, header.PatientSex, header.StudyID = "101112", "F", str(4000 + number)
    header.InstitutionName, header.PatientAge = f"Klinikum Lindenhof {number}", "061Y"
    header.SeriesNumber, header.InstanceNumber, header.AcquisitionNumber = "3", str(number), "1"
    header.DeviceSerialNumber, header.KVP = str(60000 + number), "120"
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    for place, (creator, texts) in enumerate(private.items()):
        block = header.private_block(0x0009 + 0x10 * place, creator, create=True)
        for element, text in enumerate(texts):
            block.add_new(element, "LO" if element % 2 else "SH", text)
        block.add_new(0x40, "UN", b"\0".join(text.encode() for text in texts))
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-A0100", "SRT", "Brain"
    header.AnatomicRegionSequence = Sequence([code])
    header.Rows = header.Columns = 16
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation, header.PixelSpacing = 0, [0.5, 0.5]
    header.ImageOrientationPatient, header.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, number]
    pixels = np.random.default_rng(number).integers(0, 4096, (16, 16)).astype("<u2")
    header.add_new(0x7FE00010, "OW", pixels.tobytes())
    return header


def write_all(folder: Path, each: int = 2) -> int:
    """Write some files of each maker; return how many."""
    folder.mkdir(parents=True, exist_ok=True)
    with silence():
        for number in range(each * len(VENDORS)):
            vendor = list(VENDORS)[number % len(VENDORS)]
            save(vendor_header(vendor, number), folder / f"IM{number:04}.dcm")
    return each * len(VENDORS)


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
