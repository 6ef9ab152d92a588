"""``deepfixcx privatize`` with DICOM results, masks and writing that stays legible."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, examples
from typer.testing import Result

from benchmarks.dicom_files import became_table
from deepfixcx import CodecSpec
from deepfixcx.deidentify.key import FIRST_WORD, KEY_BYTES
from deepfixcx.release import run as run_module
from tests.deidentify.making import make_header, save

Run = Callable[..., Result]
SETTING = ("-J", 2, "-P", 4, "--workers", 1)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, which spares the start of another one."""
    monkeypatch.setattr(run_module, "choose_run", lambda *_, **__: run_module._run_here)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    (tmp_path / "scans").mkdir()
    shutil.copy(str(examples.get_path("ct")), tmp_path / "scans" / "ct.dcm")
    return tmp_path / "scans"


def test_dicom_files_with_what_is_retained(run: Run, scans: Path, tmp_path: Path) -> None:
    key, figures = tmp_path / "hospital.key", tmp_path / "figures.json"
    result = run(
        "privatize", scans, tmp_path / "out", *SETTING, "--output", "dicom",
        "--retain", "dates, device", "--key", key, "--json", figures,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1 image in 1 DICOM file" in result.output
    assert "scan OUT --against IN" in result.output
    (path,) = (tmp_path / "out" / "dicom").iterdir()
    image = dcmread(path)
    codes = {item.CodeValue for item in image.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113107", "113109"}
    reported = json.loads(figures.read_text())
    assert reported["dicom_files"] == 1
    assert reported["dicom_file_bytes"] == reported["release_file_bytes"] == path.stat().st_size
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert run("verify", tmp_path / "out", "--workers", 1).exit_code == 0
    assert "finished" in run("status", tmp_path / "out").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--retain", "dates"), "retain requires"),
        (("--output", "dicom", "--retain", "names"), "retain is any of"),
        (("--key", "hospital.key"), "--key and --pseudonyms require --output dicom"),
        (("--mask", "no such file"), "cannot be read"),
    ],
)
def test_bad_arguments_write_nothing(
    run: Run, scans: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    result = run("privatize", scans, tmp_path / "out", *SETTING, *words)
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out").exists()


def test_a_mask_without_tesseract_is_refused_at_once(
    run: Run, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run("privatize", scans, tmp_path / "out", *SETTING, "--mask", "ocr")
    assert result.exit_code == 2
    assert "tesseract-ocr" in result.output


def test_a_mask_leaves_what_no_rule_knows_out(run: Run, scans: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nmanufacturer = "ACME"\nregions = [[0, 0, 9, 9]]')
    result = run("privatize", scans, tmp_path / "out", *SETTING, "--mask", rules)
    assert result.exit_code == 3
    assert "no rule of the mask" in result.output
    rules.write_text('[[rules]]\nmodel = "RHAPSODE"\nregions = [[0, 0, 9, 9], [9, 9, 9, 9]]')
    result = run("privatize", scans, tmp_path / "new", *SETTING, "--mask", rules)
    assert result.exit_code == 0, result.output
    with (tmp_path / "new" / "manifest.csv").open(newline="") as file:
        assert [row["masked"] for row in csv.DictReader(file)] == ["2"]


@pytest.mark.parametrize(("regions", "advice"), [("[[0, 0, 9, 9]]", False), ("[]", True)])
def test_a_check_is_advised_only_where_an_image_is_left_unmasked(
    run: Run, scans: Path, tmp_path: Path, regions: str, advice: bool
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'[[rules]]\nmodel = "RHAPSODE"\nregions = {regions}')
    for command in (("privatize", *SETTING), ("deidentify", "--workers", 1)):
        result = run(command[0], scans, tmp_path / command[0], *command[1:], "--mask", rules)
        assert result.exit_code == 0, result.output
        assert ("check these images" in result.output) == advice


def test_an_object_without_an_image_is_no_image_that_a_mask_left_unpainted(
    run: Run, scans: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rules]]\nmodel = "RHAPSODE"\nregions = [[0, 0, 5, 5]]')
    selection = make_header(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.59", Modality="KO")
    save(selection, scans / "selection.dcm")
    images = len(list(scans.iterdir())) - 1
    result = run(
        "deidentify", scans, tmp_path / "out", "--workers", 1, "--also", "ko", "--mask", rules
    )
    assert result.exit_code == 0, result.output
    assert "check these images" not in result.output
    assert f"in {images} of {images} image" in result.output


def test_warns_where_writing_stays_legible(run: Run, scans: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((400, 400), np.uint8)).save(scans / "large.png")
    many = run("privatize", scans / "large.png", tmp_path / "many", "-J", 1, "-P", 80)
    assert "legible in 1 of 1 images, if letters have 20 pixels or more" in many.output
    few = run("privatize", scans, tmp_path / "few", *SETTING)
    assert "legible" not in few.output


def test_a_table_says_which_pseudonym_is_whose(run: Run, scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    asked = ["privatize", scans, tmp_path / "out", *SETTING, "--output", "dicom"]
    asked += ["--key", tmp_path / "hospital.key", "--pseudonyms", table]
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(scans / "plain.png")
    for _ in range(2):  # the rows of earlier releases stay
        run(*asked, "--overwrite")
    with table.open(newline="") as file:
        (row,) = csv.DictReader(file)
    made = {dcmread(path).PatientID for path in (tmp_path / "out" / "dicom").iterdir()}
    assert row["patient"] == dcmread(scans / "ct.dcm").PatientID
    assert row["pseudonym"] in made
    assert stat.S_IMODE(table.stat().st_mode) == 0o600
    reported = (tmp_path / "out" / "dataset.json").read_text("utf-8")
    assert row["pseudonym"] not in reported
    assert "patients.csv" not in reported


def test_a_table_of_pseudonyms_is_not_shared_and_needs_dicom(
    run: Run, scans: Path, tmp_path: Path
) -> None:
    asked = ["privatize", scans, tmp_path / "out", *SETTING]
    result = run(*asked, "--output", "dicom", "--pseudonyms", tmp_path / "out" / "p.csv")
    assert result.exit_code == 2
    assert "lies in the folder" in result.output
    for place, reason in (
        (tmp_path / "who.txt", "is a CSV file; name it 'who.csv'"),
        (scans / "who.csv", "lies in IN"),
    ):
        result = run(*asked, "--output", "dicom", "--pseudonyms", place)
        assert result.exit_code == 2
        assert reason in result.output
    assert not (tmp_path / "out").exists()  # before any work
    result = run(*asked, "--pseudonyms", tmp_path / "p.csv")
    assert result.exit_code == 2
    assert "--key and --pseudonyms require --output dicom" in result.output
    result = run(*asked, "--mechanism", "mixing-3", "--pseudonyms", tmp_path / "p.csv")
    assert "--key and --pseudonyms require --output dicom" in result.output


@pytest.mark.parametrize("spacing", [[0, 0.5], [-0.5, 0.5], [0.5, 0.5]])
def test_a_spacing_that_is_none_is_written_down(
    run: Run, scans: Path, tmp_path: Path, spacing: list[float]
) -> None:
    source = dcmread(scans / "ct.dcm")
    source.PixelSpacing = spacing
    source.save_as(scans / "ct.dcm")
    done = run("privatize", scans, tmp_path / "out", *SETTING, "--output", "dicom")
    assert done.exit_code == 0, done.output
    (path,) = (tmp_path / "out" / "dicom").iterdir()
    image = dcmread(path)
    usable = min(spacing) > 0
    assert ("PixelSpacing" in image) is usable
    said = "left out, as not two positive numbers: PixelSpacing" in image.DerivationDescription
    assert said is not usable


def test_a_spacing_that_is_no_number_is_written_down(run: Run, scans: Path, tmp_path: Path) -> None:
    content = (scans / "ct.dcm").read_bytes()
    assert content.count(b"0.661468\\0.661468") == 1
    (scans / "ct.dcm").write_bytes(content.replace(b"0.661468\\0.661468", b"Doe^Jane\\Doe^John"))
    done = run("privatize", scans, tmp_path / "out", *SETTING, "--output", "dicom")
    assert done.exit_code == 0, done.output
    (path,) = (tmp_path / "out" / "dicom").iterdir()
    assert "positive numbers: PixelSpacing" in dcmread(path).DerivationDescription
    assert b"Doe" not in path.read_bytes()


def test_a_release_of_real_files_holds_nothing_of_them(
    run: Run, data_folder: Path, tmp_path: Path
) -> None:
    sources, out = data_folder / "dicom", tmp_path / "out"
    key = tmp_path / "always the same.key"  # by another, a date may move to that of another file
    key.write_text(f"{FIRST_WORD} {'5a' * KEY_BYTES}\n", "ascii")
    key.chmod(0o600)
    run(
        "privatize", sources, out, *SETTING, "--output", "dicom", "--key", key,
        "--retain", "dates,patient,device,descriptors",
    )  # fmt: skip
    done = run("scan", out, "--against", sources, "--json", tmp_path / "figures.json")
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert figures["findings"] == 0
    assert sum(figures["harmless"].values()) > 20
    name = str(dcmread(sources / "files" / "CT_small.dcm").PatientName)
    path = sorted((out / "dicom").rglob("*.dcm"))[0]
    image = dcmread(path)
    image.Manufacturer = name
    image.save_as(path)
    done = run("scan", out, "--against", sources)
    assert done.exit_code == 3
    assert "in 1 file" in done.output
    assert name not in done.output


def test_the_table_of_files_says_what_each_became(scans: Path) -> None:
    shutil.copy(str(examples.get_path("rt_plan")), scans / "plan.dcm")
    rows = {row[0]: row[1:] for row in became_table(scans, CodecSpec(2, 4)).rows}
    assert rows["ct.dcm"] == (
        "128×128, 16 bits, MONOCHROME2, Explicit VR Little Endian",
        "CT, 16×16, 16 bits, MONOCHROME2",
    )
    assert rows["plan.dcm"][1] == "nothing: NoPixelsError"
