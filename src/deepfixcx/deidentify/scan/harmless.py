"""Why a string of the sources may stand where it was found, for reasons that the file itself shows.

A word is never harmless by itself, and no list says which are. Three things have to come together:
the element of the new header that holds it, what the standard or the sources let that element say,
and the elements of the sources that the word comes from. Every place of a string in a file needs a
reason; one without makes it a finding.

The files of a release also hold words of its format and numbers that it counts: a patient may be
called Max, and a release has ``max_pixels`` all the same. What may stand is decided by place: the
known columns of ``manifest.csv`` and the known keys of ``dataset.json``.
"""

from __future__ import annotations

import csv
import functools
import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Set
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.codedict import codes
from pydicom.uid import DeflatedExplicitVRLittleEndian

from deepfixcx.deidentify.scan.needles import NUMBERS, Needle, dicom_words
from deepfixcx.deidentify.scan.sources import is_dicom, stated_options, tag_name
from deepfixcx.deidentify.silence import silence
from deepfixcx.io.tables import read_rows

__all__ = ["DESCRIBING", "DEVICE", "TERMS", "WORDS", "Own", "Reasons"]

IMAGE_TYPE, BODY_PART, METHOD = "(0008,0008)", "(0018,0015)", "(0012,0063)"
IMAGE_ID: Final = "(0054,0400)"
KEPT_DEVICE, CLEANED_DESCRIPTORS, MOVED_DATES = "113109", "113105", "113107"
"""Codes of CID 7050, by which a header says what was done to it."""

TERMS: Final = frozenset(
    {"DERIVED", "ORIGINAL", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "SINGLE PLANE"}
    | {"BIPLANE A", "BIPLANE B", "STATIC", "DYNAMIC", "GATED", "WHOLE BODY", "TOMO", "GATED TOMO"}
    | {"RECON TOMO", "RECON GATED TOMO", "EMISSION", "TRANSMISSION", "OTHER", "PROJECTION IMAGE"}
    | {"VOLUME", "THICK SLICE", "REFORMATTED", "MPR", "DENSITY MAP", "PHASE MAP", "LABEL"}
)
"""What the standard lets Image Type say, and nuclear medicine repeats in Image ID (PS3.3,
C.7.6.1.1.2, C.8.2.1, C.8.4.9 and others)."""

_WORDS_HERE: Final = """
abdomen adrenal ankle anus aorta axilla back bladder body bone bones bowel brain breast bronchus
buttock calcaneus calf cardiac carotid cerebellum cervix cheek chest clavicle coccyx colon cornea
coronary duodenum ear elbow esophagus extremity eye eyelid face femur fibula finger foot forearm
gallbladder hand head heart hip humerus ileum ilium jaw joint kidney knee larynx leg limb liver lung
lungs mandible maxilla mediastinum mouth neck nose orbit ovary pancreas parotid patella pelvis penis
pharynx placenta prostate radius rectum rib ribs sacrum scalp scapula sclera scrotum shoulder skin
skull spine spleen sternum stomach testis thigh thorax thumb thyroid tibia toe tongue trachea ulna
ureter urethra uterus vagina vein vulva wrist
and of the with without whole left right both bilateral upper lower anterior posterior lateral
medial frontal axial coronal sagittal oblique transverse supine prone erect ap pa lat cc mlo
angiography contrast ct delayed diffusion dr cr dx early fast flair gated image images late
mammogram mammography mr mri native perfusion pet phase portal post pre radiograph recon routine
scan scout screening series slice standard static study thick thin topogram ultrasound us venous
arterial view views volume xray
arthrogram cspine cta ctp dce dsa dsi dti dwi exam flexion fmri followup gadolinium helical lspine
minip mip mpr mra mrcp mrv nac noncontrast obl panoramic portable quantitative reformat reformatted
saturated scanogram stir supp suppressed survey surview swi tof transabdominal transvaginal tspine
turbo upright vibe wb wo xcc
"""
WORDS: Final = frozenset(_WORDS_HERE.split())
"""What descriptions may be made of: parts of the body (PS3.16, Annex L), sides, planes and how an
image was taken (CID 244, CID 4010 and others). None is a usual name of a person or a place."""

DEVICE: Final = frozenset(
    {"(0008,1010)", "(0018,1000)", "(0018,1002)", "(0018,1004)", "(0018,1005)", "(0018,1007)"}
    | {"(0018,1008)", "(0018,1009)", "(0018,100B)", "(0018,1200)", "(0018,1201)", "(0018,1202)"}
    | {"(0018,1203)", "(0018,1204)", "(0018,1205)", "(0018,700A)", "(0018,700C)", "(0018,700E)"}
    | {"(0018,9367)", "(0018,9371)", "(0018,9373)", "(0050,0020)", "(0016,004E)", "(0016,004F)"}
    | {"(0016,0050)", "(0016,0051)"}
)
"""Elements that identify a device."""

