"""How often scan is wrong on files that no test has: false alarms, and what it misses.

``python -m benchmarks.alarms`` prints the tables of docs/how-to-dicom.md. False alarms are
counted in releases of files in the style of makers that no test knows, and of the real DICOM files
that Python packages carry (install pydicom-data, pynetdicom, nibabel and deid-data for them).
Identifiers are planted into released files, one in each, in many spellings and places.
"""

from __future__ import annotations

import argparse
import base64
import calendar
import contextlib
import copy
import gzip
import importlib.util
import io
import json
import struct
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import config, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from deepfixcx.cli.scan import _own_words
from deepfixcx.deidentify import Deidentifier, Key, Profile
from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.scan import ScanReport, scan
from deepfixcx.deidentify.silence import silence

SOP = "1.2.840.10008.5.1.4.1.1."
SETTINGS = {
    "basic": ["--output", "dicom"],
    "retained": ["--output", "dicom", "--retain", "dates,device,descriptors,patient"],
    "images and codes": ["--output", "both"],
}
PATIENTS = (
    "Zwicknagl^Hildegard", "Peña-Ruiz^María José", "Lindqvist^Åsa", "O'Donoghue^Máire", "Le^An",
    "De Clercq^Griet", "Hô^Chí Thanh", "Szczęsny^Paweł", "Kovačević^Đurđa", "Sato^Yui=佐藤^結衣",
    "Петренко^Наталія", "Park^Ji Woo=박^지우", "Wang^Wei=王^伟", "Abu Bakr^Layla", "Ó Briain^Seán",
    "Weiß^Günther", "MacKenzie^Ailsa", "St. John^Rory", "Nguyen^Bao", "Haas^Ute",
)  # fmt: skip

