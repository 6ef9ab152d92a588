r"""De-identification, measured with the ten actions of MIDI-B on files with invented identifiers.

The generator plants identifiers into small real DICOM files and built ones, and writes what has to
become of each into a SQLite file in the schema of the public validation script: a table
``answer_data`` with one row a file, whose ``AnswerData`` is a JSON object of checks. The scorer
reads the same file, so that both can judge one result. The rules of the ten actions are those of
the challenge (arXiv 2507.23608), written down here from its description.

    python -m benchmarks.midi make FOLDER --files 2000
    deepfixcx deidentify FOLDER/plain OUT/plain --retain dates,patient,descriptors --key KEY
    deepfixcx deidentify FOLDER/burned OUT/burned --retain dates,patient,descriptors --mask phi \
        --key KEY
    python -m benchmarks.midi score FOLDER OUT/plain OUT/burned

`series` writes a real series of 40 slices under 12 invented patients: headers that repeat
themselves, as those of a hospital do, for the time of a header.

The public script (CBIIT/MIDI_validation_script) reads ``answers.db`` and the two tables that
``score --mappings DIR`` writes; the peers run on the same files (`benchmarks.midi_peers`). Both run
in environments of their own.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage

ACTIONS = (
    "tag_retained", "text_notnull", "text_retained", "text_removed", "date_shifted",
    "uid_changed", "pixels_hidden", "pixels_retained", "uid_consistent", "patid_consistent",
)  # fmt: skip
COLUMNS = "PatientID StudyInstanceUID SeriesInstanceUID SOPInstanceUID Modality SOPClassUID"
SOURCES = [
    "CT_small",
    "MR_small_implicit",
    "MR_small_bigendian",
    "MR_small_jpeg_ls_lossless",
    "MR_small_RLE",
    "SC_rgb_small_odd_jpeg",
    "SC_rgb_rle_2frame",
    "OBXXXX1A_rle",
    "JPEG2000",
    "color-pl",
    "JLSL_16_15_1_1F",
    "SC_rgb_dcmtk_+eb+cy+s2",
    "image_dfl",
    "rtdose_1frame",
    "emri_small_jpeg_2k_lossless",
]
FAMILY = [
    "Abernathy",
    "Okonkwo",
    "Lindqvist",
    "Castellanos",
    "Vanterpool",
    "Mbeki",
    "Thorvald",
    "Quintero",
    "Hale",
    "Ng",
]
GIVEN = [
    "Rosalind",
    "Emeka",
    "Astrid",
    "Joaquin",
    "Beatrix",
    "Thandiwe",
    "Sigrid",
    "Ximena",
    "Piers",
    "Li",
    "Marguerite",
]
DOCTORS = ["Ferreira", "Macallister", "Oyelaran", "Duchamp", "Petrovska", "Nakagawa"]
SITES = ("Larkspur Valley Hospital", "Saint Brannoc Infirmary", "Klinikum Ostermark")
STREETS = ("12 Juniper Crescent", "340 Marlow Terrace", "7 Quarry Hill Road")
TECHNIQUES = (
    "CT CHEST WITHOUT CONTRAST", "MRI BRAIN WITH AND WITHOUT CONTRAST", "US ABDOMEN COMPLETE",
    "CHEST PA AND LATERAL", "MR KNEE RIGHT", "CT ABDOMEN PELVIS", "AXIAL T2 FLAIR",
    "SAGITTAL T1 POST CONTRAST", "PET WHOLE BODY", "DX SHOULDER LEFT 2 VIEWS",
)  # fmt: skip
SIZES = (10, 12, 14, 16, 20, 24, 28, 32)
POLARITIES = ((255, 0), (0, 255), (230, 90), (30, 150))
MEASURES = ("4.2 cm", "12 mm", "GAIN 60", "FR 30", "L")


@dataclass(slots=True)
class Patient:
    """An invented patient."""

    number: int
    rng: np.random.Generator
    family: str = ""
    given: str = ""
    identity: str = ""
    birth: str = ""
    words: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Invent."""
        pick = self.rng.choice
        self.family, self.given = str(pick(FAMILY)), str(pick(GIVEN))
        self.identity = f"MRN{self.rng.integers(10**7, 10**8)}"
        self.birth = f"{self.rng.integers(1930, 2005)}{self.rng.integers(1, 13):02}15"
        self.words = {
            "family": self.family, "given": self.given, "id": self.identity, "birth": self.birth,
            "doctor": str(pick(DOCTORS)), "site": str(pick(SITES)), "street": str(pick(STREETS)),
            "phone": f"+1 555 {self.rng.integers(1000000, 9999999)}",
            "accession": f"ACC{self.rng.integers(10**6, 10**7)}",
            "technique": str(pick(TECHNIQUES)),
        }  # fmt: skip