WRITTEN_HERE: Final = frozenset(
    {"(0012,0063)", "(0012,0064)", "(0008,2111)", "(0008,9215)", "(0018,2112)", "(0028,2114)"}
    | {"(0018,A001)"}
)
"""Elements in which a release says how it was made."""

CODE_VALUE: Final = "(0008,0100)"

SMALL: Final = 4
"""Digits of a number that stands among numbers by chance."""

BIRTH_DATE: Final = "(0010,0030)"

DESCRIPTIONS: Final = frozenset(
    {"(0008,1030)", "(0008,103E)", "(0018,1030)", "(0008,1080)", "(0020,4000)", "(0032,1060)"}
    | {"(0040,0254)", "(0040,0007)", "(0008,2111)"}
)
DESCRIBING: Final = DESCRIPTIONS | {IMAGE_TYPE, BODY_PART, "(0018,1400)", "(0062,0005)"} | {
    "(0062,0006)", "(3006,0026)", "(0054,0400)", "(0018,1020)", "(0018,0010)", "file name"
}  # fmt: skip
"""Elements of sources that say what an image shows and not of whom."""

PERSONAL: Final = NUMBERS | {"(0008,0080)", "(0008,0081)", "(0010,1040)", "(0010,0021)"}
"""Elements without names that identify a patient: numbers, addresses, the institution."""

CODE_MEANING: Final = "(0008,0104)"

_MEANING = re.compile(rb"\x08\x00\x04\x01LO(..)", re.DOTALL)
_WORDS = re.compile(r"[a-z]+|\d+")
_BETWEEN = re.compile(r"[\s_,;:/\\()+.\-]+")
_SIZE = re.compile(r"\d{1,3}(?:mm|cm|kv|mas)|[23]d|t[12]")


class _Element(NamedTuple):
    start: int
    stop: int
    tag: str
    value: bytes
    vr: str


class Reasons:
    """What a file says about the places in it."""

    def __init__(
        self,
        path: Path | None,
        terms: Mapping[tuple[str, str], Set[int]] | None = None,
        words: frozenset[str] = frozenset(),
    ) -> None:
        self._elements: list[_Element] = []
        self._done: dict[str, str] = {}
        self._terms, self._words = terms or {}, words
        try:
            if path is None or not is_dicom(path):
                return
            with silence():
                header = dcmread(path, stop_before_pixels=True)
                self._elements = sorted(_elements(header))
                self._done = stated_options(header)
        except Exception:  # no valid header: then nothing in it is harmless
            self._elements = []

    def why(self, needle: Needle, offset: int, length: int) -> str:
        """Return why a string may stand at a place of the file, empty where it must not."""
        element = self._at(offset, offset + length)
        if element is None:
            return ""
        text = needle.text.casefold()
        words = [word for word in _BETWEEN.split(text) if word]
        if not words:
            return ""
        sources, tag, term = needle.tags, element.tag, _term(element, offset)
        what = self._technical(needle, tag, term)
        if what:
            pass
        elif element.vr in ("IS", "DS") and _is_part(text, term):
            what = "part of a number"
        elif tag in WRITTEN_HERE and self._words.issuperset(_WORDS.findall(text)):
            what = "word of deepfixcx"
        elif text in _registered(tag) and _all_from(sources, frozenset({CODE_VALUE})):
            what = "code that the standard registers for the element"
        elif tag in DEVICE and KEPT_DEVICE in self._done and self._is_device(needle, tag):
            what = f"device, kept as {self._done[KEPT_DEVICE]} says"
        elif needle.kind == "date" and MOVED_DATES in self._done:
            # Moved by weeks, it has met a date of another element; one that was not moved would
            # stand in the element it comes from, or in a text.
            apart = tag not in sources and BIRTH_DATE not in sources and element.vr in ("DA", "DT")
            what = f"date that was moved, as {self._done[MOVED_DATES]} says" if apart else ""
        elif not _all_from(sources, DESCRIBING | {METHOD, CODE_MEANING}):
            return ""
        elif tag in (IMAGE_TYPE, IMAGE_ID) and term in TERMS:
            what = "term of the standard"
        elif tag == BODY_PART or (tag in DESCRIPTIONS and CLEANED_DESCRIPTORS in self._done):
            known = all(word in vocabulary() or _SIZE.fullmatch(word) for word in words)
            what = "words of anatomy and technique" if known else ""
        elif tag == METHOD and sources <= {METHOD}:
            what = "earlier de-identification of the source"
        return f"{what}, in {tag}" if what else ""

    def _is_device(self, needle: Needle, tag: str) -> bool:
        """Return whether a string names a device: an element of one has it, and no personal one."""
        if _all_from(needle.tags, DEVICE):
            return True
        return tag in needle.tags and needle.kind == "id" and PERSONAL.isdisjoint(needle.tags)

    def _technical(self, needle: Needle, tag: str, term: str) -> str:
        """Return whether the sources have just this value in just this technical element."""
        patients = self._terms.get((tag, term.casefold()), frozenset[int]())
        named = needle.kind in ("name", "date") or not PERSONAL.isdisjoint(needle.tags)
        if patients and (not named or patients - needle.patients):
            return "value of a technical element, as in the sources"
        return ""

    def _at(self, start: int, stop: int) -> _Element | None:
        place = bisect_right(self._elements, start, key=lambda each: each.start) - 1
        if place < 0 or stop > self._elements[place].stop:
            return None
        return self._elements[place]


