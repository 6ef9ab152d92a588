"""The sources: which files they are, and the strings of their headers and names."""

from __future__ import annotations

import io
import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from deepfixcx.deidentify.scan.evidence import ScanReport
from deepfixcx.deidentify.scan.needles import Needles
from deepfixcx.deidentify.scan.texts import nifti_values
from deepfixcx.deidentify.silence import silence
from deepfixcx.errors import DeidentifyError
from deepfixcx.io.files import within

__all__ = [
    "Header",
    "Sources",
    "check_apart",
    "is_dicom",
    "list_sources",
    "read_source",
    "stated_options",
    "strings_of_bytes",
    "tag_name",
]

KINDS: Final = {
    "PN": "name",
    "LO": "id",
    "SH": "id",
    "AE": "id",
    "DA": "date",
    "DT": "date",
    "LT": "text",
    "ST": "text",
    "UC": "text",
    "UR": "text",
    "UT": "text",
    "UI": "uid",
}
"""What strings of a value representation are. Others hold numbers, times or terms."""

NOTES: Final = frozenset({"OB", "UN"})
"""Bytes that may be a text of their own."""

PIXELS: Final = 0x7FE00010
CODE_MEANING: Final = 0x00080104

NAMES_NO_PERSON: Final = frozenset(
    {
        0x00020012, 0x00020013,  # the program that wrote the file
        0x00080070, 0x00081090,  # manufacturer and model
        0x00180024, 0x00181020, 0x00181160, 0x00181170, 0x00181210,  # technique and versions
        0x00181250, 0x00181251, 0x00181261, 0x00189005,
        0x00201040, 0x00209421, 0x00281054, 0x00281055, 0x00283003,  # landmarks; units; windows
    }
)  # fmt: skip
"""Elements that say how an image was made and mean the same for every patient."""

CODES: Final = frozenset({0x00080100, 0x00080102, 0x00080103, 0x00080104})
STANDARD_CODES: Final = frozenset({"DCM", "SCT", "SRT", "SNM3", "LN", "UCUM", "RADLEX", "FMA"})
"""Schemes of standard codes; their meanings are terms."""

NUMBERS: Final = frozenset(
    ["AT", "FD", "FL", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "US", "UV"]
)
"""Numbers in binary, which are no text."""

_PRINTABLE = re.compile(rb"[\x20-\x7e]{8,}")
_SHORT_RUN = re.compile(rb"[\x20-\x7e]{4,}")
_WORD = re.compile(rb"[A-Za-z0-9]{4}")
_FIRST_ELEMENT = re.compile(rb"\x08\x00[\x00-\x20]\x00(?:AE|AS|CS|DA|DT|LO|SH|ST|TM|UI|UL)")
_DEEPEST: Final = 64
_MOST_BYTES: Final = 1 << 16


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM by its bytes, with or without a preamble, or its name."""
    with path.open("rb") as file:
        head = file.read(132)
    if head[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".dicom", ".dic", ".ima", ".dc3"):
        return True
    little = head[:2] in (b"\x02\0", b"\x08\0", b"\x10\0") and head[3:4] == b"\0"
    big = head[:3] in (b"\0\x02\0", b"\0\x08\0", b"\0\x10\0")
    if len(head) < 16 or not (little or big):
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    length = int.from_bytes(head[4:8], "little")
    return explicit or (little and length % 2 == 0 and length <= 256)


def tag_name(tag: int) -> str:
    """Return a tag as the evidence writes it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


_IN_PART: Final = re.compile(r"(\d{6}) applied in part")


def stated_options(header: Dataset) -> dict[str, str]:
    """Return the codes of CID 7050 that a header claims in full or in part, and where it does."""
    noted = header.get("DeidentificationMethod") or ()
    texts = [noted] if isinstance(noted, str) else noted
    found = [_IN_PART.fullmatch(str(text).strip()) for text in texts]
    items = header.get("DeidentificationMethodCodeSequence") or ()
    return {each[1]: "(0012,0063)" for each in found if each} | {
        str(item.get("CodeValue", "")): "(0012,0064)" for item in items
    }


class Header(NamedTuple):
    """What a source says."""

    strings: list[tuple[str, str, str]]
    terms: set[tuple[str, str]]
    patient: str


def read_source(path: Path) -> Header:
    """Read a source; pydicom raises whatever damaged bytes lead to."""
    with silence():
        header = _known_header(path)
        patient = f"{header.get('PatientID') or ''}\\{header.get('PatientName') or ''}"
        return Header(list(_header_strings(header)), set(_terms(header)), patient)