NAMED = "{family}^{given}"
PLACES: dict[str, str] = {
    "PatientName": NAMED, "PatientID": "{id}", "PatientBirthDate": "{birth}",
    "OtherPatientNames": NAMED, "OtherPatientIDs": "{id}-B", "PatientBirthName": NAMED,
    "PatientMotherBirthName": "{family}^Maud", "PatientAddress": "{street}",
    "PatientTelephoneNumbers": "{phone}", "MedicalRecordLocator": "{id}",
    "PatientInsurancePlanCodeSequence/CodeMeaning": "Plan of {family}",
    "PatientComments": "{given} {family} called {phone}", "AdditionalPatientHistory":
    "History of {given}, born {birth}", "EthnicGroup": "{family}", "Occupation": "Baker, {family}",
    "AccessionNumber": "{accession}", "StudyID": "{accession}", "ReferringPhysicianName":
    "{doctor}^A", "PhysiciansOfRecord": "{doctor}^B", "PerformingPhysicianName": "{doctor}^C",
    "NameOfPhysiciansReadingStudy": "{doctor}^D", "OperatorsName": "{doctor}^E",
    "RequestingPhysician": "{doctor}^F", "ReferringPhysicianAddress": "{street}",
    "ReferringPhysicianTelephoneNumbers": "{phone}", "InstitutionName": "{site}",
    "InstitutionAddress": "{street}", "InstitutionalDepartmentName": "{site} radiology",
    "ConsultingPhysicianName": "{doctor}^G", "RequestingService": "Ward of {doctor}",
    "AdmissionID": "{accession}", "CurrentPatientLocation": "{site} room 4",
    "PatientInstitutionResidence": "{street}", "ScheduledProcedureStepLocation": "{site}",
    "RequestedProcedureComments": "call Dr {doctor} {phone}", "ImageComments":
    "seen by {doctor} for {family}", "StudyComments": "{given} {family} {id}",
    "DerivationDescription": "exported for {family}", "AcquisitionComments": "patient {given}",
    "DetectorID": "det {site}", "RequestAttributesSequence/RequestedProcedureDescription":
    "procedure of {family}", "ReferencedStudySequence/PatientName": NAMED,
    "OtherPatientIDsSequence/PatientID": "{id}-C", "ContentCreatorName": "{doctor}^H",
    "private/LO": "note on {family} {id}", "private/UT": "{given} of {street}",
}  # fmt: skip
"""Where identifiers are planted: more than forty kinds of place."""

MIXED = {"StudyDescription": "{technique} {family}", "SeriesDescription": "{technique} Dr {doctor}",
         "ProtocolName": "{technique} {id}"}  # fmt: skip
"""Descriptions of which the technique stays and the identifier does not."""

UID_PLACES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
KEPT = {"Manufacturer": "Acme Imaging", "PatientSex": "F", "PatientAge": "061Y",
        "BodyPartExamined": "CHEST", "KVP": "120"}  # fmt: skip


@dataclass(slots=True)
class Answers:
    """The checks of one file."""

    checks: list[dict[str, Any]] = field(default_factory=list)

    def add(self, action: str, place: str, value: str, text: str = "") -> None:
        """Add one check of an element: its value before, and the text that the action is about."""
        self.checks.append(
            {"action": f"<{action}>", "tag_ds": path_of(place), "tag": place,
             "tag_name": f"<{place}>", "value": f"<{value}>", "action_text": f"<{text or value}>",
             "answer_category_v2": {"prev_cat": "benchmark"}}
        )  # fmt: skip


def path_of(place: str) -> str:
    """Return a place as the public script calls it: ``<(0008,1140)>[<0000>]<(0010,0010)>``."""
    outer, _, inner = place.partition("/")
    if outer == "private":
        return f'<(0029,"ACME NOTES",{"10" if inner == "LO" else "11"})>'
    tags = [f"{tag_for_keyword(name):08x}" for name in (outer, inner) if name]
    return "[<0000>]".join(f"<({tag[:4]},{tag[4:]})>" for tag in tags)


def plant(header: Dataset, place: str, text: str) -> None:
    """Write a text at a place, which may lie in a sequence or in a private block."""
    outer, _, inner = place.partition("/")
    if outer == "private":
        block = header.private_block(0x0029, "ACME NOTES", create=True)
        block.add_new(0x10 if inner == "LO" else 0x11, inner, text)
        return
    if not inner:
        setattr(header, outer, text)
        return
    item = Dataset()
    setattr(item, inner, text)
    if inner == "CodeMeaning":
        item.CodeValue, item.CodingSchemeDesignator = "P1", "99ACME"
    setattr(header, outer, Sequence([item]))