@functools.cache
def vocabulary() -> frozenset[str]:
    """Return the words of meanings of registered codes and of the names of attributes."""
    schemes: Mapping[str, Any] = concepts
    known = [terms for scheme in schemes.values() for terms in scheme.values()]
    meanings = [meaning for terms in known for meaning, _ in terms.values()]
    words = {word for text in meanings for word in re.findall(r"(?<=\W)[a-z]{3,}(?![A-Z])", text)}
    words |= WORDS | dicom_words()
    return frozenset(words | {f"{word}s" for word in words})


@functools.cache
def _registered(tag: str) -> frozenset[str]:
    """Return the codes of the context group of a coded element that a release writes."""
    groups = {"(0008,9215)": "CID7203", "(0012,0064)": "CID7050"}
    group = getattr(codes, groups[tag]) if tag in groups else None
    return frozenset(getattr(group, name).value for name in group.dir()) if group else frozenset()


def _elements(header: Dataset) -> list[_Element]:
    """Return the elements that stand in the file as they are: none of a sequence."""
    if header.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
        return []  # they are packed there
    found: list[_Element] = []
    for tag in list(header.keys()):
        each = header.get_item(tag)
        if isinstance(each, RawDataElement) and each.value:
            stop = each.value_tell + len(each.value)
            vr = each.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
            found.append(_Element(each.value_tell, stop, tag_name(tag), each.value, vr))
    return found


def _is_part(digits: str, term: str) -> bool:
    """Return whether digits are only a part of a number, or too few for a number of a person."""
    if not digits.isdigit() or len(digits.lstrip("0")) >= SMALL + 2:
        return False
    try:
        return float(term) != int(digits) or len(digits.lstrip("0")) < SMALL
    except ValueError:
        return False


def _term(element: _Element, offset: int) -> str:
    """Return the value that a place lies in; of a sequence, the meaning of a code."""
    before, after = offset - element.start, element.value
    if element.vr == "SQ":
        meanings = [
            (found.end(), found.end() + int.from_bytes(found[1], "little"))
            for found in _MEANING.finditer(after)
        ]
        after = next((after[start:end] for start, end in meanings if start <= before < end), b"")
        return after.decode("utf-8", "replace").strip(" \0")
    start = after.rfind(b"\\", 0, before) + 1
    return after[start:].split(b"\\")[0].decode("latin-1").strip()


def _all_from(sources: frozenset[str], allowed: frozenset[str]) -> bool:
    """Return whether a string comes from these elements alone, or from private ones beside them."""
    private = {tag for tag in sources if tag.startswith("(") and int(tag[4], 16) % 2}
    return sources - private <= allowed


MANIFEST, ABOUT, FORMAT = "manifest.csv", "dataset.json", "deepfixcx.release"
COUNTED: Final = frozenset(
    {"frame", "code_row", "channels", "height", "width", "bits", "masked"}
    | {"source_id", "image_file", "dicom_file", "code_file", "spec"}
)
"""Columns of a manifest that hold numbers of the release."""

FAILURES: Final = "failures.csv"
OWN_NAME: Final = re.compile(r"(images|dicom|codes)/[\d-]+\.(png|dcm|safetensors)")
"""Names of files that hold nothing but words and numbers of the release."""