STYLES: dict[str, tuple[str, dict[str, Any], dict[str, list[str]]]] = {
    "Canon CT": ("2", {
        "Manufacturer": "Canon Medical Systems", "ManufacturerModelName": "Aquilion ONE",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "AIDR3D"], "ConvolutionKernel": "FC08-H",
        "StationName": "CT-AQONE-2", "ProtocolName": "1.0mm VOLUME HEAD", "ScanOptions": "VOLUME",
        "SeriesDescription": "Vol. 0.5 CE BRAIN PERFUSION", "SoftwareVersions": "V10.12SP0003",
        "BodyPartExamined": "HEAD", "FilterType": "MEDIUM", "ContrastBolusAgent": "Iopamiron 370",
        "StudyDescription": "HEAD PERFUSION", "AcquisitionType": "STATIONARY",
    }, {"TOSHIBA_MEC_CT3": ["AIDR3D Mild", "VOLUME", "OR_FC08", "ORG"], "PMTF INFORMATION DATA":
        ["AQONE", "1.2.840.10008.5.1.4.1.1.2.1", "0000000001"]}),
    "Hitachi CT": ("2", {
        "Manufacturer": "Hitachi Healthcare", "ManufacturerModelName": "SCENARIA View",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "NORMAL", "IPV"], "ConvolutionKernel": "32",
        "ProtocolName": "Lung Low Dose", "ScanOptions": "HELIX", "StationName": "SCENARIA",
        "SeriesDescription": "Lung 5mm", "SoftwareVersions": "V1.21.07", "BodyPartExamined":
        "LUNG", "FilterType": "NONE", "StudyDescription": "THORAX NATIV",
    }, {"HMC - CT - ID": ["SCENARIA", "IPV5", "Lung", "Low Dose", "HELIX"]}),
    "Agfa CR": ("1", {
        "Manufacturer": "Agfa-Gevaert", "ManufacturerModelName": "CR 35-X",
        "ImageType": ["DERIVED", "PRIMARY"], "PlateType": "CODE 31", "ProtocolName": "SCHÄDEL",
        "AcquisitionDeviceProcessingDescription": "MUSICA 7.1", "StationName": "NXAUFN1",
        "BodyPartExamined": "SKULL", "SeriesDescription": "Schädel seitl.", "ViewPosition": "LL",
        "SoftwareVersions": "NIM_3.0.8950", "AcquisitionDeviceProcessingCode": "20101122",
        "StudyDescription": "Schädel in 2 Ebenen", "PhotometricInterpretation": "MONOCHROME1",
    }, {"Agfa ADC NX": ["CODE 31", "MUSICA 7.1", "YES"], "MITRA PRESENTATION 1.0": ["LANCZOS"],
        "AGFA-AG_HPState": ["Extremity", "1|1|1", "NONE"]}),
    "Fuji DR": ("1.1", {
        "Manufacturer": "FUJIFILM Corporation", "ManufacturerModelName": "DR-ID 600",
        "ImageType": ["DERIVED", "PRIMARY", "POST_PROCESSED", "", "", "", "", "", "", "100000"],
        "BodyPartExamined": "ABDOMEN", "SeriesDescription": "ABDOMEN,KUB", "StationName": "CNSL01",
        "AcquisitionDeviceProcessingDescription": "ABDOMEN,KUB", "ViewPosition": "AP",
        "SoftwareVersions": "V9.3", "DetectorID": "CALNEO C 1417", "StudyDescription": "ABDOMEN",
        "AcquisitionDeviceProcessingCode": "0302", "DetectorType": "SCINTILLATOR",
    }, {"FDMS 1.0": ["ABDOMEN,KUB", "CALNEO", "NORMAL_IMAGE", "000302", "S=00200"]}),
    "Carestream CR": ("1", {
        "Manufacturer": "Carestream", "ManufacturerModelName": "DIRECTVIEW CR 975",
        "ImageType": ["ORIGINAL", "PRIMARY"], "StationName": "CR975-EMERGENCY", "PlateType": "GP",
        "SeriesDescription": "SHOULDER AXIAL", "ProtocolName": "Shoulder", "ViewPosition": "AXIAL",
        "SoftwareVersions": "V5.5.A.4", "BodyPartExamined": "SHOULDER", "Sensitivity": "250",
        "StudyDescription": "XR SHOULDER LEFT 2 VIEWS", "ImageLaterality": "L",
    }, {"KODAK DIRECTVIEW": ["EVP", "Shoulder", "EMERGENCY", "GP"], "CARESTREAM_HEALTH": ["2048"]}),
    "Konica DR": ("1.1", {
        "Manufacturer": "KONICA MINOLTA", "ManufacturerModelName": "0862", "StationName": "CS-7",
        "ImageType": ["DERIVED", "PRIMARY", "RIGHT"], "BodyPartExamined": "FOOT", "ViewPosition":
        "OB", "ProtocolName": "Foot_OBL", "SeriesDescription": "Foot", "DetectorType": "DIRECT",
        "SoftwareVersions": "1.30R00", "StudyDescription": "Fuß rechts", "DetectorID": "AeroDR",
    }, {"KONICA MINOLTA 1.0": ["CS-7", "AeroDR P-51", "REALISM"], "KonicaMinolta": ["Foot_OBL"]}),
    "Hologic tomosynthesis": ("13.1.3", {
        "Manufacturer": "HOLOGIC, Inc.", "ManufacturerModelName": "3Dimensions",
        "ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "NONE"], "ViewPosition": "ML",
        "SeriesDescription": "R ML Breast Tomosynthesis Image", "StationName": "HOLMAMMO02",
        "SoftwareVersions": ["1.9.0.566", "PXCM 1.4.0.7", "ARR 2.3.1.7"], "BodyPartExamined":
        "BREAST", "AnodeTargetMaterial": "TUNGSTEN", "FilterMaterial": "ALUMINUM", "FilterType":
        "FLAT", "StudyDescription": "Screening Bilateral", "ProtocolName": "Combo",
    }, {"HOLOGIC, Inc.": ["TOMO", "ALUMINUM", "Flex Paddle 18x24", "ARR 2.3.1.7"], "LORAD Selenia":
        ["Combo", "Screening"]}),
    "Mindray US": ("6.1", {
        "Manufacturer": "MINDRAY", "ManufacturerModelName": "Resona 7", "StationName": "Resona7",
        "ImageType": ["ORIGINAL", "PRIMARY", "OB", "0003"], "TransducerData": ["SC6-1U", "Fetal"],
        "ProtocolName": "Fetal Echo", "SeriesDescription": "OB 2/3", "BodyPartExamined": "UTERUS",
        "SoftwareVersions": "02.06.00", "StudyDescription": "OB", "ProcessingFunction": "iTouch",
    }, {"MINDRAY": ["SC6-1U", "OB 2/3", "B", "Resona"], "MINDRAY_PRIVATE": ["Fetal", "THI"]}),
    "Esaote US": ("6.1", {
        "Manufacturer": "Esaote S.p.A.", "ManufacturerModelName": "MyLab Nine", "StationName":
        "MYLAB", "ImageType": ["ORIGINAL", "PRIMARY", "CARDIAC", "0011"], "TransducerData":
        ["P2 3-11", "CARDIO"], "SeriesDescription": "CARDIO ADULT", "BodyPartExamined": "HEART",
        "SoftwareVersions": "F093000", "ProtocolName": "Stress Echo", "HeartRate": "72",
    }, {"ESAOTE": ["CARDIO ADULT", "P2 3-11", "DPI", "B+CFM"]}),
    "United Imaging MR": ("4", {
        "Manufacturer": "UIH", "ManufacturerModelName": "uMR 790", "StationName": "UMR790",
        "ImageType": ["ORIGINAL", "PRIMARY", "MOSAIC", "DWI"], "SequenceName": "epi_dwi_b1000",
        "ScanningSequence": ["EP"], "SequenceVariant": ["SP", "OSP"], "ScanOptions": ["FS", "PFP"],
        "ProtocolName": "epi_dwi_tra_p2", "SeriesDescription": "epi_dwi_tra_p2_ADC",
        "ReceiveCoilName": "HeadNeck-24", "SoftwareVersions": "uMR 4.0.3", "BodyPartExamined":
        "BRAIN", "MRAcquisitionType": "2D", "StudyDescription": "Head^Routine",
    }, {"Image Private Header": ["epi_dwi", "HeadNeck-24", "FS"], "UIH MR HEADER": ["uCS"]}),
    "Samsung DR": ("1.1", {
        "Manufacturer": "Samsung Electronics", "ManufacturerModelName": "GM85", "StationName":
        "GM85_WARD", "ImageType": ["DERIVED", "PRIMARY"], "BodyPartExamined": "CHEST",
        "SeriesDescription": "Chest AP Mobile", "ViewPosition": "AP", "ProtocolName": "Chest AP",
        "SoftwareVersions": "V1.05.00", "DetectorID": "S4335-W", "StudyDescription": "Bedside",
        "AcquisitionDeviceProcessingDescription": "Lung Nodule", "DetectorType": "SCINTILLATOR",
    }, {"SAMSUNG": ["S-Vue", "Chest AP", "Mobile", "S4335-W"]}),
    "Planmed CBCT": ("2", {
        "Manufacturer": "Planmed Oy", "ManufacturerModelName": "Verity", "StationName": "VERITY",
        "ImageType": ["DERIVED", "PRIMARY", "AXIAL", "CBCT"], "ConvolutionKernel": "Sharp",
        "BodyPartExamined": "ANKLE", "SeriesDescription": "Weight bearing", "ProtocolName": "Ankle",
        "SoftwareVersions": "3.2.0.0", "FilterType": "STRIP", "StudyDescription": "Foot & ankle",
    }, {"PLANMED": ["CALM", "Weight bearing", "ARA"], "PLANMECA": ["Romexis", "Verity"]}),
    "Shimadzu DX": ("1.1", {
        "Manufacturer": "SHIMADZU", "ManufacturerModelName": "RADspeed Pro", "StationName": "XRAY3",
        "ImageType": ["DERIVED", "PRIMARY"], "BodyPartExamined": "TSPINE", "ViewPosition": "LAT",
        "SeriesDescription": "T-Spine LAT", "SoftwareVersions": "2.01", "ProtocolName": "T-SPINE",
        "DetectorType": "DIRECT", "GridAbsorbingMaterial": "LEAD", "StudyDescription": "BWS",
    }, {"SHIMADZU": ["T-SPINE", "LEAD", "RADspeed", "Standard"]}),
    "Neusoft CT": ("2", {
        "Manufacturer": "NMS", "ManufacturerModelName": "NeuViz 128", "StationName": "NeuViz",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ConvolutionKernel": "F20", "FilterType":
        "Body", "SeriesDescription": "Chest 1.0 F20", "ProtocolName": "ChestRoutine", "ScanOptions":
        "Spiral", "BodyPartExamined": "CHEST", "SoftwareVersions": "1.0.9.3427+P05",
        "ContrastBolusAgent": "NONE", "StudyDescription": "胸部平扫",
    }, {"NMS": ["F20", "Spiral", "ClearView 30%"], "NeuViz_Private": ["ChestRoutine"]}),
    "Philips XA": ("12.1", {
        "Manufacturer": "Philips", "ManufacturerModelName": "AlluraXper", "StationName": "CATHLAB2",
        "ImageType": ["ORIGINAL", "PRIMARY", "SINGLE PLANE", "SINGLE A"], "ProtocolName": "Left",
        "SeriesDescription": "Left Coronary 15 fps", "SoftwareVersions": "8.2.17", "ScanOptions":
        "EKG", "RadiationSetting": "GR", "BodyPartExamined": "HEART", "StudyDescription": "PCI",
        "PerformedProcedureStepDescription": "Coronary Angiography", "FilterType": "WEDGE",
    }, {"CARDIO-D.R. 1.0": ["Left Coronary", "WEDGE"], "Philips X-ray Imaging DD 001":
        ["15 fps Low", "CATHLAB2", "PROPRIETARY"]}),
    "GE NM": ("20", {
        "Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "INFINIA", "StationName":
        "Xeleris1", "ImageType": ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"],
        "SeriesDescription": "Bone WB", "SoftwareVersions": "2.105.030.10", "ProtocolName":
        "WB Bone MDP", "BodyPartExamined": "WHOLEBODY", "CollimatorGridName": "LEHR",
        "StudyDescription": "Bone Scan", "WholeBodyTechnique": "1PS",
    }, {"GEMS_GENIE_1": ["WB Bone MDP", "LEHR", "Bone", "Xeleris"], "GEMS_XELERIS_1": ["Bone WB"]}),
}  # fmt: skip
"""Sixteen makers in ways that no test has: SOP Class, elements, private blocks. Invented."""