def read_place(header: Dataset, place: str) -> str | None:
    """Return the text at a place, or None where it is not there."""
    outer, _, inner = place.partition("/")
    if outer == "private":
        try:
            block = header.private_block(0x0029, "ACME NOTES")
            return str(block[0x10 if inner == "LO" else 0x11].value)
        except KeyError:
            return None
    if not inner:
        return None if outer not in header else str(header[outer].value or "")
    items = header.get(outer) or ()
    texts = [str(item.get(inner) or "") for item in items if inner in item]
    return " ".join(texts) if texts else None


def planted(form: str, patient: Patient) -> str:
    """Return the identifiers in a text, without the words around them."""
    names = [name for name in re.findall(r"{(\w+)}", form) if name != "technique"]
    return " ".join(patient.words[name] for name in names)


def identify(header: Dataset, patient: Patient, study: int, number: int) -> Answers:
    """Plant identifiers into a header and return what must become of them."""
    answers, rng = Answers(), patient.rng
    chosen = [*list(PLACES)[:3], *rng.choice(list(PLACES)[3:], 12, replace=False).tolist()]
    for place in chosen:
        text = PLACES[place].format(**patient.words)
        plant(header, place, text)
        answers.add("text_removed", place, text, planted(PLACES[place], patient))
    for place, form in MIXED.items():
        plant(header, place, form.format(**patient.words))
        answers.add("text_removed", place, form.format(**patient.words), planted(form, patient))
        answers.add(
            "text_retained", place, form.format(**patient.words), patient.words["technique"]
        )
    day = f"20{rng.integers(10, 24)}{rng.integers(1, 13):02}{rng.integers(1, 28):02}"
    for place in DATES:
        plant(header, place, day)
        answers.add("date_shifted", place, day)
        answers.add("text_notnull", place, day)
    for place, text in KEPT.items():
        plant(header, place, text)
        answers.add("text_retained", place, text)
    root = f"1.2.826.0.1.3680043.8.498.{patient.number}"
    header.StudyInstanceUID, header.SeriesInstanceUID = f"{root}.{study}", f"{root}.{study}.1"
    header.SOPInstanceUID = f"{root}.{study}.1.{number}"
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    header.FrameOfReferenceUID = f"{root}.9"
    for place in UID_PLACES:
        answers.add("uid_changed", place, str(header[place].value))
        answers.add("uid_consistent", place, str(header[place].value))
        answers.add("text_notnull", place, str(header[place].value))
    answers.add("patid_consistent", "PatientID", patient.identity)
    answers.add("text_notnull", "PatientID", patient.identity)
    header.Modality = str(header.get("Modality") or "OT")
    for place in ("Rows", "Columns", "BitsStored", "Modality", "PatientName"):
        answers.add("tag_retained", place, str(header.get(place)))
    return answers


