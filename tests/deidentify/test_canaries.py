"""Two hundred identifiers planted in all kinds of places: none comes out, the scan sees each."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from deepfixcx.deidentify import Deidentifier, Profile
from deepfixcx.deidentify.profile import read_table
from deepfixcx.deidentify.scan import scan
from deepfixcx.deidentify.scan.contents import Contents
from deepfixcx.deidentify.scan.needles import Needles
from deepfixcx.deidentify.scan.search import Searcher, forms
from deepfixcx.deidentify.scan.sources import read_source
from deepfixcx.deidentify.silence import silence
from tests.deidentify.making import EVERYTHING, KEY, canary, make_header, save

TEXT = ("PN", "LO", "SH", "LT", "ST", "UT", "AE", "UC", "UR")
UNLISTED = [
    "SegmentLabel",
    "BeamName",
    "ContentDescription",
    "TransducerData",
    "TextValue",
    "PlateType",
    "BodyPartExamined",
    "CodeMeaning",
    "ContentLabel",
    "ScanOptions",
]
NAMES = Path(__file__).parent / "fixtures" / "foreign_names.csv"
FOREIGN = {
    row["charset"]: (row["codec"], row["name"])
    for row in csv.DictReader(NAMES.read_text("utf-8").splitlines())
}


MOST = dataclasses.replace(EVERYTHING, retain_device=False)  # what that retains is planted, too


@dataclass
class Corpus:
    """A folder of sources, and what is planted in it, each with the place."""

    folder: Path
    planted: dict[str, str]


def plant(planted: dict[str, str], place: str) -> str:
    word = canary(len(planted))
    planted[word] = place
    return word


def fitting(vr: str, word: str) -> str | bytes:
    return word.encode() if vr in ("OB", "UN") else word


def listed_texts() -> list[int]:
    """Return attributes of the table that hold a text, spread over it."""
    tags = []
    for tag in read_table().rows:
        try:
            known = tag >> 16 > 4 and dictionary_VR(tag) in TEXT
        except KeyError:
            known = False
        if known:
            tags.append(tag)
    return tags[::2]


def nested(depth: int, inner: Dataset) -> Sequence:
    for _ in range(depth - 1):
        outer = Dataset()
        outer.DerivationCodeSequence = Sequence([inner])
        inner = outer
    return Sequence([inner])


def first_file(folder: Path, planted: dict[str, str]) -> None:
    """Plant in standard elements, listed and not, at the top and deep in sequences."""
    header = make_header()
    for tag in listed_texts():
        word = plant(planted, f"element {tag:08X}")
        vr = dictionary_VR(tag)
        header.add(DataElement(tag, vr, fitting(vr, word), validation_mode=config.IGNORE))
    header.PatientName = plant(planted, "family name") + "^" + plant(planted, "given name")
    header.OtherPatientNames = [plant(planted, "other name"), plant(planted, "another name")]
    with silence():
        for keyword in UNLISTED:
            word = plant(planted, keyword)
            # As nobody guesses that it is there, the name has to be that of the patient.
            header.PatientName = f"{header.PatientName} {word}"
            setattr(header, keyword, word)
    for depth in range(1, 13):
        inner = Dataset()
        inner.PatientAddress = plant(planted, f"address at depth {depth}")
        inner.PatientComments = plant(planted, f"comment at depth {depth}")
        header.add_new((0x0008, (0x1140, 0x2112, 0x9215)[depth % 3]), "SQ", nested(depth, inner))
        save(header, folder / f"{plant(planted, 'file name')}_{depth}.dcm")


def second_file(folder: Path, planted: dict[str, str]) -> None:
    """Plant in private elements, file meta information and behind the pixels."""
    pixels = np.arange(64, dtype=np.uint8)
    header = make_header(
        Rows=8, Columns=8, SamplesPerPixel=1, BitsAllocated=8, BitsStored=8, HighBit=7,
        PixelRepresentation=0, PhotometricInterpretation="MONOCHROME2",
    )  # fmt: skip
    for group in (0x0009, 0x0019, 0x0029, 0x7FE1):
        block = header.private_block(group, "ACME NOTES 1", create=True)
        for number, vr in enumerate(("LO", "UN", "OB", "LT", "PN", "SH")):
            block.add_new(number, vr, fitting(vr, plant(planted, f"private {group:04X} {vr}")))
        inner = Dataset()
        inner.PatientName = plant(planted, f"private sequence {group:04X}")
        block.add_new(0x40, "SQ", Sequence([inner]))
        wide = plant(planted, f"private wide {group:04X}").encode("utf-16-le")
        block.add_new(0x41, "OB", wide)
    header.add_new(0x7FE00010, "OB", pixels.tobytes() + plant(planted, "pixel padding").encode())
    header.add_new(0xFFFCFFFC, "OB", plant(planted, "trailing padding").encode())
    path = save(header, folder / "second.dcm")
    with silence():
        again = dcmread(path)
        again.file_meta.SourceApplicationEntityTitle = plant(planted, "source title")
        again.file_meta.SendingApplicationEntityTitle = plant(planted, "sending title")
        again.file_meta.PrivateInformationCreatorUID = UID("1.2.826.0.1.77.70")
        again.file_meta.PrivateInformation = plant(planted, "private information").encode()
        again.preamble = plant(planted, "preamble").encode().ljust(128, b"\0")
        again.save_as(path)


def foreign_files(folder: Path, planted: dict[str, str]) -> None:
    for number, (charset, (_, name)) in enumerate(FOREIGN.items()):
        header = make_header(PatientID=plant(planted, f"ID beside {charset}"))
        header.SpecificCharacterSet = charset if "2022" not in charset else ["", charset]
        header.PatientName = name
        if charset != "ISO_IR 13":  # has no letters of ASCII beside its own
            header.PatientComments = f"{name} was here"
        planted[name] = charset
        save(header, folder / f"foreign{number}.dcm")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("canaries") / "sources"
    (folder / "ward").mkdir(parents=True)
    planted: dict[str, str] = {}
    first_file(folder / "ward", planted)
    second_file(folder, planted)
    foreign_files(folder, planted)
    return Corpus(folder, planted)


def hidden(corpus: Corpus, profile: Profile, out: Path) -> list[str]:
    """De-identify the whole corpus under neutral names; return what records say of it."""
    out.mkdir()
    said = []
    deidentifier = Deidentifier(profile, KEY)
    for number, path in enumerate(sorted(corpus.folder.rglob("*.dcm"))):
        new, actions = deidentifier.apply(dcmread(path), keep_pixels=True)
        save(new, out / f"{number:06}.dcm")
        said.append(repr(actions))
    return said


def written_forms(word: str) -> set[bytes]:
    codec = next((codec for codec, name in FOREIGN.values() if name == word), "utf-8")
    halves = [word, *word.split("^")]
    return {half.encode(each) for half in halves for each in (codec, "utf-8", "utf-16-le")}


def test_there_are_two_hundred(corpus: Corpus) -> None:
    assert len(corpus.planted) >= 200
    content = b"".join(path.read_bytes() for path in corpus.folder.rglob("*.dcm"))
    content += " ".join(path.name for path in corpus.folder.rglob("*")).encode()
    missing = {
        place
        for word, place in corpus.planted.items()
        if not any(form in content for form in written_forms(word))
    }
    assert missing <= {"ISO 2022 IR 87"}  # its escape sequences stand between the characters


@pytest.mark.parametrize("profile", [Profile(), MOST], ids=["basic", "options"])
def test_none_comes_out(
    corpus: Corpus, profile: Profile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = hidden(corpus, profile, tmp_path / "out")
    content = b"".join(path.read_bytes() for path in sorted((tmp_path / "out").iterdir())).lower()
    spoken = (" ".join(said) + caplog.text).lower()
    left = {
        place
        for word, place in corpus.planted.items()
        if any(form.lower() in content for form in written_forms(word)) or word.lower() in spoken
    }
    assert left == set()


@pytest.mark.parametrize("profile", [Profile(), MOST], ids=["basic", "options"])
def test_the_scan_finds_nothing_either(corpus: Corpus, profile: Profile, tmp_path: Path) -> None:
    hidden(corpus, profile, tmp_path / "out")
    found = scan(tmp_path / "out", corpus.folder)
    assert found.counts("kind") == {}
    assert found.clean
    assert found.strings > 200


def test_the_scan_sees_every_one_that_is_there(corpus: Corpus) -> None:
    """Searched in the sources themselves, all are found: nothing escapes the collecting."""
    needles = Needles()
    paths = sorted(corpus.folder.rglob("*.dcm"))
    for path in paths:
        needles.add(path.stem, "file name", "file name")
        for text, kind, tag in read_source(path).strings:
            needles.add(text, kind, tag)
    searcher = Searcher(form for needle in needles for form in forms(needle))
    seen = set()
    for path in paths:
        seen |= {form.needle.text for _, form in searcher.find(path.stem.encode())}
        for part in Contents(path).parts():
            seen |= {form.needle.text for _, form in searcher.find(part.data, part.bulk)}
    text = "\n".join(seen).casefold()
    missed = {
        place
        for word, place in corpus.planted.items()
        if not any(half.casefold() in text for half in word.split("^"))
    }
    assert missed == set()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text,
        str.lower,
        str.upper,
        lambda text: f"x={text};",
        lambda text: f"{{'id':'{text}'}}",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_one_that_is_left_is_found(
    corpus: Corpus, tmp_path: Path, spoil: Callable[[str], str], encoding: str
) -> None:
    word = next(word for word, place in corpus.planted.items() if place == "family name")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.bin").write_bytes(b"\x07" * 33 + spoil(word).encode(encoding) + b"\x07" * 33)
    found = scan(folder, corpus.folder)
    assert not found.clean
    assert found.counts("kind")["name"] >= 1
    (file,) = found.files
    assert any("(0010,0010)" in finding.tags for finding in file.findings)
    assert word not in repr(found)


@pytest.mark.parametrize("charset", FOREIGN)
def test_foreign_names_are_found_in_any_encoding(
    corpus: Corpus, tmp_path: Path, charset: str
) -> None:
    encoding, name = FOREIGN[charset]
    family = name.split("^")[0]
    for number, each in enumerate((encoding, "utf-8", "utf-16-le")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "table.csv").write_bytes(b"a;b;" + codecs.encode(family, each) + b";c")
        assert scan(folder, corpus.folder).counts("kind").get("name"), each


def test_sources_that_are_shared_as_they_are_are_found(corpus: Corpus, tmp_path: Path) -> None:
    shutil.copytree(corpus.folder, tmp_path / "out")
    found = scan(tmp_path / "out", corpus.folder)
    assert all(file.findings for file in found.files)
    # A name in a file name must not be repeated by the report.
    assert not any(word in repr(found) for word in corpus.planted)