def styled(style: str, number: int) -> Dataset:
    """Return an image in the style of a maker, of an invented patient."""
    sop, elements, private = STYLES[style]
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID, header.Modality = SOP + sop, style.rsplit(" ", 1)[1][:2].upper()
    for place, keyword in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")):
        setattr(header, keyword, f"1.2.392.200036.{number}.{place}.{number * 104729}")
    header.PatientName = PATIENTS[number % len(PATIENTS)]
    header.PatientID = (f"{100200 + 7 * number}", f"K-{number:03}/21", f"{number + 1:08}")[
        number % 3
    ]
    header.AccessionNumber, header.StudyID = f"RIS{20210000 + 31 * number}", str(number % 4 + 1)
    header.PatientBirthDate = f"{1938 + number}{2 + number % 11:02}{1 + number % 28:02}"
    header.StudyDate = header.SeriesDate = header.ContentDate = f"2022{1 + number % 12:02}15"
    header.StudyTime, header.PatientSex, header.PatientAge = "081500.000", "M", "045Y"
    header.InstitutionName = ("St. Elisabeth", "CHU Nord", "Sjukhuset", "General Hospital")[
        number % 4
    ]
    header.InstitutionalDepartmentName = "Radiology"
    header.ReferringPhysicianName, header.OperatorsName = "Brandt^Ines", "RTA^MK"
    header.RequestedProcedureDescription = elements.get("StudyDescription", "Routine")
    header.SeriesNumber, header.InstanceNumber, header.AcquisitionNumber = "201", str(number), "2"
    header.DeviceSerialNumber, header.KVP, header.PatientWeight = str(2000 + number), "120", "70"
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    for place, (creator, texts) in enumerate(private.items()):
        block = header.private_block(0x0019 + 0x10 * place, creator, create=True)
        for element, text in enumerate(texts):
            block.add_new(element, ("LO", "SH", "ST", "CS")[element % 4], text)
        block.add_new(0x50, "OB", b"\0".join(text.encode() for text in texts) + b"\0\1")
        inner = Dataset()
        inner.ReferencedSOPClassUID = SOP + sop
        inner.private_block(0x0029, creator, create=True).add_new(1, "LO", texts[0])
        block.add_new(0x60, "SQ", Sequence([inner]))
    code, view = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "69536005", "SCT", "Head"
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "R-10206", "SRT", "Anterior"
    header.AnatomicRegionSequence, header.ViewCodeSequence = Sequence([code]), Sequence([view])
    step = Dataset()
    step.ScheduledProcedureStepDescription = elements.get("ProtocolName", "Routine")
    step.ScheduledProtocolCodeSequence = Sequence([code])
    header.RequestAttributesSequence = Sequence([step])
    header.Rows = header.Columns = 24
    header.SamplesPerPixel, header.BitsAllocated, header.BitsStored, header.HighBit = 1, 16, 12, 11
    header.PhotometricInterpretation = elements.get("PhotometricInterpretation", "MONOCHROME2")
    header.PixelRepresentation, header.PixelSpacing = 0, [0.4, 0.4]
    header.WindowCenter, header.WindowWidth = ["2048", "300"], ["4096", "1500"]
    header.WindowCenterWidthExplanation = ["NORMAL", "SOFT"]
    pixels = np.random.default_rng(number).integers(0, 4096, (24, 24)).astype("<u2")
    header.add_new(0x7FE00010, "OW", pixels.tobytes())
    return header


