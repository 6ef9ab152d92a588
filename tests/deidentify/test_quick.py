"""Headers from bytes to bytes are those of the code for whole headers, byte by byte."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from deepfixcx.deidentify import Deidentifier, Key, Profile, quick
from deepfixcx.deidentify.identity import Identity
from deepfixcx.deidentify.marks import Questions, marks_of
from deepfixcx.release.deidentified import DeidentifyOptions, deidentified_file

KEY = Key(bytes(32))
PROFILES = {
    "nothing": Profile(),
    "dates": Profile(retain_dates=True, retain_patient=True, clean_descriptors=True),
    "device and dates": Profile(retain_dates=True, retain_device=True),
    "much": Profile(
        retain_full_dates=True, retain_device=True, retain_uids=True, retain_institution=True,
        clean_structured=True, clean_graphics=True, clean_descriptors=True,
    ),
}  # fmt: skip


def outcome(options: DeidentifyOptions, content: bytes) -> Any:
    """Return the new file and its rows, or the error."""
    assert options.profile is not None
    item: Any = SimpleNamespace(source_id="a")
    try:
        made = deidentified_file(
            options, Deidentifier(options.profile, KEY), item, io.BytesIO(content)
        )
    except Exception as error:
        return type(error), str(error)
    return made.content, made.rows


def both(options: DeidentifyOptions, content: bytes, patch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return what the short way makes of a file, and what the code for whole headers makes."""
    first, short = outcome(options, content), outcome(options, content)
    assert first == short  # all elements are known then
    with patch.context() as without:
        without.setattr(quick, "quick_header", lambda *_: None)
        return short, outcome(options, content)


def parity(options: DeidentifyOptions, content: bytes, patch: pytest.MonkeyPatch) -> bool:
    """Compare both ways and return whether a file was made."""
    short, whole = both(options, content, patch)
    assert short == whole
    return not isinstance(short[0], type)


@pytest.fixture(params=PROFILES)
def options(request: pytest.FixtureRequest) -> DeidentifyOptions:
    return DeidentifyOptions(profile=PROFILES[request.param])


def small_files(images: Path) -> list[Path]:
    found = (images / "dicom").rglob("*.dcm")
    return sorted(each for each in found if each.stat().st_size < 150_000)


def test_real_and_damaged_files_become_the_same_bytes_either_way(
    data_folder: Path, options: DeidentifyOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = [parity(options, path.read_bytes(), monkeypatch) for path in small_files(data_folder)]
    assert sum(done) >= 15


def test_most_real_images_take_the_short_way(data_folder: Path) -> None:
    by = Deidentifier(PROFILES["dates"], KEY)
    ways = [quick.quick_header(by, path.read_bytes()) for path in small_files(data_folder)]
    assert sum(way is not None for way in ways) >= 20


TEXTS = (
    "Grøndal", "GRONDAL", "Anna", "AN.GR", "MRN-4711", "4711", "004711", "19500302", "2.3.1950",
    "3/2/50", "CHEST PA", "T1 axial 3 mm", "Sister of Anna Grondal", "", "1.2.3.4711", "A\\B",
    "1.5\\-2.25", "4711\\12", "Gron\\dal", "\u738b\u4f1f", "02 Mar 1950", "120000.000", "20210302",
    "20210302101500.000+0100", " lead", "060Y", "  ",
)  # fmt: skip
SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)  # fmt: skip
KINDS = frozenset(
    "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT US SS UL SL FL FD OB OW SQ".split()  # noqa: SIM905
)


def value_of(vr: str, rng: np.random.Generator) -> Any:
    if vr in ("US", "UL"):
        return int(rng.choice([0, 1, 4711, 1950]))
    if vr in ("SS", "SL"):
        return int(rng.choice([-4711, -1, 302]))
    if vr in ("FL", "FD"):
        return float(rng.choice([4711.0, 0.5, -1950.25]))
    if vr in ("OB", "OW"):
        return bytes(rng.integers(0, 256, 8, dtype=np.uint8)) + b"GRONDAL " * int(rng.integers(2))
    if vr == "UI":
        return str(rng.choice(["1.2.840.10008.1.2", "1.2.3.4711", "1.2.3.99"]))
    if vr in ("DS", "IS"):
        return str(rng.choice(["4711", "-1", "19500302", "12\\13"] + ["1.5", "2e3"] * (vr == "DS")))
    return str(rng.choice(TEXTS))


