"""What may stand in a release for a reason that its file shows, and what must not."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from deepfixcx.deidentify.scan import scan, write_evidence
from deepfixcx.deidentify.scan.harmless import DESCRIBING, DEVICE, TERMS, WORDS
from tests.deidentify.making import make_header, save

NAMES = Path(__file__).parent / "fixtures" / "usual_names.txt"


def stamped(*codes: str, **elements: object) -> Dataset:
    """Return a header of a release, which says what was done to it."""
    header = make_header(PatientName="P1", PatientID="P1", PatientBirthDate="", StudyDate="")
    for uid in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(header, uid, f"2.25.{len(uid)}")
    items = []
    for code in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", "done"
        items.append(item)
    header.DeidentificationMethodCodeSequence = Sequence(items)
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


def own_code(meaning: str) -> Dataset:
    """Return a code of a scheme that only the source knows."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X1", "99LOCAL", meaning
    return code


def scanned(tmp_path: Path, source: Dataset, made: Dataset) -> tuple[bool, dict[str, int]]:
    """Scan one made file against one source; return whether it is clean, and the reasons."""
    for name, header in (("in", source), ("out", made)):
        (tmp_path / name).mkdir()
        save(header, tmp_path / name / f"{name[0]}.dcm")
    found = scan(tmp_path / "out", tmp_path / "in")
    return found.clean, found.counts("harmless")


