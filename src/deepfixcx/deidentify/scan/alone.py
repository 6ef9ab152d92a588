"""A folder searched without its sources, as its recipient can: what should not be there by rule.

It reads what each DICOM header says of its own de-identification, and looks for values that do not
fit it: names, dates, UIDs of another root, private elements, identifiers, texts that look like
addresses or numbers of a person. That nothing is found is no proof that nothing is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from deepfixcx.deidentify.scan.evidence import Finding, ScannedFile, ScanReport
from deepfixcx.deidentify.scan.needles import NO_NAMES
from deepfixcx.deidentify.scan.run import ReadWords, read_all
from deepfixcx.deidentify.scan.searching import list_files
from deepfixcx.deidentify.scan.sources import is_dicom, stated_options, tag_name
from deepfixcx.deidentify.silence import silence

__all__ = ["scan_alone"]

KEPT_DATES, KEPT_UIDS, KEPT_PRIVATE, KEPT_DEVICE, KEPT_PLACE, KEPT_TEXTS = (
    {"113106", "113107"}, {"113110"}, {"113111"}, {"113109"}, {"113112"}, {"113105", "113104"},
)  # fmt: skip
"""Codes of CID 7050 with which a header says what was kept or changed."""

_PERSON: Final = """
OtherPatientIDs OtherPatientNames PatientBirthName PatientMotherBirthName PatientAddress
PatientTelephoneNumbers MedicalRecordLocator MilitaryRank PatientReligiousPreference Occupation
PatientInsurancePlanCodeSequence OtherPatientIDsSequence PatientComments AdditionalPatientHistory
AccessionNumber AdmissionID IssuerOfPatientID ReferringPhysicianAddress
ReferringPhysicianTelephoneNumbers RequestAttributesSequence PatientTelecomInformation
ResponsibleOrganization CountryOfResidence RegionOfResidence OriginalAttributesSequence
"""
_PLACE: Final = "InstitutionName InstitutionAddress InstitutionalDepartmentName"
_DEVICE: Final = "DeviceSerialNumber StationName PlateID DetectorID GantryID DeviceUID"
PERSON, PLACE, DEVICE = (
    frozenset(filter(None, map(tag_for_keyword, names.split())))
    for names in (_PERSON, _PLACE, _DEVICE)
)
VERSIONS: Final = 0x00181020
"""Versions of the software of a device, which contain dates and numbers of builds."""

BIRTH: Final = frozenset({0x00100030, 0x00100032})
STATED: Final = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303, 0x0018A001})
"""What a header says of its own de-identification."""

DUMMY: Final = "REMOVED"
ALLOWED_DATES: Final = frozenset({"19000101", "19000101000000", "18000101"})
REPLACED: Final = re.compile(r"[A-Z]?[A-Z0-9_-]*\d[A-Z0-9_-]*|REMOVED|ANON\w*", re.IGNORECASE)
"""A pseudonym: one word with a digit in it."""

TEXTS: Final = {
    "address": re.compile(
        r"[\w.+-]+@[\w-]+\.\w+|https?://|\b(?:street|stra(?:ss|ß)e|avenue)\b", re.IGNORECASE
    ),
    "telephone number": re.compile(r"(?:\+|\b00)\d[\d ()/-]{6,}\d|\b\d{3}[ -]\d{3}[ -]\d{4}\b"),
    "date": re.compile(
        r"\b(?:19|20)\d\d[-./]?(?:0[1-9]|1[0-2])[-./]?(?:[0-2]\d|3[01])\b"
        r"|\b\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d\b"
    ),
    "name": re.compile(r"\b(?:Dr|Prof|Mr|Mrs|Ms|Herr|Frau|Mme)\b\.? [A-Z]\w+|\b[A-Z]\w+\^[A-Z]\w+"),
    "number": re.compile(r"(?<![\d.])\d{6,}(?![\d.])"),
}
"""What texts of a person look like, most specific first."""


def scan_alone(
    folder: Path,
    *,
    ignore: Collection[str] = (),
    read_words: ReadWords | None = None,
    workers: int = 1,
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> ScanReport:
    """Search a folder without its sources.

    Parameters
    ----------
    folder : Path
        What was received, or is to be shared.
    ignore : collection of str
        Elements that may say what they say, such as ``(0008,0018)``.
    read_words : callable
        Reads what is burned into an image; every word of three letters is a finding.
    workers : int
        Images that are read at once.
    report : callable
        Called with what is done, the files done and the files in all.

    Returns
    -------
    ScanReport
        Findings by element; a file that is no DICOM file has a problem, as it was not searched.

    Examples
    --------
    >>> import tempfile, shutil
    >>> from pydicom import examples
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = shutil.copy(examples.get_path("ct"), folder / "a.dcm")
    >>> scan_alone(folder).counts("kind")["name"]
    1
    """
    found = ScanReport(by_rule=True)
    entries = list_files(folder)
    allowed = {each.casefold() for each in ignore}
    for number, entry in enumerate(entries, start=1):
        name = entry.path.relative_to(folder).as_posix() if entry.path != folder else folder.name
        size = entry.path.stat().st_size if entry.has_content else 0
        findings: list[Finding] = []
        problem = entry.problem
        if entry.has_content and is_dicom(entry.path):
            try:
                with silence():
                    header = dcmread(entry.path, force=True, stop_before_pixels=True)
                    places = list(_places(header))
            except Exception:  # pydicom raises whatever damaged bytes lead to
                places, problem = [], "the header cannot be read, so it was not searched"
            findings = [
                Finding("element", -1, kind, (tag_name(tag),), "text", len(value), "")
                for kind, tag, value in places
                if tag_name(tag).casefold() not in allowed
            ]
        found.files.append(ScannedFile(name, size, tuple(findings), problem))
        report("searching files", number, len(entries))
    if read_words is not None:
        paths = [entry.path for entry in entries if entry.has_content]
        words = read_all(read_words, paths, workers, lambda *done: report("reading images", *done))
        read = dict(zip(paths, words, strict=True))
        found.words_before = 0
        found.files = [
            _with_words(file, read.get(entry.path))
            for file, entry in zip(found.files, entries, strict=True)
        ]
    return found


def _with_words(file: ScannedFile, words: list[str] | None) -> ScannedFile:
    if words is None:
        return file
    burned = tuple(Finding("burned in", -1, "text", (), "pixels", len(word), "") for word in words)
    return replace(file, findings=(*file.findings, *burned), words=len(words))


def _places(header: Dataset) -> Iterator[tuple[str, int, str]]:
    """Yield kind, element and value of what should not be in a de-identified header."""
    if str(header.get("PatientIdentityRemoved") or "").strip() != "YES":
        yield "not de-identified", 0x00120062, ""
    codes = set(stated_options(header))
    patient = str(header.get("PatientID") or "").strip()
    yield from _of_items(header, codes, patient, 0)


def _of_items(
    header: Dataset, codes: set[str], patient: str, outermost: int
) -> Iterator[tuple[str, int, str]]:
    for tag in list(header.keys()):
        at = outermost or int(tag)
        if at in STATED or tag >> 16 == 0x0002:
            continue
        if tag.is_private:
            if not codes & KEPT_PRIVATE and not tag.is_private_creator:
                yield "private element", at, ""
            continue
        try:
            element = header[tag]
            value: Any = element.value
        except Exception:  # damaged, so its content is unknown
            yield "unreadable", at, ""
            continue
        if element.VR == "SQ":
            for item in value or ():
                yield from _of_items(item, codes, patient, at)
        elif value not in (None, "", b""):
            values = value if element.VM > 1 else [value]
            texts = [str(each).strip(" \0") for each in values if not isinstance(each, bytes)]
            kinds = ((_kind(int(tag), element.VR, text, codes, patient), text) for text in texts)
            yield from ((kind, at, text) for kind, text in kinds if kind)


def _kind(tag: int, vr: str, text: str, codes: set[str], patient: str) -> str:
    """Return what a value is, if it should not be there, or an empty string."""
    if not text:
        return ""
    if vr == "PN":
        spoken = text != patient and not REPLACED.fullmatch(text)
        return "name" if spoken and text.casefold() not in NO_NAMES else ""
    if vr in ("DA", "DT"):
        kept = bool(codes & KEPT_DATES) and tag not in BIRTH
        return "" if kept or text in ALLOWED_DATES else "date"
    if vr == "UI":
        remapped = text.startswith("2.25.") or text in UID_dictionary
        return "" if remapped or codes & KEPT_UIDS else "uid"
    if tag in PERSON or (tag in PLACE and not codes & KEPT_PLACE):
        return "" if text in (patient, DUMMY) else "identifier"
    if tag in DEVICE:
        return "" if codes & KEPT_DEVICE or text == DUMMY else "identifier"
    if vr in ("LO", "SH", "LT", "ST", "UC", "UT", "AE", "UR"):
        kinds = {kind for kind, form in TEXTS.items() if form.search(text)}
        if tag == VERSIONS:
            kinds -= {"date", "number"}
        return next((kind for kind in TEXTS if kind in kinds), "")
    return ""