def save(header: Dataset, path: Path, *, implicit: bool = False) -> None:
    """Write a header as a file."""
    if not hasattr(header, "file_meta"):
        header.file_meta = FileMetaDataset()
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        header.file_meta.TransferSyntaxUID = syntax
        header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    with silence():
        header.save_as(path, enforce_file_format=True)


def write_styles(folder: Path, each: int) -> None:
    """Write files of every maker, every third with implicit value representations."""
    folder.mkdir(parents=True)
    with silence():
        for number in range(each * len(STYLES)):
            style = list(STYLES)[number % len(STYLES)]
            save(styled(style, number), folder / f"IM{number:04}", implicit=number % 3 == 0)


def copy_packaged(folder: Path) -> int:
    """Copy the DICOM files that installed packages carry; return how many."""
    folder.mkdir(parents=True)
    count = 0
    for package in ("pydicom", "data_store", "pynetdicom", "nibabel", "deid_data", "highdicom"):
        spec = importlib.util.find_spec(package)
        roots = list(spec.submodule_search_locations or ()) if spec else []
        for path in sorted(each for root in roots for each in Path(root).rglob("*")):
            if not path.is_file() or not 132 < path.stat().st_size < 3_000_000:
                continue
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            if content[128:132] == b"DICM":
                count += 1
                (folder / f"{package}{count:04}.dcm").write_bytes(content)
    return count