def burned(number: int, patient: Patient) -> tuple[Dataset, list[dict[str, Any]]]:
    """Build an ultrasound image that shows identifiers and measurements; return where."""
    size = SIZES[number % len(SIZES)]
    ink, paper = POLARITIES[number // len(SIZES) % len(POLARITIES)]
    picture = Image.new("L", (512, 384), paper)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    lines = [f"{patient.family} {patient.given}", patient.identity,
             f"{patient.birth[:4]}-{patient.birth[4:6]}-{patient.birth[6:]}"]  # fmt: skip
    lines += [patient.words["site"], MEASURES[number % 5], MEASURES[(number + 2) % 5]]
    boxes = []
    for row, line in enumerate(lines):
        at = (16 + 40 * (row % 3), 12 + row * 56)
        draw.text(at, line, ink, font)
        left, top, right, bottom = draw.textbbox(at, line, font)
        boxes.append({"text": line, "top_left": [int(left), int(top)], "wanted": row >= 4,
                      "bottom_right": [int(right), int(bottom)], "size": size})  # fmt: skip
    noise = patient.rng.normal(0, 3, (384, 512))
    pixels = np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = UltrasoundImageStorage
    made.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    made.Modality, made.Rows, made.Columns, made.SamplesPerPixel = "US", 384, 512, 1
    made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OB"
    return made, boxes


def digest(header: Dataset) -> str:
    """Return the hash of the pixels as they are stored."""
    return hashlib.md5(header.PixelData, usedforsecurity=False).hexdigest()


def make(folder: Path, files: int, seed: int, data: Path) -> None:
    """Write the files, their answers and the places of burned-in text."""
    rng = np.random.default_rng(seed)
    database = sqlite3.connect(folder / "answers.db")
    columns = ", ".join(f"{name} TEXT" for name in (*COLUMNS.split(), "AnswerData", "scope"))
    database.execute(f"CREATE TABLE answer_data ({columns})")
    shown = min(64, files // 8)
    patients = [Patient(number, rng) for number in range(1, max(2, files // 10))]
    for number in range(files):
        patient = patients[number % len(patients)]
        boxes: list[dict[str, Any]] = []
        room = "burned" if number < shown else "plain"
        if room == "burned":
            header, boxes = burned(number, patient)
        else:
            name = SOURCES[number % len(SOURCES)]
            header = dcmread(data / "dicom" / "files" / f"{name}.dcm")
        answers = identify(header, patient, number // len(patients) % 3 + 1, number + 1)
        for box in boxes:
            if not box["wanted"]:
                answers.add("pixels_hidden", "PixelData", box["text"], json.dumps(box))
        if not boxes:
            answers.add("pixels_retained", "PixelData", "pixels", digest(header))
        (folder / room).mkdir(exist_ok=True)
        header.save_as(folder / room / f"{number:06}.dcm", enforce_file_format=True)
        known = [str(header.get(each) or "") for each in COLUMNS.split()]
        checks = json.dumps({str(n): check for n, check in enumerate(answers.checks)})
        marks = ", ".join("?" * (len(known) + 2))
        values = (*known, checks, "<Instance>")
        database.execute(f"INSERT INTO answer_data VALUES ({marks})", values)
        wanted = [box for box in boxes if box["wanted"]]
        if wanted:
            with (folder / "wanted.jsonl").open("a") as file:
                file.write(json.dumps({"uid": str(header.SOPInstanceUID), "boxes": wanted}) + "\n")
    database.commit()
    database.close()


def make_series(folder: Path, seed: int, data: Path) -> None:
    """Write the slices of one real series for twelve invented patients."""
    rng = np.random.default_rng(seed)
    for number in range(1, 13):
        patient = Patient(number, rng)
        for path in sorted((data / "volumes" / "mr_series").rglob("*.dcm")):
            header = dcmread(path)
            header.PatientName = f"{patient.family}^{patient.given}"
            header.PatientID, header.PatientBirthDate = patient.identity, patient.birth
            for place in UID_PLACES:
                setattr(header, place, f"{header[place].value}.{number}"[-64:])
            header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
            header.save_as(folder / f"{number:02}-{path.stem}.dcm", enforce_file_format=True)


# -- scoring ----------------------------------------------------------------------------------


def pairs(results: list[Path], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the instance UID of each source and the file that it became."""
    for result in results:
        names = {}
        private = result.with_name(f"{result.name}.private") / "sources.csv"
        if private.is_file():
            with private.open(newline="") as file:
                names = {row["source_id"]: row["source"] for row in csv.DictReader(file)}
        room = folder / result.name
        for path in sorted(result.rglob("*.dcm")):
            source = room / names.get(path.stem, path.name)
            yield str(dcmread(source, specific_tags=["SOPInstanceUID"]).SOPInstanceUID), path


def has_tokens(text: str, sought: str) -> tuple[int, int]:
    """Return how many words of a text are in another one, and how many there are."""
    words = re.findall(r"[^\s,;:^\\]+", sought.casefold())
    low = text.casefold()
    # Two or three letters stand in a pseudonym by chance, so they count as a word alone.
    return sum(
        word in low if len(word) > 3 else re.search(rf"\b{re.escape(word)}\b", low) is not None
        for word in words
    ), len(words)


def decoded(header: Dataset) -> np.ndarray[Any, Any]:
    """Return the pixels of a built image, which is uncompressed with 8 bits."""
    return np.frombuffer(header.PixelData, np.uint8)[: 384 * 512].reshape(384, 512)


def is_hidden(pixels: np.ndarray[Any, Any], box: dict[str, Any]) -> bool:
    """Return whether the place of a text is of one gray, but for 3 % at its edge."""
    (left, top), (right, bottom) = box["top_left"], box["bottom_right"]
    area = pixels[top:bottom, left:right]
    return bool((area == area.min()).mean() >= 0.97)


class Maps:
    """The new value of every old one; the first file says, the others have to agree."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.taken: dict[tuple[str, str], str] = {}

    def agrees(self, kind: str, old: str, new: str) -> bool:
        """Return whether an old value became this one everywhere, and no other value did."""
        there = self.known.setdefault((kind, old), new) == new
        return there and self.taken.setdefault((kind, new), old) == old


def passed(check: dict[str, Any], new: Dataset, maps: Maps) -> bool:
    """Return whether one check of a file is passed."""
    action, place = check["action"].strip("<>"), check["tag"]
    value, text = check["value"][1:-1], check["action_text"][1:-1]
    if action == "pixels_retained":
        return "PixelData" in new and digest(new) == text
    if action == "pixels_hidden":
        return "PixelData" in new and is_hidden(decoded(new), json.loads(text))
    found = read_place(new, place)
    if action in ("tag_retained", "text_notnull"):
        return found is not None and (action == "tag_retained" or bool(found))
    if action == "text_retained":
        kept, words = has_tokens(found or "", text)
        return kept == words
    if action == "text_removed":
        return has_tokens(found or "", text)[0] == 0
    if action in ("date_shifted", "uid_changed"):
        return value not in (found or "")
    kind = "patient" if action == "patid_consistent" else "uid"
    return found is None or maps.agrees(kind, value, found)


def score(folder: Path, results: list[Path]) -> dict[str, Any]:
    """Judge results; a file that is missing fails what it had to keep, and passes the rest."""
    database = sqlite3.connect(folder / "answers.db")
    answers = {
        uid: [*json.loads(data).values()]
        for uid, data in database.execute("SELECT SOPInstanceUID, AnswerData FROM answer_data")
    }
    done, total = Counter[str](), Counter[str]()
    maps, failed, seen = (
        Maps(),
        defaultdict[str, Counter[str]](Counter),
        dict(pairs(results, folder)),
    )
    for uid, checks in answers.items():
        new = dcmread(seen[uid], force=True) if uid in seen else None
        for check in checks:
            action = check["action"].strip("<>")
            total[action] += 1
            free = action in ("text_removed", "date_shifted", "uid_changed", "pixels_hidden")
            good = passed(check, new, maps) if new is not None else free
            done[action] += good
            if not good:
                failed[action][check["tag"] if new is not None else "file withheld"] += 1
    shares = {action: round(100 * done[action] / total[action], 3) for action in ACTIONS}
    overall = round(100 * sum(done.values()) / sum(total.values()), 3)
    where = {action: dict(counts.most_common(8)) for action, counts in failed.items()}
    return {"files": len(answers), "results": len(seen), "checks": sum(total.values()),
            "overall": overall, "actions": shares, "failed": where,
            "measurements_painted": _painted_measures(folder, seen)}  # fmt: skip


def write_mappings(folder: Path, results: list[Path], target: Path) -> None:
    """Write the tables of old and new UIDs and patients that the public script needs."""
    uids: dict[str, str] = {}
    patients: dict[str, str] = {}
    known = {path.stem: path for room in ("plain", "burned") for path in (folder / room).iterdir()}
    by_uid = {str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID): path
              for path in known.values()}  # fmt: skip
    for uid, path in pairs(results, folder):
        old, new = (dcmread(each, stop_before_pixels=True) for each in (by_uid[uid], path))
        for place in UID_PLACES:
            uids.setdefault(str(old.get(place)), str(new.get(place)))
        patients.setdefault(str(old.PatientID), str(new.get("PatientID")))
    target.mkdir(parents=True, exist_ok=True)
    for name, rows in (("uids", uids), ("patients", patients)):
        with (target / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id_old", "id_new"), *rows.items()])


def _painted_measures(folder: Path, seen: dict[str, Path]) -> dict[str, int]:
    painted = boxes = 0
    path = folder / "wanted.jsonl"
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        if row["uid"] in seen:
            pixels = decoded(dcmread(seen[row["uid"]]))
            boxes += len(row["boxes"])
            painted += sum(is_hidden(pixels, box) for box in row["boxes"])
    return {"boxes": boxes, "painted": painted}


def main() -> None:
    """Make files, or score results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "series", "score"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("results", type=Path, nargs="*")
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--mappings", type=Path, help="where to write the script's mappings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked = parser.parse_args()
    if asked.what == "series":
        asked.folder.mkdir(parents=True)
        make_series(asked.folder, asked.seed, asked.data)
    elif asked.what == "make":
        asked.folder.mkdir(parents=True)
        make(asked.folder, asked.files, asked.seed, asked.data)
    else:
        if asked.mappings is not None:
            write_mappings(asked.folder, asked.results, asked.mappings)
        print(json.dumps(score(asked.folder, asked.results), indent=2))


if __name__ == "__main__":
    main()