def _known_header(path: Path) -> Dataset:
    header = _read(path)
    return header if _is_known(header) else _read_further_in(path)


def _header_strings(header: Dataset) -> Iterator[tuple[str, str, str]]:
    meta = getattr(header, "file_meta", None) or Dataset()
    yield from _strings(meta, 0)
    yield from _strings(header, 0)
    preamble = getattr(header, "preamble", None) or b""
    yield from ((text, "text", "preamble") for text in _texts_in(preamble))


def _terms(header: Dataset, outermost: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the values of technical elements: terms, numbers, times, how an image was made."""
    if depth > _DEEPEST:
        return
    for tag in list(header.keys()):
        where = outermost or tag_name(tag)
        try:
            element = header[tag]
            if element.VR == "SQ":
                for item in element.value or []:
                    yield from _terms(item, where, depth + 1)
                continue
            technical = element.VR in ("CS", "DS", "IS", "TM") or tag in NAMES_NO_PERSON
            if tag == CODE_MEANING:
                technical = str(header.get("CodingSchemeDesignator", "")) in STANDARD_CODES
            if technical and not tag.is_private:
                for text in _texts(element.value):
                    yield where, text.strip().casefold()
        except Exception:  # damaged: then it holds no term
            continue


def _is_known(header: Dataset) -> bool:
    meta = getattr(header, "file_meta", None) or Dataset()
    return any(dictionary_has_tag(tag) for tag in (*header.keys(), *meta.keys()))


def strings_of_bytes(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield what is plain text at the beginning of a file whose header cannot be read."""
    with path.open("rb") as file:
        head = file.read(_MOST_BYTES)
    for run in _SHORT_RUN.findall(head):
        if _WORD.search(run):
            yield run.decode("ascii"), "name" if b"^" in run else "text", "bytes"


def _read(path: Path) -> Dataset:
    """Read what stands before and behind the pixels, or at least before them."""
    try:
        return dcmread(path, force=True)
    except Exception:  # cut off within the pixels, say
        return dcmread(path, force=True, stop_before_pixels=True)


def _read_further_in(path: Path) -> Dataset:
    """Read a header that begins some bytes late, after what a bad copy left before it."""
    with path.open("rb") as file:
        content = file.read()
    first = _FIRST_ELEMENT.search(content, 0, _MOST_BYTES)
    header = dcmread(io.BytesIO(content[first.start() :]), force=True) if first else Dataset()
    if not _is_known(header):
        raise ValueError
    return header


def _behind_pixels(header: Dataset, value: Any) -> bytes:
    """Return what follows the last pixel of uncompressed data, where a note may stand."""
    try:
        bits = header.Rows * header.Columns * header.SamplesPerPixel * header.BitsAllocated
        expected = int(bits * int(header.get("NumberOfFrames") or 1)) // 8
        if header.file_meta.TransferSyntaxUID.is_compressed:
            return b""
    except Exception:  # the header does not say how many pixels there are
        return b""
    return bytes(value[expected:]) if "422" not in header.PhotometricInterpretation else b""


def _strings(header: Dataset, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth > _DEEPEST:
        return
    for tag in sorted(header.keys()):
        if getattr(header.get_item(tag), "VR", "") in NUMBERS and tag != PIXELS:
            continue
        where = tag_name(tag)
        try:
            element = header[tag]
            vr, value = element.VR, element.value
            if tag == PIXELS:
                vr, value = "UN", _behind_pixels(header, value)
            if vr == "SQ":
                for item in value or []:
                    yield from _strings(item, depth + 1)
                continue
            texts = list(_texts(value))
        except Exception:  # damaged: the bytes themselves are what there is to search for
            raw = getattr(header.get_item(tag), "value", None)
            vr, texts = "UN", _texts_in(raw) if isinstance(raw, bytes) else []
        if _is_technical(header, tag):
            continue
        note = vr in NOTES and tag.group != 0x0028  # there they are tables of colours
        kind = "text" if note else KINDS.get(vr, "")
        if vr == "CS":  # a term of the standard, unless it is not written like one
            texts = [text for text in texts if not re.fullmatch(r"[A-Z0-9 _]{0,16}", text)]
            kind = "text"
        if kind:
            yield from ((text, kind, where) for text in texts)


def _is_technical(header: Dataset, tag: BaseTag) -> bool:
    if tag in CODES:  # meanings of a private code may name a person
        return str(header.get("CodingSchemeDesignator", "")).strip() in STANDARD_CODES
    return tag in NAMES_NO_PERSON or tag.is_private_creator


def _texts(value: Any) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, bytes):
        yield from _texts_in(value[:_MOST_BYTES])
    elif isinstance(value, str) or not hasattr(value, "__iter__") or hasattr(value, "family_name"):
        # Each line of a long text is searched for by itself.
        yield from (line for line in str(value).replace("\0", "\n").splitlines() if line.strip())
    else:
        for each in value:
            yield from _texts(each)


def _texts_in(value: bytes) -> list[str]:
    """Return what is text in bytes: all of them, in some encoding, or the longer runs."""
    value = value.strip(b"\0 ")
    for encoding in ("utf-8", "utf-16-le" if b"\0" in value else "ascii"):
        try:
            text = value.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text and all(letter.isprintable() or letter in "\r\n\t" for letter in text):
            return text.splitlines()
    runs = [run.decode("ascii") for run in _PRINTABLE.findall(value)]
    wide = _PRINTABLE.findall(value[::2]) + _PRINTABLE.findall(value[1::2])
    return runs + [run.decode("ascii") for run in wide if b"\0" in value]


def list_sources(where: Path, *, without: Path) -> list[Path]:
    """Return the files of the sources, those behind links to folders too, each folder once."""
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise DeidentifyError(f"there is no file or folder {str(where)!r}; check the path")
    left_out, seen = without.resolve(), set()
    found = []
    for folder, folders, names in os.walk(where, onerror=refusal(where), followlinks=True):
        real = Path(folder).resolve()
        if real in seen or real.is_relative_to(left_out):
            folders.clear()
            continue
        seen.add(real)
        found += [Path(folder, name) for name in names]
    if not found:
        raise DeidentifyError(f"{str(where)!r} contains no file; check the path")
    return sorted(found)


def check_apart(folder: Path, against: Path) -> None:
    """Refuse sources that lie in what is going to be shared."""
    if within(against, folder):
        raise DeidentifyError(
            f"the sources {str(against)!r} lie in {str(folder)!r}, which is to be shared; "
            f"move one of them"
        )


class Sources:
    """The sources, as far as they were read."""

    def __init__(
        self, against: Path, paths: list[Path], found: ScanReport, contents: set[str]
    ) -> None:
        self._against, self._paths, self._found = against, paths, found
        self.missing = contents
        self.terms: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._patients: dict[str, int] = {}

    def gather(self, show: Callable[[str, int, int], None]) -> Needles:
        """Collect the strings of all."""
        needles = Needles()
        self._found.sources = len(self._paths)
        for number, path in enumerate(self._paths, start=1):
            inside = path.relative_to(self._against) if path != self._against else Path(path.name)
            for part in (*inside.parts[:-1], inside.name[: -len(inside.suffix) or None]):
                needles.add(part, "file name", "file name")
            try:
                self._add(path, needles)
            except OSError as error:
                why = f"it cannot be read: {error.strerror or 'not readable'}"
                self._found.sources_failed.append(why)
            show("reading headers", number, len(self._paths))
        return needles

    def _add(self, path: Path, needles: Needles) -> None:
        """Add the strings of a header, or of the bytes where there is none that can be read."""
        if not stat.S_ISREG(path.stat().st_mode):
            self._found.sources_failed.append("it is not a regular file")
            return
        if self.missing:
            with path.open("rb") as file:
                self.missing.discard(file_digest(file, "sha256").hexdigest())
        if not is_dicom(path):
            for value, where in nifti_values(path):
                for text in _texts(value):
                    needles.add(text, "text", where)
            return
        patient = 0
        try:
            header = read_source(path)
            strings = header.strings
            patient = self._patients.setdefault(header.patient, len(self._patients) + 1)
            for term in header.terms:
                self.terms[term].add(patient)
            self._found.sources_read += 1
        except OSError:
            raise
        except Exception:  # whatever pydicom raises on damaged bytes
            strings = list(strings_of_bytes(path))
            self._found.sources_as_bytes += 1
        for text, kind, tag in strings:
            needles.add(text, kind, tag, patient)


def refusal(where: Path) -> Callable[[OSError], None]:
    def refuse(error: OSError) -> None:
        raise DeidentifyError(f"a folder below {where.name!r} cannot be opened: {error.strerror}")

    return refuse