def released(folder: Path, out: Path, words: list[str]) -> ScanReport:
    """Privatize a folder and scan the release."""
    command = ["privatize", folder, out, "-J", 1, "-P", 2, "--workers", 1, *words]
    done = CliRunner().invoke(app, [str(word) for word in command])
    if done.exit_code not in (0, 3):
        raise SystemExit(done.output)
    return scan(out, folder, own_words=_own_words())


def alarms(found: ScanReport) -> list[str]:
    """Return what was found, by the file, the elements of the source and the place."""
    return [
        f"{file.name}: {one.kind} of {', '.join(one.tags)} in {one.where} at {one.offset}"
        for file in found.files
        for one in file.remaining
    ]


NAMED = (
    "Zwicknagl^Hildegard", "Peña-Ruiz^María José", "Weiß^Günther", "O'Donoghue^Máire",
    "Петренко^Наталія", "Park^Ji Woo=박^지우", "Wang^Wei=王小明^伟", "Al Farsi^Layla=الفارسي^ليلى",
    "Sato^Yui=佐藤^結衣",
)  # fmt: skip
ASCII = {"Peña-Ruiz": "Pena Ruiz", "Weiß": "WEISS", "Петренко": "Petrenko"}
ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso8859-5", "gb18030", "euc_kr")
OTHERS = ("iso2022_jp", "iso8859-6", "shift_jis", "utf-32-le")