DEVICE_KEPT, CLEANED = "113109", "113105"
IN_PART = ["DICOM PS3.15 Annex E", "113109 applied in part", "113105 applied in part"]
HARMLESS: dict[str, tuple[dict[str, Any], Dataset]] = {
    "a term of the standard": (
        {"StudyDescription": "WHOLE BODY"},
        stamped(ImageType=["DERIVED", "PRIMARY", "WHOLE BODY"]),
    ),
    "a term of the standard in Image ID, which a description has as well": (
        {"StudyDescription": "WHOLE BODY", "ImageID": "WHOLE BODY"},
        stamped(ImageID="WHOLE BODY"),
    ),
    "a protocol that is called like the maker": (
        {"ProtocolName": "TOSHIBA", "ManufacturerModelName": "TOSHIBA_MEC"},
        stamped(ManufacturerModelName="TOSHIBA_MEC"),
    ),
    "a station that is kept": (
        {"StationName": "GENIEACQ"},
        stamped(DEVICE_KEPT, StationName="GENIEACQ"),
    ),
    "a device of which something else was emptied": (
        {"StationName": "GENIEACQ"},
        stamped(DeidentificationMethod=IN_PART, StationName="GENIEACQ"),
    ),
    "words of anatomy in a header with a rule for another description": (
        {"SeriesDescription": "LIVER axial 5mm"},
        stamped(DeidentificationMethod=IN_PART, SeriesDescription="LIVER axial 5mm"),
    ),
    "words of anatomy": (
        {"SeriesDescription": "LIVER axial 5mm"},
        stamped(CLEANED, SeriesDescription="LIVER axial 5mm"),
    ),
    "the part of the body": (
        {"ProtocolName": "WHOLE KNEE"},
        stamped(BodyPartExamined="WHOLE KNEE"),
    ),
    "words of registered codes": (
        {"ProtocolName": "Stress echos"},
        stamped(CLEANED, ProtocolName="Stress echos"),
    ),
    "words of anatomy that a code of the source's own means": (
        {
            "StudyDescription": "US KIDNEY",
            "ProcedureCodeSequence": Sequence([own_code("US KIDNEY")]),
        },
        stamped(CLEANED, StudyDescription="US KIDNEY"),
    ),
    "a date that was moved to that of something else": (
        {"AcquisitionDate": "20190304"},
        stamped("113107", SeriesDate="20190304"),
    ),
    "how the source was de-identified": (
        {"DeidentificationMethod": "by hand in 2019"},
        stamped(DeidentificationMethod="by hand in 2019"),
    ),
}
LEFT: dict[str, tuple[dict[str, Any], Dataset]] = {
    "a patient who is called like a term of the standard": (
        {"PatientName": "Body^Whole", "ImageID": "WHOLE BODY"},
        stamped(ImageID="WHOLE BODY"),
    ),
    "words in Image ID that are no term of the standard": (
        {"StudyDescription": "Klinik Ostermark", "ImageID": "Klinik Ostermark"},
        stamped(ImageID="Klinik Ostermark"),
    ),
    "an institution that is called like the maker": (
        {"InstitutionName": "TOSHIBA", "ManufacturerModelName": "TOSHIBA_MEC"},
        stamped(ManufacturerModelName="TOSHIBA_MEC"),
    ),
    "a name where a maker stands": (
        {"PatientName": "Philips^Eva"},
        stamped(Manufacturer="Philips"),
    ),
    "an institution where a maker stands": (
        {"InstitutionName": "Lindenhof"},
        stamped(Manufacturer="Lindenhof"),
    ),
    "a maker where none stands": (
        {"InstitutionName": "TOSHIBA"},
        stamped(StudyID="TOSHIBA"),
    ),
    "a maker at two places": (
        {"InstitutionName": "TOSHIBA"},
        stamped(Manufacturer="TOSHIBA", StudyID="TOSHIBA"),
    ),
    "a date that was not moved": (
        {"AcquisitionDate": "20190304"},
        stamped("113107", AcquisitionDate="20190304"),
    ),
    "a date where none was moved": (
        {"AcquisitionDate": "20190304"},
        stamped(CLEANED, SeriesDate="20190304"),
    ),
    "the date of birth elsewhere": (
        {"PatientBirthDate": "19510607"},
        stamped("113107", SeriesDate="19510607"),
    ),
    "a station that was not to be kept": (
        {"StationName": "GENIEACQ"},
        stamped(CLEANED, StationName="GENIEACQ"),
    ),
    "a name in the station": (
        {"StationName": "Ottilie 1"},
        stamped(DEVICE_KEPT, StationName="Ottilie 1"),
    ),
    "a name in the station of which something else was emptied": (
        {"StationName": "Ottilie 1"},
        stamped(DeidentificationMethod=IN_PART, StationName="Ottilie 1"),
    ),
    "a station where a note only speaks of the option": (
        {"StationName": "GENIEACQ"},
        stamped(DeidentificationMethod="no 113109 applied in part", StationName="GENIEACQ"),
    ),
    "a station at two places": (
        {"StationName": "GENIEACQ"},
        stamped(DEVICE_KEPT, StationName="GENIEACQ", StudyID="GENIEACQ"),
    ),
    "the institution in the station": (
        {"InstitutionName": "Lindenhof"},
        stamped(DEVICE_KEPT, StationName="Lindenhof 1"),
    ),
    "words that were not cleaned": (
        {"SeriesDescription": "LIVER axial"},
        stamped(SeriesDescription="LIVER axial"),
    ),
    "one word more": (
        {"SeriesDescription": "LIVER Lindenhof"},
        stamped(CLEANED, SeriesDescription="LIVER Lindenhof"),
    ),
    "a number more": (
        {"SeriesDescription": "LIVER 4711"},
        stamped(CLEANED, SeriesDescription="LIVER 4711"),
    ),
    "a patient who is called like a part of the body": (
        {"PatientName": "Shin^Knee"},
        stamped(CLEANED, SeriesDescription="Knee"),
    ),
    "a patient who is called like a word of a registered code": (
        {"PatientName": "Stress^Ana", "ProtocolName": "Stress echo"},
        stamped(CLEANED, ProtocolName="Stress echo"),
    ),
    "a patient of two letters beside a digit": (
        {"PatientName": "Ng^Bo"},
        stamped(SequenceName="BO1"),
    ),
    "words of anatomy in a sequence": (
        {"SeriesDescription": "LIVER axial"},
        stamped(CLEANED, ReferencedImageSequence=Sequence([stamped(StudyID="LIVER axial")])),
    ),
    "a note beside a term": (
        {"StudyDescription": "WHOLE BODY"},
        stamped(ImageType=["DERIVED", "PRIMARY", "THE WHOLE BODY"]),
    ),
    "the number of an examination in a description": (
        {"AccessionNumber": "LIVER"},
        stamped(CLEANED, SeriesDescription="LIVER"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HARMLESS)
def test_what_has_a_reason_may_stay(case: str, tmp_path: Path) -> None:
    elements, made = HARMLESS[case]
    clean, reasons = scanned(tmp_path, make_header(**elements), made)
    assert reasons, "it was not found at all"
    assert clean


@pytest.mark.parametrize("case", LEFT)
def test_what_has_none_remains(case: str, tmp_path: Path) -> None:
    elements, made = LEFT[case]
    clean, _ = scanned(tmp_path, make_header(**elements), made)
    assert not clean


@pytest.mark.parametrize("others", [True, False])
def test_a_name_may_stand_where_another_patient_has_the_same_value(
    others: bool, tmp_path: Path
) -> None:
    """As a code, a term or a maker; where none has it, it is the name."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-A0100", "SRT", "Brain"
    elements = {"AnatomicRegionSequence": Sequence([code]), "Manufacturer": "Brain"}
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    save(make_header(PatientName="Gray^Brain", **elements), tmp_path / "in" / "1.dcm")
    if others:
        other = make_header(PatientName="Other^Person", PatientID="2", **elements)
        save(other, tmp_path / "in" / "2.dcm")
    save(stamped(**elements), tmp_path / "out" / "1.dcm")
    found = scan(tmp_path / "out", tmp_path / "in")
    assert found.clean is others
    assert bool(found.counts("harmless")) is others


def test_nothing_in_a_packed_header_is_harmless(tmp_path: Path) -> None:
    """Places in it are not those of the file, where something else may stand."""
    made = stamped(DEVICE_KEPT, Manufacturer="x" * 64, StationName="GENIEACQ")
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    for tag in [
        each.tag for each in made if each.tag < 0x00081010 and each.keyword != "SOPClassUID"
    ]:
        del made[tag]
    made.SOPInstanceUID = "2.25.1"
    path = save(made, tmp_path / "first.dcm")
    element = dcmread(path).get_item("StationName")
    assert isinstance(element, RawDataElement)
    at = element.value_tell
    assert at < 120
    made.preamble = bytes(at) + b"GENIEACQ" + bytes(120 - at)
    clean, reasons = scanned(tmp_path, make_header(StationName="GENIEACQ"), made)
    assert not clean
    assert not reasons


def test_the_evidence_says_why(tmp_path: Path) -> None:
    source = make_header(StationName="GENIEACQ", InstitutionName="TOSHIBA")
    made = stamped(DEVICE_KEPT, StationName="GENIEACQ", Manufacturer="TOSHIBA", StudyID="TOSHIBA")
    assert not scanned(tmp_path, source, made)[0]
    write_evidence(
        scan(tmp_path / "out", tmp_path / "in"), tmp_path / "said", scanned=tmp_path / "out"
    )
    with (tmp_path / "said" / "evidence.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["tags"]: (row["found"], row["why_harmless"]) for row in csv.DictReader(file)}
    assert rows == {
        "(0008,1010)": ("harmless", "device, kept as (0012,0064) says, in (0008,1010)"),
        "(0008,0080)": ("yes", ""),
    }


def test_no_harmless_word_is_a_usual_name() -> None:
    names = {name for line in NAMES.read_text("utf-8").splitlines()[1:] for name in line.split()}
    assert len(names) > 200
    assert not WORDS & names
    assert not {word.casefold() for term in TERMS for word in term.split()} & names


def test_no_harmless_element_identifies_patients() -> None:
    for tag in (DESCRIBING | DEVICE) - {"file name"}:
        assert tag[1:5] not in ("0010", "0038", "0032") or tag == "(0032,1060)"
        assert tag not in ("(0008,0050)", "(0008,0080)", "(0008,0081)", "(0020,0010)")


def test_a_header_that_begins_late_is_read(tmp_path: Path) -> None:
    """As in a file whose first bytes were lost, with others left instead of them."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    path = save(make_header(PatientAddress="Lindenweg 5"), tmp_path / "whole.dcm")
    content = path.read_bytes()
    (tmp_path / "in" / "late.dcm").write_bytes(
        b"\x20" + content[content.index(b"\x08\0\x05\0CS") :]
    )
    (tmp_path / "out" / "notes.txt").write_text("lindenweg 5", "utf-8")
    found = scan(tmp_path / "out", tmp_path / "in")
    assert (found.sources_read, found.sources_as_bytes) == (1, 0)
    assert [finding.tags for finding in found.files[0].findings] == [("(0010,1040)",)]


def test_plain_text_of_a_file_without_a_header_is_searched_for(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "broken.dcm").write_bytes(b"\x01\x02Winterbottom^Ottilie\0\0x\xff")
    (tmp_path / "in" / "empty.dcm").write_bytes(b"")
    (tmp_path / "out" / "notes.txt").write_text("for Ottilie", "utf-8")
    found = scan(tmp_path / "out", tmp_path / "in")
    assert (found.sources_read, found.sources_as_bytes, found.sources_failed) == (0, 2, [])
    assert not found.clean