def is_writable(element: DataElement) -> bool:
    """Return whether pydicom writes an element; it does not write every random value."""
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    try:
        write_data_element(stream, element, ["utf8"])
    except Exception:
        return False
    return True


def invented(rng: np.random.Generator, depth: int = 0) -> Dataset:
    """Return random elements of the standard, and private ones, with values of a patient."""
    made = Dataset()
    tags = [tag for tag in rng.choice(TAGS, 14) if depth == 0 or tag < 0x7FE00000]
    for tag in map(int, tags):
        vr = DicomDictionary[tag][0].split(" ")[0]
        if vr not in KINDS or tag >> 16 in (0, 2, 0x28, 0x7FE0) or (vr == "SQ" and depth > 2):
            continue
        value: Any = value_of(vr, rng)
        if vr == "SQ":
            value = Sequence([invented(rng, depth + 1) for _ in range(rng.integers(3))])
            value.is_undefined_length = bool(rng.integers(2))
        element = DataElement(tag, vr, value, validation_mode=config.IGNORE)
        if vr == "SQ":
            element.is_undefined_length = bool(rng.integers(2))
        if is_writable(element):
            made.add(element)
    block = made.private_block(0x0029, str(rng.choice(["ACME", "SIEMENS CSA HEADER"])), create=True)
    for number in range(3):
        vr = str(rng.choice(["LO", "UN", "DA", "PN", "OB"]))
        block.add_new(8 + number, vr, b"GRONDAL " if vr in ("UN", "OB") else "19500302")
    return made


TAGS = sorted(tag for tag in DicomDictionary if (tag >> 16) % 2 == 0)


def written(folder: Path, rng: np.random.Generator) -> bytes:
    """Return a real image with random elements, in a random transfer syntax."""
    syntax = UID(SYNTAXES[int(rng.integers(len(SYNTAXES)))])
    name = "CT_small" if syntax.is_little_endian else "MR_small_bigendian"
    image = dcmread(folder / f"dicom/files/{name}.dcm")
    image.update(invented(rng))
    image.PatientName, image.PatientID = "Grøndal^Anna", "MRN-4711"
    image.PatientBirthDate, image.SpecificCharacterSet = "19500302", "ISO_IR 192"
    if not rng.integers(3):
        del image.PatientID
    if not rng.integers(3):
        del image.SpecificCharacterSet
        image.PatientName = "Grondal^Anna"
    image.file_meta.TransferSyntaxUID = syntax
    content = io.BytesIO()
    image.save_as(
        content, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian,
        enforce_file_format=False,
    )  # fmt: skip
    return content.getvalue()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
def test_random_elements_in_every_syntax_become_the_same_bytes_either_way(
    data_folder: Path, seed: int, options: DeidentifyOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    made = 0
    for _ in range(12):
        made += parity(options, written(data_folder, rng), monkeypatch)
    assert made >= 6


@pytest.mark.parametrize("name", ["CT_small", "MR_small_RLE", "MR_small_implicit"])
def test_flipped_bytes_become_the_same_either_way(
    data_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = DeidentifyOptions(profile=PROFILES["dates"])
    real = (data_folder / f"dicom/files/{name}.dcm").read_bytes()
    rng = np.random.default_rng(7)
    for _ in range(40):
        content = bytearray(real)
        for at in rng.integers(132, 2500, int(rng.integers(1, 4))):
            content[at] = int(rng.integers(256))
        parity(options, bytes(content), monkeypatch)


VALUES = (
    "Grondal", "grondals house", "An Gr", "A.G.", "gron dal", "47-11", "0004711", "Groendal Anna",
    "bought on 2.3.1950", "1950-03-02", "seen 1.2.3.4711 there", "\u738b\u4f1f", "Mustermann",
    "CHEST 4711 kV", "AnnaGrondal", "xGRONDALx", "4711.0", "-4711", "nan",
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_what_stands_in_a_value_has_a_mark_in_common_with_it(value: str) -> None:
    patient = Dataset()
    patient.PatientName, patient.PatientID = "Grondal^Anna=\u738b^\u4f1f", "MRN-4711"
    patient.PatientBirthDate, patient.SOPInstanceUID = "19500302", "1.2.3.4711"
    identity, questions = Identity.of(patient), Questions()
    for ask in ("stands_in_text", "is_number", "has_number"):
        questions = Questions()
        getattr(questions, ask)(value)
        if getattr(identity, ask)(value):
            assert not marks_of(identity).isdisjoint(questions.marks), ask