def spellings(name: str) -> dict[str, str]:
    """Return how a name may be written elsewhere, by what was done to it."""
    latin, *scripts = name.split("=")
    family, given = latin.split("^")
    middle = len(family) // 2
    found = {"two lines": f"{family[:middle]}-\n{family[middle:]}"} if len(family) > 5 else {}
    found |= {
        "family": family, "given": given, "capitals": family.upper(), "order": f"{given} {family}",
        "joined": f"{given}{family}".replace(" ", ""), "in a word": f"t1_{family}7",
        "path": f"/data/{family}/{given}/1",
        "initial": f"{given[0]}. {family}", "in ASCII": ASCII.get(family, family.lower()),
        "part": family.replace("'", "-").split("-")[-1], "address": f"{given}.{family}@example.org",
    }  # fmt: skip
    return found | {f"script {number}": part for each in scripts
                    for number, part in enumerate([*each.split("^"), each.replace("^", "")])
                    if len(part) > 1}  # fmt: skip


def numbers(number: str) -> dict[str, str]:
    """Return how a number of a patient may be written elsewhere."""
    digits = "".join(filter(str.isdigit, number))
    return {
        "number": number, "digits": digits, "zeros": digits.zfill(12), "groups": " ".join(
            digits[at : at + 3] for at in range(0, len(digits), 3)), "in a word": f"MR{digits}x",
        "hyphens": "-".join((digits[:3], digits[3:])), "small": number.lower(),
    }  # fmt: skip


def dates(date: str) -> dict[str, str]:
    """Return how a date may be written elsewhere."""
    year, month, day = date[:4], date[4:6], date[6:]
    name = calendar.month_abbr[int(month)]
    return {
        "DICOM": date, "ISO": f"{year}-{month}-{day}", "German": f"{int(day)}.{int(month)}.{year}",
        "American": f"{month}/{day}/{year}", "words": f"{int(day)} {name} {year}",
        "English": f"{name} {int(day)}, {year}", "moment": f"{date}101530", "two digits":
        f"{day}.{month}.{year[2:]}", "underscores": f"scan_{year}_{month}_{day}",
    }  # fmt: skip


def in_header(made: Dataset, text: str) -> Iterator[tuple[str, Dataset]]:
    """Yield copies of a header with a text in one of its elements, and where."""

    def copied() -> Dataset:
        return copy.deepcopy(made)

    for keyword, vr in (
        ("SequenceName", "SH"), ("ConvolutionKernel", "SH"), ("SoftwareVersions", "LO"),
        ("ScanOptions", "CS"), ("ImageComments", "LT"), ("InstitutionAddress", "ST"),
        ("TextValue", "UT"), ("LongCodeValue", "UC"), ("RetrieveURL", "UR"),
        ("StationAETitle", "AE"), ("EvaluatorName", "PN"), ("PatientAge", "AS"),
        ("StudyTime", "TM"),
    ):  # fmt: skip
        header = copied()
        put(header, keyword, vr, text)
        yield f"element of {vr}", header
        header, item = copied(), Dataset()
        put(item, keyword, vr, text)
        header.add_new(0x00081140, "SQ", Sequence([item]))
        yield f"{vr} in a sequence", header
    if text.isdigit():
        for vr, value in (("IS", text), ("DS", text), ("UL", int(text)), ("FD", float(text))):
            if vr != "UL" or int(text) < 1 << 32:
                header = copied()
                header.add(element(0x00189004 if vr == "CS" else 0x00189073, vr, value))
                yield f"number of {vr}", header
    for encoding in (*ENCODINGS, *OTHERS):
        try:
            content = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        for vr, tag in (("UN", 0x00091010), ("OB", 0x00282000), ("OW", 0x00283006)):
            header = copied()
            if tag >> 16 == 9:
                header.add(element(0x00090010, "LO", "MAKER 1.0"))
            header.add(element(tag, vr, b"\7\0" * 3 + content + b"\0\7" * 3))
            yield f"{vr} in {encoding}", header


