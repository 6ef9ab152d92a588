"""How often scan is wrong: alarms about nothing, and planted identifiers that it misses."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from pydicom import config, dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from deepfixcx.cli.app import app
from deepfixcx.deidentify.scan import ScanReport, scan
from deepfixcx.deidentify.silence import silence
from tests.deidentify.making import save
from tests.deidentify.vendors import VENDORS, vendor_header, write_all

pytestmark = pytest.mark.slow

MOST_ALARMS = 1 / 20
RETAINED = ["--retain", "dates,device,descriptors,patient"]


def privatized(folder: Path, out: Path, *words: str) -> None:
    command = ["privatize", folder, out, "-J", 1, "-P", 2, "--workers", 1, *words]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code in (0, 3), done.output


def alarms(found: ScanReport) -> list[tuple[str, list[tuple[str, ...]]]]:
    return [
        (each.name, [one.tags for one in each.remaining]) for each in found.files if each.remaining
    ]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vendors") / "in"
    assert write_all(folder) == 34
    return folder


@pytest.mark.parametrize(
    "words",
    [["--output", "dicom"], ["--output", "dicom", *RETAINED], ["--output", "both"]],
    ids=["basic", "retained", "images and codes"],
)
def test_files_of_many_makers_raise_no_alarm(
    words: list[str], sources: Path, tmp_path: Path
) -> None:
    privatized(sources, tmp_path / "out", *words)
    found = scan_of(tmp_path / "out", sources)
    assert len(VENDORS) >= 15
    assert len(alarms(found)) <= MOST_ALARMS * 34, alarms(found)


COMMON = (
    "Max^Kim", "Haar^Basic", "Code^Frame", "Long^Head", "Image^Done", "Sum^Min", "Level^Patches",
    "Method^Annex", "Gray^Brain", "Lee^Bo", "Lung^Data", "Series^Study", "Li^Xi", "Train^Test",
)  # fmt: skip


@pytest.mark.parametrize("output", ["dicom", "both"])
def test_patients_with_common_words_as_names_raise_no_alarm(output: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with silence():
        for number, name in enumerate(COMMON * 2):
            header = vendor_header(list(VENDORS)[number % len(VENDORS)], number)
            header.PatientName, header.PatientID = name, f"{number + 1:06}"
            save(header, folder / f"IM{number}.dcm")
    privatized(folder, tmp_path / "out", "--output", output)
    found = scan_of(tmp_path / "out", folder)
    assert len(alarms(found)) <= MOST_ALARMS * 28, alarms(found)
    assert not any(file.name.startswith("file ") for file in found.files)


def test_what_only_looks_like_a_name_or_number_raises_no_alarm(tmp_path: Path) -> None:
    """A patient called like a folder of the release, initials in a station, counts in one place."""
    (tmp_path / "in").mkdir()
    with silence():
        for number, name in enumerate(("Dicom^File", "Ma^Jo")):
            header = vendor_header("GE CT", number)
            header.PatientName, header.PatientID = name, "12345678"
            header.OperatorsName, header.StationName = "mc^anonymou", "MC19UUS03"
            header.PageNumberVector = [*range(1, 12)]
            save(header, tmp_path / "in" / f"IM{number}.dcm")
    privatized(tmp_path / "in", tmp_path / "out", "--output", "dicom", *RETAINED)
    (tmp_path / "out" / "failures.csv").write_text(
        "source_id,error,reason\n000003,DamagedImageError,this is a DICOM file without an image\n"
        '000004,"DamagedImageError","this is a DICOM file without an image"\n'
    )
    assert alarms(scan_of(tmp_path / "out", tmp_path / "in")) == []
    (tmp_path / "out" / "failures.csv").write_text("source_id,error,reason\n3,Dicom,of Dicom\n")
    (tmp_path / "out" / "dicom" / "file_1.txt").write_text("numbers 12 345 678 of Ma")
    found = scan_of(tmp_path / "out", tmp_path / "in")
    assert {kind for each in found.files for kind in (one.kind for one in each.remaining)} == {
        "name", "id"
    }  # fmt: skip
    assert sum(bool(each.remaining) for each in found.files) == 2


def scan_of(out: Path, sources: Path) -> ScanReport:
    from deepfixcx.cli.scan import _own_words
    from deepfixcx.release.rewritten import repeating_files

    return scan(out, sources, own_words=_own_words(), repeated=repeating_files(out))


def test_real_files_of_many_makers_raise_no_alarm(data_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    paths = [*data_folder.glob("dicom/files/*.dcm"), *data_folder.glob("volumes/epi/*.dcm")]
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())
    privatized(folder, tmp_path / "out", "--output", "dicom", *RETAINED)
    found = scan_of(tmp_path / "out", folder)
    assert len(found.files) > 30
    assert len(alarms(found)) <= MOST_ALARMS * len(found.files), alarms(found)


TEXTS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN", "OB"}


def planted(sources: Path, released: Path, out: Path) -> int:
    """Write copies of a released file, each with one identifier in one element; return how many."""
    out.mkdir()
    source = dcmread(sorted(sources.glob("*.dcm"))[0])
    family, given = str(source.PatientName).split("^")
    secrets = {
        "name": [family, given.upper(), f"x_{family}1", f"{given} {family}"],
        "number": [str(source.PatientID), str(source.PatientID)[2:]],
        "date": [str(source.PatientBirthDate), "1940-01-10", "10.01.1940", "10 Jan 1940"],
    }
    header = dcmread(released)
    count = 0
    for element in list(header.iterall()):
        if element.VR in TEXTS and not element.tag.is_private:
            for values in secrets.values():
                made = copy.deepcopy(header)
                value = values[count % len(values)]
                _plant(made, element, value)
                save(made, out / f"{count:06}.dcm")
                count += 1
    return count


def _plant(header: Dataset, element: DataElement, value: str) -> None:
    content = value.encode() if element.VR in ("OB", "UN") else value
    new = DataElement(element.tag, element.VR, content, validation_mode=config.IGNORE)

    def put(item: Dataset) -> bool:
        for each in list(item):
            if each.VR == "SQ":
                if any(put(inner) for inner in each.value):
                    return True
            elif each.tag == element.tag and each.value == element.value:
                item.add(new)
                return True
        return False

    assert put(header)


@pytest.mark.parametrize("words", [[], RETAINED], ids=["basic", "retained"])
def test_no_planted_identifier_is_missed(words: list[str], sources: Path, tmp_path: Path) -> None:
    one = tmp_path / "in"
    one.mkdir()
    with silence():
        save(vendor_header("Philips CT", 0), one / "IM0000.dcm")
    privatized(one, tmp_path / "released", "--output", "dicom", *words)
    with silence():
        (path,) = (tmp_path / "released" / "dicom").glob("*.dcm")
        count = planted(one, path, tmp_path / "out")
    assert count >= 60
    found = scan_of(tmp_path / "out", sources)
    assert len(found.files) == count
    missed = [file.name for file in found.files if not file.remaining]
    assert missed == []


def test_a_description_with_another_word_is_searched_as_any_file(tmp_path: Path) -> None:
    """Only what can be made again from the other files of the release needs no search."""
    (tmp_path / "in").mkdir()
    with silence():
        header = vendor_header("GE CT", 0)
        header.PatientName = "Dicom^Mustermann"
        save(header, tmp_path / "in" / "IM0.dcm")
    privatized(tmp_path / "in", tmp_path / "out", "--output", "both")
    assert alarms(scan_of(tmp_path / "out", tmp_path / "in")) == []
    with (tmp_path / "out" / "README.md").open("a") as file:
        file.write("Dicom Mustermann\n")
    assert [name for name, _ in alarms(scan_of(tmp_path / "out", tmp_path / "in"))] == ["README.md"]