NUMBERED: Final = re.compile(r"(?:images|dicom|codes)/(?:[\w-]*?)0*\d+(?:-\d+)*\.\w+|0*\d+")
_WORD: Final = re.compile(r"[a-z]+|\d+")


class Own:
    """The words and numbers of a release."""

    def __init__(self, folder: Path, words: Collection[str], repeated: Collection[str]) -> None:
        self.words = frozenset(word for text in words for word in _WORD.findall(text.lower()))
        self.checksum: str | None = None
        self.repeated = repeated
        self._numbers, self._names = frozenset[str](), frozenset[str]()
        self._columns: list[str] = []
        self.hashes: dict[str, str] = {}
        self._most = 0
        try:
            if not (folder / ABOUT).is_file():  # a pipe would wait for its writer
                return
            content = (folder / ABOUT).read_bytes()
            about = json.loads(content)
        except (OSError, ValueError):
            return
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            return
        self.checksum = sha256(content).hexdigest()
        self._numbers = frozenset(self._counted(about))
        options = about.get("options")
        neutral = not isinstance(options, dict) or options.get("names") != "keep"
        papers = about.get("papers")
        if isinstance(papers, dict):
            self.hashes |= {str(name): str(digest) for name, digest in papers.items()}
        self._read_manifest(folder / MANIFEST)
        self._most *= neutral  # names that were kept are no numbers of the release

    def why(self, name: str, where: str, needle: Needle, line: str, column: int) -> str:
        """Return why a string may stand at a place of the release's own files."""
        text = needle.text.lower()
        if self.checksum is None:
            return ""
        if where == "file name":
            named = OWN_NAME.fullmatch(name)
            if name in self._names and named and text in named.groups():
                return "part of the release format, in the name of a file"
            known = name in self._names and self._is_running(text) and NUMBERED.fullmatch(name)
            return "number generated by the release, in the name of a file" if known else ""
        if where != "file":
            return ""
        spoken = text.isalpha() and text in self.words
        if name == ABOUT:
            counted = text in self._numbers and f'"{text}' not in line
            return f"part of the release format, in {ABOUT}" if spoken or counted else ""
        if name == MANIFEST:
            return self._why_in_manifest(text, line, column, spoken)
        if name == FAILURES:
            own = spoken and (len(_cells(line[:column])) > 2 or line.startswith("source_id,"))
            return f"part of the release format, in {FAILURES}" if own else ""
        if name.endswith(".safetensors") and spoken:
            return "part of the release format"
        return ""

    def _why_in_manifest(self, text: str, line: str, column: int, spoken: bool) -> str:
        why = f"part of the release format, in {MANIFEST}"
        row, cell = _cells(line), len(_cells(line[:column])) - 1
        if row[0] == self._columns[0]:
            return why if spoken else ""
        if cell >= min(len(self._columns), len(row)):
            return ""
        value = row[cell].strip()
        if self._columns[cell] == "spec" or spoken:
            return why if spoken or text.isdigit() else ""
        column_name = self._columns[cell]
        named = column_name == "source_id" or column_name.endswith("_file")
        counted = column_name in COUNTED and text.isdigit() and NUMBERED.fullmatch(value)
        if not counted or (named and not self._is_running(text)):
            return ""
        return f"number generated by the release, in {MANIFEST}"

    def _is_running(self, text: str) -> bool:
        return text.isdigit() and len(text) < 12 and 0 <= int(text) <= self._most

    def _counted(self, value: Any) -> Iterator[str]:
        """Yield the digits of what stands under known keys."""
        if isinstance(value, dict):
            for key, inner in value.items():
                if set(_WORD.findall(str(key).lower())) <= self.words:
                    yield from self._counted(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from self._counted(inner)
        elif isinstance(value, int | float):
            yield str(value)

    def _read_manifest(self, path: Path) -> None:
        self._columns = [""]
        try:
            if not path.is_file():
                return
            with path.open(newline="", encoding="utf-8") as file:
                rows = read_rows(file)
                self._columns = next(rows, [""])
                files = [each for each in self._columns if each.endswith("_file")]
                listed = [dict(zip(self._columns, row, strict=False)) for row in rows if row]
                self._most = len(listed)
                self._names = frozenset(row[each] for row in listed for each in files if row[each])
                self.hashes |= {
                    row[each]: row.get(each.replace("_file", "_sha256"), "")
                    for row in listed
                    for each in files
                    if row[each]
                }
        except (OSError, UnicodeDecodeError, csv.Error, KeyError):
            self._names = frozenset()


def _cells(line: str) -> list[str]:
    """Return the cells of a line of a table, or of its beginning."""
    return next(csv.reader([line]), [""]) or [""]