def put(header: Dataset, keyword: str, vr: str, text: str) -> None:
    """Set an element whatever its kind allows."""
    header.add(element(Tag(keyword), vr, text))


def element(tag: int, vr: str, value: Any) -> DataElement:
    """Return an element, whatever its kind allows."""
    return DataElement(tag, vr, value, validation_mode=config.IGNORE)


def in_files(text: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield files of other kinds that hold a text: where, a suffix, the content."""
    for encoding in (*ENCODINGS, *OTHERS):
        try:
            yield f"text in {encoding}", ".txt", f"see {text} for it\n".encode(encoding)
        except UnicodeEncodeError:
            continue
    image, utf8 = Image.fromarray(np.zeros((8, 8), np.uint8)), text.encode()
    for kind, suffix, options in (
        ("PNG", ".png", {"pnginfo": _png_text(text)}), ("TIFF", ".tif", {"tiffinfo": {270: utf8}}),
        ("JPEG", ".jpg", {"comment": utf8}), ("GIF", ".gif", {"comment": utf8}),
        ("EXIF", ".jpg", {"exif": _exif(utf8)}), ("packed TIFF", ".tif",
            {"tiffinfo": {270: utf8}, "compression": "tiff_deflate"}),
    ):  # fmt: skip
        content = io.BytesIO()
        image.save(content, {".tif": "TIFF", ".jpg": "JPEG"}.get(suffix, suffix[1:].upper()),
                   **options)  # fmt: skip
        yield kind, suffix, content.getvalue()
    nifti = bytearray(352)
    nifti[:4], nifti[344:348], nifti[148:228] = (
        struct.pack("<i", 348),
        b"n+1\0",
        utf8[:80].ljust(80),
    )
    yield "NIfTI", ".nii", bytes(nifti)
    yield "packed NIfTI", ".nii.gz", gzip.compress(bytes(nifti))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo(f"a/{text.replace('/', '_')[:60]}.txt"))
    yield "name in a tar.gz", ".tar.gz", archive.getvalue()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("inner.gz", gzip.compress(b"see " + utf8 + b"\n" + utf8))
    yield "gzip in a zip", ".zip", archive.getvalue()
    yield "JSON", ".json", json.dumps({"a": {"b": [text]}}).encode()
    yield "base64", ".json", json.dumps({"a": base64.b64encode(b"for " + utf8).decode()}).encode()
    values = np.array([text], dtype=object).astype("U40")
    content = io.BytesIO()
    np.save(content, values)
    yield "NumPy", ".npy", content.getvalue()
    content = io.BytesIO()
    np.savez_compressed(content, a=values)
    yield "NumPy archive", ".npz", content.getvalue()


def _png_text(text: str) -> PngInfo:
    info = PngInfo()
    info.add_itxt("Comment", text, zip=True)
    return info


def _exif(text: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = text
    return exif


def plant(source: Path, made: Path, out: Path) -> dict[str, tuple[str, str, str]]:
    """Write one file for each identifier, spelling and place; return what is in each."""
    header = dcmread(source)
    secrets = [("name", *each) for each in spellings(str(header.PatientName)).items()]
    secrets += [("number", *each) for each in numbers(str(header.PatientID)).items()]
    secrets += [("date", *each) for each in dates(str(header.PatientBirthDate)).items()]
    clean = dcmread(made)
    planted: dict[str, tuple[str, str, str]] = {}
    out.mkdir()
    for kind, how, text in secrets:
        for where, new in in_header(clean, text):
            name = f"{len(planted):06}.dcm"
            with contextlib.suppress(Exception):  # a text that this kind of value cannot hold
                save(new, out / name)
                planted[name] = (kind, how, where)
        for where, suffix, content in in_files(text):
            name = f"{len(planted):06}{suffix}"
            (out / name).write_bytes(content)
            planted[name] = (kind, how, where)
        if "/" not in text and "\n" not in text:
            name = f"q{len(planted)}_{text}.bin"
            (out / name).write_bytes(b"x")
            planted[name] = (kind, how, "file name")
    return planted


def missed(folder: Path, name: str, number: int) -> tuple[int, Counter[tuple[str, str]]]:
    """Plant the identifiers of one patient; return how many, and which of them scan misses."""
    (folder / "in").mkdir(parents=True)
    with silence():
        header = styled("Agfa CR", number)
        header.PatientName, header.PatientID = name, f"KH-{7300451 + 1379 * number}"
        save(header, folder / "in" / "a.dcm")
        made, _ = Deidentifier(Profile(), Key(bytes(32))).apply(dcmread(folder / "in" / "a.dcm"))
        made.save_as(folder / "made.dcm", enforce_file_format=True)
        planted = plant(folder / "in" / "a.dcm", folder / "made.dcm", folder / "out")
        found = scan(folder / "out", folder / "in", own_words=_own_words())
    hit = {file.name for file in found.files if file.remaining}
    named = sum(name.startswith("file ") for name in hit)
    lost = [what for name, what in planted.items() if name not in hit and what[2] != "file name"]
    total = sum(what[2] == "file name" for what in planted.values())
    counts = Counter((kind, f"{how}, {where}") for kind, how, where in lost)
    return len(planted), counts + Counter({("name", "file name"): total - named})


def by_chance(tables: int, entries: int) -> dict[str, float]:
    """Return in what share of lookup tables the de-identifier finds a name by chance."""
    generator, hits = np.random.default_rng(0), Counter[str]()
    for number in range(tables):
        header = styled("Agfa CR", number)
        header.PatientName = PATIENTS[number % len(PATIENTS)]
        known, share = Identity.of(header), np.linspace(0, 1, entries)
        curve = share ** generator.uniform(0.4, 2.5)
        noise = 255 * share + generator.normal(0, 4, entries)
        for kind, table in {
            "random bytes": generator.bytes(2 * entries),
            "curve of 16 bits": (65535 * curve).astype("<u2").tobytes(),
            "curve of 12 bits": (4095 * curve).astype("<u2").tobytes(),
            "noise of 8 bits in words": np.clip(noise, 0, 255).astype("<u2").tobytes(),
        }.items():
            hits[kind] += known.stands_in_bytes(table)
    return {kind: hits[kind] / tables for kind in (*hits,)}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=3, help="files of each maker")
    parser.add_argument("--tables", type=int, default=200, help="lookup tables of each kind")
    parser.add_argument("--folder", type=Path, help="also the DICOM files of this folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_styles(root / "styles", chosen.each)
        copy_packaged(root / "packages")
        print("| files | settings | searched | with a false alarm |\n|---|---|---|---|")
        for source in (root / "styles", root / "packages", *filter(None, [chosen.folder])):
            for name, words in SETTINGS.items():
                with silence():
                    found = released(source, root / f"{source.name} {name}", words)
                wrong = len({each.split(":")[0] for each in alarms(found)})
                print(f"| {source.name} | {name} | {len(found.files)} | {wrong} |", flush=True)
        print("\n| patient | planted | missed |\n|---|---|---|")
        for number, name in enumerate(NAMED):
            count, lost = missed(root / f"planted {number}", name, number)
            what = "; ".join(f"{how} ({times})" for (_, how), times in lost.most_common(4))
            print(f"| {name} | {count} | {sum(lost.values())} {what} |", flush=True)
        print("\n| entries | kind of table | with a name by chance |\n|---|---|---|")
        for entries in (128, 4096, 65_536):
            for kind, share in by_chance(chosen.tables, entries).items():
                print(f"| {entries} | {kind} | {share:.1%} |", flush=True)


if __name__ == "__main__":
    main()
